import numpy as np
import pytest

from fer_core.evaluation.few_labels.acquisition import sampling_probabilities
from fer_core.evaluation.few_labels.pool import Labelled, LabelPool
from fer_core.evaluation.few_labels.posterior import posterior
from fer_core.evaluation.few_labels.selection import (
    LEAST_LABELS,
    MARGIN,
    next_image,
    select,
    worth_of_next,
)
from tests.support.pools import labels_of, made_up_runs


def test_labels_raise_the_probability_of_the_best_until_it_may_stop():
    runs, truth = made_up_runs((0.9, 0.6, 0.5), images=1000)
    pool = LabelPool.of(runs)
    none, many = Labelled.none(4), labels_of(pool, np.arange(400), truth)
    before = select(pool, none, posterior(pool, none))
    after = select(pool, many, posterior(pool, many))
    assert before.probability_best.sum() == pytest.approx(1)
    assert after.leader == 0
    assert after.probability_best[0] > 0.99
    assert after.regret < 1e-3
    assert after.may_stop
    assert not before.may_stop


def test_certainty_alone_does_not_stop_before_the_least_number_of_labels():
    runs, truth = made_up_runs((0.9, 0.6), images=30)
    pool = LabelPool.of([runs[0], runs[0]])
    for count in (LEAST_LABELS - 1, LEAST_LABELS):
        labelled = labels_of(pool, np.arange(count), truth)
        selection = select(pool, labelled, posterior(pool, labelled))
        assert selection.within_margin == 1
        assert selection.may_stop == (count == LEAST_LABELS)


def test_the_next_image_follows_from_the_labels_and_there_is_none_after_the_last():
    runs, truth = made_up_runs((0.9, 0.6), images=12)
    pool = LabelPool.of(runs)
    labelled = Labelled.none(4)
    seen = []
    for _ in range(12):
        probabilities = sampling_probabilities(pool, labelled, posterior(pool, labelled))
        image = next_image(probabilities, len(labelled))
        assert image == next_image(probabilities, len(labelled))
        seen.append(image.row)
        labelled = labelled.add(image.row, np.eye(4)[truth[image.row]], image.probability)
    assert sorted(seen) == list(range(12))
    assert next_image(sampling_probabilities(pool, labelled, posterior(pool, labelled)), 12) is None


def test_labels_are_worth_something_between_equals_and_nothing_between_copies():
    runs, truth = made_up_runs((0.8, 0.8))
    close, copies = LabelPool.of(runs), LabelPool.of([runs[0], runs[0]])
    worth = []
    for pool in (close, copies):
        labelled = labels_of(pool, np.arange(10), truth)
        belief = posterior(pool, labelled)
        probabilities = sampling_probabilities(pool, labelled, belief)
        worth.append(worth_of_next(pool, belief, probabilities))
    assert worth[0] > 1e-4
    assert worth[1] == pytest.approx(0, abs=1e-6)


def test_the_stop_rule_is_more_cautious_than_the_choice():
    """Weights of the runs with a deviation of 2 instead of 0.3 leave more doubt."""
    runs, truth = made_up_runs((0.9, 0.85, 0.5))
    pool = LabelPool.of(runs)
    labelled = labels_of(pool, np.arange(30), truth).add(30, np.zeros(4), 0.1)
    belief = posterior(pool, labelled)
    selection = select(pool, labelled, belief)
    within = []
    for scale in (0.3, 2.0):
        drawn = posterior(pool, labelled, scale=scale).draws(2000)
        within.append((drawn.max(axis=1) - drawn[:, belief.leader] <= MARGIN).mean())
    assert within[1] < within[0]
    assert selection.within_margin == pytest.approx(within[1], abs=0.005)
    assert selection.labels == 30  # the unclear one does not count


def test_labelled_images_are_not_counted_as_next_ones():
    runs, truth = made_up_runs((0.8, 0.8), images=30)
    pool = LabelPool.of(runs)
    labelled = labels_of(pool, np.arange(28), truth)
    belief = posterior(pool, labelled)
    probabilities = sampling_probabilities(pool, labelled, belief)
    assert worth_of_next(pool, belief, probabilities, 10) == pytest.approx(
        worth_of_next(pool, belief, probabilities, 2)
    )
