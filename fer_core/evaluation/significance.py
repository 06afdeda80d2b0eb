"""Which of two models is better, and is that more than luck? Paired tests on the same samples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from fer_core.evaluation.intervals import interval, resampled_counts
from fer_core.evaluation.metrics import Indices
from fer_core.evaluation.predictions import SplitPredictions

LEVEL = 0.05


@dataclass(frozen=True)
class Comparison:
    """Two runs on the same samples.

    Attributes:
        first: Run id.
        second: Run id.
        only_first: Samples that the first run alone has right.
        only_second: Samples that the second run alone has right.
        p_value: Of McNemar's exact test, before correction.
        adjusted: The same after Holm's correction over all pairs.
    """

    first: str
    second: str
    only_first: int
    only_second: int
    p_value: float
    adjusted: float

    @property
    def differs(self) -> bool:
        """Whether the difference stands after correction, at the 5% level."""
        return self.adjusted < LEVEL

    @property
    def ordered(self) -> tuple[str, str]:
        """The run with more samples that it alone has right, and the other."""
        if self.only_first >= self.only_second:
            return self.first, self.second
        return self.second, self.first


def mcnemar(only_first: int, only_second: int) -> float:
    """Returns McNemar's exact two-sided p-value (McNemar 1947).

    Samples that both models have right, or both wrong, say nothing of the difference; of the
    others, each model should win half if they were alike.

    Args:
        only_first: Samples that the first model alone has right.
        only_second: Samples that the second model alone has right.
    """
    decisive = only_first + only_second
    if decisive == 0:
        return 1.0
    return float(stats.binomtest(only_first, decisive, 0.5).pvalue)


def holm(p_values: Sequence[float]) -> NDArray[np.float64]:
    """Corrects p-values for their number (Holm 1979): the chance of any false alarm stays at 5%.

    Returns:
        Adjusted p-values in the given order, each at least the given one and at most 1.
    """
    values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    factors = np.arange(len(values), 0, -1)
    stepped = np.minimum(1.0, np.maximum.accumulate(values[order] * factors))
    adjusted = np.empty_like(values)
    adjusted[order] = stepped
    return adjusted


def compare_all(scores: Mapping[str, SplitPredictions]) -> list[Comparison]:
    """Compares all pairs of runs.

    Args:
        scores: By run id, over the same samples in any order.

    Raises:
        ArtifactError: If runs scored other samples.
    """
    if not scores:
        return []
    reference = next(iter(scores.values()))
    right = {}
    for run_id, part in scores.items():
        aligned = part.aligned_with(reference)
        right[run_id] = aligned.predicted == aligned.truth
    counts = [
        (
            first,
            second,
            int((right[first] & ~right[second]).sum()),
            int((right[second] & ~right[first]).sum()),
        )
        for first, second in combinations(scores, 2)
    ]
    p_values = [mcnemar(one, other) for _, _, one, other in counts]
    return [
        Comparison(*count, p_value, float(adjusted))
        for count, p_value, adjusted in zip(counts, p_values, holm(p_values), strict=True)
    ]


def tiers(ranked: Sequence[str], comparisons: Sequence[Comparison]) -> dict[str, str]:
    """Groups ranked runs: within a band no run can be told apart from the band's best.

    Args:
        ranked: Run ids, best first.
        comparisons: Of all their pairs.

    Returns:
        A letter by run id: `A` for the best run and those like it, then `B`, and so on.
    """
    told_apart = {frozenset((item.first, item.second)) for item in comparisons if item.differs}
    letters: dict[str, str] = {}
    leader, letter = "", -1
    for run_id in ranked:
        if not leader or frozenset((leader, run_id)) in told_apart:
            leader, letter = run_id, letter + 1
        letters[run_id] = chr(ord("A") + letter)
    return letters


@dataclass(frozen=True)
class Difference:
    """How much better the first of two runs is, with 95% paired bootstrap intervals.

    Attributes:
        accuracy: First minus second, then the ends of its interval; -1 to 1.
        macro_recall: The same of the mean recall over the classes that have samples.
    """

    accuracy: tuple[float, float, float]
    macro_recall: tuple[float, float, float]


def difference(
    truth: Indices,
    first: NDArray[np.bool_],
    second: NDArray[np.bool_],
    classes: int,
    *,
    seed: int = 0,
) -> Difference:
    """Returns the paired bootstrap of a difference.

    Both runs are resampled with the same images, so that images which both find hard do not
    widen the interval. The statistics depend only on how many images of each class both, one or
    neither of the runs has right; as in `Bootstrap`, these counts are drawn, not the images.

    Args:
        truth: Class indices, shape (N,), at least one.
        first: Where the first run is right, shape (N,).
        second: Where the second run is right, shape (N,).
        classes: Number of classes.
        seed: Of the resampling.
    """
    cells = truth * 4 + first * 2 + second
    table = np.bincount(cells, minlength=4 * classes).reshape(classes, 4)
    drawn = resampled_counts(table.astype(np.int64), seed=seed)
    accuracy, recall = _differences(np.concatenate([table[None], drawn]))
    return Difference(
        (float(accuracy[0]), *interval(accuracy[1:])), (float(recall[0]), *interval(recall[1:]))
    )


def _differences(
    tables: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Differences of accuracy and macro-recall from (R, K, 4) counts: neither, 2nd, 1st, both."""
    gain = tables[..., 2] - tables[..., 1]
    present = tables.sum(axis=-1)
    empty = np.full(present.shape, np.nan)
    recall = np.divide(gain, present, out=empty, where=present > 0)
    return gain.sum(axis=1) / present.sum(axis=1), np.nanmean(recall, axis=1)
