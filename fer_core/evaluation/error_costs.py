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
from fer_core.evaluation.intervals import resampled_counts
from fer_core.evaluation.predictions import SplitPredictions
from fer_core.evaluation.report import Estimate
from fer_core.evaluation.significance import mcnemar
from fer_core.labels import LabelSet

EQUAL, BALANCED = "equal", "balanced"
"""Names of the two costs without factors."""

ANY = "*"
"""Any class, in a factor."""

COSTLY = 5.0
"""Cost of a wrong prediction of the class that the third preset names."""

_DRAWS = 9_999
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
    first: SplitPredictions, second: SplitPredictions, costs: ErrorCosts, *, seed: int = 0
) -> Estimate:
    """Returns the difference of two runs' mean costs per image, first minus second.

    It is negative if the first run is better. For the interval, both runs are resampled with the
    same images. The statistic depends only on how many images of each class have each difference,
    so these counts are drawn, not the images.

    Args:
        first: Predictions of the first run.
        second: Predictions of the second run, in the same sample order.
        costs: Costs of errors.
        seed: Seed of the resampling.
    """
    values, index = np.unique(
        np.round(costs.of(first) - costs.of(second), _DIGITS), return_inverse=True
    )
    codes, counts = np.unique(first.truth * len(values) + index, return_counts=True)
    cells = np.stack([codes // len(values), values[codes % len(values)]])
    resampled = resampled_counts(counts.astype(np.int64), seed=seed)
    gaps = _mean_gap(np.concatenate([counts[None], resampled]), cells, balanced=costs.balanced)
    return Estimate.of_resamples(float(gaps[0]), gaps[1:])


def paired_test(first: SplitPredictions, second: SplitPredictions, costs: ErrorCosts) -> float:
    """Returns the two-sided p-value that two runs have the same mean cost.

    The test flips the signs of the samples' differences (Pitman 1937). If all differences have one
    size, as with equal costs, it is McNemar's exact test. Otherwise 9,999 flips are drawn, and the
    smallest p-value is 0.0001 (Phipson and Smyth 2010).

    Args:
        first: Predictions of the first run.
        second: Predictions of the second run, in the same sample order.
        costs: Costs of errors.
    """
    gaps = (costs.of(first) - costs.of(second)) * costs.weights(first.truth)
    return sign_flip_test(gaps)


def sign_flip_test(differences: NDArray[np.float64], *, seed: int = 0) -> float:
    """Returns the two-sided p-value that paired differences are symmetric around 0.

    Args:
        differences: Differences by sample, shape (N,).
        seed: Seed of the drawn flips.
    """
    gaps = np.round(differences, _DIGITS)
    gaps = gaps[gaps != 0]
    sizes, counts = np.unique(np.abs(gaps), return_counts=True)
    if len(sizes) <= 1:
        return mcnemar(int((gaps < 0).sum()), int((gaps > 0).sum()))
    # samples of one size are exchangeable, so only the number of positive signs is drawn
    positive = np.random.default_rng(seed).binomial(counts, 0.5, (_DRAWS, len(sizes)))
    sums = np.abs((2 * positive - counts) @ sizes)
    at_least = np.count_nonzero(sums >= abs(gaps.sum()) - 1e-9)
    return float((1 + at_least) / (1 + _DRAWS))


def _mean_gap(
    counts: NDArray[np.int64], cells: NDArray[np.float64], *, balanced: bool
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
