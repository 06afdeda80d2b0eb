"""Costs of errors: hand-worked, and paired tests against enumeration."""

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
)
from fer_core.evaluation.metrics import accuracy, confusion_matrix, macro_recall
from fer_core.evaluation.paired_tests import mcnemar
from fer_core.evaluation.significance import difference
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


def test_persons_are_tested_and_resampled_instead_of_their_images():
    """One person has four images on which only the first run is right, another one the contrary."""
    truth = [0] * 6
    first, second = predicted(truth, [0, 0, 0, 0, 1, 1]), predicted(truth, [1, 1, 1, 1, 0, 1])
    persons = np.array(["a", "a", "a", "a", "b", "c"], dtype=object)
    assert paired_test(first, second, ErrorCosts()) == pytest.approx(mcnemar(4, 1))
    assert (
        paired_test(first, second, ErrorCosts(), persons) == 1.0
    )  # sums of 3 and 5 are all there are
    gap = cost_difference(first, second, ErrorCosts())
    wide = cost_difference(first, second, ErrorCosts(), persons)
    assert gap.value == wide.value == pytest.approx(-0.5)
    assert (wide.low, wide.high) == (-1, 1)  # one of 27 resamples is of the first person only
    assert wide.low <= gap.low <= gap.high <= wide.high
