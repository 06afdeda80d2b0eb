"""Accuracy where pictures of one person are not independent, and accuracy by person."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_core.evaluation.intervals import RESAMPLES, wilson
from fer_core.evaluation.persons import person_numbers, resampled_sums
from fer_core.evaluation.report import Estimate
from fer_core.evaluation.significance import LEVEL, p_sentence


def share_of(
    right: NDArray[np.bool_], persons: NDArray[np.object_] | None, seed: int = 0
) -> Estimate | None:
    """Returns the accuracy with its 95% interval; None without images.

    Without persons it is Wilson's interval. With persons it is a bootstrap over persons, since
    pictures of one person resemble each other. That is too narrow for few persons, so it is widened
    to Wilson's interval where that reaches farther.

    Args:
        right: Whether each prediction is right, shape (N,).
        persons: Person of each image; one without a person counts as a person of its own.
        seed: Seed of the bootstrap.
    """
    simple = Estimate.of_share(int(right.sum()), len(right))
    if simple is None or persons is None or len(set(persons[persons != None])) < 2:  # noqa: E711
        return simple
    sums = resampled_sums(np.stack(_counts(right, person_numbers(persons)), axis=1), seed)
    return Estimate.of_resamples(simple.value, sums[:, 0] / sums[:, 1]).widened_to(simple)


def _counts(
    right: NDArray[np.bool_], codes: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns right predictions and images of each person."""
    return np.bincount(codes, right).astype(np.int64), np.bincount(codes).astype(np.int64)


@dataclass(frozen=True)
class PersonAccuracy:
    """Accuracy by person.

    Attributes:
        table: `person`, `images`, `right`, `accuracy` and Wilson's interval, `low` and `high`; the
            lowest accuracy first.
        p_value: Permutation test of whether all persons have the same accuracy.
    """

    table: pd.DataFrame
    p_value: float

    @property
    def text(self) -> str:
        """Whether chance explains the differences, in one or two sentences."""
        images = self.table["images"]
        counts = f"{images.min():,}" if images.min() == images.max() else (
            f"{images.min():,} to {images.max():,}"
        )  # fmt: skip
        start = (
            f"{len(self.table):,} persons with {counts} labelled pictures each. Permutation test "
            f"of equal accuracy: {p_sentence(self.p_value)}."
        )
        if self.p_value < LEVEL:
            return f"{start} The persons differ more than chance explains."
        return (
            f"{start} Chance can explain the differences between persons; with so few pictures of "
            "each, larger ones cannot be excluded."
        )


def accuracy_by_person(
    right: NDArray[np.bool_], persons: Sequence[object] | NDArray[np.object_], seed: int = 0
) -> PersonAccuracy | None:
    """Returns the accuracy on each person's images; None with fewer than two persons.

    Args:
        right: Whether each prediction is right, shape (N,).
        persons: Person of each image; None where none is named.
        seed: Seed of the permutations.
    """
    codes, names = pd.factorize(np.asarray(persons, dtype=object))
    if len(names) < 2:
        return None
    hits, images = _counts(right[codes >= 0], codes[codes >= 0].astype(np.int64))
    low, high = wilson(hits, images)
    table = pd.DataFrame(
        {
            "person": [str(name) for name in names],
            "images": images,
            "right": hits,
            "accuracy": hits / images,
            "low": low,
            "high": high,
        }
    ).sort_values(["accuracy", "images", "person"], ascending=[True, False, True])
    return PersonAccuracy(table.reset_index(drop=True), _same_accuracy(hits, images, seed))


def _same_accuracy(hits: NDArray[np.int64], images: NDArray[np.int64], seed: int) -> float:
    """Returns the p-value of equal accuracy: right predictions are shuffled among the images.

    The statistic is Pearson's chi-squared, up to a constant factor.
    """
    expected = images * (hits.sum() / images.sum())
    random = np.random.default_rng(seed)
    shuffled = random.multivariate_hypergeometric(
        images, int(hits.sum()), size=RESAMPLES, method="count"
    )
    seen = float(((hits - expected) ** 2 / images).sum())
    drawn = ((shuffled - expected) ** 2 / images).sum(axis=1)
    return float((1 + (drawn >= seen - 1e-9).sum()) / (1 + RESAMPLES))
