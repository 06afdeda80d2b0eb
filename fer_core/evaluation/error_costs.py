"""Costs of errors, and paired comparisons of runs by their cost.

The cost of a correct prediction is 0, and that of an error is 1 unless a user says otherwise. With
equal costs the mean cost per image is 1 - accuracy; if all classes weigh the same, it is
1 - macro-recall.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fer_core.errors import DataError
from fer_core.evaluation.intervals import widest_interval
from fer_core.evaluation.paired_tests import sign_flip_test
from fer_core.evaluation.persons import resampled_cells, sums_by_person
from fer_core.evaluation.predictions import SplitPredictions
from fer_core.evaluation.report import Estimate
from fer_core.labels import LabelSet

EQUAL, BALANCED = "equal", "balanced"
"""Names of the two costs without factors."""

ANY = "*"
"""Any class, in a factor."""

COSTLY = 5.0
"""Cost of a wrong prediction of the class that the third preset names."""

_DIGITS = 12
_LARGEST = 1e6


@dataclass(frozen=True)
class Factor:
    """Cost of one kind of error.

    Attributes:
        truth: True class, or `*` for any.
        predicted: Predicted class, or `*` for any.
        cost: Cost of this error, at least 0; other errors cost 1.
    """

    truth: str
    predicted: str
    cost: float

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads a factor such as `*>angry=5` or `fear>neutral=3` (`true>predicted=cost`).

        Raises:
            DataError: If the text has another form, or the cost is negative or too large.
        """
        names, equals, number = text.partition("=")
        truth, arrow, predicted = names.partition(">")
        try:
            cost = float(number)
        except ValueError:
            cost = -1.0
        if not (equals and arrow and truth.strip() and predicted.strip()):
            cost = -1.0
        if not 0 <= cost <= _LARGEST:
            raise DataError(
                f"The cost {text[:60]!r} cannot be read. Write `equal`, `balanced`, or "
                "true>predicted=cost with a cost of at least 0, such as fear>neutral=3 or "
                "*>angry=5."
            )
        return cls(truth.strip(), predicted.strip(), cost)

    def __str__(self) -> str:
        return f"{self.truth}>{self.predicted}={self.cost:g}"


@dataclass(frozen=True)
class ErrorCosts:
    """Cost of each kind of error.

    Attributes:
        balanced: Whether every class weighs the same, however many images it has.
        factors: Errors whose cost is not 1; later factors override earlier ones.
    """

    balanced: bool = False
    factors: tuple[Factor, ...] = ()

    @classmethod
    def parse(cls, texts: Sequence[str]) -> Self:
        """Reads costs: any of `equal`, `balanced` and factors, as `str` writes them.

        Raises:
            DataError: If one of the texts cannot be read.
        """
        parts = [part.strip() for text in texts for part in text.split(",") if part.strip()]
        factors = [Factor.parse(part) for part in parts if part not in (EQUAL, BALANCED)]
        return cls(BALANCED in parts, tuple(factors))

    def __str__(self) -> str:
        head = [BALANCED] if self.balanced else [] if self.factors else [EQUAL]
        return ",".join([*head, *map(str, self.factors)])

    @property
    def quality(self) -> str | None:
        """The metric that equals 1 - mean cost: `accuracy`, `macro-recall`, or None."""
        if self.factors:
            return None
        return "macro-recall" if self.balanced else "accuracy"

    def matrix(self, labels: LabelSet) -> NDArray[np.float64]:
        """Returns the cost by true (row) and predicted (column) class, shape (K, K).

        Raises:
            DataError: If a factor names an unknown class.
        """
        costs = 1.0 - np.eye(len(labels))
        for factor in self.factors:
            rows = _indices(factor.truth, labels)
            columns = _indices(factor.predicted, labels)
            costs[np.ix_(rows, columns)] = factor.cost
        np.fill_diagonal(costs, 0.0)
        return costs

    def of(self, predictions: SplitPredictions) -> NDArray[np.float64]:
        """Returns the cost of each prediction, without the weights of classes, shape (N,)."""
        matrix = self.matrix(predictions.labels)
        costs: NDArray[np.float64] = matrix[predictions.truth, predictions.predicted]
        return costs

    def weights(self, truth: NDArray[np.int64]) -> NDArray[np.float64]:
        """Returns the weight of each sample, shape (N,); their mean is 1.

        If the costs are balanced, the samples of each class have the same total weight.
        """
        if not self.balanced:
            return np.ones(len(truth))
        counts = np.bincount(truth)
        return len(truth) / (np.count_nonzero(counts) * counts[truth])

    def mean(self, predictions: SplitPredictions) -> float:
        """Returns the mean cost per image of predictions for at least one sample."""
        return float((self.of(predictions) * self.weights(predictions.truth)).mean())


