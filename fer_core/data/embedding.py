"""Embedding of images by PCA (eigenfaces, Turk & Pentland 1991), without trained weights.

Thumbnails are normalised for brightness and contrast; their principal components describe light,
pose and framing, not expressions. Neighbours on the map have similar light and framing.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_core.data.quality import FLAT_DEVIATION

AXES = 32
"""Number of principal components that span the face space."""

_ROWS = 8192


@dataclass(frozen=True)
class Placement:
    """Embedding of each image.

    Attributes:
        map: Projection on the first two components, float32, shape (N, 2); NaN for flat images.
        distance: Reconstruction error ("distance from face space"), 0 to 1, float32, shape (N,);
            large for images that are not framed as faces; NaN for flat images.
        explained: Explained variance ratio of each component.
    """

    map: NDArray[np.float32]
    distance: NDArray[np.float32]
    explained: NDArray[np.float64]


def _rounded(values: NDArray[np.float32], steps: int) -> NDArray[np.float32]:
    """Rounds to multiples of 1/steps, a power of two: more digits are noise and compress badly."""
    return (np.rint(values * steps) / steps).astype(np.float32)


def project(thumbnails: NDArray[np.float32]) -> Placement:
    """Projects images on their principal components.

    Args:
        thumbnails: Grey thumbnails, shape (N, 16, 16).
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
    # The sign of a component is arbitrary; make its largest weight positive.
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])

    positions = np.full((len(flat), 2), np.nan, dtype=np.float32)
    distance = np.full(len(flat), np.nan, dtype=np.float32)
    for start in range(0, len(flat), _ROWS):
        unit, usable = _standardised(flat[start : start + _ROWS])
        centred = unit - mean
        scores = centred @ axes
        residual = (centred**2).sum(axis=1) - (scores**2).sum(axis=1)
        rows = start + np.flatnonzero(usable)
        positions[rows] = scores[:, :2]
        distance[rows] = np.sqrt(residual.clip(0))
    share = variance / max(variance.sum(), np.finfo(float).tiny)
    return Placement(_rounded(positions, 1024), _rounded(distance, 4096), share)


def _standardised(
    rows: NDArray[np.float32],
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Returns the non-flat rows, with mean 0 and norm 1, and a mask of them."""
    centred = rows.astype(np.float64) - rows.mean(axis=1, keepdims=True, dtype=np.float64)
    usable: NDArray[np.bool_] = centred.std(axis=1) >= FLAT_DEVIATION
    selected = centred[usable]
    return selected / np.linalg.norm(selected, axis=1, keepdims=True), usable


def inside(points: NDArray[np.float64], polygon: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Returns a mask of the points inside a polygon (even-odd rule).

    Args:
        points: Shape (N, 2); points with NaN are outside.
        polygon: Corners in order, shape (K, 2), closed or not.

    Returns:
        Boolean mask, shape (N,).
    """
    x, y = points[:, 0], points[:, 1]
    mask = np.zeros(len(points), dtype=bool)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if y0 != y1:  # a horizontal ray does not cross a horizontal edge
            crosses = (y0 > y) != (y1 > y)
            mask ^= crosses & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
    return mask
