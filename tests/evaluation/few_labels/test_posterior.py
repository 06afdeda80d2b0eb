import numpy as np
import pytest

from fer_core.evaluation.few_labels.pool import Labelled, LabelPool
from fer_core.evaluation.few_labels.posterior import posterior
from tests.support.pools import labels_of, made_up_runs

NONE = Labelled.none(4)


def test_without_labels_the_consensus_decides():
    runs, _ = made_up_runs((0.9, 0.7, 0.5))
    pool = LabelPool.of(runs)
    belief = posterior(pool, NONE)
    assert belief.mean == pytest.approx(pool.expected.mean(axis=1), abs=1e-6)
    assert belief.leader == 0
    assert not belief.weights.any()


def test_with_all_labels_the_accuracies_are_known():
    runs, truth = made_up_runs((0.9, 0.7, 0.5))
    pool = LabelPool.of(runs)
    belief = posterior(pool, labels_of(pool, np.arange(400), truth))
    assert belief.mean == pytest.approx((pool.predicted == truth).mean(axis=1), abs=1e-9)
    assert np.abs(belief.covariance).max() < 1e-12


def test_known_labels_are_a_fixed_part_of_the_accuracies():
    """300 of 400 labels are known: the rest is as uncertain as before, on a quarter of the images.

    What they say about the others is not used: the first run is right on all of them.
    """
    runs, truth = made_up_runs((0.7, 0.7))
    known = np.stack([np.ones(300, dtype=bool), np.arange(300) < 150])
    rest = [part[300:] for part in runs]
    alone, together = LabelPool.of(rest), LabelPool.of(rest, known)
    assert (together.known_images, together.known_right.tolist()) == (300, [300, 150])
    labelled = labels_of(alone, np.arange(40), truth[300:])
    apart, belief = posterior(alone, labelled), posterior(together, labelled)
    expected = 0.25 * apart.mean + 0.75 * np.array([1, 0.5])
    assert belief.mean == pytest.approx(expected)
    assert belief.covariance == pytest.approx(apart.covariance / 16)
    assert belief.weights == pytest.approx(apart.weights)
    assert belief.leader == 0


def test_an_unclear_image_does_not_count():
    runs, truth = made_up_runs((0.9, 0.7), images=20)
    pool = LabelPool.of(runs)
    labelled = labels_of(pool, np.arange(19), truth).add(19, np.zeros(4), 1.0)
    belief = posterior(pool, labelled)
    assert belief.mean == pytest.approx((pool.predicted == truth)[:, :19].mean(axis=1), abs=1e-9)
    assert belief.images == 19


def test_labels_correct_a_wrong_consensus():
    """Two copies of a bad run outvote a good one; labels turn this round."""
    (good, bad), truth = made_up_runs((0.95, 0.5))
    pool = LabelPool.of([good, bad, bad])
    assert posterior(pool, NONE).leader != 0
    rows = np.flatnonzero(pool.disagreement)[:30]
    belief = posterior(pool, labels_of(pool, rows, truth))
    assert belief.leader == 0
    assert belief.weights[0] > 0 > belief.weights[1]


def test_runs_that_predict_alike_have_no_difference_to_find():
    (first, second), _ = made_up_runs((0.9, 0.7))
    belief = posterior(LabelPool.of([first, first, second]), NONE)
    drawn = belief.draws(200)
    assert np.abs(drawn[:, 0] - drawn[:, 1]).max() < 1e-6
    assert np.abs(drawn[:, 0] - drawn[:, 2]).max() > 1e-2


def test_the_start_of_the_search_changes_nothing():
    runs, truth = made_up_runs((0.9, 0.7, 0.5))
    pool = LabelPool.of(runs)
    labelled = labels_of(pool, np.arange(50), truth)
    there = posterior(pool, labelled)
    again = posterior(pool, labelled, np.array([0.5, -0.5, 0.2, 1.0]))
    assert again.weights == pytest.approx(there.weights, abs=1e-5)
    assert again.mean == pytest.approx(there.mean, abs=1e-6)


def test_the_covariance_is_of_the_unlabelled_classes_and_of_the_weights():
    """Without labels the weights have their prior: deviations of 0.3, and 0.5 of the consensus."""
    runs, _ = made_up_runs((0.9, 0.7), images=30)
    pool = LabelPool.of(runs)
    belief = posterior(pool, NONE)
    classes = pool.covariance
    weights = classes @ np.diag([0.3**2, 0.3**2, 0.5**2]) @ classes
    assert belief.covariance == pytest.approx((classes + weights)[:2, :2] / 30**2)
    # nothing is left once all images are labelled
    assert belief.after(pool.covariance) == pytest.approx(np.zeros((2, 2)), abs=1e-12)
