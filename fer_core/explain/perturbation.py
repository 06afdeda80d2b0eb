"""Maps from answers alone, and maps that know nothing: the controls."""

import zlib

import numpy as np
import torch
from torch import Tensor

from fer_core.explain.saliency import Question, answer

WINDOWS = 6
"""Occluding windows have a sixth of the side, and move by half of that."""

CONTROL_GRID = 7
"""Cells a side of the random control: as coarse as the maps of most methods."""


def occlusion(question: Question, windows: int = WINDOWS) -> tuple[Tensor, Tensor]:
    """How far the score falls when a window is painted over (Zeiler and Fergus 2014).

    Windows take the image's mean colour and overlap by half; a place's value is the mean fall of
    the windows that cover it. Needs answers only: ensembles and ONNX files can be explained.

    Returns:
        Logits (N, K) and signed maps (N, S, S).
    """
    inputs = question.inputs
    logits = answer(question.model, inputs)
    side = inputs.shape[-1]
    size = max(2, round(side / windows))
    places = sorted({*range(0, side - size, max(1, size // 2)), side - size})
    maps = []
    for image, target, own in zip(inputs, question.resolve(logits), logits, strict=True):
        copies = image.repeat(len(places) ** 2, 1, 1, 1)
        covers = torch.zeros(len(copies), side, side, device=inputs.device)
        plain = image.mean(dim=(1, 2)).view(-1, 1, 1)
        for index, (top, left) in enumerate((y, x) for y in places for x in places):
            copies[index, :, top : top + size, left : left + size] = plain
            covers[index, top : top + size, left : left + size] = 1
        falls = target.score(own) - target.score(answer(question.model, copies))
        maps.append((falls.view(-1, 1, 1) * covers).sum(dim=0) / covers.sum(dim=0))
    return logits, torch.stack(maps)


def random_control(question: Question) -> tuple[Tensor, Tensor]:
    """Smooth noise: the same for the same image, another for another image."""
    maps = []
    for image in question.inputs:
        seed = zlib.crc32(image.detach().cpu().contiguous().numpy().tobytes())
        drawn = np.random.default_rng(seed).random((CONTROL_GRID, CONTROL_GRID))
        maps.append(torch.from_numpy(drawn.astype(np.float32)))
    return answer(question.model, question.inputs), torch.stack(maps)


def centre_control(question: Question) -> tuple[Tensor, Tensor]:
    """A bump in the middle, for every face alike: what a good framing alone achieves."""
    side = question.inputs.shape[-1]
    away = (torch.arange(side) + 0.5) / side - 0.5
    bump = torch.exp(-(away[:, None] ** 2 + away[None] ** 2) / (2 * 0.25**2))
    return answer(question.model, question.inputs), bump.repeat(len(question.inputs), 1, 1)
