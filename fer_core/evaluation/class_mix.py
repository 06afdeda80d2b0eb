"""Comparisons of subsets with the other images at the same frequencies of true classes.

Counts hold (images, errors) in the last axis: of subsets by true class, shape (S, K, 2), and of all
images by true class, shape (K, 2).
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr


def mantel_haenszel(counts: NDArray[np.int64], totals: NDArray[np.int64]) -> NDArray[np.float64]:
    """Returns one-sided p-values that subsets have more errors than other images of their classes.

    The test of Mantel and Haenszel (1959), stratified by true class, with continuity correction. It
    is 1 where no class has images both inside and outside the subset.

    Args:
        counts: Counts of the subsets, shape (S, K, 2).
        totals: Counts of all images, shape (K, 2).

    Returns:
        p-values, shape (S,).
    """
    size, errors = np.moveaxis(counts.astype(np.float64), -1, 0)
    total, wrong = np.moveaxis(totals.astype(np.float64), -1, 0)
    filled = np.maximum(total, 1)
    expected = size * wrong / filled
    spread = (
        size * (total - size) * wrong * (total - wrong) / (filled**2 * np.maximum(total - 1, 1))
    )
    gap, variance = (errors - expected).sum(axis=1), spread.sum(axis=1)
    deviation = np.sqrt(np.where(variance > 0, variance, 1))
    tail = ndtr(-(gap - 0.5) / deviation)
    return np.asarray(np.where(variance > 0, tail, 1.0), dtype=np.float64)


def error_elsewhere(counts: NDArray[np.int64], totals: NDArray[np.int64]) -> NDArray[np.float64]:
    """Returns the error rate of all other images at the class frequencies of each subset.

    Direct standardisation over the classes that have other images; without any, the plain rate.

    Args:
        counts: Counts of the subsets, shape (S, K, 2).
        totals: Counts of all images, shape (K, 2).

    Returns:
        Error rates, 0 to 1, shape (S,).
    """
    size = counts[..., 0].astype(np.float64)
    others, wrong = np.moveaxis((totals - counts).astype(np.float64), -1, 0)
    weight = np.where(others > 0, size, 0.0)
    rates = wrong / np.maximum(others, 1)
    plain = wrong.sum(axis=1) / np.maximum(others.sum(axis=1), 1)
    weights = weight.sum(axis=1)
    standardised = (weight * rates).sum(axis=1) / np.maximum(weights, 1)
    return np.asarray(np.where(weights > 0, standardised, plain), dtype=np.float64)
