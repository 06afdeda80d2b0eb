"""Gradient-based saliency at the input."""

import math

import torch
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from fer_core.explain.saliency import Question, Target

STEPS = 24

SMOOTHED_STEPS = 4
"""Points on each of the two paths of smoothed gradients; 8 passes in all."""

SMOOTHING = 1 / 16
"""Standard deviation of the blur of smoothed gradients, as a share of the side."""

FAST_STEPS = 2
"""Points on the only path of fast gradients."""

FAST_SMOOTHING = 1 / 11
"""`SMOOTHING` of fast gradients: fewer points need a wider blur."""


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


def smoothed_gradients(question: Question, steps: int = SMOOTHED_STEPS) -> tuple[Tensor, Tensor]:
    """Integrated gradients of the log-odds over two baselines, smoothed.

    Three changes to integrated gradients: one path starts from the plain mean colour and one from
    a blurred face, because deletion removes content in the former way and insertion in the latter;
    the target is the log-odds of the class, which contrasts it with all others; and the map is
    blurred, because single pixels are noise. docs/explain.md has results.

    Args:
        question: Explained model and inputs; the model must be differentiable.
        steps: Number of points on each of the two paths.

    Returns:
        Logits (N, K) and signed maps (N, S, S).
    """
    model, inputs = question.network, question.inputs.detach()
    with torch.no_grad():
        logits = model(inputs)
    shares = ((torch.arange(steps, device=inputs.device) + 0.5) / steps).view(1, -1, 1, 1, 1)
    maps = []
    for image, target in zip(inputs, question.resolve(logits), strict=True):
        steps_to = image - _baselines(image)
        points = image - (1 - shares) * steps_to[:, None]
        with torch.enable_grad():
            path = points.flatten(0, 1).requires_grad_(True)
            score = _log_odds(target, model(path)).sum()
            (gradient,) = torch.autograd.grad(score, path)
        mean = gradient.view(2, steps, *image.shape).mean(dim=1)
        maps.append((mean * steps_to).sum(dim=(0, 1)) / 2)
    return logits, _smoothed(torch.stack(maps).detach())


def fast_gradients(question: Question, steps: int = FAST_STEPS) -> tuple[Tensor, Tensor]:
    """Smoothed gradients in one forward and one backward pass, about half of their time.

    There is one path, from the mean of both baselines, with few points, and the image is predicted
    in the same batch. docs/explain.md compares both.

    Args:
        question: Explained model and inputs; the model must be differentiable.
        steps: Number of points on the path.

    Returns:
        Logits (N, K) and signed maps (N, S, S).
    """
    model = question.network
    shares = (torch.arange(steps, device=question.inputs.device) + 0.5).view(-1, 1, 1, 1) / steps
    all_logits, maps = [], []
    for image, target in zip(question.inputs.detach(), question.targets, strict=True):
        step = image - _baselines(image).mean(dim=0)
        with torch.enable_grad():
            points = torch.cat([image[None], image - (1 - shares) * step]).requires_grad_(True)
            logits = model(points)
            resolved = target or Target(int(logits[0].argmax()))
            score = _log_odds(resolved, logits[1:]).sum()
            (gradient,) = torch.autograd.grad(score, points)
        all_logits.append(logits[0].detach())
        maps.append((gradient[1:].mean(dim=0) * step).sum(dim=0))
    return torch.stack(all_logits), _smoothed(torch.stack(maps).detach(), FAST_SMOOTHING)


def _baselines(image: Tensor) -> Tensor:
    """Returns an image of the mean colour and a blurred image, shape (2, 3, S, S)."""
    side = image.shape[-1]
    kernel = 2 * (side // 4) + 1
    plain = image.mean(dim=(1, 2), keepdim=True).expand_as(image)
    return torch.stack([plain, gaussian_blur(image, [kernel, kernel], [side / 8, side / 8])])


def _log_odds(target: Target, logits: Tensor) -> Tensor:
    """Returns the log-odds of a class, or the difference of the two classes of a contrast."""
    score = target.score(logits)
    if target.against is not None or logits.shape[-1] == 1:
        return score
    others = torch.arange(logits.shape[-1], device=logits.device) != target.of
    return score - logits[..., others].logsumexp(dim=-1)


def _smoothed(maps: Tensor, smoothing: float = SMOOTHING) -> Tensor:
    """Blurs maps (N, S, S) by a share of their side, because single pixels are noise."""
    sigma = smoothing * maps.shape[-1]
    kernel = 2 * math.ceil(2 * sigma) + 1
    smooth: Tensor = gaussian_blur(maps[:, None], [kernel, kernel], [sigma, sigma])
    return smooth[:, 0]
