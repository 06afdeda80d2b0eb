"""Removing pixels without leaving a hole: the noisy linear imputation of ROAD."""

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
    """Fills removed pixels so that each is the weighted mean of its eight neighbours.

    Rong et al. 2022 (arXiv:2202.00449): a model cannot read the shape of what was removed, as it
    can from a hole. The same equations as grad-cam's imputer, which a test compares it with,
    solved in a tenth of the time.

    Args:
        image: Shape (C, h, w).
        removed: Shape (h, w).
        noise: Deviation of the noise on filled pixels, in the image's units.
        seed: Of the noise.

    Returns:
        A copy, float32, shape (C, h, w).
    """
    filled = image.astype(np.float32, copy=True)
    holes = np.flatnonzero(removed)
    if not len(holes):
        return filled
    known = np.flatnonzero(~removed)
    flat = image.reshape(len(image), -1).astype(np.float64)
    if not len(known):
        return np.broadcast_to(flat.mean(axis=1)[:, None, None], image.shape).astype(np.float32)
    system = _neighbours(*removed.shape)
    rows = system[holes]
    solved = splu(rows[:, holes].tocsc()).solve(-(rows[:, known] @ flat[:, known].T))
    drawn = np.random.default_rng(seed).normal(0, noise, solved.shape) if noise else 0.0
    filled.reshape(len(image), -1)[:, holes] = (solved + drawn).T
    return filled


@lru_cache(maxsize=8)
def _neighbours(height: int, width: int) -> sparse.csr_matrix:
    """Returns the matrix that takes a picture to its pixels' difference from their neighbours."""
    number = np.arange(height * width).reshape(height, width)
    rows, columns, weights = [], [], []
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            if down == right == 0:
                continue
            own = number[
                max(0, -down) : height - max(0, down), max(0, -right) : width - max(0, right)
            ]
            other = number[
                max(0, down) : height - max(0, -down), max(0, right) : width - max(0, -right)
            ]
            weight = _DIAGONAL if down and right else _DIRECT
            rows.append(own.ravel())
            columns.append(other.ravel())
            weights.append(np.full(own.size, weight))
    place = (np.concatenate(rows), np.concatenate(columns))
    near = sparse.csr_matrix((np.concatenate(weights), place), shape=(number.size,) * 2)
    # at the border the weights of missing neighbours are left out
    own_weight = np.asarray(near.sum(axis=1)).ravel()
    return (near - sparse.diags(own_weight)).tocsr()
