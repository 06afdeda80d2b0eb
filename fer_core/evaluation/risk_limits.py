"""Thresholds that keep the error rate, or the precision of a class, within a limit.

If a threshold only keeps the limit on validation, new images exceed the limit about half the time.
So thresholds are stricter by default: the limit holds with 95% confidence for images like those of
validation. The method is Learn then Test (Angelopoulos et al. 2021,
https://arxiv.org/abs/2110.01052): exact binomial tests in a fixed sequence, from the strictest
threshold to the most lenient. Each limit has this confidence by itself; if a class has a limit of
its own, the one of all classes is tested after that class's threshold was chosen.
"""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy.special import bdtr

from fer_core.errors import DataError
from fer_core.evaluation.predictions import SplitPredictions
from fer_core.evaluation.selective import risk_coverage

CONFIDENCE = 0.95
"""Default confidence with which a limit holds."""

_GRID = np.concatenate([np.arange(999, 990, -1) / 1000, np.arange(99, -1, -1) / 100])
"""Thresholds that are tested, in this order; independent of the data, as the test requires."""


class RiskLimits(BaseModel):
    """Limits that thresholds must keep.

    Attributes:
        max_risk: Largest error rate of all predictions, 0 to 1; None for no limit.
        min_precision: Minimum precision of the predictions by class, 0 to 1.
        confidence: Confidence with which each limit holds for images like those of validation,
            below 1; 0 if it only has to hold on validation itself.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_risk: float | None = Field(default=None, ge=0, le=1)
    min_precision: Mapping[str, float] = {}
    confidence: float = Field(default=CONFIDENCE, ge=0, lt=1)

    @property
    def text(self) -> str:
        """What the limits promise, in one sentence; empty without limits."""
        parts = [] if self.max_risk is None else [f"at most {100 * self.max_risk:g}% errors"]
        parts += [
            f"a precision of {label} of at least {100 * least:g}%"
            for label, least in self.min_precision.items()
        ]
        if not parts:
            return ""
        limits = " and ".join(parts)
        if self.confidence:
            return (
                f"Thresholds for {limits}, with {self.confidence:.0%} confidence on images like "
                "those of validation."
            )
        return f"Thresholds for {limits} on validation; new images exceed this about half the time."


def choose_thresholds(validation: SplitPredictions, limits: RiskLimits) -> dict[str, float]:
    """Returns thresholds by class with the largest coverage that keep the limits.

    Thresholds of classes with a limit of their own come first. The threshold of all classes is then
    chosen on the predictions that these leave; a class gets the higher of both.

    Args:
        validation: Calibrated validation predictions.
        limits: The limits.

    Raises:
        DataError: If a class is unknown, or no threshold keeps a limit, or the limits cannot be
            kept together.
    """
    names = validation.labels.names
    own = {
        label: _class_threshold(validation, label, least, limits.confidence)
        for label, least in limits.min_precision.items()
    }
    everywhere = 0.0
    if limits.max_risk is not None:
        floors = np.array([own.get(name, 0.0) for name in names])
        left = validation.select(validation.confidence >= floors[validation.predicted])
        found = threshold_at_risk(left, limits.max_risk, limits.confidence)
        if found is None:
            limit = f"the error rate at {100 * limits.max_risk:g}%"
            raise DataError(_impossible(limit, left, limits.max_risk, limits.confidence))
        everywhere = found
    thresholds = {name: max(everywhere, own.get(name, 0.0)) for name in names}
    for label, least in limits.min_precision.items():
        if not _is_kept(validation, label, thresholds[label], least, limits.confidence):
            raise DataError(
                f"The error rate and the precision of {label} cannot be limited together: the "
                "threshold that the error rate needs leaves too few or too uncertain predictions "
                f"of {label}. Loosen one of the limits."
            )
    return thresholds


def _class_threshold(
    validation: SplitPredictions, label: str, least: float, confidence: float
) -> float:
    """Returns the threshold of a class with the largest recall whose precision keeps a limit.

    Raises:
        DataError: If the class is unknown or there is none.
    """
    as_class = validation.select(validation.predicted == validation.labels.index(label))
    threshold = threshold_at_risk(as_class, 1 - least, confidence)
    if threshold is None:
        limit = f"the precision of {label} at {100 * least:g}%"
        raise DataError(_impossible(limit, as_class, 1 - least, confidence))
    return threshold


def _is_kept(
    validation: SplitPredictions, label: str, threshold: float, least: float, confidence: float
) -> bool:
    """Whether the precision of a class keeps its limit at a threshold."""
    chosen = (validation.predicted == validation.labels.index(label)) & (
        validation.confidence >= threshold
    )
    count, errors = int(chosen.sum()), int((chosen & ~validation.right).sum())
    if not confidence:
        return errors <= (1 - least) * count + 1e-9
    return least <= 0 or bool(bdtr(errors, count, 1 - least) <= 1 - confidence)


def threshold_at_risk(
    predictions: SplitPredictions, max_risk: float, confidence: float = CONFIDENCE
) -> float | None:
    """Returns the threshold with the largest coverage whose risk is at most `max_risk`.

    Args:
        predictions: Calibrated validation predictions.
        max_risk: Largest error rate of the predictions, 0 to 1.
        confidence: Confidence with which it holds for images like these; 0 for these images only.

    Returns:
        The threshold; None if no threshold keeps the limit.
    """
    if not len(predictions):
        return None
    if confidence:
        return _certain_threshold(predictions.confidence, predictions.right, max_risk, confidence)
    point = risk_coverage(predictions.confidence, predictions.right).coverage_at(max_risk)
    return None if point is None else point[1]


def fewest_predictions(max_risk: float, confidence: float) -> float:
    """Returns how many predictions without an error show that the risk is within the limit."""
    if max_risk >= 1:
        return 1
    if max_risk <= 0:
        return math.inf
    return float(np.ceil(math.log(1 - confidence) / math.log1p(-max_risk)))


def _certain_threshold(
    probabilities: NDArray[np.floating],
    right: NDArray[np.bool_],
    max_risk: float,
    confidence: float,
) -> float | None:
    """Returns the last threshold of the sequence before the first whose test fails.

    The sequence starts where twice as many predictions are accepted as the test needs without an
    error, so that one error does not end it. The start depends on the probabilities only.

    Args:
        probabilities: Calibrated probabilities of the predictions, shape (N,).
        right: Whether each prediction is right, shape (N,).
        max_risk: Largest error rate, 0 to 1.
        confidence: Confidence of the limit, above 0 and below 1.
    """
    if max_risk >= 1:
        return 0.0
    accepted = probabilities >= _GRID[:, None]
    counts, errors = accepted.sum(axis=1), (accepted & ~right).sum(axis=1)
    passed = bdtr(errors, counts, max_risk) <= 1 - confidence
    fewest = fewest_predictions(max_risk, confidence)
    tested = np.flatnonzero(counts >= (2 * fewest if len(probabilities) >= 2 * fewest else fewest))
    failed = np.flatnonzero(~passed[tested])
    last = tested[: failed[0]] if len(failed) else tested
    return float(_GRID[last[-1]]) if len(last) else None


def _impossible(
    limit: str, predictions: SplitPredictions, max_risk: float, confidence: float
) -> str:
    """Returns why no threshold keeps a limit, and what to do."""
    count = len(predictions)
    if not count:
        return f"No threshold keeps {limit}: validation has no such prediction."
    if not confidence:
        lowest = float(risk_coverage(predictions.confidence, predictions.right).risk.min())
        return (
            f"No threshold keeps {limit} on validation: the lowest error rate is {lowest:.1%}. "
            "Loosen the limit."
        )
    needed = fewest_predictions(max_risk, confidence)
    few = (
        f" That takes at least {needed:,.0f} predictions without an error; validation has "
        f"{count:,} predictions."
        if count < 2 * needed < math.inf
        else ""
    )
    return (
        f"No threshold keeps {limit} with {confidence:.0%} confidence.{few} Loosen the limit, or "
        "choose a lower confidence."
    )
