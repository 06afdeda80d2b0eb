"""The rule of the recommendation: hand-worked cases and properties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_core.errors import DataError
from fer_core.evaluation.constraints import Constraints, ModelKind, violations
from fer_core.evaluation.error_costs import ErrorCosts
from fer_core.evaluation.recommendation import (
    AssessmentStatus,
    RecallCheck,
    fastest,
    recommend,
)
from fer_core.evaluation.report import Estimate
from tests.support.candidates import candidate, with_errors

TRUTH = [0, 1, 2] * 20  # 60 samples
EQUAL = ErrorCosts()


def run(name, errors, test=None, **known):
    """A candidate that errs on the given positions."""
    answers = with_errors(TRUTH, errors)
    return candidate(name, TRUTH, answers, None if test is None else with_errors(TRUTH, test),
                     **known)  # fmt: skip


def statuses(result):
    return {item.run_id: item.status for item in result.assessments}


def test_of_runs_that_are_not_significantly_worse_the_fastest_is_recommended():
    best = run("best", [0], milliseconds=80.0)
    tied = run("tied", [1, 2, 3], milliseconds=11.0)  # 1 against 3 discordant: p = 0.625
    bad = run("bad", range(10, 22), milliseconds=2.0)  # 1 against 12: p = 0.0034, times 2
    result = recommend([bad, best, tied], Constraints(), EQUAL)
    assert (result.recommended_id, result.best) == ("tied", "best")
    assert statuses(result) == {
        "tied": AssessmentStatus.RECOMMENDED,
        "best": AssessmentStatus.TIED,
        "bad": AssessmentStatus.WORSE,
    }
    p_values = {item.run_id: item.validation_p for item in result.assessments}
    assert p_values["best"] is None
    assert p_values["tied"] == pytest.approx(0.625)
    assert p_values["bad"] == pytest.approx(2 * 2 * (1 + 13) / 2**13)


def test_holms_correction_counts_the_runs_within_the_constraints_alone():
    best = run("best", [])
    close = run("close", range(6), milliseconds=5.0)  # 0 against 6: p = 0.03125
    other = run("other", [30], milliseconds=9.0, megabytes=99.0)
    assert recommend([best, close, other], Constraints(), EQUAL).recommended_id == "close"
    alone = recommend([best, close, other], Constraints.of(max_mb=20), EQUAL)
    assert alone.recommended_id == "best"  # without `other` nothing is corrected
    assert statuses(alone)["close"] is AssessmentStatus.WORSE
    assert alone.loosenings == ()  # `other` is outside, but runs are left


def test_within_ten_percent_of_the_fastest_the_smaller_is_taken():
    fast = run("fast", [], milliseconds=10.0, megabytes=30.0)
    small = run("small", [], milliseconds=11.0, megabytes=8.0)
    slow = run("slow", [], milliseconds=11.1, megabytes=1.0)
    assert fastest([slow, fast, small]).run_id == "small"
    assert fastest([slow, fast]).run_id == "fast"


def test_a_latency_that_was_not_measured_never_wins_over_a_measured_one():
    known = run("known", [], milliseconds=50.0)
    unknown = run("unknown", [], milliseconds=None, megabytes=1.0)
    assert fastest([unknown, known]).run_id == "known"
    assert fastest([unknown]).run_id == "unknown"
    large = run("large", [], milliseconds=None, megabytes=2.0)
    assert fastest([large, unknown]).run_id == "unknown"


def test_costs_change_the_answer():
    # both err six times; the first says angry (class 0) for sad, the second sad for happy
    sad, happy = [index for index in range(60) if TRUTH[index] == 2], [1, 4, 7, 10, 13, 16]
    first = run("first", sad[:6], milliseconds=1.0)
    second = run("second", happy, milliseconds=2.0)
    assert recommend([first, second], Constraints(), EQUAL).recommended_id == "first"
    costly = recommend([first, second], Constraints(), ErrorCosts.parse(["*>angry=50"]))
    assert costly.best == "second"
    by_id = {item.run_id: item for item in costly.assessments}
    assert by_id["first"].validation_cost == pytest.approx(6 * 50 / 60)
    assert by_id["second"].validation_cost == pytest.approx(6 / 60)


def test_a_run_that_is_significantly_better_on_test_contradicts_the_choice():
    pick = run("pick", [], test=range(12), milliseconds=1.0)
    other = run("other", [0], test=[], milliseconds=9.0)
    result = recommend([pick, other], Constraints(), EQUAL)
    assert result.recommended_id == "pick"
    (against,) = result.contradictions
    assert against.run_id == "other"
    assert against.test_p == pytest.approx(2 / 2**12)
    assert against.difference.value == pytest.approx(-12 / 60)


def test_a_run_that_is_significantly_worse_on_test_contradicts_nothing():
    pick = run("pick", [], test=[], milliseconds=1.0)
    other = run("other", [0], test=range(12), milliseconds=9.0)
    result = recommend([pick, other], Constraints(), EQUAL)
    (assessment,) = result.others
    assert assessment.test_p == pytest.approx(2 / 2**12)
    assert not assessment.better_on_test
    assert result.contradictions == ()


def test_runs_outside_the_constraints_are_not_compared():
    pick = run("pick", [], test=range(12), milliseconds=1.0)
    other = run("other", [0], test=[], milliseconds=9.0)
    large = run("large", [], test=[], megabytes=99.0)
    result = recommend([pick, other, large], Constraints.of(max_mb=20), EQUAL)
    by_id = {item.run_id: item for item in result.assessments}
    assert by_id["other"].test_p == pytest.approx(2 / 2**12)  # of one comparison
    assert (by_id["large"].difference, by_id["large"].test_p) == (None, None)


def test_runs_of_equal_status_are_in_the_order_of_their_costs_on_test():
    pick = run("pick", [], milliseconds=1.0)
    others = [
        run("a", [0], test=range(3), milliseconds=9.0),
        run("b", [0, 1], test=[0], milliseconds=9.0),
    ]
    result = recommend([*others, pick], Constraints(), EQUAL)
    assert [item.run_id for item in result.assessments] == ["pick", "b", "a"]


def test_a_recall_at_its_limit_holds():
    estimate = Estimate(value=0.75, low=0.5, high=0.9)
    assert RecallCheck("angry", 0.75, estimate, estimate).holds_on_test
    assert not RecallCheck("angry", 0.76, estimate, estimate).holds_on_test


def test_a_recall_that_fails_on_test_is_reported():
    pick = run("pick", [], test=[0, 3, 6, 9, 12])  # angry: 15 of 20
    result = recommend([pick], Constraints.of(min_recall={"angry": 0.8, "sad": 0.9}), EQUAL)
    angry, sad = result.recalls
    assert (angry.label, angry.validation.value, angry.test.value) == ("angry", 1.0, 0.75)
    assert not angry.holds_on_test
    assert sad.holds_on_test


def test_without_a_run_within_the_constraints_there_is_advice():
    slow = run("slow", [], milliseconds=20.0)
    result = recommend([slow], Constraints.of(max_ms=5), EQUAL)
    assert result.recommended is None
    assert result.best is None
    assert [way.run_id for way in result.loosenings] == ["slow"]
    assert statuses(result) == {"slow": AssessmentStatus.EXCLUDED}
    assert result.assessments[0].difference is None


def test_unknown_classes_are_errors():
    only = run("only", [])
    with pytest.raises(DataError, match="calm"):
        recommend([only], Constraints.of(min_recall={"calm": 0.5}), EQUAL)
    with pytest.raises(DataError, match="calm"):
        recommend([only], Constraints(), ErrorCosts.parse(["*>calm=2"]))


ERRORS = st.lists(st.integers(0, 59), max_size=25)
RUNS = st.lists(
    st.tuples(ERRORS, ERRORS, st.floats(1, 100), st.floats(1, 100), st.booleans()),
    min_size=1,
    max_size=5,
)
LIMITS = st.builds(
    Constraints.of,
    min_recall=st.dictionaries(st.sampled_from(["angry", "sad"]), st.floats(0, 1)),
    max_ms=st.none() | st.floats(1, 100),
    kind=st.sampled_from(ModelKind),
)


@given(RUNS, LIMITS, st.sampled_from(["equal", "balanced", "*>angry=5"]))
@settings(max_examples=40, deadline=None)
def test_the_recommended_run_obeys_the_rule(rows, constraints, text):
    costs = ErrorCosts.parse([text])
    runs = [
        run(f"r{number}", errors, test, milliseconds=ms, megabytes=mb, is_ensemble=mixed)
        for number, (errors, test, ms, mb, mixed) in enumerate(rows)
    ]
    result = recommend(runs, constraints, costs)
    inside = [item for item in runs if not violations(item, constraints)]
    assert (result.recommended is None) == (not inside)
    assert len(result.assessments) == len(runs)
    if not inside:
        return
    by_id = {item.run_id: item for item in result.assessments}
    pick, best = result.recommended, result.best_run
    assert best.validation_cost == min(costs.mean(item.validation) for item in inside)
    wanted = (AssessmentStatus.RECOMMENDED, AssessmentStatus.TIED)
    candidates = [item for item in result.assessments if item.status in wanted]
    assert {best.run_id, pick.run_id} <= {item.run_id for item in candidates}
    assert pick.milliseconds <= 1.1 * min(item.milliseconds for item in candidates)
    assert all(
        item.megabytes >= pick.megabytes
        for item in candidates
        if item.milliseconds <= 1.1 * min(other.milliseconds for other in candidates)
    )
    for item in inside:
        assert by_id[item.run_id].status is not AssessmentStatus.EXCLUDED
    # the order of the runs does not matter
    shuffled = [runs[index] for index in np.random.default_rng(0).permutation(len(runs))]
    assert recommend(shuffled, constraints, costs).recommended_id == pick.run_id


@given(RUNS, st.floats(1, 100))
@settings(max_examples=25, deadline=None)
def test_a_looser_limit_never_leaves_fewer_runs(rows, limit):
    runs = [
        run(f"r{number}", errors, test, milliseconds=ms)
        for number, (errors, test, ms, _, _) in enumerate(rows)
    ]
    tight, loose = (
        recommend(runs, Constraints.of(max_ms=bound), EQUAL) for bound in (limit, 2 * limit)
    )
    excluded = [
        {item.run_id for item in result.assessments if item.status is AssessmentStatus.EXCLUDED}
        for result in (tight, loose)
    ]
    assert excluded[1] <= excluded[0]
    for way in tight.loosenings:  # following the advice leaves the named run
        needed = way.needed[0].value
        again = recommend(runs, Constraints.of(max_ms=needed), EQUAL)
        assert {item.run_id: item.status for item in again.assessments}[way.run_id] is not (
            AssessmentStatus.EXCLUDED
        )
