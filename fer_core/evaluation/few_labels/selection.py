"""The selection after some labels: which run is best, how surely, and whether more labels pay."""

from dataclasses import dataclass

import numpy as np

from fer_core.evaluation.few_labels.acquisition import draw
from fer_core.evaluation.few_labels.pool import Floats, Labelled, LabelPool
from fer_core.evaluation.few_labels.posterior import (
    DRAWS,
    Posterior,
    normal_draws,
    posterior,
)

MARGIN = 0.01
"""A run this close to the best is good enough to stop."""

CERTAINTY = 0.97
"""Probability at which labelling may stop. It is looked at after every label, so it is higher than
the 95% that the simulation on validation then reaches."""

CAUTIOUS_SCALE = 2.0
"""Prior standard deviation of a run's weight for the stop rule, in nats: it trusts the consensus
less than the choice does."""

LEAST_LABELS = 20
"""Labels before the rule may say stop."""

WORTH_LABELS = 10
"""Number of further labels whose worth is shown; of one alone it is often 0."""


@dataclass(frozen=True)
class NextImage:
    """The image to label next.

    Attributes:
        row: Position of the image in the pool.
        probability: Probability with which it was drawn; stored with its label.
        step: Number of labels before it.
    """

    row: int
    probability: float
    step: int


@dataclass(frozen=True)
class Selection:
    """Result of the labels for the choice of a run.

    Attributes:
        probability_best: Probability that each run is the best, shape (R,); sums to 1.
        expected: Expected accuracy of each run, shape (R,), by the model of `posterior.py`.
        leader: Position of the run with the highest expected accuracy.
        regret: Expected accuracy that the leader lacks to the best, 0 to 1.
        within_margin: Probability that the leader is within `MARGIN` of the best, with the prior of
            `CAUTIOUS_SCALE`.
        labels: Number of clear labels.
    """

    probability_best: Floats
    expected: Floats
    leader: int
    regret: float
    within_margin: float
    labels: int

    @property
    def may_stop(self) -> bool:
        """Whether the leader is within the margin with the required certainty."""
        return self.labels >= LEAST_LABELS and self.within_margin >= CERTAINTY


def select(pool: LabelPool, labelled: Labelled, belief: Posterior) -> Selection:
    """Summarises what is known about the accuracies.

    Args:
        pool: The images.
        labelled: Labels so far.
        belief: Posterior after these labels.
    """
    drawn = belief.draws(DRAWS)
    leader = belief.leader
    best = np.bincount(drawn.argmax(axis=1), minlength=drawn.shape[1]) / len(drawn)
    cautious = posterior(pool, labelled, belief.weights, CAUTIOUS_SCALE).draws(DRAWS)
    gap = cautious.max(axis=1) - cautious[:, leader]
    regret = drawn.max(axis=1) - drawn[:, leader]
    return Selection(
        best,
        belief.mean,
        leader,
        float(regret.mean()),
        float((gap <= MARGIN).mean()),
        int(labelled.clear.sum()),
    )


def next_image(probabilities: Floats, labels_so_far: int, seed: int = 0) -> NextImage | None:
    """Returns the image to label next, the same for the same labels and seed; None if all are.

    Args:
        probabilities: Result of `sampling_probabilities`, shape (N,).
        labels_so_far: Number of labels, unclear ones included.
        seed: Seed of the draw.
    """
    if not probabilities.any():
        return None
    row = draw(probabilities, labels_so_far, seed)
    return NextImage(row, float(probabilities[row]), labels_so_far)


def worth_of_next(
    pool: LabelPool, belief: Posterior, probabilities: Floats, count: int = WORTH_LABELS
) -> float:
    """Returns by how much the next labels are expected to improve the choice of the run.

    This is the expected accuracy of the run that will lead after them, minus that of today's
    leader (value of information; Frazier et al. 2008), in the normal approximation.

    Args:
        pool: The images.
        belief: Posterior so far.
        probabilities: Probability of each image to be labelled next, shape (N,).
        count: Number of further labels: the images with the highest probabilities.

    Returns:
        Accuracy, 0 to 1.
    """
    rows = np.argsort(-probabilities, kind="stable")[:count]
    rows = rows[probabilities[rows] > 0]
    removed = belief.covariance - belief.after(pool.feature_covariance(rows))
    means = normal_draws(belief.mean, removed, DRAWS, 0)
    leads = means.max(axis=1) - means[:, belief.leader]
    return float(leads.mean())
