"""Prior shift: post-hoc logit adjustment by class frequencies.

Training with logit adjustment or class weights favours rare classes, which can cost accuracy.
Adding a multiple of the log class frequencies to the logits trades one for the other (Menon et al.
2021, arXiv:2007.07314, section 4.1). The multiple, the strength, is selected on validation.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fer_core.evaluation.columns import chunks
from fer_core.evaluation.metrics import Indices, Probabilities, Stored
from fer_core.evaluation.predictions import SplitPredictions

STRENGTHS = tuple(float(value) for value in np.linspace(-0.5, 1, 31).round(2))
"""Candidate strengths: negative values favour rare classes, positive ones frequent classes."""

CURVE_STRENGTHS = tuple(float(value) for value in np.linspace(-1, 1, 41).round(2))
"""Strengths of a curve; more towards the rare classes than `STRENGTHS`."""

SLACK = 0.2
"""Tolerance in standard errors of the accuracy within which a smaller shift is preferred."""

_SMALLEST = float(np.finfo(np.float32).tiny)
_BELOW_ZERO = 1e-30  # changes no lead but 0


def log_frequencies(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Returns the log class frequencies; an absent class counts as having one sample.

    Args:
        counts: Training samples by class, shape (K,).
    """
    present = np.maximum(counts, 1)
    frequencies: NDArray[np.float64] = np.log(present / present.sum())
    return frequencies


@dataclass(frozen=True)
class TradeOff:
    """Accuracy and macro-recall of a model at one strength of the prior shift.

    Attributes:
        shift: Strength: the multiple of the log class frequencies that is added to the logits.
        accuracy: 0 to 1.
        macro_recall: 0 to 1.
    """

    shift: float
    accuracy: float
    macro_recall: float

    def utility(self, weight: float) -> float:
        """Returns the weighted mean of accuracy and macro-recall.

        Args:
            weight: Weight of macro-recall, 0 to 1.
        """
        return (1 - weight) * self.accuracy + weight * self.macro_recall


def trade_off_curve(
    probabilities: Stored,
    truth: Indices,
    logarithms: NDArray[np.float64],
    strengths: Sequence[float] = STRENGTHS,
) -> tuple[TradeOff, ...]:
    """Measures accuracy and macro-recall at each strength of the prior shift.

    Args:
        probabilities: Shape (N, K).
        truth: True classes, shape (N,), at least one.
        logarithms: Result of `log_frequencies`, shape (K,).
        strengths: Strengths of the shift, added to the probabilities' logits.

    Returns:
        One point per strength, in their order.
    """
    classes = len(logarithms)
    hits = np.zeros((classes, len(strengths)), dtype=np.int64)
    for label in range(classes):
        of_class = np.flatnonzero(truth == label)
        for rows in chunks(len(of_class)):
            by_class = probabilities.T[:, of_class[rows]]
            logits = np.log(np.maximum(by_class, _SMALLEST))
            hits[label] += _hits(logits, label, logarithms, strengths)
    samples = np.bincount(truth, minlength=classes)
    recall = hits[samples > 0] / samples[samples > 0, None]
    return tuple(
        TradeOff(value, float(correct / len(truth)), float(mean))
        for value, correct, mean in zip(
            strengths, hits.sum(axis=0), recall.mean(axis=0), strict=True
        )
    )


def _hits(
    logits: Stored, label: int, logarithms: NDArray[np.float64], strengths: Sequence[float]
) -> NDArray[np.int64]:
    """Counts the samples of a class that are predicted as this class at each strength.

    Each logit is linear in the strength, so the class has a larger logit than another one from some
    strength on or up to some strength, and the largest of all in one interval of strengths.

    Args:
        logits: Logits of the samples of the class, shape (K, N).
        label: Index of the class.
        logarithms: Log class frequencies, shape (K,).
        strengths: Strengths of the shift.

    Returns:
        Shape (strengths,).
    """
    lowest = np.full(logits.shape[1], -np.inf, dtype=logits.dtype)
    highest = np.full(logits.shape[1], np.inf, dtype=logits.dtype)
    for other in range(len(logarithms)):
        if other == label:
            continue
        lead = logits[label] - logits[other]
        if other < label:  # of equal logits the first counts: a lead of 0 is not enough
            lead -= _BELOW_ZERO
        slope = float(logarithms[other] - logarithms[label])
        if slope == 0:
            highest[lead < 0] = -np.inf
        elif slope > 0:
            np.minimum(highest, lead / slope, out=highest)
        else:
            np.maximum(lowest, lead / slope, out=lowest)
    some = lowest <= highest
    at = np.array(strengths, dtype=logits.dtype)
    started = np.searchsorted(np.sort(lowest[some]), at, side="right")
    ended = np.searchsorted(np.sort(highest[some]), at, side="left")
    counts: NDArray[np.int64] = started - ended
    return counts


