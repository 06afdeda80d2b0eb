"""Percentile intervals by hand and by the binomial distribution."""

import numpy as np
import pytest
from scipy import stats

from fer_core.evaluation.intervals import interval, interval_of_means


def test_a_percentile_interval_ignores_missing_values():
    values = np.array([np.nan, *range(101), np.nan])
    assert interval(values) == pytest.approx((2.5, 97.5))
    assert interval(values, level=0.5) == (25, 75)


def test_the_interval_of_means_is_binomial():
    half = np.arange(100) % 2.0
    means, low, high = interval_of_means(np.stack([half, 1 - half], axis=1)[:, :, None])
    assert means.tolist() == [[0.5], [0.5]]
    ends = stats.binom.ppf([0.025, 0.975], 100, 0.5) / 100  # 0.4 and 0.6
    assert (low[0, 0], high[0, 0]) == pytest.approx(tuple(ends), abs=0.011)
    # both columns are resampled together, so that they mirror each other
    np.testing.assert_allclose((low[1], high[1]), (1 - high[0], 1 - low[0]))
