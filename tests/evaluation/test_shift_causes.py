"""Which cause is named, and which remedy, on changes that are known by construction."""

import numpy as np
import pytest

from fer_core.evaluation.estimate_trust import MOST_OUTSIDE
from fer_core.evaluation.label_shift import AgreementCheck
from fer_core.evaluation.report import Estimate
from fer_core.evaluation.shift import ClassShare, DistributionShift, RunShift, ShiftReport
from fer_core.evaluation.shift_causes import FramingCheck, Signs, explain

CLASSES = (
    ClassShare(label="happy", benchmark=0.5, labelled=0.5, bbse=(0.5, 0.4, 0.6), em=0.5),
    ClassShare(label="sad", benchmark=0.5, labelled=0.5, bbse=(0.5, 0.4, 0.6), em=0.5),
)


def signs(**changes) -> Signs:
    values = {"classes": CLASSES, "framing": (), "framing_check": None, "outside": 0.01,
              "compared": 500, "conflicts": 0.0}  # fmt: skip
    return Signs(**{**values, **changes})


def run(accuracy: float | None, **changes) -> RunShift:
    values = {
        "run_id": "net", "benchmark_accuracy": 0.9, "benchmark_ece": 0.02, "ece": 0.03,
        "accuracy": None if accuracy is None
        else Estimate(value=accuracy, low=accuracy - 0.02, high=accuracy + 0.02),
        "reweighted": accuracy, "estimates": {}, "estimate": 0.9,
    }  # fmt: skip
    return RunShift(**{**values, **changes})


def reframed(faces: int, gained: int, lost: int) -> FramingCheck:
    """Returns the check of a network that gains and loses some faces by reframing."""
    before, after = np.ones(faces, dtype=bool), np.ones(faces, dtype=bool)
    before[:gained] = False
    after[gained : gained + lost] = False
    return FramingCheck.of("net", before, after)


