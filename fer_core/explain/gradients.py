"""Gradient-based saliency at the input."""

import torch
from torch import Tensor

from fer_core.explain.saliency import Question

STEPS = 24


def integrated_gradients(question: Question, steps: int = STEPS) -> tuple[Tensor, Tensor]:
    """Integrated gradients (Sundararajan et al. 2017, arXiv:1703.01365), summed over channels.

    The baseline is a plain image of the mean colour, and the integral uses the midpoint rule. A
    map sums to the target of the image minus that of the baseline, up to the rule's error.

    Args:
        question: Explained model and inputs; the model must be differentiable.
        steps: Number of points on the path.

    Returns:
        Logits (N, K) and signed maps (N, S, S).
    """
    model, inputs = question.network, question.inputs.detach()
    with torch.no_grad():
        logits = model(inputs)
    targets = question.resolve(logits)
    plain = inputs.mean(dim=(2, 3), keepdim=True).expand_as(inputs)
    shares = (torch.arange(steps, device=inputs.device) + 0.5).view(-1, 1, 1, 1) / steps
    maps = []
    for image, base, target in zip(inputs, plain, targets, strict=True):
        with torch.enable_grad():
            path = (base + shares * (image - base)).requires_grad_(True)
            score = target.score(model(path)).sum()
            (gradient,) = torch.autograd.grad(score, path)
        maps.append(((image - base) * gradient.mean(dim=0)).sum(dim=0))
    return logits, torch.stack(maps).detach()
