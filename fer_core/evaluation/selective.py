"""Selective prediction: answer only where sure, and hand the rest to a person."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class RiskCoverage:
    """How often a model errs if it answers only its most confident samples.

    Attributes:
        coverage: Share of samples answered, ascending, `1/N` to 1; shape (N,).
        risk: Share of wrong answers among them, shape (N,).
        threshold: Least confidence among them, shape (N,).
    """

    coverage: NDArray[np.float64]
    risk: NDArray[np.float64]
    threshold: NDArray[np.float64]

    @property
    def area(self) -> float:
        """Mean risk over coverage, AURC (Geifman and El-Yaniv 2017); lower is better."""
        return float(self.risk.mean())

    def coverage_at(self, risk: float) -> tuple[float, float] | None:
        """Returns the largest coverage with at most this risk and its confidence; None if none."""
        # a threshold answers all samples of its confidence
        ends = np.append(self.threshold[1:] != self.threshold[:-1], True)
        allowed = np.flatnonzero((self.risk <= risk + 1e-12) & ends)
        if not len(allowed):
            return None
        last = int(allowed[-1])
        return float(self.coverage[last]), float(self.threshold[last])

    def thinned(self, points: int = 200) -> "RiskCoverage":
        """Returns the curve at so many places, evenly spread: enough to draw it."""
        kept = np.unique(np.linspace(0, len(self.risk) - 1, points).round().astype(np.int64))
        return RiskCoverage(self.coverage[kept], self.risk[kept], self.threshold[kept])


def risk_coverage(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> RiskCoverage:
    """Returns the risk-coverage curve of at least one sample.

    Samples of the same confidence cannot be ranked: each counts with the share of errors among
    them, so that the order in which samples come plays no part.

    Args:
        confidence: Shape (N,).
        right: Whether the answer was right, shape (N,).
    """
    order = np.argsort(-confidence, kind="stable")
    ranked = confidence[order]
    starts = np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1]))
    sizes = np.diff(np.append(starts, len(ranked)))
    errors = np.add.reduceat((~right[order]).astype(np.float64), starts)
    answered = np.arange(1, len(ranked) + 1)
    risk = np.cumsum(np.repeat(errors / sizes, sizes)) / answered
    return RiskCoverage(answered / len(ranked), risk, ranked)
