"""Linear operators on image sides: area resampling, Gaussian blur and pooling."""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

SIDE = 48
"""Side of the images that are compared, in pixels."""


def apply_separable(images: Tensor, operator: Tensor) -> Tensor:
    """Applies an operator to both sides of images.

    Args:
        images: Shape (N, S, S).
        operator: Shape (T, S).

    Returns:
        Shape (N, T, T).
    """
    return operator @ images @ operator.T


@lru_cache(maxsize=64)
def resampling(side: int, target: int) -> Tensor:
    """Returns the operator that averages (or repeats) pixels, shape (target, side)."""
    edges = np.arange(target + 1) * side / target
    pixels = np.arange(side)
    low = np.maximum(edges[:-1, None], pixels)
    high = np.minimum(edges[1:, None], pixels + 1)
    weights = (high - low).clip(0)
    return torch.from_numpy((weights / weights.sum(axis=1, keepdims=True)).astype(np.float32))


@lru_cache(maxsize=64)
def gaussian(side: int, sigma: float) -> Tensor:
    """Returns the operator of a Gaussian blur that is normalised at the border, shape (S, S)."""
    return pooling(side, side, sigma)


@lru_cache(maxsize=64)
def pooling(side: int, cells: int, sigma: float) -> Tensor:
    """Returns the operator of Gaussian means around the centres of cells, shape (cells, side)."""
    weights = windows(side, cells, sigma)
    return weights / weights.sum(dim=1, keepdim=True)


@lru_cache(maxsize=64)
def windows(side: int, cells: int, sigma: float) -> Tensor:
    """Returns Gaussian windows of height 1 around the centres of cells, shape (cells, side)."""
    centres = (np.arange(cells) + 0.5) * side / cells - 0.5
    weights = np.exp(-0.5 * ((centres[:, None] - np.arange(side)) / sigma) ** 2)
    return torch.from_numpy(weights.astype(np.float32))
