"""When an estimate without labels is trusted, and the error that is shown with it."""

from dataclasses import replace

import pandas as pd
import pytest

from fer_core.evaluation.accuracy_estimates import Estimator
from fer_core.evaluation.estimate_trust import (
    Signals,
    error_of,
    read_checks,
    reasons_against,
    shown_estimate,
)

GOOD = Signals(faces=500, outside=0.02, spread=0.02, loss=0.01, moved=0.1, misplaced=0.1)


def test_signals_within_the_limits_are_trusted():
    assert reasons_against(GOOD) == ()


@pytest.mark.parametrize(
    ("signals", "reason"),
    [
        (replace(GOOD, faces=50), "has 50 faces"),
        (replace(GOOD, outside=None), "could not be compared"),
        (replace(GOOD, outside=0.3), "30% of the faces lie farther out"),
        (replace(GOOD, spread=0.2), "methods disagree by 20 points"),
        (replace(GOOD, loss=0.2), "estimated loss is 20 points"),
        (replace(GOOD, moved=0.4), "40% of the answers moved to other classes"),
        (replace(GOOD, misplaced=0.5), "50% of the faces are framed in another way"),
    ],
)
def test_each_signal_can_speak_against_it(signals, reason):
    (found,) = reasons_against(signals)
    assert reason in found


def test_the_error_is_that_of_trusted_checks(tmp_path):
    rows = []
    for name, outside, accuracy in (("near", 0.01, 0.80), ("far", 0.40, 0.50)):
        rows.append(
            {"set": name, "kind": "corruption", "run_id": "net", "validation": 0.85,
             "accuracy": accuracy, "outside": outside, "moved": 0.1,
             **{str(method): 0.82 for method in Estimator}}
        )  # fmt: skip
    path = tmp_path / "estimate_checks.parquet"
    pd.DataFrame(rows).to_parquet(path)
    checks = read_checks(path)
    assert checks["trusted"].tolist() == [True, False]
    error = error_of(checks)
    assert (error.mean, error.most, error.checks) == (pytest.approx(0.02), pytest.approx(0.02), 1)
    assert read_checks(tmp_path / "none.parquet") is None
    assert error_of(None) is None
    assert shown_estimate({str(method): 0.82 for method in Estimator}) == pytest.approx(0.82)
