"""How far class frequencies speak: worked by hand."""

import numpy as np
import pytest

from fer_core.evaluation.prior_shift import (
    STRENGTHS,
    TradeOff,
    best_trade_off,
    choose_prior_shift,
    log_frequencies,
    prior_curves,
    shift_logits,
    trade_off_curve,
)
from tests.support.constructed import make_scores

FREQUENT = np.log([0.9, 0.1])


def test_a_class_without_samples_counts_as_one_sample():
    np.testing.assert_allclose(np.exp(log_frequencies(np.array([8, 0, 1]))), [0.8, 0.1, 0.1])


def test_the_smallest_sufficient_shift_is_chosen():
    # the frequent class is true, the rare one leads by log(0.6 / 0.4) = 0.405;
    # a unit of the shift gives the frequent one log(9) = 2.197 more: 0.2 mends it, 0.15 does not
    probabilities = np.array([[0.4, 0.6]])
    assert 0.15 * np.log(9) < np.log(1.5) < 0.2 * np.log(9)
    assert choose_prior_shift(probabilities, np.array([0]), FREQUENT) == 0.2


def test_without_a_gain_nothing_is_shifted():
    probabilities = np.array([[0.4, 0.6], [0.3, 0.7]])
    assert choose_prior_shift(probabilities, np.array([1, 1]), FREQUENT) == 0.0
    assert choose_prior_shift(np.array([[0.5, 0.5]]), np.array([0]), np.log([0.5, 0.5])) == 0.0


def test_gains_below_the_standard_error_are_ignored():
    # of 1,000 images 100 are wrong whatever is shifted: a standard error of 0.95 points, so that
    # one image more (0.1 points) is worth nothing, and three (0.3 points) are
    probabilities = np.tile([1 - 1e-9, 1e-9], (1000, 1))
    truth = np.zeros(1000, dtype=np.int64)
    truth[-100:] = 1
    probabilities[0] = [0.4, 0.6]
    assert choose_prior_shift(probabilities, truth, FREQUENT) == 0.0
    probabilities[:3] = [0.4, 0.6]
    assert choose_prior_shift(probabilities, truth, FREQUENT) == 0.2


def test_probabilities_of_0_and_1_are_handled():
    probabilities = np.array([[0.0, 1.0], [1.0, 0.0]])
    assert choose_prior_shift(probabilities, np.array([1, 0]), FREQUENT) == 0.0


@pytest.mark.parametrize("seed", range(5))
def test_a_known_prior_shift_is_undone(seed):
    random = np.random.default_rng(seed)
    logarithms = np.log([0.6, 0.3, 0.1])
    probabilities = random.dirichlet([2, 1, 0.5], size=20_000)
    truth = np.array([random.choice(3, p=row) for row in probabilities])
    shift_logits = probabilities * np.exp(-0.5 * logarithms)
    shift_logits /= shift_logits.sum(axis=1, keepdims=True)
    assert choose_prior_shift(probabilities, truth, logarithms) <= 0.2
    assert 0.2 < choose_prior_shift(shift_logits, truth, logarithms) <= 0.6
    assert set(STRENGTHS) >= {0.0, 0.5, 1.0}


def test_a_negative_shift_is_chosen_if_it_helps_the_rare_class():
    probabilities = np.array([[0.6, 0.4]])
    assert choose_prior_shift(probabilities, np.array([1]), FREQUENT) == -0.2


def test_shifting_multiplies_by_powers_of_the_frequencies():
    # (0.5 * 0.9, 0.5 * 0.1) and (0.2 * 0.9, 0.8 * 0.1), scaled to 1
    result = shift_logits(np.array([[0.5, 0.5], [0.2, 0.8]]), FREQUENT)
    np.testing.assert_allclose(result, [[0.9, 0.1], [0.18 / 0.26, 0.08 / 0.26]])
    np.testing.assert_array_equal(shift_logits(result, ()), result)


# Three images of the frequent class, one of the rare. A unit of shift adds log(9) = 2.197 to the
# frequent class. The rare class leads by log(.6/.4) = 0.405 in the first image, which a shift of
# 0.185 undoes, and by log(.55/.45) = 0.201 in the last, which 0.091 undoes.
CONFLICT = np.array([[0.4, 0.6], [0.9, 0.1], [0.9, 0.1], [0.45, 0.55]])
CONFLICT_TRUTH = np.array([0, 0, 0, 1])


def test_a_curve_by_hand():
    curve = trade_off_curve(CONFLICT, CONFLICT_TRUTH, FREQUENT, (0.0, 0.1, 0.2))
    assert curve == (
        TradeOff(0.0, 3 / 4, pytest.approx((2 / 3 + 1) / 2)),
        TradeOff(0.1, 2 / 4, pytest.approx((2 / 3 + 0) / 2)),
        TradeOff(0.2, 3 / 4, pytest.approx((1 + 0) / 2)),
    )
    # macro-recall decides among equal accuracies, the smaller shift among equal points
    assert best_trade_off(curve, 0.5).shift == 0.0
    assert best_trade_off(curve, 0.0).shift == 0.0
    assert curve[0].utility(0.25) == pytest.approx(0.75 * 3 / 4 + 0.25 * 5 / 6)


def test_a_class_without_an_image_has_no_recall():
    # the rare class of the curve by hand, and one that no image has
    probabilities = np.concatenate([CONFLICT * 0.99, np.full((4, 1), 0.01)], axis=1)
    curve = trade_off_curve(probabilities, CONFLICT_TRUTH, np.array([*FREQUENT, -9.0]), (0.0, 0.2))
    assert curve == (
        TradeOff(0.0, 3 / 4, pytest.approx((2 / 3 + 1) / 2)),
        TradeOff(0.2, 3 / 4, pytest.approx((1 + 0) / 2)),
    )


