"""Accuracy of runs in resamples of the images and of the annotators' votes.

Up to `EXACT_IMAGES` images, each resample is drawn image by image. With more images, each run's
number of correct predictions is drawn from a normal distribution with the mean and covariance of
this resampling (central limit theorem), so that the time does not grow with draws times images.
Where persons are resampled, of which there can be few, they are always drawn.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from fer_core.evaluation.aligned import AlignedPredictions
from fer_core.evaluation.human_votes import Votes
from fer_core.evaluation.persons import have_several_images, person_numbers, sums_by_person

EXACT_IMAGES = 10_000
"""Up to this number of images, each resample is drawn image by image; persons are always drawn."""

NO_CLASS = -1
"""Label of an image whose most frequent vote is no class."""

_CHUNK = 100
_BLOCK = 65_536


def resampled_accuracies(
    aligned: AlignedPredictions,
    votes: Votes | None,
    random: np.random.Generator,
    draws: int,
    *,
    images: bool,
    persons: NDArray[np.object_] | None = None,
) -> NDArray[np.float64]:
    """Returns accuracies in resamples of the images, of the votes, or of both.

    Args:
        aligned: Predictions of at least one run.
        votes: Annotators' votes to resample, for the same images; None keeps the labels.
        random: Source of the draws.
        draws: Number of draws.
        images: Whether to draw bootstrap samples of the images; of the persons if one has several.
        persons: Person of each image, as `persons.persons_of` returns them.

    Returns:
        Shape (draws, R).
    """
    chances = None if votes is None else _label_chances_of(aligned, votes)
    if not have_several_images(persons):
        persons = None
    if len(aligned) <= EXACT_IMAGES:
        return _drawn_accuracies(aligned, chances, persons, random, draws, images=images)
    if persons is None or not images:
        return _normal_accuracies(aligned, chances, random, draws, images=images)
    step = max(1, draws * EXACT_IMAGES // len(aligned))  # all draws may not fit in memory
    parts = [
        _drawn_accuracies(aligned, chances, persons, random, min(step, draws - start), images=True)
        for start in range(0, draws, step)
    ]
    return np.concatenate(parts)


def _drawn_accuracies(
    aligned: AlignedPredictions,
    chances: NDArray[np.float64] | None,
    persons: NDArray[np.object_] | None,
    random: np.random.Generator,
    draws: int,
    *,
    images: bool,
) -> NDArray[np.float64]:
    """Draws each resample image by image, or person by person."""
    labels = None if chances is None else _labels(chances, len(aligned.labels), random, draws)
    if images and labels is None:
        return _bootstrap(aligned.right, persons, random, draws)
    weights = _weights(persons, len(aligned), random, draws) if images else None
    return _accuracies(aligned, labels, weights, draws)


def _normal_accuracies(
    aligned: AlignedPredictions,
    chances: NDArray[np.float64] | None,
    random: np.random.Generator,
    draws: int,
    *,
    images: bool,
) -> NDArray[np.float64]:
    """Draws each run's number of hits, and the number of images with a class, as normal.

    With weights w of the images (variance 1 - 1/N, covariance -1/N) and independent hits x of mean
    m, the sum of w x has the covariance (2 - 1/N) sum(Cov x) + sum(m m') - sum(m) sum(m)' / N.
    """
    count = len(aligned)
    mean, mean_products, second = _moments(aligned, chances)
    by_votes = second - mean_products
    covariance = by_votes
    if images:
        covariance = (2 - 1 / count) * by_votes + mean_products - np.outer(mean, mean) / count
    drawn = random.multivariate_normal(
        mean, covariance, size=draws, check_valid="ignore", method="eigh"
    )
    sums = np.rint(drawn)
    total = np.maximum(sums[:, -1:], 1)
    accuracy: NDArray[np.float64] = np.clip(sums[:, :-1], 0, total) / total
    return accuracy


def _moments(
    aligned: AlignedPredictions, chances: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Sums moments over the images.

    The variables are whether each run is right, and last whether the image's label is a class.

    Returns:
        The sums of the means m, of m m', and of the second moments; R + 1 rows each.
    """
    runs, classes = len(aligned.predicted), len(aligned.labels)
    mean, mean_products = np.zeros(runs + 1), np.zeros((runs + 1, runs + 1))
    second = np.zeros((runs + 1, runs + 1))
    for start in range(0, len(aligned), _BLOCK):
        part = slice(start, start + _BLOCK)
        predicted = aligned.predicted[:, part]
        if chances is None:
            hit = aligned.right[:, part].astype(np.float64)
        else:
            by_class = chances[part, :classes].T
            hit = np.take_along_axis(by_class, predicted.astype(np.intp), axis=0)
            for index in range(classes):
                chosen = (predicted == index).astype(np.float64)
                second[:-1, :-1] += (chosen * by_class[index]) @ chosen.T
        has_class = np.ones(hit.shape[1]) if chances is None else by_class.sum(axis=0)
        hit = np.concatenate([hit, has_class[None]])
        mean += hit.sum(axis=1)
        mean_products += hit @ hit.T
    if chances is None:
        return mean, mean_products, mean_products
    second[-1], second[:, -1] = mean, mean  # a run can only be right where the label is a class
    return mean, mean_products, second


def _bootstrap(
    right: NDArray[np.bool_],
    persons: NDArray[np.object_] | None,
    random: np.random.Generator,
    draws: int,
) -> NDArray[np.float64]:
    """Returns accuracy by draw and run, shape (draws, R), with the labels as they are."""
    ones = np.ones(right.shape[1])
    values = np.stack([sums_by_person(row, persons) for row in (ones, *right.astype(float))])
    sums = _counts(values.shape[1], random, draws) @ values.T.astype(np.float32)
    accuracy: NDArray[np.float64] = sums[:, 1:].astype(np.float64) / sums[:, :1]
    return accuracy


def _weights(
    persons: NDArray[np.object_] | None, images: int, random: np.random.Generator, draws: int
) -> NDArray[np.float32]:
    """Returns how often each image is in each bootstrap sample, shape (draws, N)."""
    if persons is None:
        return _counts(images, random, draws)
    numbers = person_numbers(persons)
    return _counts(int(numbers.max()) + 1, random, draws)[:, numbers]


def _counts(units: int, random: np.random.Generator, draws: int) -> NDArray[np.float32]:
    """Returns how often each image or person is in each bootstrap sample, shape (draws, units)."""
    picked = random.integers(units, size=(draws, units), dtype=np.int32)
    picked += (np.arange(draws, dtype=np.int32) * units)[:, None]
    counts = np.bincount(picked.ravel(), minlength=draws * units)
    return counts.reshape(draws, units).astype(np.float32)


def _accuracies(
    aligned: AlignedPredictions,
    labels: NDArray[np.int8] | None,
    weights: NDArray[np.float32] | None,
    draws: int,
) -> NDArray[np.float64]:
    """Returns accuracy by draw and run, shape (draws, R)."""
    if labels is None:
        return np.repeat(aligned.right.mean(axis=1)[None], draws, axis=0)
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


def _label_chances_of(aligned: AlignedPredictions, votes: Votes) -> NDArray[np.float64]:
    """Returns the chances of the labels, shape (N, M); an image without votes keeps its label."""
    chances = label_chances(np.concatenate([votes.counts, votes.others], axis=1))
    without = chances.sum(axis=1) == 0
    chances[without, aligned.truth[without]] = 1.0
    return chances


def _labels(
    chances: NDArray[np.float64], classes: int, random: np.random.Generator, draws: int
) -> NDArray[np.int8]:
    """Resamples the images' labels, shape (draws, N)."""
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
