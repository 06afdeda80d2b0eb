"""Charts of classes, intervals and histories, by hand."""

import numpy as np
import plotly.graph_objects as go
import pytest

from dashboard import theme
from fer_core.evaluation.report import Estimate
from fer_core.figures import charts
from fer_core.figures.charts import class_balance, history_chart, interval_chart, probability_bars
from fer_core.figures.palette import EMOTIONS

LABELS = ("angry", "happy")


def test_bars_keep_canonical_order_and_colours():
    bars = probability_bars(np.array([0.3, 0.7]), LABELS).data[0]
    assert list(bars.y) == ["angry", "happy"]
    assert list(bars.x) == [0.3, 0.7]
    assert list(bars.marker.color) == [EMOTIONS["angry"], EMOTIONS["happy"]]


def test_class_balance_shows_shares():
    figure = class_balance({"train": {"angry": 3, "happy": 1}}, LABELS)
    assert [trace.x[0] for trace in figure.data] == [0.75, 0.25]


def test_intervals_are_sorted_best_first():
    estimates = {
        "a": Estimate(value=0.7, low=0.6, high=0.8),
        "b": Estimate(value=0.9, low=0.8, high=0.95),
        "c": Estimate(value=0.5, low=0.4, high=0.6),
    }
    figure = interval_chart(estimates, dict.fromkeys(estimates, "x"), dict.fromkeys("abc", "#000"))
    values = [trace.x[0] for trace in figure.data]
    assert values == [0.5, 0.7, 0.9]  # plotly draws the last on top
    assert figure.data[2].error_x.array[0] == pytest.approx(0.05)


def test_long_names_of_intervals_are_broken():
    estimate = {"a": Estimate(value=0.5, low=0.4, high=0.6)}
    figure = interval_chart(estimate, {"a": "MobileNet v1 (face), seed 2"}, {"a": "#000"})
    assert list(figure.layout.yaxis.ticktext) == ["MobileNet v1<br>(face), seed 2"]
    assert list(figure.layout.yaxis.tickvals) == list(figure.data[0].y)


def test_histories_have_one_line_per_run(toy):
    run = toy.benchmark.run("resnet34-cpu-s0")
    figure = history_chart({"r": run.history()}, {"r": "R"}, {"r": "#123456"}, "accuracy")
    assert list(figure.data[0].y) == [0.3, 0.5]
    assert figure.data[0].line.color == "#123456"


COLOURS = {"a": "#123456", "b": "#654321"}


TITLES = {"a": "Model A", "b": "Model B"}


def test_the_pareto_front_connects_undominated_runs():
    figure = charts.cost_chart(
        {"a": 1.0, "b": 5.0}, {"a": 0.9, "b": 0.8}, TITLES, COLOURS, ("ms", "accuracy")
    )
    front = figure.data[0]
    assert list(front.x) == [1.0]


@pytest.mark.parametrize(
    ("cost", "gain", "expected"),
    [
        # names lie towards the middle of the chart, where there is room for them
        ({"a": 1.0, "b": 5.0}, {"a": 0.9, "b": 0.8}, {"a": "top right", "b": "top left"}),
        # equal models: their names do not cover each other
        (
            {"a": 5.0, "b": 5.0, "c": 1.0},
            {"a": 0.8, "b": 0.8, "c": 0.7},
            {"a": "top left", "b": "bottom left", "c": "top right"},
        ),
        # b's dot lies where a's name would stand
        (
            {"a": 1.0, "b": 1.1, "c": 10.0},
            {"a": 0.8, "b": 0.81, "c": 0.7},
            {"a": "bottom right", "b": "top right", "c": "top left"},
        ),
        # the last of five equal models finds no place and is named on hover only
        (
            dict.fromkeys("abcde", 5.0),
            dict.fromkeys("abcde", 0.8),
            {
                "a": "top right", "b": "bottom right", "c": "top left", "d": "bottom left",
            },
        ),
    ],
)  # fmt: skip
def test_labels_overlap_neither_each_other_nor_points(cost, gain, expected):
    titles = {run_id: f"Model {run_id}" for run_id in cost}
    colours = dict.fromkeys(cost, "#123456")
    figure = charts.cost_chart(cost, gain, titles, colours, ("ms", "accuracy"))
    places = {trace.text[0]: trace.textposition for trace in figure.data[1:] if trace.text[0]}
    assert places == {titles[run_id]: place for run_id, place in expected.items()}
    assert {trace.hovertext[0] for trace in figure.data[1:]} == set(titles.values())


@pytest.mark.parametrize(
    ("gain", "expected"),
    [
        ({"a": 0.6}, (0.58, 0.62)),
        ({"a": 0.6, "b": 0.8}, (0.55, 0.85)),
        ({"a": 0.0, "b": 1.0}, (0.0, 1.0)),
        ({"a": 0.6, "not drawn": 0.1}, (0.58, 0.62)),
        ({}, (0.0, 1.0)),
    ],
)
def test_the_accuracy_axis_spans_the_runs_within_0_and_1(gain, expected):
    figure = charts.cost_chart({"a": 1.0, "b": 5.0}, gain, TITLES, COLOURS, ("ms", "accuracy"))
    assert figure.layout.yaxis.range == pytest.approx(expected)


def test_the_cost_axis_has_round_ticks():
    cost, gain = {"a": 7.0, "b": 82.0}, {"a": 0.6, "b": 0.7}
    figure = charts.cost_chart(cost, gain, TITLES, COLOURS, ("ms", "accuracy"))
    assert list(figure.layout.xaxis.tickvals) == [1, 2, 5, 10, 20, 50, 100, 200, 500]


def test_changes_are_drawn_left_and_right_of_zero():
    figure = charts.change_bars({"angry": 3, "sad": 0}, {"angry": 1, "sad": 2}, ["angry", "sad"])
    fixed, broken, net = figure.data
    assert list(fixed.x) == [3, 0]
    assert list(broken.x) == [-1, -2]
    assert list(net.text) == ["net +2", "net -2"]


def test_long_row_names_take_two_lines():
    figure = charts.heatmap([[1.0], [0.5]], ["x"], ["EfficientNet-Lite0 + ResNet-34", "a"], "%{z}")
    assert list(figure.layout.yaxis.ticktext) == ["EfficientNet-Lite0<br>+ ResNet-34", "a"]
    assert list(figure.data[0].y) == ["EfficientNet-Lite0 + ResNet-34", "a"]


@pytest.mark.parametrize(("runs", "expected"), [(2, 380), (5, 380), (15, 510)])
def test_a_long_legend_makes_a_chart_higher(runs, expected):
    figure = go.Figure([go.Scatter(x=[0], y=[0], name=f"Model {index}") for index in range(runs)])
    assert charts.style(figure, 380).layout.height == expected


def test_names_beside_the_frontier_can_be_hidden():
    cost, gain = {"a": 1.0, "b": 5.0}, {"a": 0.9, "b": 0.8}
    figure = charts.cost_chart(cost, gain, TITLES, COLOURS, ("ms", "accuracy"))
    opacity = {trace.text[0]: trace.opacity for trace in figure.data[1:]}
    assert opacity == {"Model A": None, "Model B": charts.BESIDE_FRONT}
    assert f"opacity: {charts.BESIDE_FRONT}" in theme._CSS