def test_of_equal_probabilities_the_first_class_is_predicted():
    equal = np.full((2, 2), 0.5)
    (point,) = trade_off_curve(equal, np.array([0, 1]), np.log([0.5, 0.5]), (0.0,))
    assert (point.accuracy, point.macro_recall) == (0.5, 0.5)
    (point,) = trade_off_curve(equal, np.array([1, 1]), FREQUENT, (0.0,))
    assert point.accuracy == 0


def test_the_weight_of_macro_recall_decides_between_the_ends():
    accurate, balanced = TradeOff(0.5, 0.9, 0.6), TradeOff(-0.5, 0.8, 0.8)
    # 0.9 - 0.3 w against 0.8: equal at w = 1/3
    assert best_trade_off((accurate, balanced), 0.3) == accurate
    assert best_trade_off((accurate, balanced), 0.4) == balanced


def test_the_required_macro_recall_limits_the_choice():
    # in eight frequent images and one rare one the rare class leads by 0.201, which a shift of 0.1
    # undoes; in the other rare image it leads by log(9), so it stays right up to a shift of 1
    probabilities = np.tile([0.45, 0.55], (10, 1))
    truth = np.array([0] * 8 + [1] * 2)
    probabilities[8] = [0.1, 0.9]
    # below 0.1: accuracy 2/10, macro-recall 1/2; from 0.1: 9/10 and (1 + 1/2) / 2 = 3/4
    assert choose_prior_shift(probabilities, truth, FREQUENT) == 0.1
    assert choose_prior_shift(probabilities, truth, FREQUENT, 0.75) == 0.1
    # no strength reaches 0.8, so the highest macro-recall counts
    assert choose_prior_shift(probabilities, truth, FREQUENT, 0.8) == 0.1
    # in the conflict above every shift but those in [0.1, 0.15] has accuracy 3/4;
    # a macro-recall of 0.8 leaves those below
    assert choose_prior_shift(CONFLICT, CONFLICT_TRUTH, FREQUENT, 0.8) == 0.0


def test_a_required_macro_recall_costs_accuracy():
    # shift 0: the rare class is found (1/1) and 1 of 3 frequent ones; from 0.2: all frequent ones
    probabilities = np.array([[0.4, 0.6], [0.4, 0.6], [0.9, 0.1], [0.4, 0.6]])
    truth = np.array([0, 0, 0, 1])
    assert choose_prior_shift(probabilities, truth, FREQUENT) == 0.2  # 3/4, macro-recall 1/2
    assert choose_prior_shift(probabilities, truth, FREQUENT, 0.6) == 0.0  # 2/4, macro-recall 2/3
    # the required one is enough; without a strength that reaches it the highest one counts
    assert choose_prior_shift(probabilities, truth, FREQUENT, 0.5) == 0.2
    assert choose_prior_shift(probabilities, truth, FREQUENT, 0.9) == 0.0


def test_curves_start_at_the_runs_own_shift():
    # validation prefers the frequent class (log(.6/.4) / log(9) = 0.185 mends it); the run was
    # finished with 0.5, which its stored probabilities include
    unshifted = (np.array([[0.4, 0.6], [0.05, 0.95]]), np.array([[0.4, 0.6], [0.45, 0.55]]))
    validation, scored = (
        make_scores([0, 1], shift_logits(probabilities, 0.5 * FREQUENT))
        for probabilities in unshifted
    )
    curves = prior_curves(validation, scored, np.array([9, 1]), applied=0.5)
    assert curves.at(0.0) == TradeOff(0.0, 0.5, 0.5)  # both are taken for the rare class
    assert curves.at(0.5) == TradeOff(0.5, 0.5, 0.5)  # both for the frequent one
    assert [point.accuracy for point in curves.validation if point.shift in (0.15, 0.2)] == [0.5, 1]
    # chosen on validation: the smallest shift that has both right, whatever the scored images say
    assert curves.chosen_by(0.0) == curves.chosen_by(1.0) == TradeOff(0.2, 0.5, 0.5)
    # from that end to the run's own strength
    assert [point.shift for point in curves.useful] == [0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5]


def direct_curve(probabilities, truth, logarithms, strengths):
    """Every strength for every sample: the definition."""
    logits = np.log(np.maximum(probabilities, np.finfo(float).tiny))
    for strength in strengths:
        right = (logits + strength * logarithms).argmax(axis=1) == truth
        recalls = [right[truth == label].mean() for label in np.unique(truth)]
        yield strength, right.mean(), np.mean(recalls)


@pytest.mark.parametrize("strengths", [(0.3,), (0.5, -0.5), (0.0, 1.0, -1.0, 0.25), STRENGTHS])
def test_a_curve_equals_predictions_at_every_strength(strengths):
    random = np.random.default_rng(1)
    truth = random.integers(0, 5, 40_000)
    probabilities = random.dirichlet(np.full(5, 0.7), len(truth))
    logarithms = log_frequencies(np.array([5, 4000, 300, 40, 0]))
    curve = trade_off_curve(probabilities, truth, logarithms, strengths)
    expected = list(direct_curve(probabilities, truth, logarithms, strengths))
    np.testing.assert_allclose(
        [(point.shift, point.accuracy, point.macro_recall) for point in curve], expected, 1e-12
    )
