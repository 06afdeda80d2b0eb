"""Registration of one image to another: rotation, scale and shift, by inverse compositional steps.

Baker & Matthews 2004, "Lucas-Kanade 20 years on". Images are normalised by their local mean and
contrast, so gain, gamma and shading do not matter, and are registered from coarse to fine. Pairs
that do not correlate at a coarse level are given up there.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from fer_core.data.transformed_copies.resampling import (
    SIDE,
    apply_separable,
    gaussian,
    resampling,
)

MAX_DEGREES, SCALES, MAX_SHIFT = 24.0, (0.69, 1.45), 0.2
"""Limits of what is fitted: rotation, scale, and shift as a share of the side. They leave room
beyond the changes that are searched for (15 degrees, 0.8 to 1.25), because both images may be
changed copies of a third."""


@dataclass(frozen=True)
class Level:
    """One resolution.

    Attributes:
        side: Side of the images in pixels.
        blur: Gaussian before sampling, in pixels of 48.
        window: Gaussian window of local mean and contrast, in pixels of this level.
        steps: Steps of the registration.
        least: Smallest correlation with which a pair goes on, chosen on changed copies of FER2013's
            images.
    """

    side: int
    blur: float
    window: float
    steps: int
    least: float


LEVELS: Sequence[Level] = (
    Level(16, 2.5, 4.0, 5, 0.80),
    Level(24, 1.3, 5.0, 5, 0.82),
    Level(48, 0.7, 8.0, 5, 0.80),
)

_SOFTEN = 16.0  # grey levels below which the logarithm is linear
_FLOOR = 0.03  # of the local contrast, in logarithms of grey levels
_STEP = 0.25  # largest change of a parameter in one step
_DAMPING = 1e-3


@dataclass(frozen=True)
class Registration:
    """Motions from first images to second images; each tensor has P rows.

    Attributes:
        motion: `(a, b, x, y)`: pixel (u, v) of the second image, in -1 to 1 from its centre, is
            seen at (a u - b v + x, b u + a v + y) of the first; shape (P, 4).
        correlation: Correlation of the normalised images where they overlap, -1 to 1; shape (P,).
    """

    motion: Tensor
    correlation: Tensor


def identity(count: int) -> Tensor:
    """Returns the motion of images that are not moved, shape (count, 4)."""
    return torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(count, 1)


def normalised(images: Tensor, level: Level) -> Tensor:
    """Returns images of a level with local mean 0 and local deviation 1.

    Args:
        images: Grey levels, float32, shape (N, 48, 48).
        level: The resolution.

    Returns:
        Shape (N, side, side).
    """
    operator = resampling(SIDE, level.side) @ gaussian(SIDE, level.blur)
    window = gaussian(level.side, level.window)
    light = apply_separable(torch.log1p(images / _SOFTEN), operator)
    detail = light - apply_separable(light, window)
    contrast = apply_separable(detail.square(), window).sqrt()
    return detail / (contrast + _FLOOR)


def register(first: Tensor, second: Tensor, motion: Tensor, steps: int) -> Registration:
    """Registers normalised images; the best of all steps is kept.

    Args:
        first: Shape (P, S, S), moved onto `second`.
        second: Shape (P, S, S).
        motion: Start values of the search, shape (P, 4).
        steps: Number of steps.
    """
    steepest = _steepest(second)
    best, best_motion = torch.full((len(first),), -1.0), motion
    for step in range(steps + 1):
        moved, inside = warp(first, motion)
        correlation, moved, fixed = correlate(moved, second, inside)
        better = correlation > best
        best = torch.where(better, correlation, best)
        best_motion = torch.where(better[:, None], motion, best_motion)
        if step < steps:
            change = _solve(steepest, moved, fixed, inside)
            motion = _limited(_composed(motion, _inverse(change)))
    return Registration(best_motion, best)


def warp(images: Tensor, motion: Tensor) -> tuple[Tensor, Tensor]:
    """Samples images at the positions that a motion gives.

    Args:
        images: Shape (P, S, S).
        motion: Shape (P, 4).

    Returns:
        The moved images, and 1 where they lie inside the original and 0 elsewhere.
    """
    side = images.shape[-1]
    a, b, x, y = motion.T
    matrix = torch.stack([torch.stack([a, -b, x], 1), torch.stack([b, a, y], 1)], 1)
    grid = F.affine_grid(matrix, [len(images), 1, side, side], align_corners=False)
    moved = F.grid_sample(images[:, None], grid, padding_mode="zeros", align_corners=False)
    inside = (grid.abs() < 1 - 1 / side).all(dim=3)
    return moved[:, 0], inside.float()


def _steepest(images: Tensor) -> Tensor:
    """Returns the change of each pixel with each parameter of the motion, shape (P, 4, S * S)."""
    side = images.shape[-1]
    down, right = torch.gradient(images, spacing=2 / side, dim=(1, 2))
    centres = (torch.arange(side) + 0.5) * 2 / side - 1
    v, u = torch.meshgrid(centres, centres, indexing="ij")
    return torch.stack([right * u + down * v, down * u - right * v, right, down], 1).flatten(2)


def correlate(moved: Tensor, fixed: Tensor, inside: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the correlation over the overlap, and both images centred there.

    Args:
        moved: Shape (P, S, S).
        fixed: Shape (P, S, S).
        inside: 1 in the overlap and 0 elsewhere, shape (P, S, S).
    """
    count = inside.sum((1, 2)).clamp(min=1)
    moved, fixed = (
        (image - ((image * inside).sum((1, 2)) / count)[:, None, None]) * inside
        for image in (moved, fixed)
    )
    power = moved.square().sum((1, 2)) * fixed.square().sum((1, 2))
    return (moved * fixed).sum((1, 2)) / (power + 1e-6).sqrt(), moved, fixed


