"""Attributes that change a run's predictions although the expression stays the same.

Each drawn face is compared with the same face in which one attribute is changed. The unit of
resampling and testing is the person: the pictures of one person are not independent.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_core.evaluation.intervals import interval_of_means, resampled_counts
from fer_core.evaluation.probes import ProbePredictions
from fer_core.evaluation.report import Estimate
from fer_core.evaluation.significance import LEVEL, holm
from fer_core.synthetic.attributes import ATTRIBUTES, BASE, COMPARED, Attribute
from fer_core.synthetic.probe_design import ProbeKind

LEAST_SHIFT = 0.01
"""A smaller mean shift is no effect, even if it is significant."""

READ_RECALL = 0.5
"""Minimum recall on drawn faces from which a run counts as recognising an expression there."""


@dataclass(frozen=True)
class DrawnAccuracy:
    """Accuracy of a run on the drawn faces in which nothing is changed.

    Attributes:
        macro_recall: Mean recall over the expressions, with its interval over persons.
        recalls: Recall by expression.
        least: Macro-recall below which nothing follows from the effects: twice that of guessing.
        faces: Number of faces.
    """

    macro_recall: Estimate
    recalls: Mapping[str, float]
    least: float
    faces: int

    @property
    def is_valid(self) -> bool:
        """Whether anything follows from the effects."""
        return self.macro_recall.value >= self.least

    @property
    def recognised(self) -> tuple[str, ...]:
        """The expressions that the run recognises on at least half of the faces."""
        return tuple(name for name, recall in self.recalls.items() if recall >= READ_RECALL)


@dataclass(frozen=True)
class ClassShift:
    """Mean change of a class's probability, over all expressions.

    Attributes:
        label: The class.
        shift: The change with its 95% bootstrap interval over persons, -1 to 1.
        p_value: P-value of the Wilcoxon signed-rank test over persons, with Holm's correction over
            all classes and attributes of the run.
    """

    label: str
    shift: Estimate
    p_value: float

    @property
    def significant(self) -> bool:
        """Whether the shift is an effect."""
        return self.p_value < LEVEL and abs(self.shift.value) >= LEAST_SHIFT


@dataclass(frozen=True)
class Flips:
    """Faces of one expression that a run predicts as another class because of an attribute.

    Attributes:
        expression: The expression that they show.
        predicted: The class predicted with the attribute; without it another class is predicted.
        persons: Numbers of the persons.
        before: Classes predicted without the attribute, in the order of the persons.
        total: Number of faces with this expression.
    """

    expression: str
    predicted: str
    persons: tuple[int, ...]
    before: tuple[str, ...]
    total: int

    @property
    def share(self) -> float:
        """Share of the faces with this expression."""
        return len(self.persons) / self.total


@dataclass(frozen=True)
class AttributeEffect:
    """The effect of an attribute on a run's predictions.

    Attributes:
        attribute: The attribute.
        flip_share: Share of faces whose prediction changes, with its interval over persons.
        shifts: Shift of each class.
        flips: Changed predictions by expression and predicted class, most frequent first.
        pairs: Number of compared pairs of faces.
    """

    attribute: Attribute
    flip_share: Estimate
    shifts: tuple[ClassShift, ...]
    flips: tuple[Flips, ...]
    pairs: int

    @property
    def significant(self) -> bool:
        """Whether the attribute has an effect: it shifts a class significantly."""
        return any(shift.significant for shift in self.shifts)

    @property
    def largest(self) -> ClassShift:
        """The largest shift among the significant ones; among all if none is significant."""
        candidates = [shift for shift in self.shifts if shift.significant] or list(self.shifts)
        return max(candidates, key=lambda item: abs(item.shift.value))


def drawn_accuracy(predictions: ProbePredictions, *, seed: int = 0) -> DrawnAccuracy:
    """Returns how well a run recognises the drawn faces in which nothing is changed.

    Args:
        predictions: A run's predictions for the faces of a probe.
        seed: Seed of the bootstrap over persons.
    """
    base = predictions.select(ProbeKind.ATTRIBUTE, BASE)
    shown_names = base.faces["expression"].to_numpy(dtype=object)
    names = [name for name in predictions.labels.names if name in set(shown_names)]
    known = np.isin(shown_names, names)  # a benchmark may have fewer classes
    truth = np.array(
        [predictions.labels.index(name) for name in shown_names[known]], dtype=np.int64
    )
    expression = np.array([names.index(name) for name in shown_names[known]], dtype=np.int64)
    persons, person = np.unique(base.faces["identity"].to_numpy()[known], return_inverse=True)
    cells = (person, expression)
    shown, right = np.zeros((2, len(persons), len(names)))
    np.add.at(shown, cells, 1)
    np.add.at(right, cells, base.predicted[known] == truth)
    recalls = right.sum(axis=0) / shown.sum(axis=0)
    draws = resampled_counts(np.ones(len(persons), dtype=np.int64), 1000, seed)
    with np.errstate(invalid="ignore"):  # a draw may have no face of an expression
        drawn = np.nanmean((draws @ right) / (draws @ shown), axis=1)
    return DrawnAccuracy(
        Estimate.of_resamples(float(recalls.mean()), drawn),
        dict(zip(names, recalls.tolist(), strict=True)),
        2 / len(predictions.labels),
        len(truth),
    )


def attribute_effects(
    predictions: ProbePredictions, *, seed: int = 0
) -> tuple[AttributeEffect, ...]:
    """Returns the effect of every probed attribute, the largest share of changed predictions first.

    Args:
        predictions: A run's predictions for the faces of a probe.
        seed: Seed of the bootstrap over persons.
    """
    probed = set(predictions.names(ProbeKind.ATTRIBUTE))
    compared = [item for item in COMPARED if {item.name, item.reference} <= probed]
    if not compared:
        return ()
    blocks = {
        name: _by_face(predictions.select(ProbeKind.ATTRIBUTE, name))
        for name in {item.name for item in compared} | {item.reference for item in compared}
    }
    pairs = [(blocks[item.reference], blocks[item.name]) for item in compared]
    shifts = np.stack([_by_person(b, b.probabilities - a.probabilities) for a, b in pairs], axis=1)
    flips = np.stack([_by_person(b, a.predicted != b.predicted) for a, b in pairs], axis=1)
    shares = interval_of_means(flips, seed=seed)
    means = interval_of_means(shifts, seed=seed)
    p_values = shift_p_values(shifts)
    effects = [
        AttributeEffect(
            item,
            _estimate(part[i] for part in shares),
            tuple(
                ClassShift(label, _estimate(part[i, k] for part in means), float(p_values[i, k]))
                for k, label in enumerate(predictions.labels.names)
            ),
            _flips_of(*pairs[i]),
            len(pairs[i][0].predicted),
        )
        for i, item in enumerate(compared)
    ]
    return tuple(sorted(effects, key=lambda effect: -effect.flip_share.value))


def shift_p_values(shifts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Tests whether mean shifts over persons differ from 0.

    Args:
        shifts: Shape (P, ...).

    Returns:
        P-values of the Wilcoxon signed-rank test with Holm's correction over all of them, shape
        (...). A shift that is 0 for every person has a p-value of 1.
    """
    flat = shifts.reshape(len(shifts), -1)
    p_values = np.ones(flat.shape[1])
    moved = (flat != 0).any(axis=0)
    if moved.any():
        from scipy import stats  # slow to import, and only needed here

        # the normal approximation is conservative in the tail that Holm's correction needs
        test = stats.wilcoxon(flat[:, moved], axis=0, method="asymptotic", keepdims=True)
        p_values[moved] = np.asarray(test.pvalue)[0]
    return holm(p_values.tolist()).reshape(shifts.shape[1:])


