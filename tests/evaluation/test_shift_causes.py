"""Which cause is named, and which remedy, on changes that are known by construction."""

import pytest

from fer_core.evaluation.estimate_trust import MOST_OUTSIDE
from fer_core.evaluation.report import Estimate
from fer_core.evaluation.shift import ClassShare, DistributionShift, RunShift
from fer_core.evaluation.shift_causes import FramingCheck, Signs, explain

CLASSES = (
    ClassShare(
        label="happy", benchmark=0.5, labelled=0.5, bbse=(0.5, 0.4, 0.6), em=(0.5, 0.4, 0.6)
    ),
    ClassShare(label="sad", benchmark=0.5, labelled=0.5, bbse=(0.5, 0.4, 0.6), em=(0.5, 0.4, 0.6)),
)


def signs(**changes) -> Signs:
    values = {"classes": CLASSES, "framing": (), "framing_check": None, "outside": 0.01,
              "conflicts": 0.0}  # fmt: skip
    return Signs(**{**values, **changes})


def run(accuracy: float | None, **changes) -> RunShift:
    values = {
        "run_id": "net", "benchmark_accuracy": 0.9, "benchmark_ece": 0.02, "ece": 0.03,
        "accuracy": None if accuracy is None
        else Estimate(value=accuracy, low=accuracy - 0.02, high=accuracy + 0.02),
        "reweighted": accuracy, "estimates": {}, "estimate": 0.9,
    }  # fmt: skip
    return RunShift(**{**values, **changes})


@pytest.mark.parametrize(
    ("row", "sign", "name", "remedy"),
    [
        (run(0.7, reweighted=0.85), signs(), "class shares", "recalibrate"),
        (run(0.7), signs(framing_check=FramingCheck("net", 0.7, 0.86, 150)), "framing", "reframe"),
        (run(0.7, within=0.88), signs(outside=0.4), "out-of-distribution faces", "adapt"),
        (run(0.7), signs(conflicts=0.15), "labels", "relabel"),
    ],
)
def test_the_cause_that_explains_most_is_named_with_its_remedy(row, sign, name, remedy):
    causes, sentence = explain([row], sign)
    assert causes[0].name == name
    assert f"The largest cause is {name}" in sentence
    assert f"To do: {remedy}" in sentence
    assert "falls by 20.0 points, from 90.0% to 70.0%" in sentence


def test_what_no_cause_explains_is_named():
    _, sentence = explain([run(0.5, reweighted=0.6)], signs())
    assert "30.0 points, is not explained by the causes below, after class shares with 10.0" in (
        sentence
    )


def test_with_few_labels_neither_a_fall_nor_that_all_is_well_follows():
    row = run(0.88, reweighted=0.9)
    row = row.model_copy(update={"accuracy": Estimate(value=0.88, low=0.79, high=0.94)})
    _, sentence = explain([row], signs())
    assert sentence == (
        "The mean accuracy is 88.0% [79.0%, 94.0%], against 90.0% on the benchmark. No fall is "
        "shown, but one of up to 11 points cannot be excluded: label more faces."
    )


def test_equal_accuracy_needs_nothing_unless_calibration_is_worse():
    assert explain([run(0.91)], signs())[1].endswith("Nothing needs to be done.")
    assert (
        "Only calibration is worse (ECE +0.18): recalibrate"
        in (explain([run(0.91, ece=0.2)], signs())[1])
    )


def test_without_labels_the_clearest_difference_is_named():
    causes, sentence = explain([run(None)], signs(outside=MOST_OUTSIDE))
    assert causes == ()
    assert "are like the benchmark's" in sentence
    size = DistributionShift(
        name="box", title="size of the face", unit="", benchmark=(1, 1, 1, 1, 1),
        transferred=(0.5, 0.5, 0.5, 0.5, 0.5), outside=0.8, faces=100,
    )  # fmt: skip
    causes, sentence = explain([run(None)], signs(framing=(size,), outside=0.3))
    assert [cause.name for cause in causes] == ["framing", "out-of-distribution faces"]
    assert "80% of the faces are beyond 98% of the benchmark's. To do: reframe" in sentence


def test_without_labels_the_estimated_shares_of_classes_are_compared():
    shares = [("happy", 0.5, (0.5, 0.1, 0.9)), ("sad", 0.2, (0.4, 0.3, 0.5))]
    classes = tuple(
        ClassShare(label=label, benchmark=benchmark, labelled=None, bbse=bbse, em=bbse)
        for label, benchmark, bbse in shares
    )
    (cause,), _ = explain([run(None)], signs(classes=classes))
    assert (cause.name, cause.points) == ("class shares", None)
    assert cause.text == "About 40% of the faces are sad, against 20% in the benchmark."
    assert cause.remedy.startswith("recalibrate: ")
