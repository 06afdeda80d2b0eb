"""Occlusion, which needs logits only, and the model-agnostic baselines."""

import zlib

import numpy as np
import torch
from torch import Tensor

from fer_core.explain.saliency import Question, batched_logits

WINDOWS = 6
"""A window has this fraction of the image's side and moves by half its size."""

BASELINE_GRID = 7
"""Cells per side of the random baseline: as coarse as the maps of most methods."""


def occlusion(question: Question, windows: int = WINDOWS) -> tuple[Tensor, Tensor]:
    """Returns how much the target drops when a window is covered (Zeiler and Fergus 2014).

    Windows have the image's mean colour and overlap by half; the value at a position is the mean
    drop over the windows that cover it. Only logits are needed, so this works for ensembles and
    ONNX files.

    Returns:
        Logits (N, K) and signed maps (N, S, S).
    """
    inputs = question.inputs
    logits = batched_logits(question.model, inputs)
    side = inputs.shape[-1]
    size = max(2, round(side / windows))
    offsets = sorted({*range(0, side - size, max(1, size // 2)), side - size})
    maps = []
    for image, target, intact in zip(inputs, question.resolve(logits), logits, strict=True):
        copies = image.repeat(len(offsets) ** 2, 1, 1, 1)
        covers = torch.zeros(len(copies), side, side, device=inputs.device)
        plain = image.mean(dim=(1, 2)).view(-1, 1, 1)
        for index, (top, left) in enumerate((y, x) for y in offsets for x in offsets):
            copies[index, :, top : top + size, left : left + size] = plain
            covers[index, top : top + size, left : left + size] = 1
        drops = target.score(intact) - target.score(batched_logits(question.model, copies))
        maps.append((drops.view(-1, 1, 1) * covers).sum(dim=0) / covers.sum(dim=0))
    return logits, torch.stack(maps)


def random_baseline(question: Question) -> tuple[Tensor, Tensor]:
    """Returns smooth noise that is fixed for each image."""
    maps = []
    for image in question.inputs:
        seed = zlib.crc32(image.detach().cpu().contiguous().numpy().tobytes())
        noise = np.random.default_rng(seed).random((BASELINE_GRID, BASELINE_GRID))
        maps.append(torch.from_numpy(noise.astype(np.float32)))
    return batched_logits(question.model, question.inputs), torch.stack(maps)


def centre_baseline(question: Question) -> tuple[Tensor, Tensor]:
    """Returns the same centred Gaussian for every image, which only exploits the framing."""
    side = question.inputs.shape[-1]
    offset = (torch.arange(side) + 0.5) / side - 0.5
    bump = torch.exp(-(offset[:, None] ** 2 + offset[None] ** 2) / (2 * 0.25**2))
    return batched_logits(question.model, question.inputs), bump.repeat(len(question.inputs), 1, 1)
