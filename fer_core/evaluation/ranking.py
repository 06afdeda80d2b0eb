"""Uncertainty of the ranking of runs: under other images, other annotators and other seeds.

Three sources of uncertainty are resampled, alone or together:

- images: a bootstrap sample of the images, the same for all runs;
- annotators: each image's votes are resampled from its vote shares, as many as it has,
  and the class with most of them is its label (equal counts are broken at random). An image whose
  winner is no class counts for no run;
- seeds: of each recipe with several seeds, one of its runs is drawn.

Without seeds, the accuracy of a recipe is the mean over its runs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from fer_core.evaluation.aligned import AlignedPredictions
from fer_core.evaluation.human_votes import Votes
from fer_core.evaluation.seeds import family_of

DRAWS = 1000
NO_CLASS = -1
"""Label of an image whose most frequent vote is no class."""

_CHUNK = 100


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
        accuracy: Accuracy by draw, shape (draws, R).
        beats: Probability that the row's recipe is more accurate than the column's, with half of
            the ties, shape (R, R); NaN on the diagonal.
        places: Probability of each rank (column), shape (R, R); ties are broken at random.
    """

    runs: tuple[str, ...]
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
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> Ranking:
    """Ranks runs in many draws of the sources of uncertainty.

    Args:
        aligned: Predictions of at least one run.
        doubts: Sources of uncertainty to resample; without any, every draw has the same order.
        votes: Annotators' votes for the same images; needed for their doubt.
        draws: Number of draws.
        seed: Random seed.

    Raises:
        ValueError: If annotators are resampled without votes.
    """
    random = np.random.default_rng(seed)
    labels = _labels(aligned, votes, random, draws) if Doubt.ANNOTATORS in doubts else None
    weights = _weights(len(aligned), random, draws) if Doubt.IMAGES in doubts else None
    by_run = _accuracies(aligned, labels, weights, draws)
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
    runs = [aligned.runs[rows[0]] for rows in families.values()]
    return _ranking(runs, np.stack(columns, axis=1), random)


def _ranking(
    runs: Sequence[str], accuracy: NDArray[np.float64], random: np.random.Generator
) -> Ranking:
    order = np.argsort(-accuracy.mean(axis=0), kind="stable")
    accuracy = accuracy[:, order]
    count = len(runs)
    better = (accuracy[:, :, None] > accuracy[:, None, :]).mean(axis=0)
    equal = (accuracy[:, :, None] == accuracy[:, None, :]).mean(axis=0)
    beats = better + equal / 2
    np.fill_diagonal(beats, np.nan)
    sorted_runs = np.lexsort((random.random(accuracy.shape), -accuracy), axis=1)
    shares = np.stack([(sorted_runs == run).mean(axis=0) for run in range(count)])
    return Ranking(tuple(runs[index] for index in order), accuracy, beats, shares)


def _weights(images: int, random: np.random.Generator, draws: int) -> NDArray[np.float32]:
    """Returns how often each image is in each bootstrap sample, shape (draws, N)."""
    picked = random.integers(images, size=(draws, images), dtype=np.int32)
    picked += (np.arange(draws, dtype=np.int32) * images)[:, None]
    counts = np.bincount(picked.ravel(), minlength=draws * images)
    return counts.reshape(draws, images).astype(np.float32)


