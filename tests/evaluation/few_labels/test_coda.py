import numpy as np
import pytest

from fer_core.evaluation.few_labels.coda import (
    _best_by_class,
    _beta_tables,
    _betas,
    _class_probabilities,
    _expected_gains,
    coda,
    confusion_counts,
    probability_best,
)
from fer_core.evaluation.few_labels.pool import Labelled, LabelPool
from fer_core.evaluation.few_labels.posterior import posterior
from tests.support.pools import labels_of, made_up_runs


def test_each_label_adds_one_count_to_its_cell():
    runs, truth = made_up_runs((0.9, 0.6), images=50)
    pool = LabelPool.of(runs)
    before = confusion_counts(pool, Labelled.none(4))
    added = confusion_counts(pool, labels_of(pool, [0, 1, 2], truth)) - before
    expected = np.zeros((2, 4, 4))
    for run in range(2):
        for row in range(3):
            expected[run, truth[row], pool.predicted[run, row]] += 1
    assert added == pytest.approx(expected)
    assert before.sum(axis=2) == pytest.approx(np.full((2, 4), 2.0))


def test_the_prior_of_two_classes_by_hand():
    """Certain runs: 90% of two labels are on the diagonal, the rest is half on it."""
    pool = LabelPool.of([np.eye(2), np.eye(2)])
    prior = confusion_counts(pool, Labelled.none(2))
    assert prior == pytest.approx(np.array([[[1.9, 0.1], [0.1, 1.9]]] * 2))


def test_class_probabilities_by_hand():
    """P(predicted class 0 | class) is 3 / 4 for class 0 and 1 / 2 for class 1."""
    pool = LabelPool.of([np.eye(2), np.eye(2)])
    counts = np.array([[[3.0, 1.0], [1.0, 1.0]]] * 2)
    probabilities = _class_probabilities(pool, counts, np.arange(2))
    assert probabilities == pytest.approx(np.array([[0.6, 0.4], [1 / 3, 2 / 3]]))


def test_labels_make_the_best_run_probable():
    runs, truth = made_up_runs((0.9, 0.6, 0.5))
    pool = LabelPool.of(runs)
    before = probability_best(pool, Labelled.none(4))
    after = probability_best(pool, labels_of(pool, np.arange(200), truth))
    assert before.sum() == pytest.approx(1, abs=1e-6)
    assert after[0] > max(0.9, before[0])


def test_it_picks_one_image_on_which_runs_disagree():
    runs, truth = made_up_runs((0.9, 0.6, 0.5))
    pool = LabelPool.of(runs)
    labelled = labels_of(pool, np.arange(20), truth)
    weights = coda(pool, labelled, posterior(pool, labelled), np.random.default_rng(0))
    (row,) = np.flatnonzero(weights)
    assert pool.disagreement[row]
    assert row >= 20


def test_a_labelled_image_is_not_picked_again():
    runs, truth = made_up_runs((0.9, 0.6, 0.5), images=60)
    pool = LabelPool.of(runs)
    rows = np.flatnonzero(pool.disagreement)
    for count, picked in ((len(rows) - 1, [rows[-1]]), (len(rows), [])):
        labelled = labels_of(pool, rows[:count], truth)
        weights = coda(pool, labelled, posterior(pool, labelled), np.random.default_rng(0))
        assert np.flatnonzero(weights).tolist() == picked


def test_the_gain_is_the_entropy_that_a_label_is_expected_to_take_away():
    """Each class in turn: a count in the cells of all runs, weighted by the class's probability."""
    runs, _ = made_up_runs((0.9, 0.6, 0.5), images=40)
    pool, rows = LabelPool.of(runs), np.arange(3)
    counts, shares = confusion_counts(pool, Labelled.none(4)), np.array([0.4, 0.3, 0.2, 0.1])

    def entropy(cells):
        best = shares @ _best_by_class(*_beta_tables(*_betas(cells)))
        return -(best * np.log(best)).sum()

    chances = _class_probabilities(pool, counts, rows)
    expected = []
    for row in rows:
        after = 0.0
        for label in range(4):
            cells = counts.copy()
            cells[np.arange(3), label, pool.predicted[:, row]] += 1
            after += chances[row, label] * entropy(cells)
        expected.append(entropy(counts) - after)
    assert _expected_gains(pool, counts, shares, rows) == pytest.approx(expected, abs=1e-9)
