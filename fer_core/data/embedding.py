"""Where an image stands among the others: eigenfaces, without any trained weights.

Each thumbnail is freed of its brightness and contrast; the main axes of what is left (Turk &
Pentland 1991, eigenfaces) are a map of light, pose and framing. It knows nothing of emotions: that
two faces stand side by side means that they are lit and framed alike.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_core.data.quality import FLAT_DEVIATION

AXES = 32
"""Axes of the face space; the rest of an image is its distance from it."""

_ROWS = 8192


@dataclass(frozen=True)
class Placement:
    """Where each image stands.

    Attributes:
        map: Position on the two widest axes, float32, shape (N, 2); NaN for flat images.
        distance: How much of the image the face space does not hold, 0 to 1, float32, shape (N,);
            large for what is not framed like a face ("distance from face space"); NaN for flat
            images.
        explained: Share of the variance on the first, second ... axis.
    """

    map: NDArray[np.float32]
    distance: NDArray[np.float32]
    explained: NDArray[np.float64]


def project(thumbnails: NDArray[np.float32]) -> Placement:
    """Places images on the axes that they vary most along.

    Args:
        thumbnails: Shape (N, 16, 16).
    """
    flat = thumbnails.reshape(len(thumbnails), -1)
    pixels = flat.shape[1]
    total, squares, count = np.zeros(pixels), np.zeros((pixels, pixels)), 0
    for start in range(0, len(flat), _ROWS):
        unit, _ = _standardised(flat[start : start + _ROWS])
        total += unit.sum(axis=0)
        squares += unit.T @ unit
        count += len(unit)
    mean = total / max(1, count)
    variance, vectors = np.linalg.eigh(squares / max(1, count) - np.outer(mean, mean))
    variance, axes = variance[::-1].clip(0), vectors[:, ::-1][:, :AXES]
    # An axis has no direction of its own: its largest weight is made positive.
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])

    positions = np.full((len(flat), 2), np.nan, dtype=np.float32)
    distance = np.full(len(flat), np.nan, dtype=np.float32)
    for start in range(0, len(flat), _ROWS):
        unit, usable = _standardised(flat[start : start + _ROWS])
        centred = unit - mean
        scores = centred @ axes
        rest = (centred**2).sum(axis=1) - (scores**2).sum(axis=1)
        rows = start + np.flatnonzero(usable)
        positions[rows] = scores[:, :2]
        distance[rows] = np.sqrt(rest.clip(0))
    share = variance / max(variance.sum(), np.finfo(float).tiny)
    # Four digits: more would be noise, and would not compress.
    return Placement(positions.round(4), distance.round(4), share)


def _standardised(
    rows: NDArray[np.float32],
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Returns the rows that are not flat, with mean 0 and length 1, and which ones they are."""
    centred = rows.astype(np.float64) - rows.mean(axis=1, keepdims=True, dtype=np.float64)
    usable: NDArray[np.bool_] = centred.std(axis=1) >= FLAT_DEVIATION
    kept = centred[usable]
    return kept / np.linalg.norm(kept, axis=1, keepdims=True), usable


def inside(points: NDArray[np.float64], polygon: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Says which points lie in a polygon (even-odd rule).

    Args:
        points: Shape (N, 2); NaN lies nowhere.
        polygon: Corners in order, shape (K, 2), closed or not.

    Returns:
        Shape (N,).
    """
    x, y = points[:, 0], points[:, 1]
    mask = np.zeros(len(points), dtype=bool)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if y0 != y1:  # a ray to the right crosses no level edge
            crosses = (y0 > y) != (y1 > y)
            mask ^= crosses & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
    return mask
