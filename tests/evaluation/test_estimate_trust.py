"""When an estimate without labels is trusted, and the error that is shown with it."""

import re
from dataclasses import replace
from math import sqrt

import numpy as np
import pandas as pd
import pytest

from fer_core.evaluation.accuracy_estimates import Estimator
from fer_core.evaluation.estimate_trust import (
    LABELS_ENOUGH,
    LARGEST_ERROR,
    Signals,
    contradicted_by_labels,
    error_of,
    faces_needed,
    margin_of,
    method_error,
    read_checks,
    reasons_against,
    shown_estimate,
)
from fer_core.evaluation.report import Estimate
from fer_core.evaluation.shift import RunShift

LABELS = {
    "run_id": "net", "benchmark_accuracy": 0.8, "benchmark_ece": 0.02, "estimates": {},
    "estimate": 0.8,
}  # fmt: skip
WORSE = RunShift(**LABELS, accuracy=Estimate(value=0.6, low=0.55, high=0.65))
GOOD = Signals(
    faces=500, margin=0.04, outside=0.02, spread=0.02, loss=0.01, moved=0.1, misplaced=0.1
)


def test_signals_within_the_limits_are_trusted():
    assert reasons_against(GOOD) == ()


@pytest.mark.parametrize(
    ("signals", "reason"),
    [
        (replace(GOOD, margin=0.061), "With 500 faces .* can be 6.1 points off"),
        (replace(GOOD, margin=None), "was not checked on this benchmark"),
        (replace(GOOD, outside=None), "could not be compared"),
        (replace(GOOD, outside=0.3), "30% of the faces have a larger embedding distance"),
        (replace(GOOD, spread=0.2), "methods disagree by 20 points"),
        (replace(GOOD, loss=0.2), "estimated loss is 20 points"),
        (replace(GOOD, moved=0.4), "40% of the predictions moved to other classes"),
        (replace(GOOD, misplaced=0.5), "50% of the faces are framed differently from"),
        (
            replace(GOOD, contradicted=(WORSE,)),
            r"The labels contradict the estimate: net is estimated at 80\.0% ± 4\.0 points, its "
            r"accuracy on labelled faces is 60\.0% \[55\.0, 65\.0\]",
        ),
    ],
)
def test_each_signal_can_speak_against_it(signals, reason):
    (found,) = reasons_against(signals)
    assert re.search(reason, found)


def test_labels_contradict_an_estimate_if_the_intervals_are_apart():
    near = WORSE.model_copy(update={"accuracy": Estimate(value=0.7, low=0.6, high=0.77)})
    bare = WORSE.model_copy(update={"accuracy": None})
    better = WORSE.model_copy(update={"accuracy": Estimate(value=0.95, low=0.9, high=0.97)})
    runs = (WORSE, near, bare, better)
    assert contradicted_by_labels(runs, 0.04) == (WORSE, better)
    assert contradicted_by_labels(runs, 0.16) == ()
    assert contradicted_by_labels(runs, None) == ()


def test_the_margin_holds_for_chance_method_and_all_runs():
    assert margin_of([0.8], 400, 0.0) == pytest.approx(1.95996 * 0.02, abs=1e-6)
    assert margin_of([0.8], 400, 0.02) == pytest.approx(1.95996 * 0.02 * sqrt(2), abs=1e-6)
    # two runs: a normal quantile of 1 - 0.0125; the run with the larger variance counts
    assert margin_of([0.8, 0.9], 400, 0.0) == pytest.approx(2.241403 * 0.02, abs=1e-6)


def test_the_margin_counts_chance_in_validation():
    # as many validation images as faces: twice the variance
    expected = 1.95996 * 0.02 * sqrt(2)
    assert margin_of([0.8], 400, 0.0, 400) == pytest.approx(expected, abs=1e-6)


def check(name, outside, accuracy, samples=1600, estimate=0.80):
    return {
        "set": name, "kind": "corruption", "run_id": "net", "validation": 0.85, "samples": samples,
        "accuracy": accuracy, "outside": outside, "moved": 0.1,
        **{str(method): estimate for method in Estimator},
    }  # fmt: skip


def checks_of(folder, *rows):
    path = folder / "estimate_checks.parquet"
    pd.DataFrame(rows).to_parquet(path)
    return read_checks(path)


