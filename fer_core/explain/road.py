"""Noisy linear imputation of removed pixels, as in ROAD."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import splu

_DIRECT, _DIAGONAL = 1 / 6, 1 / 12
NOISE = 0.01


def impute(
    image: NDArray[np.float32],
    removed: NDArray[np.bool_],
    noise: float = NOISE,
    seed: int = 0,
) -> NDArray[np.float32]:
    """Imputes removed pixels so that each is the weighted mean of its eight neighbours.

    Rong et al. 2022 (arXiv:2202.00449): unlike a constant fill, imputation does not reveal the
    shape of the removed region. Solves the same equations as grad-cam's imputer (a test compares
    them) in a tenth of the time.

    Args:
        image: Image, shape (C, h, w).
        removed: Mask of the removed pixels, shape (h, w).
        noise: Standard deviation of the noise on imputed pixels, in the image's units.
        seed: Random seed of the noise.

    Returns:
        Imputed copy, float32, shape (C, h, w).
    """
    filled = image.astype(np.float32, copy=True)
    holes = np.flatnonzero(removed)
    if not len(holes):
        return filled
    kept_pixels = np.flatnonzero(~removed)
    flat = image.reshape(len(image), -1).astype(np.float64)
    if not len(kept_pixels):
        return np.broadcast_to(flat.mean(axis=1)[:, None, None], image.shape).astype(np.float32)
    system = _neighbours(*removed.shape)
    rows = system[holes]
    solved = splu(rows[:, holes].tocsc()).solve(-(rows[:, kept_pixels] @ flat[:, kept_pixels].T))
    gaussian = np.random.default_rng(seed).normal(0, noise, solved.shape) if noise else 0.0
    filled.reshape(len(image), -1)[:, holes] = (solved + gaussian).T
    return filled


@lru_cache(maxsize=8)
def _neighbours(height: int, width: int) -> sparse.csr_matrix:
    """Returns the sparse matrix of each pixel's weighted difference from its neighbours."""
    number = np.arange(height * width).reshape(height, width)
    rows, columns, weights = [], [], []
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            if down == right == 0:
                continue
            source = number[
                max(0, -down) : height - max(0, down), max(0, -right) : width - max(0, right)
            ]
            neighbour = number[
                max(0, down) : height - max(0, -down), max(0, right) : width - max(0, -right)
            ]
            weight = _DIAGONAL if down and right else _DIRECT
            rows.append(source.ravel())
            columns.append(neighbour.ravel())
            weights.append(np.full(source.size, weight))
    indices = (np.concatenate(rows), np.concatenate(columns))
    near = sparse.csr_matrix((np.concatenate(weights), indices), shape=(number.size,) * 2)
    # at the border, missing neighbours have no weight
    own_weight = np.asarray(near.sum(axis=1)).ravel()
    return (near - sparse.diags(own_weight)).tocsr()
