"""Risk against coverage: by hand and properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_core.evaluation.selective import risk_coverage
from tests.support.constructed import any_scores, doubled, shuffled


def curve_of(scores):
    return risk_coverage(scores.confidence, scores.predicted == scores.truth)


def test_risk_coverage_by_hand():
    curve = risk_coverage(np.array([0.6, 0.9, 0.8, 0.7]), np.array([True, True, False, True]))
    np.testing.assert_allclose(curve.coverage, [0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(curve.risk, [0, 1 / 2, 1 / 3, 1 / 4])
    assert curve.area == pytest.approx((1 / 2 + 1 / 3 + 1 / 4) / 4)
    assert curve.coverage_at(0.3) == (1.0, 0.6)
    assert curve.coverage_at(0.1) == (0.25, 0.9)


def test_an_unreachable_risk_has_no_coverage():
    curve = risk_coverage(np.array([0.9, 0.8]), np.array([False, True]))
    assert curve.coverage_at(0.2) is None


def test_a_threshold_includes_all_samples_of_its_confidence():
    confidence = np.array([0.99] * 10 + [0.9] * 100)
    right = np.array([True] * 100 + [False] * 10)
    curve = risk_coverage(confidence, right)
    assert curve.coverage_at(0.05) == (pytest.approx(10 / 110), 0.99)  # with 0.9 comes 1 / 11
    assert curve.coverage_at(0.1) == (1.0, 0.9)


def test_samples_of_equal_confidence_share_their_errors():
    curve = risk_coverage(np.full(4, 0.7), np.array([True, False, True, True]))
    np.testing.assert_allclose(curve.risk, 0.25)


@given(any_scores())
def test_risk_and_coverage_are_shares_and_monotonic(scores):
    curve = curve_of(scores)
    right = scores.predicted == scores.truth
    assert curve.risk[-1] == pytest.approx(1 - right.mean())
    np.testing.assert_allclose(curve_of(shuffled(scores)).risk, curve.risk)
    # every sample twice: the same curve at every second place
    np.testing.assert_allclose(curve_of(doubled(scores)).risk[1::2], curve.risk)
    thin = curve.thinned(5)
    assert len(thin.risk) <= 5
    assert thin.risk[-1] == curve.risk[-1]


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.6001, 0.9995, 1.0]), min_size=1, max_size=60))
def test_confidences_in_half_precision_rank_as_any_others(values):
    """They are sorted in another way; the curve is that of the same values in double precision."""
    stored = np.array(values, dtype=np.float16).astype(np.float64)
    right = np.arange(len(values)) % 3 > 0
    ranked = risk_coverage(stored, right)
    shifted = risk_coverage(stored + 1e-9, right)  # the same order, but in no half precision
    np.testing.assert_array_equal(ranked.risk, shifted.risk)
    np.testing.assert_array_equal(ranked.threshold, np.sort(stored)[::-1])