@pytest.mark.parametrize(
    ("row", "sign", "name", "remedy"),
    [
        (run(0.7, reweighted=0.85), signs(), "class shares", "recalibrate"),
        (run(0.7), signs(framing_check=reframed(150, 27, 3)), "framing", "reframe"),
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


@pytest.mark.parametrize(("by_chance", "worse"), [(0.19, True), (0.21, False)])
def test_an_ece_that_few_images_explain_needs_nothing(by_chance, worse):
    _, sentence = explain([run(0.91, ece=0.2, ece_by_chance=by_chance)], signs())
    assert sentence.endswith("Nothing needs to be done.") != worse


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
    assert (
        "80% of the faces lie outside the benchmark's 1% to 99% quantiles. To do: reframe"
        in sentence
    )


def test_without_labels_the_estimated_shares_of_classes_are_compared():
    shares = [("happy", 0.5, (0.5, 0.1, 0.9)), ("sad", 0.2, (0.4, 0.3, 0.5))]
    classes = tuple(
        ClassShare(label=label, benchmark=benchmark, labelled=None, bbse=bbse, em=0.4)
        for label, benchmark, bbse in shares
    )
    (cause,), _ = explain([run(None)], signs(classes=classes))
    assert (cause.name, cause.points) == ("class shares", None)
    assert cause.text == (
        "If faces of a class look as in the benchmark and only class shares differ, about 40% "
        "(30% to 50%) of the faces are sad, against 20% in the benchmark."
    )
    assert cause.remedy.startswith("recalibrate: ")


DARK = DistributionShift(
    name="brightness", title="light: mean grey level", unit="", benchmark=(1, 1, 1, 1, 1),
    transferred=(0.5, 0.5, 0.5, 0.5, 0.5), outside=0.5, faces=60,
)  # fmt: skip
LESS_AGREED = AgreementCheck(observed=0.76, expected=0.9, p_value=0.001)


@pytest.mark.parametrize(
    ("sign", "first"),
    [
        ({"outside": 0.3}, "out-of-distribution faces"),
        ({"pictures": (DARK,)}, "light and sharpness"),
        ({"agreement": LESS_AGREED}, "faces that look different"),
    ],
)
def test_estimated_shares_are_not_the_main_difference_if_faces_look_different(sign, first):
    row = ClassShare(label="sad", benchmark=0.2, labelled=None, bbse=(0.6, 0.5, 0.7), em=0.4)
    causes, sentence = explain([run(None)], signs(classes=(row,), **sign))
    assert [cause.name for cause in causes] == [first, "class shares"]
    assert f"the clearest difference is {first}: " in sentence
    assert "recalibrate" not in sentence
    assert causes[1].text.endswith("The faces look different, so this may be far off.")


@pytest.mark.parametrize(
    "check",
    [
        AgreementCheck(observed=0.76, expected=0.9, p_value=0.06),
        AgreementCheck(observed=0.88, expected=0.9, p_value=0.001),
        AgreementCheck(observed=0.95, expected=0.9, p_value=0.999),
    ],
)
def test_an_agreement_that_class_shares_or_chance_explain_is_no_difference(check):
    assert explain([run(None)], signs(agreement=check))[0] == ()


@pytest.mark.parametrize(("labelled", "contradicted"), [(0.13, True), (0.5, False)])
def test_labels_are_compared_with_the_estimated_shares(labelled, contradicted):
    row = ClassShare(
        label="neutral", benchmark=0.35, labelled=labelled, bbse=(0.63, 0.47, 0.76), em=0.6
    )
    report = ShiftReport.model_construct(classes=(row,), labelled=30)
    text = "".join(report.contradicted_shares)
    assert bool(text) == contradicted
    if contradicted:
        assert text.startswith(
            "The labels contradict the estimated class shares: 13% (5% to 30%) of 30 labelled "
            "faces are neutral, the estimate without labels is 63% (47% to 76%)."
        )
    bare = row.model_copy(update={"labelled": None})
    assert not ShiftReport.model_construct(classes=(bare,), labelled=0).contradicted_shares


@pytest.mark.parametrize(
    ("check", "named"),
    [
        (reframed(30, 6, 0), True),  # p = 2 / 2 ** 6
        (reframed(29, 6, 0), False),  # too few faces
        (reframed(200, 5, 0), False),  # p = 2 / 2 ** 5
        (reframed(200, 40, 30), False),
    ],
)
def test_framing_is_a_cause_only_if_chance_does_not_explain_it(check, named):
    causes, _ = explain([run(0.7)], signs(framing_check=check))
    assert ("framing" in [cause.name for cause in causes]) == named


def test_the_framing_check_compares_the_same_faces():
    before, after = np.array([True, False, False, True]), np.array([True, True, False, False])
    check = FramingCheck.of("net", before, after)
    assert (check.before, check.after, check.faces, check.p_value) == (0.5, 0.5, 4, 1.0)


def test_without_labels_class_shares_whose_interval_has_the_benchmarks_are_no_cause():
    row = ClassShare(label="sad", benchmark=0.2, labelled=None, bbse=(0.4, 0.15, 0.6), em=0.4)
    assert explain([run(None)], signs(classes=(row,)))[0] == ()


@pytest.mark.parametrize(("faces", "named"), [(10, False), (20, False), (40, True)])
def test_without_labels_few_faces_beyond_the_benchmarks_are_no_cause(faces, named):
    """10% of the faces: expected are 3.3%, so that 2 of 20 have a probability of 14%."""
    size = DistributionShift(
        name="box", title="size of the face", unit="", benchmark=(1, 1, 1, 1, 1),
        transferred=(1, 1, 1, 1, 1), outside=0.1, faces=faces,
    )  # fmt: skip
    causes, _ = explain([run(None)], signs(framing=(size,)))
    assert bool(causes) == named


@pytest.mark.parametrize(("compared", "named"), [(16, False), (100, True)])
def test_without_labels_few_faces_far_out_are_no_cause(compared, named):
    """1 of 16 faces is 6%, but has a probability of 15% where 1% are expected."""
    causes, _ = explain([run(None)], signs(outside=0.0625, compared=compared))
    assert bool(causes) == named


def test_a_high_recall_of_one_class_alone_does_not_make_class_shares_the_largest_cause():
    """All predictions are neutral: its share explains as much as it does on the benchmark."""
    row = run(0.525, reweighted=0.75, at_set_shares=0.87, benchmark_accuracy=0.87)
    causes, sentence = explain([row], signs())
    assert causes[0].points == pytest.approx(11.25)
    assert "is not explained by the causes below, after class shares with 11.2" in sentence
    assert "on the benchmark at this set's class shares, 87.0% instead of 87.0%." in causes[0].text
