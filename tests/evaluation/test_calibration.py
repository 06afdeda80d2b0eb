"""Calibration: by hand, against scikit-learn and scipy, and properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, special
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from fer_core.evaluation import calibration, metrics
from fer_core.evaluation.calibration import Binning
from fer_core.evaluation.columns import _CHUNK
from fer_core.evaluation.selective import risk_coverage
from tests.support.constructed import any_scores, doubled, make_scores, random_scores, shuffled


def test_reliability_by_hand():
    confidence = np.array([0.9, 0.9, 0.6, 0.6])
    right = np.array([True, False, True, True])
    result = calibration.reliability(confidence, right, bins=10)
    np.testing.assert_array_equal(result.count, [2, 2])
    np.testing.assert_allclose(result.confidence, [0.6, 0.9])
    np.testing.assert_allclose(result.frequency, [1.0, 0.5])
    assert result.ece == pytest.approx(0.4)


@pytest.mark.parametrize("how", ["uniform", "quantile"])
def test_reliability_agrees_with_scikit_learn(how):
    random = np.random.default_rng(0)
    confidence = random.random(2000)
    right = random.random(2000) < confidence**2
    binning = Binning.WIDTH if how == "uniform" else Binning.ADAPTIVE
    result = calibration.reliability(confidence, right, 10, binning)
    frequency, mean = calibration_curve(right, confidence, n_bins=10, strategy=how)
    # quantile edges fall on samples here, between samples there: one sample may change its bin
    tolerance = 1e-12 if how == "uniform" else 0.01
    np.testing.assert_allclose(result.frequency, frequency, atol=tolerance)
    np.testing.assert_allclose(result.confidence, mean, atol=tolerance)


@given(any_scores())
def test_the_ece_equals_metrics_and_diagram(scores):
    right = scores.predicted == scores.truth
    expected = metrics.ece(scores.truth, scores.probabilities)
    result = calibration.ece_with_interval(scores.confidence, right)
    assert result.value == pytest.approx(expected)
    assert calibration.reliability(scores.confidence, right).ece == pytest.approx(expected)
    assert 0 <= result.low <= result.high


@given(any_scores(), st.sampled_from(Binning))
def test_reliability_is_independent_of_order_and_duplication(scores, how):
    def diagram(given_scores):
        right = given_scores.predicted == given_scores.truth
        return calibration.reliability(given_scores.confidence, right, 5, how)

    first, second, twice = diagram(scores), diagram(shuffled(scores)), diagram(doubled(scores))
    np.testing.assert_allclose(first.frequency, second.frequency)
    np.testing.assert_array_equal(first.count, second.count)
    np.testing.assert_array_equal(2 * first.count, twice.count)
    assert first.ece == pytest.approx(twice.ece)


def test_equal_count_bins_have_equal_counts():
    confidence = np.random.default_rng(1).random(1500) ** 3
    count = np.bincount(calibration.bin_of(confidence, 15, Binning.ADAPTIVE))
    assert count.min() >= 99
    assert count.max() <= 101


@given(any_scores())
def test_the_ranking_gives_the_adaptive_diagram(scores):
    confidence, right = scores.confidence, scores.predicted == scores.truth
    ranked = calibration.adaptive_reliability(risk_coverage(confidence, right))
    sorted_once_more = calibration.reliability(confidence, right, how=Binning.ADAPTIVE)
    for name in ("count", "confidence", "frequency", "low", "high"):
        assert getattr(ranked, name) == pytest.approx(getattr(sorted_once_more, name))


def test_the_interval_covers_the_true_error():
    """A model that says 0.8 and is right 7 times in 10 has an error of 0.1."""
    inside = 0
    for seed in range(60):
        right = np.random.default_rng(seed).random(400) < 0.7
        result = calibration.ece_with_interval(np.full(400, 0.8), right, seed=seed)
        inside += result.low <= 0.1 <= result.high
    assert 51 <= inside <= 60  # 95% of 60 is 57; 51 or fewer has a chance below 1%


def test_the_interval_of_many_samples_is_narrow_and_fast():
    scores = random_scores(100_000, seed=3)
    result = calibration.ece_with_interval(scores.confidence, scores.predicted == scores.truth)
    assert result.high - result.low < 0.01


def test_brier_by_hand_and_by_scikit_learn():
    truth, probabilities = np.array([0, 1]), np.array([[0.7, 0.3], [0.6, 0.4]])
    assert calibration.brier_score(truth, probabilities) == pytest.approx((0.18 + 0.72) / 2)
    scores = random_scores(200)
    expected = brier_score_loss(
        scores.truth, scores.probabilities, labels=np.arange(7), scale_by_half=False
    )
    assert calibration.brier_score(scores.truth, scores.probabilities) == pytest.approx(expected)


def test_a_known_temperature_is_recovered():
    """Scores that are calibrated, sharpened by 2.5: the temperature undoes just that."""
    random = np.random.default_rng(0)
    logits = random.normal(0, 1.5, (20_000, 5))
    calibrated = special.softmax(logits, axis=1)
    truth = (calibrated.cumsum(axis=1) > random.random((20_000, 1))).argmax(axis=1)
    sharp = make_scores(truth, special.softmax(2.5 * logits, axis=1))
    result = calibration.fit_temperature(sharp)
    assert result == pytest.approx(2.5, rel=0.04)
    scaled = calibration.scale_predictions(sharp, result)
    before = metrics.ece(truth, sharp.probabilities)
    after = metrics.ece(truth, scaled.probabilities)
    assert after < 0.02 < before


def test_temperature_equals_scipys_minimum():
    scores = random_scores(500, seed=5, skill=1.0)
    logits = np.log(scores.probabilities)

    def loss(temperature):
        return -special.log_softmax(logits / temperature, axis=1)[
            np.arange(500), scores.truth
        ].mean()

    best = optimize.minimize_scalar(loss, bracket=(0.5, 1.5)).x
    assert calibration.fit_temperature(scores) == pytest.approx(best, rel=1e-3)


@pytest.mark.parametrize(("truth", "expected"), [([0, 0], 0.05), ([1, 1], 20.0)])
def test_the_temperature_has_limits(truth, expected):
    # always right: the lowest temperature is best; always wrong: the highest
    scores = make_scores(truth, [[0.6, 0.4], [0.9, 0.1]])
    assert calibration.fit_temperature(scores) == pytest.approx(expected, rel=2e-5)


@given(any_scores())
def test_no_other_temperature_has_a_lower_loss(scores):
    best = calibration.fit_temperature(scores)

    def loss(temperature):
        scaled = calibration.scale_confidence(scores.probabilities, temperature)
        return metrics.log_loss(scores.truth, scaled)

    assert 0.05 * 0.9999 < best < 20 * 1.0001
    others = np.clip([best * 1.001, best / 1.001, 0.05, 1, 20], 0.05 * 1.0001, 20 / 1.0001)
    assert all(loss(other) >= loss(best) * (1 - 1e-4) for other in others)


@given(any_scores(), st.floats(0.2, 5))
def test_scaling_keeps_the_predicted_class_and_a_distribution(scores, temperature):
    scaled = calibration.scale_predictions(scores, temperature)
    np.testing.assert_allclose(scaled.probabilities.sum(axis=1), 1)
    rows = np.arange(len(scores))
    best = scaled.probabilities[rows, scores.predicted]
    np.testing.assert_allclose(best, scaled.probabilities.max(axis=1))
    same = calibration.scale_predictions(scores, 1.0)
    np.testing.assert_allclose(same.probabilities, scores.probabilities, atol=1e-10)


def test_calibration_of_a_single_sample():
    result = calibration.calibration_metrics(make_scores([0], [[0.6, 0.4]]))
    assert result.ece.value == pytest.approx(0.4)
    assert result.adaptive_ece.value == pytest.approx(0.4)
    assert result.brier == pytest.approx(0.32)


def test_class_reliability_uses_the_class_probability():
    scores = make_scores([0, 0, 1], [[0.8, 0.2], [0.8, 0.2], [0.8, 0.2]])
    result = calibration.class_reliability(scores, "disgust", bins=5)
    np.testing.assert_allclose(result.confidence, [0.2])
    np.testing.assert_allclose(result.frequency, [1 / 3])


def test_class_reliability_uses_the_requested_bins():
    scores = random_scores(200)
    label = scores.labels.names[2]
    result = calibration.class_reliability(scores, label, 10, Binning.ADAPTIVE)
    expected = calibration.reliability(
        scores.probabilities[:, 2], scores.truth == 2, 10, Binning.ADAPTIVE
    )
    np.testing.assert_array_equal(result.count, expected.count)
    width = calibration.class_reliability(scores, label, 10)
    assert list(width.count) != list(result.count)


def test_brier_score_adds_up_over_chunks():
    few = random_scores(11)
    times = 2 * _CHUNK // 11 + 1
    score = calibration.brier_score(
        np.tile(few.truth, times), np.tile(few.probabilities, (times, 1))
    )
    assert score == pytest.approx(calibration.brier_score(few.truth, few.probabilities))


def test_temperature_of_rows_of_very_different_confidence_and_of_zeros():
    rows = np.array([[1.0, 0.0, 0.0], [0.34, 0.33, 0.33]])
    sharp = calibration.scale_confidence(rows, 0.01)
    np.testing.assert_allclose(sharp.sum(axis=1), 1)
    expected = special.softmax(np.log(np.clip(rows, 1e-12, 1)) / 0.01, axis=1)
    np.testing.assert_allclose(sharp, expected)
    flat = calibration.scale_confidence(rows[0], 2.0)  # 1e-12 to the power of 1/2 is 1e-6
    np.testing.assert_allclose(flat, np.array([1, 1e-6, 1e-6]) / (1 + 2e-6))
    stack = calibration.scale_confidence(np.stack([rows, rows[::-1]]), 0.01)
    np.testing.assert_allclose(stack, np.stack([expected, expected[::-1]]))


def test_scaled_predictions_keep_labels_ids_and_truth():
    scores = random_scores(5)
    scaled = calibration.scale_predictions(scores, 2.0)
    assert scaled.labels == scores.labels
    assert list(scaled.ids) == list(scores.ids)
    np.testing.assert_array_equal(scaled.truth, scores.truth)


def test_calibration_metrics_by_their_own_functions():
    scores = random_scores(300)
    result = calibration.calibration_metrics(scores)
    right = scores.predicted == scores.truth
    adaptive = calibration.ece_with_interval(scores.confidence, right, how=Binning.ADAPTIVE)
    assert result.adaptive_ece == adaptive != result.ece
    assert result.log_loss == metrics.log_loss(scores.truth, scores.stored)


@pytest.mark.parametrize(
    ("temperature", "expected"),
    [(1.0, [0.8, 0.5, 1.0]), (2.0, [2 / 3, 0.5, 1.0]), (0.5, [16 / 17, 0.5, 1.0])],
)
def test_scaled_confidence_by_hand(temperature, expected):
    rows = np.array([[0.2, 0.8], [0.5, 0.5], [1.0, 0.0]])
    np.testing.assert_allclose(
        calibration.scaled_confidence(rows, temperature), expected, atol=2e-6
    )


@given(any_scores(), st.floats(0.2, 5))
def test_scaled_confidence_is_the_largest_scaled_probability(scores, temperature):
    np.testing.assert_allclose(
        calibration.scaled_confidence(scores.probabilities, temperature),
        calibration.scale_confidence(scores.probabilities, temperature).max(axis=1),
    )


def test_bins_include_their_upper_edges_and_what_rounding_adds():
    confidence = np.array([0.0, 0.1, 0.11, 1.0, np.nextafter(1, 2)])
    assert calibration.bin_of(confidence, 10).tolist() == [0, 0, 1, 9, 9]


def test_the_interval_includes_the_spread_of_confidence_within_a_bin():
    confidence = np.tile(np.linspace(0.2, 0.8, 100), 10)
    result = calibration.ece_with_interval(confidence, np.ones(1000, dtype=bool), bins=1)
    half = 1.96 * confidence.std() / np.sqrt(1000)
    assert (result.value, result.low, result.high) == pytest.approx(
        (0.5, 0.5 - half, 0.5 + half), abs=0.15 * half
    )


def test_the_interval_of_the_ece_is_reflected_at_its_value():
    """Of 100 predictions with confidence 1 three are wrong: resamples have 0 to 7 errors."""
    right = np.arange(100) >= 3
    result = calibration.ece_with_interval(np.ones(100), right)
    # P(no error) = .97^100 = .048, so the percentiles start at 0, and 2 * .03 - 0 is the upper end
    assert (result.value, result.low, result.high) == pytest.approx((0.03, 0.0, 0.06))
