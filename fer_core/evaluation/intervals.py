"""Uncertainty of metrics."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

RESAMPLES = 2000
_UNIT_RESAMPLES = 1000
CONFIDENCE_LEVEL = 0.95
"""Probability with which intervals hold the true value."""

_NORMAL_QUANTILE = float(ndtri((1 + CONFIDENCE_LEVEL) / 2))


@dataclass(frozen=True)
class Bootstrap:
    """Bootstrap resamples of a confusion matrix.

    Resampling N samples with replacement equals drawing the cells of the confusion matrix from a
    multinomial distribution, so the cost does not depend on the number of samples.

    Attributes:
        matrices: Resampled matrices, shape (resamples, K, K); each sums to N.
    """

    matrices: NDArray[np.int64]

    @classmethod
    def of(
        cls, matrix: NDArray[np.int64], resamples: int = RESAMPLES, seed: int = 0
    ) -> "Bootstrap":
        """Draws resamples of a confusion matrix with at least one sample."""
        return cls(resampled_counts(matrix, resamples, seed))

    def accuracy(self) -> tuple[float, float]:
        """Returns the percentile interval of the accuracy."""
        right = np.trace(self.matrices, axis1=1, axis2=2)
        return interval(right / self.matrices.sum(axis=(1, 2)))

    def recalls(self) -> NDArray[np.float64]:
        """Returns recall by resample and class, shape (resamples, K); NaN for absent classes."""
        correct = np.diagonal(self.matrices, axis1=1, axis2=2)
        present = self.matrices.sum(axis=2)
        empty = np.full(present.shape, np.nan)
        recalls: NDArray[np.float64] = np.divide(correct, present, out=empty, where=present > 0)
        return recalls

    def macro_recall(self) -> tuple[float, float]:
        """Returns the percentile interval of the mean recall over classes with samples."""
        return interval(np.nanmean(self.recalls(), axis=1))


def resampled_counts(
    counts: NDArray[np.int64], resamples: int = RESAMPLES, seed: int = 0
) -> NDArray[np.int64]:
    """Draws bootstrap resamples of a table of counts.

    Args:
        counts: Samples by cell, of any shape; at least one sample in total.
        resamples: Number of resamples.
        seed: Random seed.

    Returns:
        Shape (resamples, *counts.shape); each sums to the number of samples.
    """
    total = int(counts.sum())
    resampled = np.random.default_rng(seed).multinomial(
        total, counts.ravel() / total, size=resamples
    )
    return resampled.reshape(resamples, *counts.shape)


def interval_of_means(
    values: NDArray[np.float64], seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Returns means and their percentile bootstrap intervals.

    Resampling N units with replacement equals weighting them by multinomial counts, so all columns
    are resampled together by one matrix product.

    Args:
        values: Shape (N, ...): units, such as persons, and what was measured on each.
        seed: Random seed.

    Returns:
        Means, lower and upper ends, each of shape (...).
    """
    units = len(values)
    counts = resampled_counts(np.ones(units, dtype=np.int64), _UNIT_RESAMPLES, seed)
    flat = values.reshape(units, -1)
    tail = (1 - CONFIDENCE_LEVEL) / 2 * 100
    ends = np.percentile(counts @ flat / units, [tail, 100 - tail], axis=0)
    shape = values.shape[1:]
    return flat.mean(axis=0).reshape(shape), ends[0].reshape(shape), ends[1].reshape(shape)


def wilson(successes: NDArray[np.int64], trials: NDArray[np.int64]) -> NDArray[np.float64]:
    """Returns Wilson's 95% interval of proportions (Wilson 1927), valid for small samples too.

    Args:
        successes: Number of successes, shape (B,).
        trials: Number of trials, shape (B,); the interval is NaN for 0 trials.

    Returns:
        Lower and upper ends, shape (2, B).
    """
    z = _NORMAL_QUANTILE
    with np.errstate(invalid="ignore", divide="ignore"):
        share = successes / trials
        centre = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
        spread = z / (1 + z**2 / trials)
        half = spread * np.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    ends: NDArray[np.float64] = np.clip(np.stack([centre - half, centre + half]), 0, 1)
    return ends


def widest_interval(resampled: Sequence[NDArray[np.float64]]) -> tuple[float, float]:
    """Returns the interval that holds those of several resamplings of one statistic."""
    lows, highs = zip(*map(interval, resampled), strict=True)
    return min(lows), max(highs)


def interval(values: NDArray[np.float64], level: float = CONFIDENCE_LEVEL) -> tuple[float, float]:
    """Returns the central percentile interval of resampled values, ignoring NaN."""
    tail = (1 - level) / 2 * 100
    low, high = np.nanpercentile(values, [tail, 100 - tail])
    return float(low), float(high)
