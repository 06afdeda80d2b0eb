"""Paired tests: hand-worked, against scipy, and properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fer_core.errors import ArtifactError
from fer_core.evaluation.predictions import SplitPredictions
from fer_core.evaluation.significance import (
    Comparison,
    compare_all,
    holm,
    mcnemar,
    p_sentence,
    p_text,
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
