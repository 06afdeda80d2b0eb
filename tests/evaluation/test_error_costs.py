"""Costs of errors: hand-worked, and paired tests against enumeration."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_core.errors import DataError
from fer_core.evaluation.error_costs import (
    ErrorCosts,
    Factor,
    cost_difference,
    paired_test,
    presets,
    sign_flip_test,
)
from fer_core.evaluation.metrics import accuracy, confusion_matrix, macro_recall
from fer_core.evaluation.significance import difference, mcnemar
from tests.support.candidates import LABELS, predicted

CLASSES = st.integers(0, 2)
PAIRS = st.lists(st.tuples(CLASSES, CLASSES, CLASSES), min_size=1, max_size=40)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("equal", ErrorCosts()),
        ("balanced", ErrorCosts(balanced=True)),
        ("*>angry=5", ErrorCosts(factors=(Factor("*", "angry", 5.0),))),
        ("balanced,sad>*=0.5", ErrorCosts(True, (Factor("sad", "*", 0.5),))),
    ],
)
def test_costs_are_read_as_they_are_written(text, expected):
    assert ErrorCosts.parse([text]) == expected
    assert str(expected) == text


@pytest.mark.parametrize("text", ["cheap", "angry=5", "angry>sad", ">sad=2", "*>sad=-1", "*>sad=x",
                                  "*>sad=nan", "*>sad=inf"])  # fmt: skip
def test_costs_that_cannot_be_read_are_named(text):
    with pytest.raises(DataError, match="cannot be read"):
        ErrorCosts.parse([text])


def test_an_unknown_class_is_named():
    with pytest.raises(DataError, match="angrry"):
        ErrorCosts.parse(["*>angrry=5"]).matrix(LABELS)


def test_the_matrix_by_hand():
    costs = ErrorCosts.parse(["*>angry=5", "sad>angry=2"])
    np.testing.assert_array_equal(costs.matrix(LABELS), [[0, 1, 1], [5, 0, 1], [2, 1, 0]])


def test_mean_costs_by_hand():
    answers = predicted([0, 0, 0, 1], [0, 0, 1, 0])  # one of three angry, and the happy one
    assert ErrorCosts().mean(answers) == pytest.approx(2 / 4)
    assert ErrorCosts(balanced=True).mean(answers) == pytest.approx((1 / 3 + 1) / 2)
    assert ErrorCosts.parse(["*>angry=5"]).mean(answers) == pytest.approx((1 + 5) / 4)
    both = ErrorCosts.parse(["balanced", "*>angry=5"])
    assert both.mean(answers) == pytest.approx((1 / 3 + 5) / 2)


@given(PAIRS)
def test_equal_costs_are_one_minus_accuracy_and_balanced_ones_one_minus_macro_recall(rows):
    truth, answers, _ = zip(*rows, strict=True)
    predictions = predicted(truth, answers)
    matrix = confusion_matrix(predictions.truth, predictions.predicted, 3)
    assert ErrorCosts().mean(predictions) == pytest.approx(1 - accuracy(matrix))
    assert ErrorCosts(balanced=True).mean(predictions) == pytest.approx(1 - macro_recall(matrix))


def test_presets_have_titles_and_name_a_class_that_exists():
    titles = presets(["angry", "sad"])
    assert [str(costs) for costs in titles.values()] == ["equal", "balanced", "*>angry=5"]
    assert str(list(presets(["calm", "sad"]).values())[2]) == "*>calm=5"


@given(PAIRS)
def test_with_equal_costs_the_test_is_mcnemars(rows):
    truth, one, other = zip(*rows, strict=True)
    first, second = predicted(truth, one), predicted(truth, other)
    right = first.predicted == first.truth, second.predicted == second.truth
    expected = mcnemar(int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum()))
    assert paired_test(first, second, ErrorCosts()) == pytest.approx(expected)


@pytest.mark.parametrize(
    "differences", [[1, 1, 2, -1], [5, -1, 1, 1, 1, 0], [3, 3, 3, 1, 1, 1, -2], [0.5, 2, 2, 2, 2]]
)
def test_drawn_flips_approach_the_enumeration_of_all(differences):
    gaps = np.array(differences, dtype=np.float64)
    flips = np.array(list(product((-1, 1), repeat=len(gaps))))
    exact = (np.abs(flips @ gaps) >= abs(gaps.sum()) - 1e-9).mean()
    assert sign_flip_test(gaps) == pytest.approx(exact, abs=0.015)


@pytest.mark.parametrize("size", [0.5, 1.0, 3.0])
def test_differences_of_one_size_are_tested_exactly(size):
    """Four of five have one sign: twice the probability of at most one of five, 6 / 32."""
    assert sign_flip_test(size * np.array([1, 1, 0, -1, 1, 1])) == pytest.approx(0.375)
    assert sign_flip_test(size * np.array([-1, -1, 1, -1, -1])) == pytest.approx(0.375)


def test_no_difference_is_no_evidence_and_a_large_one_is():
    assert sign_flip_test(np.zeros(9)) == 1.0
    assert sign_flip_test(np.tile([1.0, 5.0], 40)) == pytest.approx(1 / 10_000)


@given(PAIRS, st.sampled_from(["equal", "balanced", "*>angry=5", "balanced,*>angry=5"]))
def test_a_difference_is_that_of_the_mean_costs_within_its_interval(rows, text):
    truth, one, other = zip(*rows, strict=True)
    first, second, costs = predicted(truth, one), predicted(truth, other), ErrorCosts.parse([text])
    gap = cost_difference(first, second, costs)
    assert gap.value == pytest.approx(costs.mean(first) - costs.mean(second))
    assert gap.low <= gap.high
    back = cost_difference(second, first, costs)
    assert back.value == pytest.approx(-gap.value)


def test_intervals_are_those_of_the_paired_bootstrap():
    random = np.random.default_rng(3)
    truth = random.integers(0, 3, 400)
    first, second = (
        predicted(truth, np.where(random.random(400) < share, truth, (truth + 1) % 3))
        for share in (0.8, 0.7)
    )
    right = [part.predicted == part.truth for part in (first, second)]
    known = difference(first.truth, *right, 3)
    for costs, expected in (
        (ErrorCosts(), known.accuracy),
        (ErrorCosts(balanced=True), known.macro_recall),
    ):
        gap = cost_difference(first, second, costs)
        assert (-gap.value, -gap.high, -gap.low) == pytest.approx(expected, abs=0.006)
