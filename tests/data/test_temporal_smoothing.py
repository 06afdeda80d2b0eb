"""Smoothing along time, by hand."""

import numpy as np
import pytest

from fer_core.data.temporal_smoothing import smoothed

SECONDS = np.array([0.0, 1.0, 3.0])
VALUES = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])


def test_earlier_predictions_decay_exponentially():
    # after 1 s at a span of 1 s, 1/e is left of the first; after 2 s more, 1/e^2 of that
    result = smoothed(SECONDS, VALUES, span=1.0)
    np.testing.assert_allclose(result[:, 0], [1, np.exp(-1), np.exp(-3)])
    np.testing.assert_allclose(result.sum(axis=1), 1)


def test_a_gap_of_ln_2_spans_weighs_both_alike():
    # a gap of ln 2 spans keeps one half
    result = smoothed(np.array([0.0, np.log(2)]), VALUES[:2], span=1.0)
    np.testing.assert_allclose(result[1], [0.5, 0.5])


def test_without_a_span_or_rows_nothing_changes():
    np.testing.assert_array_equal(smoothed(SECONDS, VALUES, 0), VALUES)
    assert smoothed(np.empty(0), np.empty((0, 2)), 1.0).shape == (0, 2)


def test_a_long_gap_replaces_and_a_zero_gap_keeps_the_earlier():
    result = smoothed(np.array([0.0, 0.0, 1000.0]), VALUES, span=1.0)
    np.testing.assert_array_equal(result[1], VALUES[0])
    assert result[2] == pytest.approx(VALUES[2])
