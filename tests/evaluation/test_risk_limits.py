"""Limits of the error rate: thresholds by hand, and how often new images exceed a limit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fer_core.errors import DataError
from fer_core.evaluation.operating_points import coverage_curve, operate
from fer_core.evaluation.risk_limits import (
    RiskLimits,
    choose_thresholds,
    fewest_predictions,
    threshold_at_risk,
)
from tests.support.thresholds import FIVE, LABELS, answers


def on_validation(max_risk=None, min_precision=None):
    return RiskLimits(max_risk=max_risk, min_precision=min_precision or {}, confidence=0)


def many(right, wrong, confidence):
    return [(0, 0, confidence)] * right + [(1, 0, confidence)] * wrong


def test_the_threshold_of_a_risk_on_validation_by_hand():
    assert threshold_at_risk(FIVE, 0.0, 0) == 0.9
    assert threshold_at_risk(FIVE, 0.25, 0) == 0.7  # one of four
    assert threshold_at_risk(FIVE, 0.3, 0) == 0.7
    assert threshold_at_risk(FIVE, 0.4, 0) == 0.6
    assert threshold_at_risk(answers([(0, 1, 0.9)]), 0.5, 0) is None


def test_limits_are_combined_by_the_higher_threshold():
    assert choose_thresholds(FIVE, on_validation()) == {"angry": 0.0, "happy": 0.0}
    assert choose_thresholds(FIVE, on_validation(0.25)) == {"angry": 0.7, "happy": 0.7}
    both = on_validation(0.25, {"happy": 0.9})
    # of the happy ones two are left, so with the wrong angry one the error rate would be 1 / 3
    assert choose_thresholds(FIVE, both) == {"angry": 0.9, "happy": 0.9}
    angry = on_validation(None, {"angry": 1.0})
    assert choose_thresholds(FIVE, angry) == {"angry": 0.95, "happy": 0.0}
    happy = on_validation(None, {"happy": 0.6})  # two of three
    assert choose_thresholds(FIVE, happy) == {"angry": 0.0, "happy": 0.7}


def test_the_error_rate_is_limited_on_what_the_thresholds_of_classes_leave():
    happy = [(1, 1, 0.9)] * 40 + [(1, 1, 0.6)] * 100 + [(0, 1, 0.6)] * 4
    angry = [(0, 0, 0.9)] * 20 + [(0, 0, 0.7)] * 20 + [(1, 0, 0.7)] * 12
    predictions = answers(happy + angry)
    alone = choose_thresholds(predictions, on_validation(0.1))
    assert operate(predictions, alone).risk.value == 16 / 196
    # 98% precision needs the 40 happy ones of .9; with the 52 of angry 13% would be wrong
    limits = on_validation(0.1, {"happy": 0.98})
    both = operate(predictions, choose_thresholds(predictions, limits))
    assert (both.risk.value, both.coverage.value) == (0.0, 60 / 196)


def test_limits_that_exclude_each_other_are_an_error():
    # right up to 80% only, so the error rate needs a threshold that leaves a wrong happy
    rows = many(40, 0, 0.95) + [(0, 1, 0.95)] * 2 + [(1, 1, 0.6)] * 60 + many(0, 40, 0.6)
    limits = RiskLimits(max_risk=0.05, min_precision={"happy": 0.9}, confidence=0)
    assert choose_thresholds(answers(rows), on_validation(None, {"happy": 0.9}))["happy"] == 0.6
    with pytest.raises(DataError, match="precision of happy cannot be limited together"):
        choose_thresholds(answers(rows), limits)


def test_certain_limits_that_exclude_each_other_are_an_error():
    # the error rate needs a threshold above 70%, which leaves no happy one to be certain of
    rows = many(60, 0, 0.95) + many(0, 40, 0.7) + [(1, 1, 0.6)] * 60
    assert choose_thresholds(answers(rows), RiskLimits(max_risk=0.1))["happy"] == 0.71
    own = RiskLimits(min_precision={"happy": 0.9})
    assert choose_thresholds(answers(rows), own) == {"angry": 0.0, "happy": 0.0}
    with pytest.raises(DataError, match="precision of happy cannot be limited together"):
        choose_thresholds(answers(rows), RiskLimits(max_risk=0.1, min_precision={"happy": 0.9}))


def test_a_limit_that_no_threshold_keeps_on_validation_is_an_error():
    wrong = answers([(0, 1, 0.9)])
    with pytest.raises(DataError, match=r"the lowest error rate is 100\.0%"):
        choose_thresholds(wrong, on_validation(0.5))
    with pytest.raises(DataError, match="precision of happy at 50%"):
        choose_thresholds(wrong, on_validation(None, {"happy": 0.5}))
    with pytest.raises(DataError, match="validation has no such prediction"):
        choose_thresholds(wrong, on_validation(None, {"angry": 0.5}))


def test_the_fewest_predictions_by_hand():
    assert fewest_predictions(0.05, 0.95) == 59  # .95^59 = .0485, .95^58 = .0510
    assert fewest_predictions(0.1, 0.95) == 29
    assert fewest_predictions(0.1, 0.9) == 22
    assert fewest_predictions(0.0, 0.95) == float("inf")
    assert fewest_predictions(1.0, 0.95) == 1


def test_a_certain_threshold_by_hand():
    # P(Bin(29, .1) = 0) = .047; P(Bin(46, .1) <= 1) = .048, P(Bin(45, .1) <= 1) = .052
    assert threshold_at_risk(answers(many(29, 0, 0.9)), 0.1) == 0.0
    assert threshold_at_risk(answers(many(28, 0, 0.9)), 0.1) is None
    assert threshold_at_risk(answers(many(45, 1, 0.9)), 0.1) == 0.0
    assert threshold_at_risk(answers(many(44, 1, 0.9)), 0.1) is None
    # the errors below 60% are left out: above, the last threshold of the grid is 56%
    assert threshold_at_risk(answers(many(60, 0, 0.9) + many(0, 9, 0.555)), 0.1) == 0.56


def test_a_test_that_fails_ends_the_sequence():
    rows = many(60, 0, 0.95) + many(10, 10, 0.8) + many(400, 0, 0.6)
    # with all 480 the error rate is 2.1%, but the 80 above 61% have 12.5%
    assert threshold_at_risk(answers(rows), 0.1) == 0.81
    assert threshold_at_risk(answers(rows), 0.1, 0) == 0.6


def test_one_early_error_does_not_end_the_sequence():
    rows = many(29, 1, 0.95) + many(300, 0, 0.8)  # 1 of 30 would fail
    assert threshold_at_risk(answers(rows), 0.1) == 0.0


def test_a_limit_of_all_errors_needs_no_threshold():
    assert threshold_at_risk(answers(many(0, 3, 0.9)), 1.0) == 0.0


def test_too_few_predictions_are_named():
    few = answers(many(20, 0, 0.9))
    with pytest.raises(DataError, match="at least 29 predictions without an error; validation has"):
        choose_thresholds(few, RiskLimits(max_risk=0.1))
    with pytest.raises(DataError, match="precision of angry at 90% with 95% confidence"):
        choose_thresholds(few, RiskLimits(min_precision={"angry": 0.9}))
    with pytest.raises(DataError, match="error rate at 0% with 95% confidence\\. Loosen"):
        choose_thresholds(few, RiskLimits(max_risk=0))


@pytest.mark.parametrize("share", [0.02, 0.05, 0.2])
def test_new_images_exceed_a_certain_limit_in_at_most_5_of_100_validations(share):
    generator = np.random.default_rng(3)
    exceeded = 0
    for _ in range(400):
        confidence = generator.uniform(0.5, 1, 600)
        right = generator.random(600) < confidence
        rows = [(0, 0 if hit else 1, score) for hit, score in zip(right, confidence, strict=True)]
        threshold = threshold_at_risk(answers(rows), share)
        # the true error rate above t of confidences that are uniform up to 1 is (1 - t) / 2
        exceeded += threshold is not None and (1 - max(threshold, 0.5)) / 2 > share
    assert exceeded <= 30  # P(Bin(400, .05) > 30) = .01


ROWS = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 1), st.sampled_from([0.55, 0.6, 0.7, 0.8, 0.9])),
    min_size=1,
    max_size=40,
)


@given(ROWS, st.floats(0, 1))
def test_a_threshold_keeps_the_risk_it_was_chosen_for(rows, max_risk):
    predictions = answers(rows)
    threshold = threshold_at_risk(predictions, max_risk, 0)
    curve = coverage_curve(predictions)
    reached = curve[curve["risk"] <= max_risk + 1e-12]
    if threshold is None:
        assert reached.empty
        return
    result = operate(predictions, dict.fromkeys(LABELS.names, threshold))
    assert result.risk.value <= max_risk + 1e-9
    assert result.coverage.value == pytest.approx(reached["coverage"].max())


@given(ROWS, st.floats(0, 0.99), st.floats(0.5, 0.99))
def test_a_certain_threshold_keeps_the_limit_on_validation_too(rows, max_risk, confidence):
    predictions = answers(rows)
    threshold = threshold_at_risk(predictions, max_risk, confidence)
    if threshold is not None:
        result = operate(predictions, dict.fromkeys(LABELS.names, threshold))
        assert result.risk.value <= max_risk + 1e-9


@pytest.mark.parametrize("values", [{"max_risk": 1.2}, {"confidence": 1}, {"confidence": -0.1}])
def test_impossible_limits_are_refused(values):
    with pytest.raises(ValidationError):
        RiskLimits(**values)


def test_what_limits_promise():
    limits = RiskLimits(max_risk=0.05, min_precision={"angry": 0.9})
    assert limits.text == (
        "Thresholds for at most 5% errors and a precision of angry of at least 90%, with 95% "
        "confidence on images like those of validation."
    )
    assert on_validation(0.05).text == (
        "Thresholds for at most 5% errors on validation; new images exceed this about half the "
        "time."
    )
    assert RiskLimits().text == ""