def _solve(steepest: Tensor, moved: Tensor, fixed: Tensor, inside: Tensor) -> Tensor:
    """Returns the Gauss-Newton step, as a motion of the second image."""
    gain = (moved * fixed).sum((1, 2)) / (fixed.square().sum((1, 2)) + 1e-6)
    error = (moved / gain.clamp(min=0.2)[:, None, None] - fixed).flatten(1)
    weighted = steepest * inside.flatten(1)[:, None]
    hessian = weighted @ steepest.transpose(1, 2)
    scale = hessian.diagonal(dim1=1, dim2=2).mean(1)[:, None, None] + 1
    hessian = hessian + _DAMPING * scale * torch.eye(4)
    step: Tensor = torch.linalg.solve(hessian, weighted @ error[:, :, None])[:, :, 0]
    return step.clamp(-_STEP, _STEP) + identity(len(step))


def _composed(outer: Tensor, inner: Tensor) -> Tensor:
    a, b, x, y = outer.T
    c, d, u, v = inner.T
    return torch.stack([a * c - b * d, a * d + b * c, a * u - b * v + x, b * u + a * v + y], 1)


def _inverse(motion: Tensor) -> Tensor:
    a, b, x, y = motion.T
    power = a.square() + b.square()
    c, d = a / power, -b / power
    return torch.stack([c, d, -(c * x - d * y), -(d * x + c * y)], 1)


def _limited(motion: Tensor) -> Tensor:
    a, b, x, y = motion.T
    most = math.radians(MAX_DEGREES)
    angle = torch.atan2(b, a).clamp(-most, most)
    # The motion sees the first image, so content that is enlarged is seen at a smaller scale.
    scale = torch.hypot(a, b).clamp(1 / SCALES[1], 1 / SCALES[0])
    x, y = x.clamp(-2 * MAX_SHIFT, 2 * MAX_SHIFT), y.clamp(-2 * MAX_SHIFT, 2 * MAX_SHIFT)
    return torch.stack([scale * angle.cos(), scale * angle.sin(), x, y], 1)


def fitted_change(motion: Tensor) -> dict[str, NDArray[np.float64]]:
    """Converts motions to the changes of the first images' content.

    Returns:
        `degrees`: rotation, clockwise as seen. `scale`: above 1, the content was enlarged.
        `shift_x` and `shift_y`: of the centre to the right and down, as shares of the side. Each
        has shape (P,).
    """
    a, b, x, y = _inverse(motion).double().numpy().T
    return {
        "degrees": np.degrees(np.arctan2(b, a)),
        "scale": np.hypot(a, b),
        "shift_x": x / 2,
        "shift_y": y / 2,
    }
