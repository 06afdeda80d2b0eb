"""Errors of estimated scores: hand-worked values, properties, and clips as a whole."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import mean_absolute_error as sk_mae
from sklearn.metrics import root_mean_squared_error as sk_rmse

from fer_core.artifacts import RunDir
from fer_core.errors import ArtifactError
from fer_core.evaluation import regression

VALUES = arrays(np.float64, 6, elements=st.floats(-50, 50).map(lambda v: round(v, 3)))


def test_concordance_of_equal_and_shifted_values():
    truth = np.array([0.0, 1.0, 2.0, 3.0])
    assert regression.concordance(truth, truth) == 1
    assert regression.mean_absolute_error(truth, truth) == 0
    # variance 1.25 each, covariance 1.25, shift 2: 2.5 / (2.5 + 4)
    assert regression.concordance(truth, truth + 2) == pytest.approx(2.5 / 6.5)
    assert regression.concordance(truth, -truth) < 0
    assert np.isnan(regression.concordance(np.ones(3), np.ones(3)))
    assert regression.concordance(truth, np.full(4, 1.5)) == 0


@given(VALUES, VALUES)
def test_errors_agree_with_scikit_learn(truth, estimated):
    assert regression.mean_absolute_error(truth, estimated) == pytest.approx(
        sk_mae(truth, estimated)
    )
    assert regression.root_mean_squared_error(truth, estimated) == pytest.approx(
        sk_rmse(truth, estimated)
    )


@given(VALUES, VALUES)
def test_concordance_is_symmetric_and_bounded_by_correlation(truth, estimated):
    value = regression.concordance(truth, estimated)
    if np.isnan(value):
        return
    assert value == pytest.approx(regression.concordance(estimated, truth), abs=1e-9)
    if truth.std() > 1e-3 and estimated.std() > 1e-3:
        assert abs(value) <= abs(np.corrcoef(truth, estimated)[0, 1]) + 1e-9


def table(**columns):
    base = {"split": "test", "target": "score", "clip": ["a", "a", "b", "b"]}
    return pd.DataFrame({**base, "score": [1.0, 1.0, 3.0, 3.0], **columns})


def test_a_clips_value_is_the_mean_of_its_frames():
    report = regression.build_regression_report(
        "run", table(estimated=[0.0, 2.0, 3.0, 5.0]), {"score": 2.0}
    )
    target = report.targets["score"]
    assert target.frames["test"].count == 4
    assert target.frames["test"].mae.value == 1.0  # 1, 1, 0, 2
    assert target.clips["test"].count == 2
    assert target.clips["test"].mae.value == 0.5  # clip a is met exactly, clip b by 1
    assert target.clips["test"].mae_of_mean == 1.0
    assert (target.margin, target.test_coverage) == (None, None)  # no validation image
    again = regression.RegressionReport.model_validate_json(report.model_dump_json())
    assert again == report


def test_intervals_resample_clips_and_contain_the_estimate():
    random = np.random.default_rng(0)
    clips = np.repeat(np.arange(30), 5)
    truth = np.repeat(random.normal(size=30), 5)
    offsets = np.repeat(random.normal(scale=0.5, size=30), 5)  # frames of a clip err alike
    made = pd.DataFrame({"clip": clips, "score": truth, "estimated": truth + offsets})
    by_clip = regression.measure(made, 0.0)
    by_frame = regression.measure(made.assign(clip=np.arange(150)), 0.0)
    assert by_clip.mae.low < by_clip.mae.value < by_clip.mae.high
    assert by_clip.rmse.low < by_clip.rmse.value < by_clip.rmse.high
    assert by_clip.concordance.low < by_clip.concordance.value < by_clip.concordance.high
    width = by_clip.mae.high - by_clip.mae.low
    assert width > 1.5 * (by_frame.mae.high - by_frame.mae.low)  # sqrt(5) in expectation


def test_constant_values_have_no_concordance():
    made = table(score=[2.0] * 4, estimated=[2.0] * 4)
    assert regression.measure(made, 2.0).concordance is None


def test_the_margin_is_a_quantile_of_validation_errors():
    truth = pd.Series(np.zeros(19))
    # ceil(20 * 0.9) = 18: the 18th smallest of 1 to 19
    assert regression.conformal_margin(truth, pd.Series(np.arange(1.0, 20.0))) == 18
    assert regression.conformal_margin(truth[:9], pd.Series(np.arange(1.0, 10.0))) == 9
    assert regression.conformal_margin(truth[:8], pd.Series(np.arange(1.0, 9.0))) is None


def test_intervals_hold_the_promised_share_of_new_images():
    random = np.random.default_rng(0)
    errors = random.normal(size=(400, 200))  # 400 trials: 199 validation images, one new
    margin = [
        regression.conformal_margin(pd.Series(np.zeros(199)), pd.Series(row[:199]))
        for row in errors
    ]
    assert np.mean(np.abs(errors[:, 199]) <= margin) == pytest.approx(0.9, abs=0.04)


def test_targets_are_measured_separately_with_their_coverage():
    rows = pd.concat(
        [
            table(
                split="validation",
                clip=list("abcd"),
                score=0.0,
                target=name,
                estimated=scale * np.array([1.0, 2.0, 3.0, 4.0]),
            )
            for name, scale in (("valence", 0.1), ("arousal", 1.0))
            for _ in range(3)
        ]
        + [
            table(target=name, score=0.0, estimated=[0.0, 0.3, 0.5, 9.0])
            for name in ("valence", "arousal")
        ]
    )
    report = regression.build_regression_report("run", rows, {"valence": 0.0, "arousal": 1.0})
    assert list(report.targets) == ["valence", "arousal"]
    valence, arousal = report.targets.values()
    assert (valence.margin, arousal.margin) == (pytest.approx(0.4), 4.0)
    assert (valence.test_coverage.value, arousal.test_coverage.value) == (0.5, 0.75)
    assert [row[:2] for row in valence.rows()] == [
        ("test", "frames"),
        ("validation", "frames"),
        ("test", "clips"),
        ("validation", "clips"),
    ]


def test_files_with_one_target_are_still_read(tmp_path):
    run = RunDir(tmp_path / "artifacts" / "toy" / "runs" / "old")
    run.root.mkdir(parents=True)
    estimate = {"value": 1.0, "low": 0.5, "high": 1.5}
    metrics = {
        "count": 3,
        "mae": estimate,
        "rmse": estimate,
        "concordance": None,
        "mae_of_mean": 2.0,
    }
    former = {
        "schema_version": 1,
        "run_id": "old",
        "frames": {"test": metrics},
        "clips": {"test": metrics},
    }
    run.regression_report_path.write_text(json.dumps(former))
    report = regression.RegressionReport.read(run.regression_report_path)
    assert report.targets["score"].frames["test"].mae.value == 1.0
    assert report.targets["score"].margin is None
    columns = {"id": ["a"] * 9, "split": "validation", "clip": "a", "score": 0.0}
    pd.DataFrame({**columns, "estimated": np.arange(9.0)}).to_parquet(run.regression_path)
    assert set(regression.read_estimates(run)["target"]) == {"score"}
    assert regression.margins(run) == {"score": 8.0}
    pd.DataFrame(columns).to_parquet(run.regression_path)
    with pytest.raises(ArtifactError, match="estimated"):
        regression.read_estimates(run)
