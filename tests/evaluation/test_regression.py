"""Errors of estimated scores: hand-worked values, properties, and clips as a whole."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import mean_absolute_error as sk_mae
from sklearn.metrics import root_mean_squared_error as sk_rmse

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
    base = {"split": "test", "clip": ["a", "a", "b", "b"]}
    return pd.DataFrame({**base, "score": [1.0, 1.0, 3.0, 3.0], **columns})


def test_a_clips_value_is_the_mean_of_its_frames():
    report = regression.build_regression_report(
        "run", table(estimated=[0.0, 2.0, 3.0, 5.0]), training_mean=2.0
    )
    assert report.frames["test"].count == 4
    assert report.frames["test"].mae.value == 1.0  # 1, 1, 0, 2
    assert report.clips["test"].count == 2
    assert report.clips["test"].mae.value == 0.5  # clip a is met exactly, clip b by 1
    assert report.clips["test"].mae_of_mean == 1.0
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
    width = by_clip.mae.high - by_clip.mae.low
    assert width > 1.5 * (by_frame.mae.high - by_frame.mae.low)  # sqrt(5) in expectation


def test_constant_values_have_no_concordance():
    made = table(score=[2.0] * 4, estimated=[2.0] * 4)
    assert regression.measure(made, 2.0).concordance is None
