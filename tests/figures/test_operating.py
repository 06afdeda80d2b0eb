"""Charts of operating points: what is marked."""

import pytest

from fer_core.evaluation.operating_points import (
    OperatingPoint,
    class_curve,
    coverage_curve,
    operate,
)
from fer_core.figures.operating import coverage_chart, precision_chart
from tests.support.candidates import LABELS, predicted


def point_of(validation, test, thresholds=None):
    thresholds = thresholds or dict.fromkeys(LABELS.names, 0.0)
    return OperatingPoint(
        benchmark="toy",
        split_hash="abc",
        run_id="run",
        run_created="",
        labels=LABELS.names,
        temperature=1.0,
        thresholds=thresholds,
        validation=operate(validation, thresholds),
        test=operate(test, thresholds),
    )


def traces(figure):
    return {trace.name: trace for trace in figure.data}


def test_the_points_are_marked_and_test_has_its_interval():
    validation = predicted([0, 0, 1, 2, 2, 1], [0, 0, 1, 2, 1, 0])
    test = predicted([0, 0, 1, 2], [0, 0, 1, 1])
    marked = traces(coverage_chart(coverage_curve(validation), point_of(validation, test)))
    risk = operate(test, {}).risk
    chosen, test = marked["chosen on validation"], marked["on test"]
    assert (chosen.x[0], chosen.y[0]) == (1.0, pytest.approx(2 / 6))
    assert (test.x[0], test.y[0]) == (1.0, pytest.approx(1 / 4))
    assert test.error_y.array[0] == pytest.approx(risk.high - risk.value)


def test_without_answers_there_is_only_the_curve():
    split = predicted([0, 1], [0, 1])
    point = point_of(split, split, dict.fromkeys(LABELS.names, 1.0))
    for figure in (
        coverage_chart(coverage_curve(split), point),
        precision_chart(class_curve(split, "angry"), point, "angry"),
    ):
        assert set(traces(figure)) == {"95% interval", "validation"}


def test_a_class_without_answers_is_an_empty_curve():
    split = predicted([0, 1], [1, 1])
    marked = traces(precision_chart(class_curve(split, "angry"), point_of(split, split), "angry"))
    assert len(marked["validation"].x) == 0
    assert set(marked) == {"95% interval", "validation"}
