"""Selective prediction: accept only confident predictions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


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


def risk_coverage(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> RiskCoverage:
    """Returns the risk-coverage curve of at least one sample.

    Samples of equal confidence each count with their mean error, so the result does not depend on
    the order of samples.

    Args:
        confidence: Confidence of each prediction, shape (N,).
        right: Whether each prediction is right, shape (N,).
    """
    order = _most_confident_first(confidence)
    ranked = confidence[order]
    starts = np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1]))
    sizes = np.diff(np.append(starts, len(ranked)))
    errors = np.add.reduceat((~right[order]).astype(np.float64), starts)
    accepted = np.arange(1, len(ranked) + 1)
    risk = np.cumsum(np.repeat(errors / sizes, sizes)) / accepted
    return RiskCoverage(accepted / len(ranked), risk, ranked)


def _most_confident_first(confidence: NDArray[np.float64]) -> NDArray[np.int64]:
    """Returns the order of descending confidence.

    Predictions are stored in half precision. Positive ones sort as integers of 16 bits do, which
    numpy sorts by radix, several times faster.
    """
    half = confidence.astype(np.float16)
    if (half == confidence).all() and (confidence >= 0).all():
        return np.argsort(~half.view(np.uint16), kind="stable")
    return np.argsort(-confidence)