@dataclass(frozen=True)
class PriorCurves:
    """Accuracy and macro-recall by prior shift: chosen on validation, measured on other samples.

    Attributes:
        validation: One point per strength, on validation.
        scored: Trade-offs on the evaluated samples, for the same strengths.
        applied: Strength that the run was finished with.
    """

    validation: tuple[TradeOff, ...]
    scored: tuple[TradeOff, ...]
    applied: float

    def at(self, shift: float) -> TradeOff:
        """Returns the point of the evaluated samples whose strength is nearest."""
        return min(self.scored, key=lambda point: abs(point.shift - shift))

    def chosen_by(self, weight: float) -> TradeOff:
        """Returns the point of the evaluated samples whose strength is best on validation.

        Args:
            weight: Weight of macro-recall against accuracy, 0 to 1.
        """
        return self.at(best_trade_off(self.validation, weight).shift)

    @property
    def useful(self) -> tuple[TradeOff, ...]:
        """Points of the evaluated samples from the most accurate to the highest macro-recall.

        Both ends are chosen on validation. The strength of the run itself is always included.
        """
        ends = [self.chosen_by(0.0).shift, self.chosen_by(1.0).shift, self.at(self.applied).shift]
        return tuple(point for point in self.scored if min(ends) <= point.shift <= max(ends))


def prior_curves(
    validation: SplitPredictions,
    scored: SplitPredictions,
    counts: NDArray[np.int64],
    applied: float,
) -> PriorCurves:
    """Returns a run's curves of accuracy and macro-recall by strength of the prior shift.

    Args:
        validation: The run's predictions on validation, at least one.
        scored: Predictions on the evaluated samples, at least one, for the same classes.
        counts: Training samples of these classes, shape (K,).
        applied: Strength that the predictions include already.
    """
    logarithms = log_frequencies(counts)
    further = [strength - applied for strength in CURVE_STRENGTHS]
    both = []
    for part in (validation, scored):
        curve = trade_off_curve(part.stored, part.truth, logarithms, further)
        pairs = zip(curve, CURVE_STRENGTHS, strict=True)
        both.append(tuple(replace(point, shift=strength) for point, strength in pairs))
    return PriorCurves(both[0], both[1], applied)


def best_trade_off(curve: Sequence[TradeOff], weight: float) -> TradeOff:
    """Returns the point with the highest utility; of equal ones, the smallest shift.

    Args:
        curve: At least one point, measured on validation.
        weight: Weight of macro-recall against accuracy, 0 to 1.
    """
    return max(curve, key=lambda point: (point.utility(weight), -abs(point.shift)))


def choose_prior_shift(
    probabilities: Probabilities,
    truth: Indices,
    logarithms: NDArray[np.float64],
    least_macro_recall: float = 0.0,
) -> float:
    """Returns the smallest strength with a validation accuracy within `SLACK` of the best.

    Only strengths with the required macro-recall are compared. If there is none, it returns the
    strength with the highest macro-recall; of equal ones, the smallest.

    Args:
        probabilities: Probabilities of the validation images, shape (N, K).
        truth: True class indices, shape (N,).
        logarithms: Log class frequencies, shape (K,).
        least_macro_recall: Required macro-recall on validation, 0 to 1; 0 requires nothing.

    Returns:
        One of `STRENGTHS`: the multiple of `logarithms` to add to the logits.
    """
    curve = trade_off_curve(probabilities, truth, logarithms)
    allowed = [point for point in curve if point.macro_recall >= least_macro_recall]
    if not allowed:
        return best_trade_off(curve, weight=1.0).shift
    best = max(point.accuracy for point in allowed)
    threshold = best - SLACK * float(np.sqrt(best * (1 - best) / len(truth)))
    return min((point.shift for point in allowed if point.accuracy >= threshold), key=abs)


def shift_logits(probabilities: Probabilities, shift: Sequence[float]) -> Probabilities:
    """Adds a shift to the logits of probabilities.

    Args:
        probabilities: Probabilities, shape (..., K); sum to 1.
        shift: One value per class, shape (K,); empty for no shift.
    """
    if not len(shift):
        return probabilities
    weighted = probabilities * np.exp(np.asarray(shift) - np.max(shift))
    shifted: Probabilities = weighted / weighted.sum(axis=-1, keepdims=True)
    return shifted
