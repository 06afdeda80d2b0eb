"""Prior shift: post-hoc logit adjustment by class frequencies.

Training with logit adjustment or class weights favours rare classes, which can cost accuracy.
Adding a multiple of the log class frequencies to the logits trades one for the other (Menon et al.
2021, arXiv:2007.07314, section 4.1). The multiple, the strength, is selected on validation.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fer_core.evaluation import metrics
from fer_core.evaluation.columns import best_column, chunks
from fer_core.evaluation.metrics import Indices, Probabilities, Stored
from fer_core.evaluation.predictions import SplitPredictions

STRENGTHS = tuple(float(value) for value in np.linspace(-0.5, 1, 31).round(2))
"""Candidate strengths: negative values favour rare classes, positive ones frequent classes."""

CURVE_STRENGTHS = tuple(float(value) for value in np.linspace(-1, 1, 41).round(2))
"""Strengths of a curve; more towards the rare classes than `STRENGTHS`."""

SLACK = 0.2
"""Tolerance in standard errors of the accuracy within which a smaller shift is preferred."""


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
    matrices = np.zeros((len(strengths), len(logarithms), len(logarithms)), dtype=np.int64)
    for rows in chunks(len(truth)):
        part = probabilities[rows].astype(np.float64, copy=False)
        logits = np.log(np.maximum(part, np.finfo(np.float64).tiny))
        _Shifted(logits, truth[rows], logarithms, strengths).count(matrices)
    return tuple(
        TradeOff(value, metrics.accuracy(matrix), metrics.macro_recall(matrix))
        for value, matrix in zip(strengths, matrices, strict=True)
    )


@dataclass(frozen=True)
class _Shifted:
    """Predictions of some samples at each strength of the prior shift.

    Each logit is linear in the strength, and the largest of linear functions is convex: a class
    that is predicted at two strengths is predicted at all between. So strengths are halved only for
    the samples whose prediction differs.
    """

    logits: NDArray[np.float64]
    truth: Indices
    logarithms: NDArray[np.float64]
    strengths: Sequence[float]

    def count(self, matrices: NDArray[np.int64]) -> None:
        """Adds the samples to the confusion matrices, shape (strengths, K, K)."""
        order = [int(index) for index in np.argsort(self.strengths)]
        every = np.arange(len(self.truth))
        first, last = (self._predict(order[end], every) for end in (0, -1))
        matrices[order[0]] += self._matrix(every, first)
        if len(order) > 1:
            matrices[order[-1]] += self._matrix(every, last)
        self._between(matrices, order, every, (first, last))

    def _between(
        self,
        matrices: NDArray[np.int64],
        order: Sequence[int],
        rows: Indices,
        ends: tuple[Indices, Indices],
    ) -> None:
        """Counts rows at all strengths of an ascending order except the first and the last."""
        first, last = ends
        same = first == last
        matrices[order[1:-1]] += self._matrix(rows[same], first[same])
        rows, first, last = rows[~same], first[~same], last[~same]
        if len(order) < 3 or not len(rows):
            return
        middle = len(order) // 2
        predicted = self._predict(order[middle], rows)
        matrices[order[middle]] += self._matrix(rows, predicted)
        self._between(matrices, order[: middle + 1], rows, (first, predicted))
        self._between(matrices, order[middle:], rows, (predicted, last))

    def _predict(self, index: int, rows: Indices) -> Indices:
        logits = self.logits if len(rows) == len(self.logits) else self.logits[rows]
        shift = self.strengths[index] * self.logarithms
        return best_column(logits + shift)[0].astype(np.int64)

    def _matrix(self, rows: Indices, predicted: Indices) -> NDArray[np.int64]:
        return metrics.confusion_matrix(self.truth[rows], predicted, len(self.logarithms))


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
