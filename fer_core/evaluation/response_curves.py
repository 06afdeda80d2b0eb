"""Response curves: how probabilities move as an action unit or an emotion rises from 0 to 5."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_core.evaluation.intervals import interval_of_means
from fer_core.evaluation.probes import ProbePredictions
from fer_core.evaluation.report import Estimate
from fer_core.labels import LabelSet
from fer_core.synthetic.emfacs import expected_direction, unit_title
from fer_core.synthetic.probe_design import LEVELS, ProbeKind

SHIFT_TOLERANCE = 0.01
"""Smaller mean shifts of a probability do not count as a move."""


@dataclass(frozen=True)
class Threshold:
    """Intensity at which the prediction changes as a unit or an emotion rises.

    Attributes:
        changed: Share of persons whose prediction has changed at intensity 5.
        level: Lowest intensity at which the predictions for at least half of the persons have
            changed; None if there is none.
        becomes: The most frequent of the changed predictions at intensity 5; empty without any.
    """

    changed: float
    level: int | None
    becomes: str


@dataclass(frozen=True)
class ResponseCurve:
    """The probabilities of each class along one unit or emotion.

    Attributes:
        kind: Whether a unit or the prototype of an emotion rises.
        name: The unit or the emotion.
        labels: Classes of the columns.
        mean: Mean over persons, shape (levels, K).
        low: Lower ends of the 95% bootstrap intervals over persons, shape (levels, K).
        high: Upper ends, shape (levels, K).
        shifts: Change of each probability from intensity 0 to 5, paired over persons.
        threshold: Intensity at which the prediction changes.
    """

    kind: ProbeKind
    name: str
    labels: LabelSet
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    shifts: tuple[Estimate, ...]
    threshold: Threshold

    @property
    def title(self) -> str:
        """Display name, such as `lip corner pull (AU 12)`."""
        return unit_title(self.name) if self.kind is ProbeKind.UNIT else self.name

    def expected(self, label: str) -> int:
        """Returns the direction in which the coding system expects a class to move.

        Returns:
            1, -1, or 0 for no expectation.
        """
        if self.kind is ProbeKind.UNIT:
            return expected_direction(self.name, label)
        return 1 if label == self.name else -1 if label == "neutral" else 0

    def direction(self, label: str) -> int:
        """Returns the direction in which a class moves.

        Returns:
            1, -1, or 0 if the interval includes 0 or the shift is below `SHIFT_TOLERANCE`.
        """
        shift = self.shifts[self.labels.index(label)]
        if abs(shift.value) < SHIFT_TOLERANCE or shift.low <= 0 <= shift.high:
            return 0
        return 1 if shift.value > 0 else -1


def response_curves(predictions: ProbePredictions, *, seed: int = 0) -> tuple[ResponseCurve, ...]:
    """Returns the response curve of each unit and each emotion that was probed.

    Args:
        predictions: A run's predictions for the faces of a probe.
        seed: Seed of the bootstrap over persons.
    """
    neutral = _by_person(predictions.select(ProbeKind.NEUTRAL))
    names = [
        (kind, name)
        for kind in (ProbeKind.UNIT, ProbeKind.PROTOTYPE)
        for name in predictions.names(kind)
    ]
    if not names:
        return ()
    values = np.stack([_curve_values(predictions, kind, name, neutral) for kind, name in names])
    means, low, high = interval_of_means(np.moveaxis(values, 2, 0), seed=seed)
    rise = values[:, -1] - values[:, 0]
    shifts = interval_of_means(np.moveaxis(rise, 1, 0), seed=seed)
    return tuple(
        ResponseCurve(
            kind,
            name,
            predictions.labels,
            means[index],
            low[index],
            high[index],
            tuple(
                Estimate(value=float(v), low=float(a), high=float(b))
                for v, a, b in zip(*(part[index] for part in shifts), strict=True)
            ),
            threshold_of(values[index].argmax(axis=-1), predictions.labels),
        )
        for index, (kind, name) in enumerate(names)
    )


def threshold_of(predicted: NDArray[np.int64], labels: LabelSet) -> Threshold:
    """Returns where the prediction changes.

    Args:
        predicted: Predicted class by intensity and person, shape (levels, P).
        labels: The classes.
    """
    changed = predicted != predicted[0]
    # once a prediction has changed, it counts as changed at all higher intensities
    share = np.maximum.accumulate(changed, axis=0).mean(axis=1)
    reached = np.flatnonzero(share >= 0.5)
    final = predicted[-1][changed[-1]]
    becomes = labels.names[int(np.bincount(final).argmax())] if len(final) else ""
    level = LEVELS[int(reached[0])] if len(reached) else None
    return Threshold(float(changed[-1].mean()), level, becomes)


def strongest_units(curves: Sequence[ResponseCurve], label: str) -> list[ResponseCurve]:
    """Returns the curves of units by how much they move a class, largest first."""
    units = [curve for curve in curves if curve.kind is ProbeKind.UNIT]
    return sorted(units, key=lambda curve: -abs(curve.shifts[curve.labels.index(label)].value))


def _by_person(predictions: ProbePredictions) -> NDArray[np.float64]:
    """Returns probabilities in the order of the persons, shape (P, K)."""
    order = np.argsort(predictions.faces["identity"].to_numpy(), kind="stable")
    return predictions.probabilities[order]


def _curve_values(
    predictions: ProbePredictions, kind: ProbeKind, name: str, neutral: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Returns the probabilities along a curve, shape (levels, P, K)."""
    curve = predictions.select(kind, name)
    levels = curve.faces["level"].to_numpy()
    steps = [
        _by_person(ProbePredictions(curve.labels, curve.faces[rows], curve.probabilities[rows]))
        for level in LEVELS[1:]
        for rows in [levels == level]
    ]
    return np.stack([neutral, *steps])