def _accuracies(
    aligned: AlignedPredictions,
    labels: NDArray[np.int8] | None,
    weights: NDArray[np.float32] | None,
    draws: int,
) -> NDArray[np.float64]:
    """Returns accuracy by draw and run, shape (draws, R)."""
    if labels is None:
        right = aligned.right.T.astype(np.float32)
        if weights is None:
            return np.repeat(right.mean(axis=0, dtype=np.float64)[None], draws, axis=0)
        return (weights @ right).astype(np.float64) / len(aligned)
    predicted = aligned.predicted.astype(np.int8)
    result = np.empty((draws, len(predicted)))
    for start in range(0, draws, _CHUNK):
        drawn = labels[start : start + _CHUNK]
        of_class = drawn != NO_CLASS
        scale = of_class if weights is None else weights[start : start + _CHUNK] * of_class
        total = scale.sum(axis=1, dtype=np.float64)
        for run, classes in enumerate(predicted):
            hits = drawn == classes
            if weights is None:
                counted = hits.sum(axis=1)
            else:
                counted = np.einsum("dn,dn->d", weights[start : start + _CHUNK], hits)
            result[start : start + _CHUNK, run] = counted / np.maximum(total, 1)
    return result


def _labels(
    aligned: AlignedPredictions, votes: Votes | None, random: np.random.Generator, draws: int
) -> NDArray[np.int8]:
    """Resamples the images' labels, shape (draws, N)."""
    if votes is None:
        raise ValueError("Annotators cannot be resampled without their votes.")
    classes = len(aligned.labels)
    chances = label_chances(np.concatenate([votes.counts, votes.others], axis=1))
    without = chances.sum(axis=1) == 0
    # an image without votes keeps its label
    chances[without, aligned.truth[without]] = 1.0
    certain = chances.max(axis=1) == 1.0
    winner = chances.argmax(axis=1)
    labels = np.broadcast_to(winner, (draws, len(winner))).astype(np.int8)
    steps = np.cumsum(chances[~certain], axis=1)
    uniform = random.random((draws, len(steps)), dtype=np.float32)
    drawn = np.zeros(uniform.shape, dtype=np.int8)
    for column in range(chances.shape[1] - 1):
        drawn += uniform >= steps[:, column]
    labels[:, ~certain] = drawn
    labels[labels >= classes] = NO_CLASS
    return labels


def label_chances(votes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the probability of each option to win when the votes are resampled.

    As many votes as an image has are drawn from the shares of its votes; equal counts are broken
    at random. The chances are exact: all outcomes are enumerated.

    Args:
        votes: Votes by image and option, shape (N, M).

    Returns:
        Shape (N, M); zeros for images without votes.
    """
    patterns, inverse = np.unique(np.rint(votes).astype(np.int64), axis=0, return_inverse=True)
    chances = np.zeros(patterns.shape)
    for row, pattern in enumerate(patterns):
        options = np.flatnonzero(pattern)
        if len(options):
            counts = tuple(sorted(pattern[options].tolist()))
            ranks = np.argsort(np.argsort(pattern[options], kind="stable"), kind="stable")
            chances[row, options] = np.asarray(_chances(counts))[ranks]
    result: NDArray[np.float64] = chances[inverse.reshape(-1)]
    return result


@cache
def _chances(counts: tuple[int, ...]) -> tuple[float, ...]:
    """Returns the chances of options with these votes, in their order."""
    total, options = sum(counts), len(counts)
    if options == 1:
        return (1.0,)
    outcomes = _outcomes(total, options)
    log_shares = np.log(np.asarray(counts) / total)
    log_chance = gammaln(total + 1) - gammaln(outcomes + 1).sum(axis=1) + outcomes @ log_shares
    wins = outcomes == outcomes.max(axis=1, keepdims=True)
    shares = wins / wins.sum(axis=1, keepdims=True)
    return tuple((np.exp(log_chance) @ shares).tolist())


@cache
def _outcomes(total: int, options: int) -> NDArray[np.int64]:
    """Returns all ways to divide votes among options, shape (ways, options)."""
    if options == 1:
        return np.array([[total]])
    parts = [
        np.insert(_outcomes(total - first, options - 1), 0, first, axis=1)
        for first in range(total + 1)
    ]
    return np.concatenate(parts)


def place_chances(ranking: Ranking) -> Mapping[str, NDArray[np.float64]]:
    """Returns the probability of each rank by run."""
    return dict(zip(ranking.runs, ranking.places, strict=True))