def presets(labels: Sequence[str]) -> Mapping[str, ErrorCosts]:
    """Returns common costs by title; the third takes `angry`, or else the first class."""
    name = "angry" if "angry" in labels else labels[0]
    return {
        "All errors cost the same": ErrorCosts(),
        "Rare classes weigh the same as common ones": ErrorCosts(balanced=True),
        f"A wrong {name!r} costs {COSTLY:g} times": ErrorCosts(
            factors=(Factor(ANY, name, COSTLY),)
        ),
    }


def cost_difference(
    first: SplitPredictions,
    second: SplitPredictions,
    costs: ErrorCosts,
    persons: NDArray[np.object_] | None = None,
    *,
    seed: int = 0,
) -> Estimate:
    """Returns the difference of two runs' mean costs per image, first minus second.

    It is negative if the first run is better. For the interval, both runs are resampled with the
    same images. The statistic depends only on how many images of each class have each difference,
    so these counts are drawn, not the images. If a person has several images, persons are drawn;
    the interval is then at least as wide as that over images.

    Args:
        first: Predictions of the first run.
        second: Predictions of the second run, in the same sample order.
        costs: Costs of errors.
        persons: Person of each image, as `persons.persons_of` returns them.
        seed: Seed of the resampling.
    """
    values, index = np.unique(
        np.round(costs.of(first) - costs.of(second), _DIGITS), return_inverse=True
    )
    codes, where = np.unique(first.truth * len(values) + index, return_inverse=True)
    cells = np.stack([codes // len(values), values[codes % len(values)]])
    counts = np.bincount(where, minlength=len(codes))[None]
    gap = _mean_gap(counts, cells, balanced=costs.balanced)
    draws = [
        _mean_gap(drawn, cells, balanced=costs.balanced)
        for drawn in resampled_cells(where, len(codes), persons, seed)
    ]
    low, high = widest_interval(draws)
    return Estimate(value=float(gap[0]), low=low, high=high)


def paired_test(
    first: SplitPredictions,
    second: SplitPredictions,
    costs: ErrorCosts,
    persons: NDArray[np.object_] | None = None,
) -> float:
    """Returns the two-sided p-value that two runs have the same mean cost.

    The test flips the signs of the samples' differences, or of the persons' if one has several
    images. With equal costs and one image of each person, it is McNemar's exact test.

    Args:
        first: Predictions of the first run.
        second: Predictions of the second run, in the same sample order.
        costs: Costs of errors.
        persons: Person of each image, as `persons.persons_of` returns them.
    """
    gaps = (costs.of(first) - costs.of(second)) * costs.weights(first.truth)
    return sign_flip_test(sums_by_person(gaps, persons))


def _mean_gap(
    counts: NDArray[np.int64] | NDArray[np.float64], cells: NDArray[np.float64], *, balanced: bool
) -> NDArray[np.float64]:
    """Returns the mean difference of each row of counts, shape (R,).

    Args:
        counts: Samples by cell, shape (R, C).
        cells: True class and difference of each cell, shape (2, C).
        balanced: Whether to average over classes.
    """
    classes, gaps = cells
    if not balanced:
        mean: NDArray[np.float64] = (counts @ gaps) / counts.sum(axis=1)
        return mean
    member = (classes[:, None] == np.unique(classes)).astype(np.float64)
    present = counts @ member
    empty = np.full(present.shape, np.nan)
    by_class = np.divide(counts @ (member * gaps[:, None]), present, out=empty, where=present > 0)
    return np.asarray(np.nanmean(by_class, axis=1), dtype=np.float64)


def _indices(name: str, labels: LabelSet) -> list[int]:
    return list(range(len(labels))) if name == ANY else [labels.index(name)]
