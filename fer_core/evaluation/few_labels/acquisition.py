"""Probability of each image to be labelled next, given the labels so far.

Every acquisition is mixed with a design that gives each unlabelled image a positive probability:
only then can the accuracies be estimated without bias (`accuracy.py`).
"""

from collections.abc import Callable, Mapping
from enum import StrEnum

import numpy as np

from fer_core.evaluation.few_labels.coda import coda
from fer_core.evaluation.few_labels.pool import Floats, Labelled, LabelPool
from fer_core.evaluation.few_labels.posterior import Posterior

EXPLORE = 0.3
"""Share of the labels that the design with positive probabilities draws."""

_PAIR_DRAWS = 100


class Acquisition(StrEnum):
    """Methods that choose the next image; the value is the name."""

    RANDOM = "random"
    DISAGREEMENT = "disagreement-stratified"
    ACTIVE_TESTING = "active testing"
    CODA = "CODA"
    THOMPSON = "Thompson sampling of pairs"


DEFAULT = Acquisition.THOMPSON
"""The best in the simulation of `python -m benchmarks --only labels`; see docs/transfer.md."""


def sampling_probabilities(
    pool: LabelPool,
    labelled: Labelled,
    belief: Posterior,
    acquisition: Acquisition = DEFAULT,
    seed: int = 0,
) -> Floats:
    """Returns the probability of each image to be labelled next, shape (N,).

    It depends on the labels so far and the seed alone. Labelled images have 0, all others more;
    all have 0 once every image is labelled.

    Args:
        pool: The images.
        labelled: Labels so far.
        belief: Posterior of the accuracies.
        acquisition: Method that chooses the image.
        seed: Seed of the random draws.
    """
    unlabelled = np.ones(len(pool))
    unlabelled[labelled.rows] = 0
    if not unlabelled.any():
        return unlabelled
    if acquisition is Acquisition.RANDOM:
        return np.asarray(unlabelled / unlabelled.sum())
    random = np.random.default_rng([seed, len(labelled)])
    weights = _WEIGHTS[acquisition](pool, labelled, belief, random) * unlabelled
    base = _base_design(pool, unlabelled)
    total = weights.sum()
    if total <= 0:  # nothing is left that could tell the runs apart
        return base
    mixed = EXPLORE * base + (1 - EXPLORE) * weights / total
    return np.asarray(mixed / mixed.sum())


def draw(probabilities: Floats, labels_so_far: int, seed: int = 0) -> int:
    """Draws the next image by its probabilities, always the same for the same step and seed."""
    random = np.random.default_rng([seed, labels_so_far, 1])
    ends = np.cumsum(probabilities)
    row = int(np.searchsorted(ends, random.random() * ends[-1], side="right"))
    return min(row, int(np.flatnonzero(probabilities)[-1]))


def _base_design(pool: LabelPool, unlabelled: Floats) -> Floats:
    """Half uniform, half by how uncertain the runs' results are, which narrows the intervals."""
    uncertain = np.sqrt((pool.expected * (1 - pool.expected)).mean(axis=0)) * unlabelled
    uniform = unlabelled / unlabelled.sum()
    total = uncertain.sum()
    return np.asarray(uniform if total <= 0 else 0.5 * uniform + 0.5 * uncertain / total)


def _by_disagreement(
    pool: LabelPool, labelled: Labelled, belief: Posterior, random: np.random.Generator
) -> Floats:
    return pool.disagreement.astype(np.float64)


def _by_expected_loss(
    pool: LabelPool, labelled: Labelled, belief: Posterior, random: np.random.Generator
) -> Floats:
    """Active testing (Kossen et al. 2021): by the loss that the consensus expects of the runs."""
    loss: Floats = 1 - pool.expected.mean(axis=0, dtype=np.float64)
    return np.maximum(loss, 0)


def _by_leading_pairs(
    pool: LabelPool, labelled: Labelled, belief: Posterior, random: np.random.Generator
) -> Floats:
    """Thompson sampling: two runs lead in a draw of the accuracies; their disagreements count.

    Within a pair's disagreements, images count by the variance of the difference of the two
    results under the consensus.
    """
    drawn = belief.draws(_PAIR_DRAWS, int(random.integers(2**32)))
    leading = np.sort(np.argpartition(-drawn, 1, axis=1)[:, :2], axis=1)
    pairs, counts = np.unique(leading, axis=0, return_counts=True)
    unlabelled = np.ones(len(pool), dtype=bool)
    unlabelled[labelled.rows] = False
    weights = np.zeros(len(pool))
    for (first, second), count in zip(pairs, counts, strict=True):
        differ = (pool.predicted[first] != pool.predicted[second]) & unlabelled
        leader, other = pool.expected[first], pool.expected[second]
        variance = np.where(differ, leader + other - (leader - other) ** 2, 0)
        total = float(variance.sum())
        if total > 0:
            weights += count * variance / total
    return weights


_Weights = Callable[[LabelPool, Labelled, Posterior, np.random.Generator], Floats]
_WEIGHTS: Mapping[Acquisition, _Weights] = {
    Acquisition.DISAGREEMENT: _by_disagreement,
    Acquisition.ACTIVE_TESTING: _by_expected_loss,
    Acquisition.CODA: coda,
    Acquisition.THOMPSON: _by_leading_pairs,
}