def flip_shares(predictions: ProbePredictions, attributes: Sequence[str]) -> dict[str, float]:
    """Returns the share of faces whose prediction an attribute changes, without any test."""
    shares = {}
    for name in attributes:
        changed = predictions.select(ProbeKind.ATTRIBUTE, name)
        reference = predictions.select(ProbeKind.ATTRIBUTE, ATTRIBUTES[name].reference)
        if len(changed.faces) and len(changed.faces) == len(reference.faces):
            flips = _by_face(reference).predicted != _by_face(changed).predicted
            shares[name] = float(flips.mean())
    return shares


def _estimate(parts: Iterable[float]) -> Estimate:
    value, low, high = map(float, parts)
    return Estimate(value=value, low=low, high=high)


def _by_face(predictions: ProbePredictions) -> ProbePredictions:
    """Returns the predictions sorted by person and expression, so that blocks can be paired."""
    faces = predictions.faces.sort_values(["identity", "expression"], kind="stable")
    return ProbePredictions(
        predictions.labels, faces, predictions.probabilities[faces.index.to_numpy()]
    )


def _by_person(block: ProbePredictions, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns means over each person's faces, shape (P, ...)."""
    first = np.unique(block.faces["identity"].to_numpy(), return_index=True)[1]
    sums = np.add.reduceat(values.astype(np.float64), first, axis=0)
    counts = np.diff([*first, len(values)])
    means: NDArray[np.float64] = sums / counts.reshape(-1, *([1] * (sums.ndim - 1)))
    return means


def _flips_of(before: ProbePredictions, after: ProbePredictions) -> tuple[Flips, ...]:
    names = before.labels.names
    expressions = before.faces["expression"].to_numpy(dtype=object)
    persons = before.faces["identity"].to_numpy()
    changed = before.predicted != after.predicted
    flips = []
    for expression in dict.fromkeys(expressions):
        shown = expressions == expression
        for index in np.unique(after.predicted[shown & changed]):
            rows = shown & changed & (after.predicted == index)
            numbers = tuple(int(person) for person in persons[rows])
            earlier = tuple(names[row] for row in before.predicted[rows])
            total = int(shown.sum())
            flips.append(Flips(str(expression), names[index], numbers, earlier, total))
    return tuple(sorted(flips, key=lambda item: (-item.share, item.expression, item.predicted)))
