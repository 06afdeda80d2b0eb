"""What predictions say of faces, worked by hand."""

from dataclasses import replace

import numpy as np

from fer_core.explain.evidence import NOT_MEASURED
from fer_core.labels import LabelSet
from fer_core.predictor.predictions import (
    Backend,
    ExplainedPrediction,
    Prediction,
    TargetEstimates,
    decide,
)

LABELS = LabelSet.of(["angry", "happy"])
ROWS = np.array([[0.8, 0.2], [0.5, 0.5]])
SCORES = TargetEstimates(np.array([3.0, 5.0]), 0.5)
TWO = Prediction("net", "Net", LABELS, ROWS, 2.0, Backend.TORCH, 0.1, estimates={"score": SCORES})


def test_a_class_without_a_threshold_is_always_returned():
    assert decide(np.array([0.45, 0.55]), LABELS, {"happy": 0.56}) is None
    assert decide(np.array([0.45, 0.55]), LABELS, {"happy": 0.55}) == "happy"
    assert decide(np.array([0.55, 0.45]), LABELS, {"happy": 0.56}) == "angry"


def test_an_estimate_lies_in_the_middle_of_its_interval():
    assert SCORES.interval(1) == (4.5, 5.5)
    assert SCORES.text(1) == "5 (90%: 4.5 to 5.5)"
    assert replace(SCORES, margin=None).text() == "3 (interval unknown)"


def test_the_temperature_applies_before_the_prior_shift():
    # roots of 0.8 and 0.2 are 2 to 1, which twice the second makes equal; equal ones are 1 to 2
    shifted = replace(TWO, logit_shift=(0.0, np.log(2)))
    np.testing.assert_allclose(TWO.calibrated, [[2 / 3, 1 / 3], [0.5, 0.5]])
    np.testing.assert_allclose(shifted.calibrated, [[0.5, 0.5], [1 / 3, 2 / 3]])


def test_the_prediction_of_one_face_has_its_calibration_and_its_estimates():
    one = replace(TWO, logit_shift=(0.0, np.log(2))).of_face(1)
    np.testing.assert_allclose(one.calibrated, [1 / 3, 2 / 3])
    assert one.estimates["score"].interval() == (4.5, 5.5)


def test_the_class_of_an_explained_face_follows_the_prior_shift():
    plain = ExplainedPrediction(
        "net", "Net", LABELS, ROWS[0], None, "angry", np.zeros((2, 2), np.float32), "Occlusion",
        NOT_MEASURED, 0.1,
    )  # fmt: skip
    assert plain.top == "angry"
    # 0.8 against five times 0.2
    assert replace(plain, logit_shift=(0.0, np.log(5))).top == "happy"
