"""Simulates labelling on images with known labels, to measure how well an acquisition chooses."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_core.evaluation.few_labels.accuracy import estimate_accuracies
from fer_core.evaluation.few_labels.acquisition import Acquisition, draw, sampling_probabilities
from fer_core.evaluation.few_labels.pool import Floats, Labelled, LabelPool
from fer_core.evaluation.few_labels.posterior import posterior
from fer_core.evaluation.few_labels.selection import MARGIN, select

BUDGETS = (50, 100, 200)


@dataclass(frozen=True)
class Simulated:
    """One repeat.

    Attributes:
        regret: Accuracy of the best run minus that of the leader, after each budget, 0 to 1.
        covered: Whether each run's interval contains its accuracy, shape (budgets, R).
        width: Mean width of the intervals after each budget.
        probability: P(best) of the leader after each budget.
        stopped: Labels at which the rule first said stop; None if it did not.
        stopped_well: Whether the leader was within the margin then.
    """

    regret: tuple[float, ...]
    covered: NDArray[np.bool_]
    width: tuple[float, ...]
    probability: tuple[float, ...]
    stopped: int | None
    stopped_well: bool


def simulate(
    pool: LabelPool,
    truth: NDArray[np.int64],
    acquisition: Acquisition,
    seed: int,
    budgets: Sequence[int] = BUDGETS,
) -> Simulated:
    """Labels images one by one and compares the estimates with the truth.

    Args:
        pool: The images.
        truth: True classes, shape (N,).
        acquisition: Method that chooses the next image.
        seed: Seed of the repeat.
        budgets: Numbers of labels, ascending, at most N.
    """
    accuracy = (pool.predicted == truth).mean(axis=1)
    labelled, belief = Labelled.none(pool.classes), posterior(pool, Labelled.none(pool.classes))
    regret, covered, width, probability = [], [], [], []
    stopped, well = None, False
    for count in range(1, max(budgets) + 1):
        probabilities = sampling_probabilities(pool, labelled, belief, acquisition, seed)
        row = draw(probabilities, len(labelled), seed)
        share: Floats = np.eye(pool.classes)[truth[row]]
        labelled = labelled.add(row, share, float(probabilities[row]))
        belief = posterior(pool, labelled, belief.weights)
        lacks = float(accuracy.max() - accuracy[belief.leader])
        if count not in budgets and (stopped is not None or count % 5):
            continue
        selection = select(pool, labelled, belief)
        if stopped is None and selection.may_stop:
            stopped, well = count, lacks <= MARGIN
        if count in budgets:
            estimates = estimate_accuracies(pool, labelled)
            covered.append((estimates.low <= accuracy) & (accuracy <= estimates.high))
            width.append(float((estimates.high - estimates.low).mean()))
            probability.append(float(selection.probability_best[belief.leader]))
            regret.append(lacks)
    return Simulated(
        tuple(regret), np.array(covered), tuple(width), tuple(probability), stopped, well
    )
