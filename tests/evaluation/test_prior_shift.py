"""How far class frequencies speak: worked by hand."""

import numpy as np
import pytest

from fer_core.evaluation.prior_shift import (
    STRENGTHS,
    choose_prior_shift,
    log_frequencies,
    shift_logits,
)

FREQUENT = np.log([0.9, 0.1])


def test_a_class_without_samples_counts_as_one_sample():
    np.testing.assert_allclose(np.exp(log_frequencies(np.array([8, 0, 1]))), [0.8, 0.1, 0.1])


def test_the_weakest_shift_that_mends_the_answers():
    # the frequent class is true, the rare one leads by log(0.6 / 0.4) = 0.405;
    # a unit of the shift gives the frequent one log(9) = 2.197 more: 0.2 mends it, 0.15 does not
    probabilities = np.array([[0.4, 0.6]])
    assert 0.15 * np.log(9) < np.log(1.5) < 0.2 * np.log(9)
    assert choose_prior_shift(probabilities, np.array([0]), FREQUENT) == 0.2


def test_nothing_is_shifted_where_nothing_is_gained():
    probabilities = np.array([[0.4, 0.6], [0.3, 0.7]])
    assert choose_prior_shift(probabilities, np.array([1, 1]), FREQUENT) == 0.0
    assert choose_prior_shift(np.array([[0.5, 0.5]]), np.array([0]), np.log([0.5, 0.5])) == 0.0


def test_a_gain_within_the_noise_is_left_to_the_rare_classes():
    # of 1,000 images 100 are wrong whatever is shifted: a standard error of 0.95 points, so that
    # one image more (0.1 points) is worth nothing, and three (0.3 points) are
    probabilities = np.tile([1 - 1e-9, 1e-9], (1000, 1))
    truth = np.zeros(1000, dtype=np.int64)
    truth[-100:] = 1
    probabilities[0] = [0.4, 0.6]
    assert choose_prior_shift(probabilities, truth, FREQUENT) == 0.0
    probabilities[:3] = [0.4, 0.6]
    assert choose_prior_shift(probabilities, truth, FREQUENT) == 0.2


def test_certain_answers_do_not_break_it():
    probabilities = np.array([[0.0, 1.0], [1.0, 0.0]])
    assert choose_prior_shift(probabilities, np.array([1, 0]), FREQUENT) == 0.0


@pytest.mark.parametrize("seed", range(5))
def test_it_undoes_a_shift(seed):
    random = np.random.default_rng(seed)
    logarithms = np.log([0.6, 0.3, 0.1])
    probabilities = random.dirichlet([2, 1, 0.5], size=20_000)
    truth = np.array([random.choice(3, p=row) for row in probabilities])
    shift_logits = probabilities * np.exp(-0.5 * logarithms)
    shift_logits /= shift_logits.sum(axis=1, keepdims=True)
    assert choose_prior_shift(probabilities, truth, logarithms) <= 0.2
    assert 0.2 < choose_prior_shift(shift_logits, truth, logarithms) <= 0.6
    assert set(STRENGTHS) >= {0.0, 0.5, 1.0}


def test_the_rare_class_is_helped_where_that_is_right():
    probabilities = np.array([[0.6, 0.4]])
    assert choose_prior_shift(probabilities, np.array([1]), FREQUENT) == -0.2


def test_shifting_multiplies_by_powers_of_the_frequencies():
    # (0.5 * 0.9, 0.5 * 0.1) and (0.2 * 0.9, 0.8 * 0.1), scaled to 1
    found = shift_logits(np.array([[0.5, 0.5], [0.2, 0.8]]), FREQUENT)
    np.testing.assert_allclose(found, [[0.9, 0.1], [0.18 / 0.26, 0.08 / 0.26]])
    np.testing.assert_array_equal(shift_logits(found, ()), found)
