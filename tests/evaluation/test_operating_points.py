"""Operating points: thresholds by hand, curves, and the file."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_core.errors import ArtifactError
from fer_core.evaluation.intervals import wilson
from fer_core.evaluation.operating_points import (
    OperatingPoint,
    calibrated_splits,
    class_curve,
    coverage_curve,
    operate,
    operating_point,
)
from fer_core.evaluation.predictions import Predictions
from fer_core.evaluation.risk_limits import RiskLimits
from tests.support.candidates import predicted
from tests.support.thresholds import FIVE, answers


def test_an_operation_by_hand():
    result = operate(FIVE, {"happy": 0.75})  # the answer of 0.7 becomes unsure
    assert result.coverage.value == 4 / 5
    assert result.risk.value == 2 / 4
    angry, happy = result.classes
    assert (angry.answers, angry.precision.value, angry.recall.value) == (2, 1 / 2, 1 / 2)
    assert (happy.answers, happy.precision.value, happy.recall.value) == (2, 1 / 2, 1 / 3)
    low, high = wilson(np.array([2]), np.array([4]))
    assert (result.risk.low, result.risk.high) == (pytest.approx(low[0]), pytest.approx(high[0]))


def test_without_answers_there_is_no_risk():
    result = operate(FIVE, {"angry": 1.0, "happy": 1.0})
    assert (result.coverage.value, result.risk) == (0.0, None)
    assert [row.precision for row in result.classes] == [None, None]
    assert [row.recall.value for row in result.classes] == [0.0, 0.0]


def test_curves_by_hand():
    curve = coverage_curve(FIVE)
    assert curve["threshold"].tolist() == [0.95, 0.9, 0.8, 0.7, 0.6]
    assert curve["coverage"].tolist() == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert curve["risk"].tolist() == pytest.approx([0, 0, 1 / 3, 1 / 4, 2 / 5])
    happy = class_curve(FIVE, "happy")
    assert happy["recall"].tolist() == pytest.approx([1 / 3, 1 / 3, 2 / 3])
    assert happy["precision"].tolist() == pytest.approx([1, 1 / 2, 2 / 3])
    assert list(happy) == [
        "threshold", "recall", "precision", "low", "high", "recall_low", "recall_high",
    ]  # fmt: skip
    nothing = class_curve(answers([(0, 1, 0.9)]), "angry")
    assert nothing.empty
    assert list(nothing) == list(happy)


ROWS = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 1), st.sampled_from([0.55, 0.6, 0.7, 0.8, 0.9])),
    min_size=1,
    max_size=40,
)


@given(ROWS)
def test_a_higher_threshold_never_answers_more(rows):
    predictions = answers(rows)
    coverages = [
        operate(predictions, {"angry": low, "happy": low}).coverage.value
        for low in (0.0, 0.6, 0.75, 0.95)
    ]
    assert coverages[0] == 1.0
    assert coverages == sorted(coverages, reverse=True)


@given(ROWS)
def test_intervals_hold_their_values(rows):
    for curve in (coverage_curve(answers(rows)), class_curve(answers(rows), "happy")):
        value = curve["risk" if "risk" in curve else "precision"]
        assert (curve["low"] <= value + 1e-9).all()
        assert (value <= curve["high"] + 1e-9).all()


@pytest.fixture
def point(toy):
    run = toy.benchmark.run("resnet34-cpu-s0")
    read = Predictions.read(run.predictions_path, toy.dataset.labels)
    splits = calibrated_splits(read.split("validation"), read.split("test"))
    return operating_point("toy", run.info(), splits, {"angry": 0.5}), run.info()


def test_a_file_is_read_as_it_was_written(point, tmp_path):
    stored, info = point
    stored.write(tmp_path / "operating_point.json")
    assert OperatingPoint.read(tmp_path / "operating_point.json") == stored
    assert stored.thresholds["angry"] == 0.5
    assert stored.thresholds["sad"] == 0.0
    stored.check("toy", info)
    assert stored.unsure_below is None
    assert "50.0% for angry" in stored.statement
    assert stored.test.text in stored.statement


def test_without_thresholds_the_statement_has_the_error_rates_only(point):
    stored, _ = point
    always = dict.fromkeys(stored.thresholds, 0.0)
    splits = {
        "validation": operate(predicted([0, 1, 2, 2], [0, 1, 2, 1]), {}),  # 1 of 4 is wrong
        "test": operate(predicted([0, 1], [0, 0]), {}),
    }
    statement = stored.model_copy(update={"thresholds": always, **splits}).statement
    assert statement == (
        "It predicts every image: 50.0% [9.5, 90.5] of the predictions are wrong on test, 25.0% "
        "[4.6, 69.9] on validation."
    )


def test_an_operating_point_of_another_run_is_refused(point):
    stored, info = point
    with pytest.raises(ArtifactError, match="chosen for toy/resnet34-cpu-s0, not for other/"):
        stored.check("other", info)
    with pytest.raises(ArtifactError, match="another training"):
        stored.check("toy", info.model_copy(update={"created": "2027-01-01T00:00:00+00:00"}))


@pytest.mark.parametrize("change", [{"angry": 1.5}, {"calm": 0.5}])
def test_impossible_thresholds_are_a_damaged_file(point, tmp_path, change):
    stored, _ = point
    path = tmp_path / "operating_point.json"
    stored.model_copy(update={"thresholds": {**stored.thresholds, **change}}).write(path)
    with pytest.raises(ArtifactError, match="threshold"):
        OperatingPoint.read(path)


def test_classes_with_a_limit_have_a_sentence(point):
    stored, _ = point
    limits = RiskLimits(min_precision={"happy": 0.9, "sad": 0.5, "angry": 0.6})
    test = operate(predicted([0, 0, 1, 1], [0, 0, 1, 0]), {})  # sad: no image, no prediction
    limited = stored.model_copy(update={"limits": limits, "test": test})
    happy, sad, angry = limited.class_texts
    assert happy == (
        "happy on test: precision 100.0% [20.7, 100.0] of 1 predictions; recall 50.0% [9.5, 90.5]."
    )
    assert sad == "sad on test: never predicted, no image of it."
    assert angry.startswith("angry on test: precision 66.7% [20.8, 93.9] of 3 predictions; ")
    strict = limits.model_copy(update={"min_precision": {"angry": 0.7}})
    (angry,) = limited.model_copy(update={"limits": strict}).class_texts
    assert "of 3 predictions, below the limit of 70%; recall" in angry


def test_limits_are_said_not_to_choose_the_model(point):
    stored, _ = point
    limited = stored.model_copy(update={"limits": RiskLimits(max_risk=0.1)})
    assert limited.scope.startswith("These limits do not choose the model")
    assert limited.class_texts == ()
    for limits in (None, RiskLimits()):
        assert stored.model_copy(update={"limits": limits}).scope == ""
