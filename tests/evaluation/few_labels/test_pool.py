import numpy as np
import pytest

from fer_core.errors import DataError
from fer_core.evaluation.few_labels.pool import Labelled, LabelPool
from tests.support.pools import labels_of, made_up_runs


def test_consensus_and_expected_results_of_two_images():
    pool = LabelPool.of([np.array([[0.9, 0.1], [0.3, 0.7]]), np.array([[0.5, 0.5], [0.8, 0.2]])])
    assert pool.consensus == pytest.approx(np.array([[0.7, 0.3], [0.55, 0.45]]))
    assert pool.predicted.tolist() == [[0, 1], [0, 0]]
    assert pool.expected == pytest.approx(np.array([[0.7, 0.45], [0.7, 0.55]]))
    assert pool.disagreement.tolist() == [False, True]


def test_the_covariance_is_the_sum_over_images():
    runs, _ = made_up_runs((0.8, 0.6, 0.5), images=40)
    pool = LabelPool.of(runs)
    total = np.zeros((4, 4))
    for row in range(40):
        features, weights = pool.features(np.array([row]))[0], pool.consensus[row].astype(float)
        total += np.cov(features.T, aweights=weights, ddof=0)
    assert pool.covariance == pytest.approx(total, abs=1e-4)
    # the variance of a run's number of right answers
    assert pool.covariance[0, 0] == pytest.approx(
        (pool.expected[0] * (1 - pool.expected[0])).sum(), rel=1e-4
    )


@pytest.mark.parametrize(
    "runs",
    [[], [np.full((3, 2), 0.5)], [np.full((3, 2), 0.5), np.full((4, 2), 0.5)],
     [np.zeros((0, 2)), np.zeros((0, 2))]],
)  # fmt: skip
def test_one_run_no_image_and_other_images_are_refused(runs):
    with pytest.raises(DataError):
        LabelPool.of(runs)


def test_labels_agree_with_runs_in_shares_and_an_unclear_image_with_none():
    runs, truth = made_up_runs((0.8, 0.6), images=10)
    pool = LabelPool.of(runs)
    labelled = labels_of(pool, [3], truth).add(5, np.zeros(4), 0.1)
    labelled = labelled.add(7, np.array([0.5, 0.5, 0, 0]), 0.1)
    right = labelled.right(pool)
    assert right[0].tolist() == (pool.predicted[:, 3] == truth[3]).tolist()
    assert right[1].tolist() == [0, 0]
    assert right[2].tolist() == (0.5 * (pool.predicted[:, 7] < 2)).tolist()
    assert labelled.clear.tolist() == [True, False, True]
    assert len(labelled.first(2)) == 2
    assert len(Labelled.none(4)) == 0
