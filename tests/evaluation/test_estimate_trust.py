"""When an estimate without labels is trusted, and the error that is shown with it."""

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

GOOD = Signals(faces=500, outside=0.02, spread=0.02, loss=0.01)


def test_signals_within_the_limits_are_trusted():
    assert reasons_against(GOOD) == ()


@pytest.mark.parametrize(
    ("signals", "reason"),
    [
        (Signals(50, 0.02, 0.02, 0.01), "has 50 faces"),
        (Signals(500, None, 0.02, 0.01), "could not be compared"),
        (Signals(500, 0.3, 0.02, 0.01), "30% of the faces lie farther out"),
        (Signals(500, 0.02, 0.2, 0.01), "methods disagree by 20 points"),
        (Signals(500, 0.02, 0.02, 0.2), "estimated loss is 20 points"),
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
             "accuracy": accuracy, "outside": outside,
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
