import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_core.evaluation.few_labels.accuracy import (
    estimate_accuracies,
    estimate_shares,
    lure,
    lure_weights,
)
from fer_core.evaluation.few_labels.pool import Labelled, LabelPool
from tests.support.pools import drawn_labels, labels_of, made_up_runs


def published_weights(probability, total):
    """LURE's weights as Farquhar et al. write them (2021, equation 9)."""
    count = len(probability)
    step = np.arange(1, count + 1)
    inverse = 1 / ((total - step + 1) * probability)
    return 1 + (total - count) / (total - step) * (inverse - 1)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 12), st.integers(0, 10_000))
def test_the_estimate_is_that_of_the_published_weights(count, seed):
    random = np.random.default_rng(seed)
    values, probability = random.normal(size=(count, 2)), random.uniform(0.01, 0.5, count)
    mean, deviations = lure(values, probability, 30)
    expected = (published_weights(probability, 30)[:, None] * values).mean(axis=0)
    assert mean == pytest.approx(expected)
    assert deviations.mean(axis=0) == pytest.approx(np.zeros(2), abs=1e-9)


def test_weights_are_the_published_ones_and_give_the_estimate():
    random = np.random.default_rng(0)
    values, probability = random.normal(size=(12, 2)), random.uniform(0.01, 0.5, 12)
    weights = lure_weights(probability, 30)
    assert weights == pytest.approx(published_weights(probability, 30))
    mean, _ = lure(values, probability, 30)
    assert (weights[:, None] * values).mean(axis=0) == pytest.approx(mean)


def test_labels_that_were_drawn_with_equal_probability_weigh_the_same():
    assert lure_weights(1 / (30 - np.arange(12)), 30) == pytest.approx(np.ones(12))
    assert lure_weights(np.full(30, 0.5), 30) == pytest.approx(np.ones(30))


def test_the_estimate_is_unbiased_over_all_samples_of_an_adaptive_design():
    """Exact: every sequence of two of four images, the second drawn depending on the first."""
    values = np.array([[1.0], [0.0], [0.0], [5.0]])
    first = np.array([0.1, 0.2, 0.3, 0.4])
    total = 0.0
    for one in range(4):
        weights = np.where(values[one] > 0, [1, 2, 3, 4], [4, 3, 2, 1]).astype(float)
        weights[one] = 0
        second = weights / weights.sum()
        for two in np.flatnonzero(second):
            mean, _ = lure(values[[one, two]], np.array([first[one], second[two]]), 4)
            total += first[one] * second[two] * mean[0]
    assert total == pytest.approx(values.mean())


def test_all_labels_give_the_accuracies_themselves():
    runs, truth = made_up_runs((0.9, 0.6), images=30)
    pool = LabelPool.of(runs)
    estimates = estimate_accuracies(pool, labels_of(pool, np.arange(30), truth))
    accuracy = (pool.predicted == truth).mean(axis=1)
    for values in (estimates.value, estimates.low, estimates.high):
        assert values == pytest.approx(accuracy)


def test_without_labels_and_with_one_nothing_is_claimed():
    runs, truth = made_up_runs((0.9, 0.6), images=30)
    pool = LabelPool.of(runs)
    for labelled in (Labelled.none(4), labels_of(pool, [3], truth)):
        estimates = estimate_accuracies(pool, labelled)
        assert (estimates.low == 0).all()
        assert (estimates.high == 1).all()


def test_a_run_that_is_always_right_is_not_certain():
    truth = np.arange(200) % 4
    sure = np.eye(4)[truth]
    pool = LabelPool.of([sure, sure])
    estimates = estimate_accuracies(pool, labels_of(pool, np.arange(5), truth))
    assert estimates.value.tolist() == [1, 1]
    assert (estimates.low < 0.9).all()


def test_an_interval_by_hand():
    """Five labels whose shares are what the consensus expects: only the added variance is left."""
    pool = LabelPool.of([np.tile([0.8, 0.2], (50, 1)), np.tile([0.8, 0.2], (50, 1))])
    labelled = Labelled.none(2)
    for row in range(5):
        labelled = labelled.add(row, np.array([0.8, 0.2]), 1 / (50 - row))
    estimates = estimate_accuracies(pool, labelled)
    square = 2.776445**2  # Student's quantile for 4 degrees of freedom
    smoothed = (5 * 0.8 + square / 2) / (5 + square)
    labels = smoothed * (1 - smoothed) / (0.25 / (5 * 4))
    centre = (0.8 + square / labels / 2) / (1 + square / labels)
    half = np.sqrt(square / labels * (0.16 + square / labels / 4)) / (1 + square / labels)
    assert estimates.value == pytest.approx([0.8, 0.8])
    assert estimates.low == pytest.approx([centre - half] * 2)
    assert estimates.high == pytest.approx([centre + half] * 2)


