"""Charts of operating points: what is marked."""

import pytest

from fer_core.evaluation.operating_points import class_curve, coverage_curve, operate
from fer_core.figures.operating import coverage_chart, precision_chart
from tests.support.candidates import predicted


def traces(figure):
    return {trace.name: trace for trace in figure.data}


def test_the_points_are_marked_and_test_has_its_interval():
    split = predicted([0, 0, 1, 2, 2, 1], [0, 0, 1, 2, 1, 0])
    result = operate(split, {})
    point = (result.coverage, result.risk)
    marked = traces(coverage_chart(coverage_curve(split), point, point))
    chosen, test = marked["chosen on validation"], marked["on test"]
    assert (chosen.x[0], chosen.y[0]) == (1.0, pytest.approx(2 / 6))
    assert (test.x[0], test.y[0]) == (1.0, pytest.approx(2 / 6))
    assert test.error_y.array[0] == pytest.approx(result.risk.high - result.risk.value)


def test_without_answers_there_is_only_the_curve():
    split = predicted([0, 1], [0, 1])
    for figure in (
        coverage_chart(coverage_curve(split), None, None),
        precision_chart(class_curve(split, "angry"), None, None),
    ):
        assert set(traces(figure)) == {"95% interval", "validation"}


def test_a_class_without_answers_is_an_empty_curve():
    curve = class_curve(predicted([0, 1], [1, 1]), "angry")
    assert len(traces(precision_chart(curve, None, None))["validation"].x) == 0
