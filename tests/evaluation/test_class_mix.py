"""Comparisons at the same class frequencies: by hand, and against simulated chance."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fer_core.evaluation.class_mix import error_elsewhere, mantel_haenszel

# class 0: half of 100 images are wrong; class 1: none of 100
TOTALS = np.array([[100, 50], [100, 0]])


def test_an_average_subset_of_a_hard_class_is_no_worse():
    subset = np.array([[[40, 20], [10, 0]]])  # 40% wrong, 20% of the other 150 images
    assert error_elsewhere(subset, TOTALS) == pytest.approx([(40 * 0.5 + 10 * 0) / 50])
    assert mantel_haenszel(subset, TOTALS)[0] > 0.5


def test_one_class_by_hand():
    subset, totals = np.array([[[40, 12]]]), np.array([[100, 17]])
    # expected 6.8 errors, variance 40 * 60 * 17 * 83 / (100^2 * 99) = 3.421
    expected = stats.norm.sf((12 - 6.8 - 0.5) / 3.4207**0.5)
    assert mantel_haenszel(subset, totals) == pytest.approx([expected], rel=1e-4)
    assert error_elsewhere(subset, totals) == pytest.approx([5 / 60])


def test_classes_add_up_by_hand():
    subset, totals = np.array([[[40, 12], [20, 6]]]), np.array([[100, 17], [50, 8]])
    variance = 40 * 60 * 17 * 83 / (100**2 * 99) + 20 * 30 * 8 * 42 / (50**2 * 49)
    expected = stats.norm.sf((12 - 6.8 + 6 - 3.2 - 0.5) / variance**0.5)
    assert mantel_haenszel(subset, totals) == pytest.approx([expected])
    assert error_elsewhere(subset, totals) == pytest.approx([(40 * 5 / 60 + 20 * 2 / 30) / 60])


def test_a_class_without_other_images_shows_nothing():
    whole = np.array([[[100, 50], [0, 0]]])
    assert mantel_haenszel(whole, TOTALS).tolist() == [1.0]
    assert error_elsewhere(whole, TOTALS).tolist() == [0.0]  # the plain rate of class 1
    with_part = np.array([[[100, 50], [50, 0]]])
    assert error_elsewhere(with_part, TOTALS).tolist() == [0.0]


def test_the_rate_elsewhere_is_of_classes_that_have_other_images():
    totals = np.array([[100, 50], [100, 24]])
    # of class 1 80 others are left, 20 of them wrong; of class 0 none
    assert error_elsewhere(np.array([[[100, 50], [20, 4]]]), totals).tolist() == [0.25]
    # without another image of its classes: all others
    assert error_elsewhere(np.array([[[100, 50], [0, 0]]]), totals).tolist() == [0.24]


def test_a_class_without_images_changes_nothing():
    subset, totals = np.array([[[40, 12], [0, 0]]]), np.array([[100, 17], [0, 0]])
    assert mantel_haenszel(subset, totals) == mantel_haenszel(subset[:, :1], totals[:1])
    assert error_elsewhere(subset, totals) == error_elsewhere(subset[:, :1], totals[:1])


def test_subsets_that_differ_in_classes_only_are_rarely_significant():
    generator = np.random.default_rng(5)
    truth = generator.integers(0, 3, 1500)
    inside = generator.random(1500) < np.array([0.1, 0.3, 0.7])[truth]
    difficulty = np.array([0.05, 0.2, 0.6])[truth]
    p_values = []
    for _ in range(500):
        wrong = generator.random(1500) < difficulty
        counts = [
            [[np.sum(part & (truth == k)), np.sum(part & wrong & (truth == k))] for k in range(3)]
            for part in (inside, np.ones(1500, dtype=bool))
        ]
        p_values.append(mantel_haenszel(np.array(counts[:1]), np.array(counts[1]))[0])
    # P(Bin(500, .05) > 36) = .01
    assert np.sum(np.array(p_values) < 0.05) <= 36
    assert 0.4 < np.mean(p_values) < 0.65


@given(st.integers(0, 40), st.integers(0, 60))
def test_one_class_is_close_to_fishers_test(inside, outside):
    subset, totals = np.array([[[40, inside]]]), np.array([[100, inside + outside]])
    exact = stats.fisher_exact(
        [[inside, 40 - inside], [outside, 60 - outside]], alternative="greater"
    ).pvalue
    if 5 <= inside + outside <= 95:
        assert mantel_haenszel(subset, totals)[0] == pytest.approx(exact, abs=0.03)
