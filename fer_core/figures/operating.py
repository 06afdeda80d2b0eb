"""Charts of operating points: risk by coverage, and precision by recall."""

from typing import TypeAlias

import pandas as pd
import plotly.graph_objects as go

from fer_core.evaluation.operating_points import OperatingPoint
from fer_core.evaluation.report import Estimate

_VALIDATION, _TEST = "#0b7a5c", "#D55E00"
_BAND = "rgba(11, 122, 92, .16)"
_HEIGHT = 340
_LEAST = 0.1  # coverage from which intervals count for the axis

_Point: TypeAlias = tuple[Estimate | None, Estimate | None]
"""Values on both axes, with their intervals."""


def coverage_chart(curve: pd.DataFrame, point: OperatingPoint) -> go.Figure:
    """Returns the error rate by coverage on validation, with the operating point on both splits.

    Args:
        curve: Result of `operating_points.coverage_curve` on validation.
        point: The operating point.
    """
    figure = _curve(curve, "coverage", "risk")
    _mark(figure, *((split.coverage, split.risk) for split in (point.validation, point.test)))
    usual = curve[curve["coverage"] >= _LEAST]
    top = float(max(usual["high"].max(), 0.02)) if len(usual) else 1.0
    figure.update_yaxes(range=[0, min(1.0, 1.2 * top)])
    return _layout(figure, "coverage", "error rate of the predictions")


def precision_chart(curve: pd.DataFrame, point: OperatingPoint, label: str) -> go.Figure:
    """Returns the precision by recall of a class, drawn as `coverage_chart` does.

    Args:
        curve: Result of `operating_points.class_curve` on validation.
        point: The operating point.
        label: The class.
    """
    figure = _curve(curve, "recall", "precision")
    rows = (split.of_class(label) for split in (point.validation, point.test))
    _mark(figure, *((row.recall, row.precision) for row in rows))
    figure.update_yaxes(range=[0, 1.03])
    return _layout(figure, "recall", "precision")


def _curve(curve: pd.DataFrame, x: str, y: str) -> go.Figure:
    figure = go.Figure()
    figure.add_scatter(
        x=[*curve[x], *curve[x][::-1]],
        y=[*curve["high"], *curve["low"][::-1]],
        fill="toself",
        fillcolor=_BAND,
        line={"width": 0},
        hoverinfo="skip",
        name="95% interval",
        showlegend=False,
    )
    figure.add_scatter(
        x=curve[x],
        y=curve[y],
        customdata=curve["threshold"],
        mode="lines",
        line={"color": _VALIDATION, "width": 2},
        name="validation",
        hovertemplate=f"unsure below %{{customdata:.1%}}<br>{x} %{{x:.1%}}<br>{y} %{{y:.1%}}"
        "<extra></extra>",
    )
    return figure


def _mark(figure: go.Figure, validation: _Point, test: _Point) -> None:
    """Marks the operating point; not on a split on which one of its values is unknown."""
    (x, y), (test_x, test_y) = validation, test
    if x is not None and y is not None:
        figure.add_scatter(
            x=[x.value],
            y=[y.value],
            mode="markers",
            marker={"color": _VALIDATION, "size": 11},
            name="chosen on validation",
        )
    if test_x is not None and test_y is not None:
        figure.add_scatter(
            x=[test_x.value],
            y=[test_y.value],
            error_x=_bars(test_x),
            error_y=_bars(test_y),
            mode="markers",
            marker={"color": _TEST, "size": 10, "symbol": "diamond"},
            name="on test",
        )


def _bars(estimate: Estimate) -> dict[str, object]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [estimate.high - estimate.value],
        "arrayminus": [estimate.value - estimate.low],
    }


def _layout(figure: go.Figure, x: str, y: str) -> go.Figure:
    figure.update_layout(
        height=_HEIGHT,
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        legend={"orientation": "h", "y": -0.28, "x": 0},
    )
    figure.update_xaxes(title=x, tickformat=".0%")
    figure.update_yaxes(title=y, tickformat=".0%")
    return figure
