import numpy as np
import pytest

from fer_core.evaluation.few_labels.coda import coda, confusion_counts, probability_best
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
