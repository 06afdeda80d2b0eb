"""Cached charts: built once for equal arguments, and again for any other."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from dashboard.cache import figures
from dashboard.cache.figures import figure
from fer_core.evaluation.report import Estimate


@dataclass(frozen=True)
class Curve:
    """A value of the kind that charts take."""

    x: np.ndarray
    name: str = ""


@pytest.fixture
def build():
    """A function that counts its calls."""

    def built(*arguments, **options):
        built.calls += 1
        return go.Figure(layout={"title": str(built.calls)})

    built.calls = 0
    return built


@pytest.mark.parametrize(
    "make",
    [
        lambda: ({"a": 0.5, "b": (1, None)}, ["x", "y"]),
        lambda: (Curve(np.arange(5.0), "a"), True),
        lambda: ({"run": Curve(np.array([[1, 2], [3, 4]]))},),
        lambda: (),
    ],
)
def test_equal_values_give_the_same_chart(build, make):
    assert figure(build, *make(), dark=True) is figure(build, *make(), dark=True)
    assert build.calls == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),  # the order of runs is that of the chart
        ({"a": 1}, {"a": 1.0}),
        (1, True),
        ("1", 1),
        ([1, 2], (1, 2)),
        (np.arange(4), np.arange(4).reshape(2, 2)),
        (np.arange(4), np.arange(4.0)),
        (Curve(np.arange(3)), Curve(np.arange(3) + 1)),
        (Curve(np.arange(3), "a"), Curve(np.arange(3), "b")),
        (pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [2]})),
        (pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [1.0]})),
        (pd.DataFrame({"a": [0]}), pd.DataFrame({"a": [0.0]})),  # the same bytes
    ],
)
def test_different_values_give_different_charts(build, first, second):
    assert figure(build, first) is not figure(build, second)
    assert figure(build, first) is not figure(build, first, dark=True)


def test_small_tables_of_numbers_and_models_are_equal_by_value(build):
    def table(value=0.5, index=("x", "y"), column="a"):
        return pd.DataFrame({column: [value, 1.0]}, index=list(index))

    assert figure(build, table()) is figure(build, table())
    for other in (table(0.6), table(index=("x", "z")), table(column="b")):
        assert figure(build, table()) is not figure(build, other)
    counts = [pd.DataFrame({"a": [1, 2]}) for _ in range(2)]
    assert figure(build, counts[0]) is figure(build, counts[1])
    estimates = [Estimate(value=value, low=0.4, high=0.7) for value in (0.5, 0.5, 0.6)]
    first, same, other = (figure(build, estimate) for estimate in estimates)
    assert first is same
    assert first is not other


def test_another_table_is_the_same_only_as_itself(build):
    table = pd.DataFrame({"a": ["text"]})
    assert figure(build, table) is figure(build, table)
    for _ in range(50):  # its address is not used again while the chart is kept
        figure(build, pd.DataFrame({"a": ["text"]}))
    assert build.calls == 51


def test_the_least_used_chart_makes_room(build, monkeypatch):
    monkeypatch.setattr(figures, "MOST_FIGURES", 3)
    for value in (1, 2, 1, 3, 4, 1):
        figure(build, value)
    assert build.calls == 4
    figure(build, 2)
    assert build.calls == 5
