"""Lineage graphs as DOT source, and the chart of accuracy against macro-recall."""

import numpy as np
import pytest

from fer_core.evaluation.lineage import Ancestor, Edge, Lineage, Link, Status
from fer_core.evaluation.prior_shift import prior_curves
from fer_core.figures.lineage import lineage_graph
from fer_core.figures.palette import model_colours
from fer_core.figures.trade_off import trade_off_chart
from tests.support.constructed import random_scores


def test_a_lineage_graph_quotes_names_and_marks_missing_runs():
    nodes = {
        "1": Ancestor("1", "toy", "both-cpu", "", Status.PRESENT),
        "2": Ancestor("2", "toy", "a", "2026-01-01T10:30:00+00:00", Status.RETRAINED),
        "3": Ancestor("3", "", 'x"];\\N\n}', "", Status.FILE),
    }
    edges = (Edge("1", "2", Link.TEACHER), Edge("1", "3", Link.INIT))
    source = lineage_graph(Lineage("1", nodes, edges), {"both-cpu": "Both"})
    assert 'n0 [label="Both", fillcolor="#E8F3EF"];' in source
    assert 'n1 [label="a\\nretrained since, 2026-01-01 10:30"' in source
    assert 'n2 [label="x\\"];\\\\N }\\nbelongs to no run"' in source
    assert 'n0 -> n1 [style=dashed, color="#D55E00"];' in source
    assert source.count("->") == 2


def test_a_trade_off_line_spans_all_strengths():
    scores = random_scores(300, classes=3, skill=1.0)
    curves = {"a": prior_curves(scores, scores, np.array([80, 15, 5]), applied=0.0)}
    figure = trade_off_chart(curves, 1.0, {"a": "A"}, {"a": "#112233"})
    line, ends, trained, point = figure.data
    assert len(line.x) == len(curves["a"].useful)
    assert {ends.x[0], ends.x[1]} <= set(line.x)
    assert trained.customdata == (0.0,)
    assert (point.x[0], point.y[0]) == (ends.x[1], ends.y[1])  # all weight on macro-recall
    assert max(line.y) == pytest.approx(ends.y[1])
    assert [trace.showlegend for trace in figure.data] == [True, False, False, False]


def test_trade_off_lines_of_one_colour_differ_in_dash_and_symbol():
    scores = random_scores(300, classes=3, skill=1.0)
    runs = [f"run{number:02}" for number in range(17)]
    colours = model_colours(runs)
    assert colours["run00"] == colours["run16"]
    curve = prior_curves(scores, scores, np.array([80, 15, 5]), applied=0.0)
    shown = dict.fromkeys(("run00", "run16"), curve)
    figure = trade_off_chart(shown, 0.5, dict(zip(runs, runs, strict=True)), colours)
    first, second = figure.data[:4], figure.data[4:]
    assert first[0].line.dash != second[0].line.dash
    assert [trace.marker.symbol for trace in first[1:]] == [
        "circle-open", "circle-open-dot", "circle"]  # fmt: skip
    assert [trace.marker.symbol for trace in second[1:]] == [
        "diamond-open", "diamond-open-dot", "diamond"]  # fmt: skip
