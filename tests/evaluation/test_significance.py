"""Paired tests: hand-worked, against scipy, and properties."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_core.errors import ArtifactError
from fer_core.evaluation.predictions import SplitPredictions
from fer_core.evaluation.significance import (
    LEVEL,
    Comparison,
    compare_all,
    difference,
    holm,
    p_sentence,
    p_text,
    paired_test_name,
    right_test,
    tiers,
)
from fer_core.labels import LabelSet

LABELS = LabelSet.of(["angry", "happy"])


def test_a_small_p_value_is_a_bound():
    assert [p_text(value) for value in (0.0, 0.00099, 0.001, 0.0456)] == [
        "< 0.001", "< 0.001", "0.001", "0.046",
    ]  # fmt: skip
    assert [p_sentence(value) for value in (0.0, 0.0456)] == ["p < 0.001", "p = 0.046"]


def scores(right: list[bool], order=None) -> SplitPredictions:
    """Scores whose truth is always `angry`."""
    predicted = np.where(right, 0, 1)
    probabilities = np.where(np.eye(2)[predicted] == 1, 0.9, 0.1)
    ids = np.array([f"s/{i}" for i in range(len(right))], dtype=object)
    whole = SplitPredictions(LABELS, ids, np.zeros(len(right), dtype=np.int64), probabilities)
    if order is None:
        return whole
    return SplitPredictions(LABELS, ids[order], whole.truth[order], probabilities[order])


def test_holm_by_hand():
    # 0.01 * 3, then 0.03 * 2, then 0.04 * 1 raised to the one before
    np.testing.assert_allclose(holm([0.04, 0.01, 0.03]), [0.06, 0.03, 0.06])
    np.testing.assert_allclose(holm([0.6, 0.7]), [1.0, 1.0])
    assert holm([]).shape == (0,)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_never_lowers_p_values_nor_changes_their_order(values):
    adjusted = holm(values)
    assert (adjusted >= np.asarray(values)).all()
    assert (adjusted <= 1).all()
    assert (np.diff(adjusted[np.argsort(values, kind="stable")]) >= 0).all()
    bonferroni = np.minimum(1, np.asarray(values) * len(values))
    assert (adjusted <= bonferroni + 1e-12).all()


def test_counts_do_not_depend_on_the_order_of_samples():
    first = [True, True, True, False, False]
    second = [True, False, False, True, False]
    (result,) = compare_all({"a": scores(first), "b": scores(second, [4, 2, 0, 1, 3])})
    assert (result.only_first, result.only_second) == (2, 1)
    assert result.p_value == result.adjusted == 1.0


def test_runs_on_other_samples_are_refused():
    with pytest.raises(ArtifactError, match="predictions for the same samples"):
        compare_all({"a": scores([True, False]), "b": scores([True, False, True])})


def test_a_tier_starts_at_the_first_run_that_differs_from_the_best_of_the_last():
    def pair(first: str, second: str, adjusted: float) -> Comparison:
        return Comparison(first, second, 0, 0, adjusted, adjusted)

    result = tiers(
        ["a", "b", "c", "d"],
        [pair("a", "b", 0.4), pair("a", "c", 0.01), pair("a", "d", 0.001),
         pair("b", "c", 0.2), pair("b", "d", 0.01), pair("c", "d", 0.06)],
    )  # fmt: skip
    assert result == {"a": "A", "b": "A", "c": "B", "d": "B"}


def test_a_single_run_is_its_own_tier():
    assert tiers(["a"], []) == {"a": "A"}
    assert compare_all({"a": scores([True])}) == []
    assert compare_all({}) == []


def test_persons_with_several_images_are_tested_instead_of_images():
    first = np.array([True] * 6 + [False] * 2)
    second = ~first
    persons = np.array(["a", "a", "a", "b", "b", "b", "c", "d"], dtype=object)
    assert right_test(first, second) == pytest.approx(2 * (1 + 8 + 28) / 2**8)
    each = np.arange(8).astype(object)
    assert right_test(first, second, each) == pytest.approx(2 * (1 + 8 + 28) / 2**8)
    # sums 3, 3, -1, -1: of 16 flips, 6 - 2 = 4 or more is reached by 2 * (1 + 2 + 1)
    assert right_test(first, second, persons) == pytest.approx(8 / 16)
    samples = pd.DataFrame({"group": persons}, index=[f"s/{i}" for i in range(8)])
    runs = {"a": scores(list(first)), "b": scores(list(second))}
    assert compare_all(runs, samples)[0].p_value == pytest.approx(8 / 16)
    assert compare_all(runs)[0].p_value == pytest.approx(2 * (1 + 8 + 28) / 2**8)
    assert (compare_all(runs, samples)[0].only_first, len(compare_all(runs))) == (6, 1)


def test_with_images_that_persons_share_the_test_keeps_its_level():
    """Forty persons, whose ten images one of two equally accurate runs gets right."""
    random = np.random.default_rng(0)
    persons = np.repeat(np.arange(40), 10).astype(object)
    images, by_person = 0, 0
    for _ in range(200):
        first = np.repeat(random.random(40) < 0.5, 10)
        images += right_test(first, ~first) < LEVEL
        by_person += right_test(first, ~first, persons) < LEVEL
    assert images > 60
    assert by_person <= 20  # 5% of 200 are 10; twice as many have a probability of 0.2%


def test_the_name_of_the_test_says_what_is_tested():
    assert paired_test_name("images") == "McNemar's exact test"
    assert paired_test_name("persons") == "Sign-flip test over persons"


def test_a_difference_is_bootstrapped_over_persons():
    first = np.array([True, True, True, False])
    persons = np.array(["a", "a", "a", "b"], dtype=object)
    truth = np.zeros(4, dtype=np.int64)
    over_images = difference(truth, first, ~first, 2)
    over_persons = difference(truth, first, ~first, 2, persons=persons)
    assert over_persons.accuracy == (0.5, -1.0, 1.0)
    assert over_images.accuracy[0] == 0.5
    assert over_images.accuracy[1] > -1.0
