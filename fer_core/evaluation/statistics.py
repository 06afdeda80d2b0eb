"""Uncertainty of metrics."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
LEVEL = 0.95


@dataclass(frozen=True)
class Bootstrap:
    """Resampled confusion matrices of one set of samples.

    Metrics of a confusion matrix depend on its cells alone, and drawing N samples with
    replacement is drawing the cells from a multinomial: no sample is touched, so 300,000
    samples cost what 3,000 do.

    Attributes:
        matrices: Shape (resamples, K, K); each sums to N.
    """

    matrices: NDArray[np.int64]

    @classmethod
    def of(
        cls, matrix: NDArray[np.int64], resamples: int = RESAMPLES, seed: int = 0
    ) -> "Bootstrap":
        """Draws resamples of a confusion matrix with at least one sample."""
        total = int(matrix.sum())
        share = matrix.ravel() / total
        drawn = np.random.default_rng(seed).multinomial(total, share, size=resamples)
        return cls(drawn.reshape(resamples, *matrix.shape))

    def accuracy(self) -> tuple[float, float]:
        """Returns the percentile interval of the accuracy."""
        right = np.trace(self.matrices, axis1=1, axis2=2)
        return interval(right / self.matrices.sum(axis=(1, 2)))

    def recalls(self) -> NDArray[np.float64]:
        """Returns each resample's recall by class, shape (resamples, K), NaN where absent."""
        found = np.diagonal(self.matrices, axis1=1, axis2=2)
        present = self.matrices.sum(axis=2)
        empty = np.full(present.shape, np.nan)
        recalls: NDArray[np.float64] = np.divide(found, present, out=empty, where=present > 0)
        return recalls

    def macro_recall(self) -> tuple[float, float]:
        """Returns the percentile interval of the mean recall of present classes."""
        return interval(np.nanmean(self.recalls(), axis=1))


def interval(values: NDArray[np.float64], level: float = LEVEL) -> tuple[float, float]:
    """Returns the central percentile interval of resampled values, NaN left out."""
    tail = (1 - level) / 2 * 100
    low, high = np.nanpercentile(values, [tail, 100 - tail])
    return float(low), float(high)
