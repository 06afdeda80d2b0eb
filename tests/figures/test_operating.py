"""Charts of operating points: what is marked."""

import pytest

from fer_core.evaluation.operating_points import class_curve, coverage_curve, operate
from fer_core.figures.operating import coverage_chart, precision_chart
from tests.support.candidates import predicted


def traces(figure):
    return {trace.name: trace for trace in figure.data}


def test_the_point_lies_on_the_curve_and_test_has_its_interval():
    split = predicted([0, 0, 1, 2, 2, 1], [0, 0, 1, 2, 1, 0])
    result = operate(split, {})
    marked = traces(coverage_chart(coverage_curve(split), 0.0, (result.coverage, result.risk)))
    chosen, test = marked["chosen on validation"], marked["on test"]
    assert (chosen.x[0], chosen.y[0]) == (1.0, pytest.approx(2 / 6))
    assert (test.x[0], test.y[0]) == (1.0, pytest.approx(2 / 6))
    assert test.error_y.array[0] == pytest.approx(result.risk.high - result.risk.value)


def test_a_threshold_above_all_answers_marks_nothing():
    split = predicted([0, 1], [0, 1])
    assert "chosen on validation" not in traces(coverage_chart(coverage_curve(split), 0.9, None))
    marked = traces(precision_chart(class_curve(split, "angry"), 0.9, None))
    assert set(marked) == {"95% interval", "validation"}


def test_a_class_without_answers_is_an_empty_curve():
    curve = class_curve(predicted([0, 1], [1, 1]), "angry")
    assert len(traces(precision_chart(curve, 0.5, None))["validation"].x) == 0
