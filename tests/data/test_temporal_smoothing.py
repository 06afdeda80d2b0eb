"""Smoothing along time, by hand."""

import numpy as np
import pytest

from fer_core.data.temporal_smoothing import smoothed

SECONDS = np.array([0.0, 1.0, 3.0])
VALUES = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])


def test_earlier_predictions_decay_exponentially():
    # after 1 s at a span of 1 s, the first weighs 1/e; after 2 s more, 1/e^2 of that
    result = smoothed(SECONDS, VALUES, span=1.0)
    one, three = np.exp(-1), np.exp(-3)
    np.testing.assert_allclose(result[:, 0], [1, one / (1 + one), three / (three + np.exp(-2) + 1)])
    np.testing.assert_allclose(result.sum(axis=1), 1)


def test_after_ln_2_spans_the_earlier_weighs_half_as_much():
    result = smoothed(np.array([0.0, np.log(2)]), VALUES[:2], span=1.0)
    np.testing.assert_allclose(result[1], [1 / 3, 2 / 3])


def test_the_first_frame_of_a_person_weighs_no_more_than_others():
    seconds = np.arange(26) / 25
    values = np.array([[1.0, 0.0]] + [[0.0, 1.0]] * 25)
    assert smoothed(seconds, values, span=2.0)[3, 0] < 0.25
    assert smoothed(seconds, values, span=2.0)[-1, 0] < 0.04


def test_without_a_span_or_rows_nothing_changes():
    np.testing.assert_array_equal(smoothed(SECONDS, VALUES, 0), VALUES)
    assert smoothed(np.empty(0), np.empty((0, 2)), 1.0).shape == (0, 2)


def test_a_long_gap_replaces_and_a_zero_gap_averages():
    result = smoothed(np.array([0.0, 0.0, 1000.0]), VALUES, span=1.0)
    np.testing.assert_array_equal(result[1], [0.5, 0.5])
    assert result[2] == pytest.approx(VALUES[2])
