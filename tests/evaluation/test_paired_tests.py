"""Paired tests: hand-worked, against enumeration and scipy, and properties."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fer_core.evaluation import paired_tests
from fer_core.evaluation.paired_tests import mcnemar, sign_flip_test


def enumerated(gaps):
    """The share of all flips with a sum at least as far from 0."""
    flips = np.array(list(product((-1, 1), repeat=len(gaps))))
    return (np.abs(flips @ gaps) >= abs(np.sum(gaps)) - 1e-9).mean()


def test_mcnemar_by_hand():
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(5, 0) == pytest.approx(2 / 2**5)
    assert mcnemar(1, 3) == pytest.approx(2 * (1 + 4) / 2**4)
    assert mcnemar(7, 7) == 1.0


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_symmetric_and_a_probability(one, other):
    assert mcnemar(one, other) == pytest.approx(mcnemar(other, one))
    assert 0 < mcnemar(one, other) <= 1


def test_mcnemar_with_many_samples_is_the_chi_square_test():
    expected = stats.chi2(1).sf((abs(520 - 430) - 1) ** 2 / 950)
    assert mcnemar(520, 430) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("differences", [[0.5, 1.25, 2, -1], [0.5, 2, 2, 2, 2, -0.3]])
def test_drawn_flips_approach_the_enumeration_of_all(differences):
    assert sign_flip_test(np.array(differences)) == pytest.approx(
        enumerated(differences), abs=0.015
    )


@given(st.lists(st.integers(-6, 6), max_size=10))
def test_whole_numbers_are_tested_exactly(differences):
    expected = enumerated(np.array(differences)) if differences else 1.0
    assert sign_flip_test(np.array(differences, dtype=np.float64)) == pytest.approx(expected)


def test_whole_numbers_with_a_large_sum_are_drawn(monkeypatch):
    gaps = np.array([3.0, 3, 3, 1, 1, 1, -2])
    exact = sign_flip_test(gaps)
    monkeypatch.setattr(paired_tests, "_LARGEST_SUM", 13)
    assert sign_flip_test(gaps) != exact
    assert sign_flip_test(gaps) == pytest.approx(exact, abs=0.015)


def test_many_differences_are_tested_without_overflow():
    gaps = np.repeat([1.0, -1.0, 2.0, -2.0], [1500, 1450, 700, 680])
    spread = np.sqrt(2950 + 4 * 1380)
    expected = 2 * stats.norm.sf((abs(gaps.sum()) - 1) / spread)  # sums are 2 apart
    assert sign_flip_test(gaps) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("size", [0.5, 1.0, 3.0])
def test_differences_of_one_size_are_tested_exactly(size):
    """Four of five have one sign: twice the probability of at most one of five, 6 / 32."""
    assert sign_flip_test(size * np.array([1, 1, 0, -1, 1, 1])) == pytest.approx(0.375)
    assert sign_flip_test(size * np.array([-1, -1, 1, -1, -1])) == pytest.approx(0.375)


@pytest.mark.parametrize("scale", [1e-3, 1, 1e4, 1e9])
def test_the_unit_of_the_differences_does_not_matter(scale):
    """All five have one sign: two of 32 flips are as far from 0; sums of floats differ slightly."""
    one_sign = scale * np.array([1 / 3, 1 / 7, 1 / 9, 1 / 11, 1 / 13])
    assert sign_flip_test(one_sign) == pytest.approx(2 / 2**5, abs=0.01)
    one_size = [scale * 0.1 + scale * 0.2, *[scale * 0.3] * 3, -scale * 0.3]
    assert sign_flip_test(np.array(one_size)) == pytest.approx(0.375)
    cancelled = scale * 0.1 + scale * 0.2 - scale * 0.3
    assert sign_flip_test(np.array([cancelled])) == 1.0


def test_no_difference_is_no_evidence_and_a_large_one_is():
    assert sign_flip_test(np.zeros(9)) == 1.0
    assert sign_flip_test(np.tile([1.0, 5.0], 40)) == pytest.approx(2 / 2**80)
    assert sign_flip_test(np.tile([1.0, 5.5], 40)) == pytest.approx(1 / 10_000)