def test_unclear_labels_do_not_widen_the_interval_of_runs_that_are_right_on_clear_ones():
    """Right images over clear images is 1 in every resample: only the added variance is left."""
    pool = LabelPool.of([np.tile([0.8, 0.2], (50, 1))] * 2)
    labelled = Labelled.none(2)
    for row in range(6):
        labelled = labelled.add(row, np.array([float(row % 2), 0.0]), 1 / (50 - row))
    estimates = estimate_accuracies(pool, labelled)
    square = 2.570582**2  # Student's quantile for 5 degrees of freedom
    smoothed = (6 + square / 2) / (6 + square)
    labels = smoothed * (1 - smoothed) / (0.25 / (6 * 5))
    centre = (0.999 + square / labels / 2) / (1 + square / labels)
    half = np.sqrt(square / labels * (0.000999 + square / labels / 4)) / (1 + square / labels)
    assert estimates.value == pytest.approx([1, 1])
    assert estimates.low == pytest.approx([centre - half] * 2)


def test_each_run_has_its_own_interval_whatever_the_order():
    runs, truth = made_up_runs((0.95, 0.5), images=100)
    estimates, reverse = (
        estimate_accuracies(pool, labels_of(pool, np.arange(40), truth))
        for pool in (LabelPool.of(runs), LabelPool.of(runs[::-1]))
    )
    for name in ("value", "low", "high"):
        assert getattr(estimates, name) == pytest.approx(getattr(reverse, name)[::-1])
    widths = estimates.high - estimates.low
    assert widths[0] < 0.8 * widths[1]


@pytest.mark.parametrize(("label", "accuracy"), [(0, 1), (1, 0)])
def test_an_accuracy_stays_within_0_and_1(label, accuracy):
    """Improbable images weigh much: one right answer would be worth more than all images."""
    pool = LabelPool.of([np.tile([0.6, 0.4], (50, 1))] * 2)
    truth = np.full(50, label)
    estimates = estimate_accuracies(pool, labels_of(pool, range(3), truth, np.full(3, 1e-3)))
    assert estimates.value.tolist() == [accuracy, accuracy]


def test_only_unclear_images_and_no_clear_one_give_no_nonsense():
    runs, _ = made_up_runs((0.9, 0.6), images=30)
    pool = LabelPool.of(runs)
    labelled = Labelled.none(4)
    for row in range(5):
        labelled = labelled.add(row, np.zeros(4), 1 / (30 - row))
    estimates = estimate_accuracies(pool, labelled)
    for values in (estimates.value, estimates.low, estimates.high):
        assert ((values >= 0) & (values <= 1)).all()


def test_unclear_images_are_left_out_of_the_accuracy():
    """Half of the images are unclear; the others are all right."""
    truth = np.arange(400) % 4
    pool = LabelPool.of([np.eye(4)[truth] * 0.6 + 0.1] * 2)
    random = np.random.default_rng(0)
    labelled = Labelled.none(4)
    for step, row in enumerate(random.permutation(400)[:200]):
        share = np.eye(4)[truth[row]] if row % 2 else np.zeros(4)
        labelled = labelled.add(int(row), share, 1 / (400 - step))
    assert estimate_accuracies(pool, labelled).value == pytest.approx([1, 1], abs=0.02)


def test_intervals_of_class_shares_contain_them_in_95_percent_of_repeats():
    truth = np.random.default_rng(0).choice(3, 1000, p=[0.5, 0.3, 0.2])
    weights = np.where(truth == 0, 4.0, 1.0)  # one class is drawn four times as often
    shares, covered = np.bincount(truth) / len(truth), []
    for seed in range(60):
        estimates = estimate_shares(drawn_labels(truth, 100, weights, seed), 1000)
        covered.append(
            [item.low < share < item.high for item, share in zip(estimates, shares, strict=True)]
        )
    assert 0.89 <= np.mean(covered) <= 0.995


def test_known_labels_narrow_the_interval_by_their_share():
    runs, truth = made_up_runs((0.8, 0.6), images=100)
    known = np.stack([np.arange(300) < 240, np.arange(300) < 90])
    alone, together = LabelPool.of(runs), LabelPool.of(runs, known)
    # before any label, at least 240 of the 400 are right, and at most 340
    none = estimate_accuracies(together, Labelled.none(4))
    assert none.low.tolist() == [0.6, 0.225]
    assert none.high.tolist() == [0.85, 0.475]
    labelled = labels_of(alone, np.arange(30), truth)
    unknown, found = estimate_accuracies(alone, labelled), estimate_accuracies(together, labelled)
    for part in ("value", "low", "high"):
        expected = (np.array([240, 90]) + 100 * getattr(unknown, part)) / 400
        assert getattr(found, part) == pytest.approx(expected)


def test_unclear_images_leave_more_weight_to_known_labels():
    runs, truth = made_up_runs((0.8, 0.6), images=20)
    pool = LabelPool.of(runs, np.ones((2, 10), dtype=bool))
    half = labels_of(pool, np.arange(20), truth)
    unclear = Labelled(half.rows, half.shares * (half.rows < 10)[:, None], half.probability)
    right = (pool.predicted == truth)[:, :10].sum(axis=1)
    assert estimate_accuracies(pool, unclear).value == pytest.approx((10 + right) / 20)