def test_the_methods_error_is_what_chance_leaves():
    table = pd.DataFrame(
        {"set": ["a", "a", "b"], "estimate": 0.8, "samples": 1600, "error": [0.03, 0.01, 0.02],
         "source": np.inf}
    )  # fmt: skip
    # chance: 0.8 * 0.2 / 1600 = 0.0001; the mean of (0.0005 - 0.0001) and (0.0004 - 0.0001)
    assert method_error(table) == pytest.approx(sqrt(0.00035))
    # as many images in the source: the mean of (0.0005 - 0.0002) and (0.0004 - 0.0002)
    assert method_error(table.assign(source=1600)) == pytest.approx(sqrt(0.00025))
    assert method_error(table.assign(error=0.001)) == 0
    assert method_error(table.head(0)) is None


def test_a_check_is_judged_by_the_other_sets(tmp_path):
    checks = checks_of(
        tmp_path, check("a", 0.01, 0.80), check("b", 0.01, 0.80), check("c", 0.01, 0.90),
        check("far", 0.40, 0.50), check("few", 0.01, 0.80, samples=100),
    ).set_index("set")  # fmt: skip
    # without its own error of 10 points nothing speaks against c; its error does against others
    assert checks["trusted"].to_dict() == {
        "a": False, "b": False, "c": True, "far": False, "few": False
    }  # fmt: skip
    assert checks["within"].to_dict() == {
        "a": True, "b": True, "c": True, "far": False, "few": True
    }  # fmt: skip
    assert np.isnan(checks.loc["far", "margin"])


def test_the_margin_counts_the_images_that_the_estimates_start_from(tmp_path):
    rows = [check("a", 0.01, 0.80), check("b", 0.01, 0.80)]
    checks = checks_of(tmp_path, *({**row, "source": 1566} for row in rows))
    assert checks["margin"].tolist() == [pytest.approx(margin_of([0.8], 1600, 0.0, 1566))] * 2
    without = checks_of(tmp_path, *rows)  # as earlier versions wrote it
    assert without["margin"].tolist() == [pytest.approx(margin_of([0.8], 1600, 0.0))] * 2


def test_the_error_is_that_of_checks_within_the_limits(tmp_path):
    checks = checks_of(
        tmp_path, check("near", 0.01, 0.79), check("next", 0.01, 0.79), check("far", 0.40, 0.50)
    )
    assert checks["trusted"].tolist() == [True, True, False]
    error = error_of(checks)
    assert (error.mean, error.most) == (pytest.approx(0.01), pytest.approx(0.01))
    assert (error.checks, error.sets) == (2, 2)
    few = checks_of(
        tmp_path, check("a", 0.01, 0.79, samples=100), check("b", 0.01, 0.79, samples=100)
    )
    assert not few["trusted"].any()
    assert error_of(few).checks == 2  # a wide interval is no reason to leave an error out
    assert read_checks(tmp_path / "none.parquet") is None
    checks.drop(columns="moved").to_parquet(tmp_path / "damaged.parquet")
    assert read_checks(tmp_path / "damaged.parquet") is None
    assert error_of(None) is None
    assert shown_estimate({str(method): 0.82 for method in Estimator}) == pytest.approx(0.82)


def test_the_refusal_says_how_many_faces_are_enough():
    estimates, images = [0.85] * 10, 3133
    enough = faces_needed(estimates, 0.0, images)
    assert margin_of(estimates, enough, 0.0, images) <= LARGEST_ERROR
    assert margin_of(estimates, enough - 1, 0.0, images) > LARGEST_ERROR
    assert faces_needed(estimates, 0.0, 100) is None
    signals = Signals(
        faces=60, margin=0.14, outside=0.0, spread=0.0, loss=0.0, moved=0.0, misplaced=0.0
    )
    (reason,) = reasons_against(replace(signals, enough=enough))
    assert reason.endswith(f"estimates are shown up to 5 points, from about {enough:,} faces.")
    (reason,) = reasons_against(signals)
    assert reason.endswith("which no number of faces reaches with so few validation images.")


def test_so_many_labels_give_the_accuracy_as_said():
    for points, count in ((10, 100), (5, 400)):
        accuracy = Estimate.of_share(count // 2, count)
        assert f"{count} " in LABELS_ENOUGH
        assert 100 * (accuracy.high - accuracy.value) <= points
