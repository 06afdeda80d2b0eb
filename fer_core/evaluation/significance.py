"""Significance of differences between models: paired tests on the same samples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_core.evaluation.intervals import widest_interval
from fer_core.evaluation.metrics import Indices
from fer_core.evaluation.paired_tests import mcnemar, sign_flip_test
from fer_core.evaluation.persons import (
    IMAGES,
    have_several_images,
    persons_at,
    resampled_cells,
    sums_by_person,
)
from fer_core.evaluation.predictions import SplitPredictions

LEVEL = 0.05
"""Significance level."""


def p_text(value: float) -> str:
    """Returns a p-value as text; small ones as a bound."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def p_sentence(value: float) -> str:
    """Returns a p-value for a sentence, such as `p = 0.012` or `p < 0.001`."""
    text = p_text(value)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


@dataclass(frozen=True)
class Comparison:
    """Paired comparison of two runs on the same samples.

    Attributes:
        first: Id of the first run.
        second: Id of the second run.
        only_first: Samples that only the first run gets right.
        only_second: Samples that only the second run gets right.
        p_value: p-value of `right_test` before correction.
        adjusted: p-value after Holm's correction over all pairs.
    """

    first: str
    second: str
    only_first: int
    only_second: int
    p_value: float
    adjusted: float

    @property
    def significant(self) -> bool:
        """Whether the difference is significant at the 5% level after correction."""
        return self.adjusted < LEVEL

    @property
    def ordered(self) -> tuple[str, str]:
        """Ids of the better and the worse run."""
        if self.only_first >= self.only_second:
            return self.first, self.second
        return self.second, self.first


def holm(p_values: Sequence[float]) -> NDArray[np.float64]:
    """Returns Holm-adjusted p-values (Holm 1979), which control the family-wise error rate.

    Returns:
        Adjusted p-values in the order of the input, each at least the input and at most 1.
    """
    values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    factors = np.arange(len(values), 0, -1)
    stepped = np.minimum(1.0, np.maximum.accumulate(values[order] * factors))
    adjusted = np.empty_like(values)
    adjusted[order] = stepped
    return adjusted


def paired_test_name(over: str) -> str:
    """Returns the name of `right_test`, to begin a sentence.

    Args:
        over: What is tested, see `persons.resampled_units`.
    """
    return "McNemar's exact test" if over == IMAGES else f"Sign-flip test over {over}"


def right_test(
    first: NDArray[np.bool_],
    second: NDArray[np.bool_],
    persons: NDArray[np.object_] | None = None,
) -> float:
    """Returns the two-sided p-value that two models are equally accurate.

    It is McNemar's test. If a person has several images, which resemble each other, the signs of
    the persons' differences are flipped instead of those of the images.

    Args:
        first: Whether the first model is right, shape (N,).
        second: Whether the second model is right, shape (N,).
        persons: Person of each image, as `persons.persons_of` returns them.
    """
    if persons is None or not have_several_images(persons):
        both = int(np.count_nonzero(first & second))
        return mcnemar(int(np.count_nonzero(first)) - both, int(np.count_nonzero(second)) - both)
    return sign_flip_test(sums_by_person(first.astype(np.float64) - second, persons))


def compare_all(
    predictions: Mapping[str, SplitPredictions], samples: pd.DataFrame | None = None
) -> list[Comparison]:
    """Compares all pairs of runs.

    Args:
        predictions: Predictions by run id, for the same samples in any order.
        samples: Samples indexed by id, with a column `group` if persons are known.

    Raises:
        ArtifactError: If runs have predictions for different samples.
    """
    if not predictions:
        return []
    reference = next(iter(predictions.values()))
    persons = None if samples is None else persons_at(samples, reference.ids)
    right = {run_id: split.aligned_with(reference).right for run_id, split in predictions.items()}
    pairs = list(combinations(predictions, 2))
    if have_several_images(persons):  # summed once by run, not by pair
        sums = {run: sums_by_person(values.astype(float), persons) for run, values in right.items()}
        p_values = [sign_flip_test(sums[first] - sums[second]) for first, second in pairs]
    else:
        p_values = [right_test(right[first], right[second]) for first, second in pairs]
    return [
        Comparison(
            first,
            second,
            int(np.count_nonzero(right[first] & ~right[second])),
            int(np.count_nonzero(right[second] & ~right[first])),
            p_value,
            float(adjusted),
        )
        for (first, second), p_value, adjusted in zip(pairs, p_values, holm(p_values), strict=True)
    ]


def tiers(ranked: Sequence[str], comparisons: Sequence[Comparison]) -> dict[str, str]:
    """Groups ranked runs into tiers of statistical ties.

    No run of a tier differs significantly from the best run of that tier.

    Args:
        ranked: Run ids, best first.
        comparisons: Comparisons of all pairs of these runs.

    Returns:
        A letter by run id: `A` for the best run and its statistical ties, then `B`, and so on.
    """
    different = {frozenset((item.first, item.second)) for item in comparisons if item.significant}
    letters: dict[str, str] = {}
    leader, letter = "", -1
    for run_id in ranked:
        if not leader or frozenset((leader, run_id)) in different:
            leader, letter = run_id, letter + 1
        letters[run_id] = chr(ord("A") + letter)
    return letters


@dataclass(frozen=True)
class Difference:
    """Difference of two runs, first minus second, with 95% paired bootstrap intervals.

    Attributes:
        accuracy: Difference of accuracy, then the ends of its interval; -1 to 1.
        macro_recall: Difference of macro-recall, then the ends of its interval; -1 to 1.
    """

    accuracy: tuple[float, float, float]
    macro_recall: tuple[float, float, float]


def difference(
    truth: Indices,
    first: NDArray[np.bool_],
    second: NDArray[np.bool_],
    classes: int,
    *,
    persons: NDArray[np.object_] | None = None,
    seed: int = 0,
) -> Difference:
    """Returns the paired bootstrap of the difference between two runs.

    Both runs are resampled with the same images, so that images which are hard for both do not
    widen the interval. The statistics depend only on how many images of each class both, one or
    neither of the runs gets right; like `Bootstrap`, this draws these counts, not the images. If a
    person has several images, persons are drawn; the interval is then at least as wide as that over
    images, because few persons give too narrow ones.

    Args:
        truth: True class indices, shape (N,), at least one.
        first: Whether the first run is right, shape (N,).
        second: Whether the second run is right, shape (N,).
        classes: Number of classes.
        persons: Person of each image, as `persons.persons_of` returns them.
        seed: Seed of the resampling.
    """
    cells = truth * 4 + first * 2 + second
    values = _differences(np.bincount(cells, minlength=4 * classes).reshape(1, classes, 4))
    draws = [
        _differences(drawn.reshape(-1, classes, 4))
        for drawn in resampled_cells(cells, 4 * classes, persons, seed)
    ]
    accuracy, recall = (
        (float(value[0]), *widest_interval(resampled))
        for value, *resampled in zip(values, *draws, strict=True)
    )
    return Difference(accuracy, recall)


def _differences(
    tables: NDArray[np.float64] | NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Differences of accuracy and macro-recall, shape (R,).

    Args:
        tables: Images by class that neither, the second, the first or both runs get right, shape
            (R, K, 4).
    """
    gain = tables[..., 2] - tables[..., 1]
    present = tables.sum(axis=-1)
    empty = np.full(present.shape, np.nan)
    recall = np.divide(gain, present, out=empty, where=present > 0)
    return gain.sum(axis=1) / present.sum(axis=1), np.nanmean(recall, axis=1)
