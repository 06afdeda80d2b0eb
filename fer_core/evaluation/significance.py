"""Significance of differences between models: paired tests on the same samples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr

from fer_core.evaluation.intervals import interval, resampled_counts
from fer_core.evaluation.metrics import Indices
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
        p_value: p-value of McNemar's exact test before correction.
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


def mcnemar(only_first: int, only_second: int) -> float:
    """Returns McNemar's exact two-sided p-value (McNemar 1947).

    Samples on which both models are right or both are wrong carry no information about the
    difference. Under the null hypothesis each model wins half of the others.

    Args:
        only_first: Samples that only the first model gets right.
        only_second: Samples that only the second model gets right.
    """
    discordant = only_first + only_second
    if discordant == 0:
        return 1.0
    return min(1.0, 2 * float(bdtr(min(only_first, only_second), discordant, 0.5)))


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


def compare_all(predictions: Mapping[str, SplitPredictions]) -> list[Comparison]:
    """Compares all pairs of runs.

    Args:
        predictions: Predictions by run id, for the same samples in any order.

    Raises:
        ArtifactError: If runs have predictions for different samples.
    """
    if not predictions:
        return []
    reference = next(iter(predictions.values()))
    right = {run_id: split.aligned_with(reference).right for run_id, split in predictions.items()}
    number = {run_id: int(np.count_nonzero(values)) for run_id, values in right.items()}
    counts = []
    for first, second in combinations(predictions, 2):
        both = int(np.count_nonzero(right[first] & right[second]))
        counts.append((first, second, number[first] - both, number[second] - both))
    p_values = [mcnemar(only_first, only_second) for _, _, only_first, only_second in counts]
    return [
        Comparison(*count, p_value, float(adjusted))
        for count, p_value, adjusted in zip(counts, p_values, holm(p_values), strict=True)
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
    seed: int = 0,
) -> Difference:
    """Returns the paired bootstrap of the difference between two runs.

    Both runs are resampled with the same images, so that images which are hard for both do not
    widen the interval. The statistics depend only on how many images of each class both, one or
    neither of the runs gets right; like `Bootstrap`, this draws these counts, not the images.

    Args:
        truth: True class indices, shape (N,), at least one.
        first: Whether the first run is right, shape (N,).
        second: Whether the second run is right, shape (N,).
        classes: Number of classes.
        seed: Seed of the resampling.
    """
    cells = truth * 4 + first * 2 + second
    table = np.bincount(cells, minlength=4 * classes).reshape(classes, 4)
    resampled = resampled_counts(table.astype(np.int64), seed=seed)
    accuracy, recall = _differences(np.concatenate([table[None], resampled]))
    return Difference(
        (float(accuracy[0]), *interval(accuracy[1:])), (float(recall[0]), *interval(recall[1:]))
    )


def _differences(
    tables: NDArray[np.int64],
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
