"""Uncertainty of the ranking of runs: under other images, other annotators and other seeds.

Three sources of uncertainty are resampled, alone or together:

- images: a bootstrap sample of the images, the same for all runs;
- annotators: each image's votes are resampled from its vote shares, as many as it has,
  and the class with most of them is its label (equal counts are broken at random). An image whose
  winner is no class counts for no run;
- seeds: of each recipe with several seeds, one of its runs is drawn.

Without seeds, the accuracy of a recipe is the mean over its runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from fer_core.evaluation.aligned import AlignedPredictions
from fer_core.evaluation.human_votes import Votes
from fer_core.evaluation.resampled_accuracy import resampled_accuracies
from fer_core.records import family_of

DRAWS = 1000


class Doubt(StrEnum):
    """A source of uncertainty in the ranking."""

    IMAGES = "images"
    ANNOTATORS = "annotators"
    SEEDS = "seeds"


@dataclass(frozen=True)
class Ranking:
    """Rankings of recipes in many draws.

    Attributes:
        runs: Recipes, best mean accuracy first, each named by its first run.
        seeds: Number of runs of each recipe, in the same order.
        accuracy: Accuracy by draw, shape (draws, R).
        beats: Probability that the row's recipe is more accurate than the column's, with half of
            the ties, shape (R, R); NaN on the diagonal.
        places: Probability of each rank (column), shape (R, R); ties are broken at random.
    """

    runs: tuple[str, ...]
    seeds: tuple[int, ...]
    accuracy: NDArray[np.float64]
    beats: NDArray[np.float64]
    places: NDArray[np.float64]


def doubts_of(aligned: AlignedPredictions, votes: Votes | None) -> tuple[Doubt, ...]:
    """Returns the sources of uncertainty that can be resampled.

    Args:
        aligned: Predictions of the runs.
        votes: Annotators' votes for the same images; None without any.
    """
    several = len(set(map(family_of, aligned.runs))) < len(aligned.runs)
    return (
        Doubt.IMAGES,
        *((Doubt.ANNOTATORS,) if votes is not None else ()),
        *((Doubt.SEEDS,) if several else ()),
    )


def rank_under_doubt(
    aligned: AlignedPredictions,
    doubts: Sequence[Doubt],
    votes: Votes | None = None,
    persons: NDArray[np.object_] | None = None,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> Ranking:
    """Ranks runs in many draws of the sources of uncertainty.

    Args:
        aligned: Predictions of at least one run.
        doubts: Sources of uncertainty to resample; without any, every draw has the same order.
        votes: Annotators' votes for the same images; needed for their doubt.
        persons: Person of each image, as `persons.persons_of` returns them.
        draws: Number of draws.
        seed: Random seed.

    Raises:
        ValueError: If annotators are resampled without votes.
    """
    if Doubt.ANNOTATORS in doubts and votes is None:
        raise ValueError("Annotators cannot be resampled without their votes.")
    random = np.random.default_rng(seed)
    redrawn = votes if Doubt.ANNOTATORS in doubts else None
    by_run = resampled_accuracies(
        aligned, redrawn, random, draws, images=Doubt.IMAGES in doubts, persons=persons
    )
    families: dict[str, list[int]] = {}
    for row, run_id in enumerate(aligned.runs):
        families.setdefault(family_of(run_id), []).append(row)
    columns = []
    for rows in families.values():
        if Doubt.SEEDS in doubts:
            picked = random.integers(len(rows), size=draws)
            columns.append(by_run[np.arange(draws), np.asarray(rows)[picked]])
        else:
            columns.append(by_run[:, rows].mean(axis=1))
    recipes = [(aligned.runs[rows[0]], len(rows)) for rows in families.values()]
    return _ranking(recipes, np.stack(columns, axis=1), random)


def _ranking(
    recipes: Sequence[tuple[str, int]], accuracy: NDArray[np.float64], random: np.random.Generator
) -> Ranking:
    order = np.argsort(-accuracy.mean(axis=0), kind="stable")
    accuracy = accuracy[:, order]
    count = len(recipes)
    better = (accuracy[:, :, None] > accuracy[:, None, :]).mean(axis=0)
    equal = (accuracy[:, :, None] == accuracy[:, None, :]).mean(axis=0)
    beats = better + equal / 2
    np.fill_diagonal(beats, np.nan)
    sorted_runs = np.lexsort((random.random(accuracy.shape), -accuracy), axis=1)
    shares = np.stack([(sorted_runs == run).mean(axis=0) for run in range(count)])
    runs, seeds = zip(*(recipes[index] for index in order), strict=True)
    return Ranking(runs, seeds, accuracy, beats, shares)
