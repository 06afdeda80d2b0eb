"""Selective prediction: accept only confident predictions."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

_Float = TypeVar("_Float", bound=np.floating)


@dataclass(frozen=True)
class RiskCoverage:
    """Risk-coverage curve: error rate when only the most confident predictions are accepted.

    Attributes:
        coverage: Share of accepted samples, ascending, `1/N` to 1; shape (N,).
        risk: Error rate among the accepted samples, shape (N,).
        threshold: Smallest confidence among the accepted samples, shape (N,).
    """

    coverage: NDArray[np.float64]
    risk: NDArray[np.float64]
    threshold: NDArray[np.float64]

    @property
    def area(self) -> float:
        """Mean risk over coverage, AURC (Geifman and El-Yaniv 2017); lower is better."""
        return float(self.risk.mean())

    def coverage_at(self, risk: float) -> tuple[float, float] | None:
        """Returns the largest coverage within this risk and its threshold, or None."""
        # a threshold accepts all samples of equal confidence
        ends = np.append(self.threshold[1:] != self.threshold[:-1], True)
        allowed = np.flatnonzero((self.risk <= risk + 1e-12) & ends)
        if not len(allowed):
            return None
        last = int(allowed[-1])
        return float(self.coverage[last]), float(self.threshold[last])

    def thinned(self, points: int = 200) -> "RiskCoverage":
        """Returns the curve at evenly spaced points, for plots."""
        indices = np.unique(np.linspace(0, len(self.risk) - 1, points).round().astype(np.int64))
        return RiskCoverage(self.coverage[indices], self.risk[indices], self.threshold[indices])


def risk_coverage(confidence: NDArray[_Float], right: NDArray[np.bool_]) -> RiskCoverage:
    """Returns the risk-coverage curve of at least one sample.

    Samples of equal confidence each count with their mean error, so the result does not depend on
    the order of samples.

    Args:
        confidence: Confidence of each prediction, shape (N,).
        right: Whether each prediction is right, shape (N,).
    """
    ranked, wrong = _most_confident_first(confidence, right)
    starts = np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1]))
    sizes = np.diff(starts, append=len(ranked))
    errors = np.add.reduceat(wrong, starts, dtype=np.float64)
    accepted = np.arange(1, len(ranked) + 1)
    risk = np.repeat(errors / sizes, sizes)
    np.cumsum(risk, out=risk)
    risk /= accepted
    return RiskCoverage(accepted / len(ranked), risk, ranked.astype(np.float64, copy=False))


def _most_confident_first(
    confidence: NDArray[_Float], right: NDArray[np.bool_]
) -> tuple[NDArray[_Float], NDArray[np.bool_]]:
    """Returns the confidences in descending order, and whether each is of an error.

    The bits of a number from 0 to 1 sort as the number does, and the first two are 0. So the
    outcome is appended to them and both are sorted together, several times faster than with
    `numpy.argsort`.
    """
    unsigned = np.dtype(f"u{confidence.dtype.itemsize}")
    keys = np.ascontiguousarray(confidence).view(unsigned) << 1 | right
    keys.sort()
    keys = keys[::-1]
    return (keys >> 1).view(confidence.dtype), (keys & 1) == 0
