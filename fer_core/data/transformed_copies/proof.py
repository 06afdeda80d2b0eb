"""Classifies registered pairs: one picture, one scene, or merely similar.

Two portraits with the same pose correlate well, whoever is shown. So images are compared by their
detail: relative to local mean and contrast in a window of an eighth of the side, only where they
overlap. Gain, gamma, and shading cancel out.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from fer_core.data.transformed_copies.registration import correlate, warp
from fer_core.data.transformed_copies.resampling import (
    SIDE,
    apply_separable,
    gaussian,
    windows,
)

COPY_SCORE = 0.82
"""Smallest `Proof.score` of one picture, set on pairs of FER2013 that were looked at: below are
people who look alike, frames of one scene, and pictures that are mostly written over. See
docs/data.md."""

SCENE_CORRELATION = 0.84
"""Smallest correlation of detail of one scene: another frame, another shot of a session, or a
picture with something written over it."""

SCENE_UNEXPLAINED = 0.10
"""Largest median of what tiles of one scene do not share: where nothing moved, the detail is the
same. People who look alike differ a little everywhere."""

LEAST_OVERLAP = 0.4
"""Smallest overlap, as a share of the image."""

_BLUR, _WINDOW = 1.3, 3.0  # pixels of 48
_SOFTEN = 16.0  # grey levels below which the logarithm is linear
_FLOOR = 0.08  # of the local contrast, in logarithms, so that noise does not count as detail
_BORDER = 5  # pixels of 48 in which the blur mixes with what lies outside the overlap
_TILE, _STRIDE = 12, 4
_WORST = 0.85  # quantile
_TILE_FLOOR = 0.1  # so that tiles without detail count as explained
_CLIPPED = (4, 251)  # grey levels beyond are clipped and say nothing about gain


@dataclass(frozen=True)
class Proof:
    """Agreement of registered pairs; each array has shape (P,).

    Attributes:
        correlation: Correlation of detail over the overlap, -1 to 1.
        unexplained: Median share of the detail of a tile (a quarter of the side) that the other
            image lacks, 0 for equal images.
        worst: Agreement of the worst seventh of the tiles.
        overlap: Share of the second image that the first one covers, 0 to 1.
        gain: Factor on the grey levels (as shares of white) after gamma.
        gamma: Exponent of the grey levels.
    """

    correlation: NDArray[np.float32]
    unexplained: NDArray[np.float32]
    worst: NDArray[np.float32]
    overlap: NDArray[np.float32]
    gain: NDArray[np.float32]
    gamma: NDArray[np.float32]

    @property
    def score(self) -> NDArray[np.float32]:
        """Correlation less half of what the worst tiles lack; 1 for equal images."""
        score: NDArray[np.float32] = self.correlation - np.float32(0.5) * self.worst
        return score

    @property
    def copy(self) -> NDArray[np.bool_]:
        """Whether each pair is one picture, shape (P,)."""
        return (self.score >= COPY_SCORE) & (self.overlap >= LEAST_OVERLAP)

    @property
    def same_scene(self) -> NDArray[np.bool_]:
        """Whether each pair is one scene, but not one picture, shape (P,)."""
        likely = (self.correlation >= SCENE_CORRELATION) & (self.unexplained <= SCENE_UNEXPLAINED)
        return likely & (self.overlap >= LEAST_OVERLAP) & ~self.copy


def prove(first: Tensor, second: Tensor, motion: Tensor) -> Proof:
    """Compares registered images.

    Args:
        first: Grey levels, float32, shape (P, 48, 48), mirrored where needed.
        second: Grey levels of the same shape.
        motion: Motions from the first to the second images, shape (P, 4).
    """
    moved, inside = warp(_light(first), motion)
    fixed = _light(second)
    inside = -F.max_pool2d(-inside[:, None], _BORDER, 1, _BORDER // 2)[:, 0]
    left, right = _detail(moved, inside), _detail(fixed, inside)
    median, worst = _unexplained(left, right, inside)
    gain, gamma = _tone(warp(first, motion)[0], second, inside)
    return Proof(
        correlation=correlate(left, right, inside)[0].numpy(),
        unexplained=median.numpy(),
        worst=worst.numpy(),
        overlap=inside.mean((1, 2)).numpy(),
        gain=gain.numpy(),
        gamma=gamma.numpy(),
    )


def _light(images: Tensor) -> Tensor:
    return apply_separable(torch.log1p(images / _SOFTEN), gaussian(SIDE, _BLUR))


def _detail(light: Tensor, inside: Tensor) -> Tensor:
    """Returns images relative to local mean and contrast, which only the overlap counts for."""
    window = windows(SIDE, SIDE, _WINDOW)
    weight = apply_separable(inside, window).clamp(min=1e-3)
    detail = (light - apply_separable(light * inside, window) / weight) * inside
    contrast = (apply_separable(detail.square(), window) / weight).sqrt()
    return detail / (contrast + _FLOOR)


def _unexplained(left: Tensor, right: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
    """Returns what the tiles of the overlap do not share: the median, and the worst seventh."""

    def mean(image: Tensor) -> Tensor:
        return F.avg_pool2d(image[:, None], _TILE, _STRIDE).flatten(1)

    gain = (left * right).sum((1, 2)) / (left.square().sum((1, 2)) + 1e-6)
    left = gain.clamp(min=0.3)[:, None, None] * left
    covered = mean(inside)
    power = (mean(left.square()) + mean(right.square())) / 2
    share = mean((left - right).square()) / (power + _TILE_FLOOR * covered + 1e-6)
    share = torch.where(covered > 0.6, share, torch.nan)
    median, worst = torch.nanquantile(share, torch.tensor([0.5, _WORST]), dim=1)
    return median.nan_to_num(2.0), worst.nan_to_num(2.0)


def _tone(first: Tensor, second: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
    """Fits second = gain * first ** gamma to the pixels that neither image clips."""
    low, high = _CLIPPED
    weight = inside.clone()
    for image in (first, second):
        weight = weight * ((image >= low) & (image <= high))
    count = weight.sum((1, 2)).clamp(min=1)
    left, right = ((image.clamp(1, 255) / 255).log() for image in (first, second))
    centre_left, centre_right = ((image * weight).sum((1, 2)) / count for image in (left, right))
    left = left - centre_left[:, None, None]
    right = right - centre_right[:, None, None]
    spread = (left.square() * weight).sum((1, 2))
    gamma = ((left * right * weight).sum((1, 2)) / (spread + 1e-6)).clamp(0.25, 4.0)
    return (centre_right - gamma * centre_left).exp(), gamma
