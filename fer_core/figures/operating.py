"""Charts of operating points: risk by coverage, and precision by recall."""

import pandas as pd
import plotly.graph_objects as go

from fer_core.evaluation.report import Estimate

_VALIDATION, _TEST = "#0b7a5c", "#D55E00"
_BAND = "rgba(11, 122, 92, .16)"
_HEIGHT = 320


def coverage_chart(
    curve: pd.DataFrame, threshold: float, test: tuple[Estimate, Estimate] | None
) -> go.Figure:
    """Returns the error rate by coverage on validation, with the operating point.

    Args:
        curve: As `operating_points.coverage_curve` returns it, of validation.
        threshold: The threshold, marked on the curve.
        test: Coverage and risk on test at the threshold; None without answers.
    """
    figure = _curve(curve, "coverage", "risk")
    accepted = curve[curve["threshold"] >= threshold]
    if len(accepted):
        _mark(figure, accepted["coverage"].iloc[-1], accepted["risk"].iloc[-1])
    if test is not None:
        _mark_test(figure, *test)
    return _layout(figure, "coverage", "error rate of the answers")


def precision_chart(
    curve: pd.DataFrame, threshold: float, test: tuple[Estimate, Estimate] | None
) -> go.Figure:
    """Returns the precision by recall of one class on validation, with the operating point.

    Args:
        curve: As `operating_points.class_curve` returns it, of validation.
        threshold: The class's threshold, marked on the curve.
        test: Recall and precision on test at the threshold; None without answers.
    """
    figure = _curve(curve, "recall", "precision")
    accepted = curve[curve["threshold"] >= threshold]
    if len(accepted):
        _mark(figure, accepted["recall"].iloc[-1], accepted["precision"].iloc[-1])
    if test is not None:
        _mark_test(figure, *test)
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


def _mark(figure: go.Figure, x: float, y: float) -> None:
    marker = {"color": _VALIDATION, "size": 11}
    figure.add_scatter(x=[x], y=[y], mode="markers", marker=marker, name="chosen on validation")


def _mark_test(figure: go.Figure, x: Estimate, y: Estimate) -> None:
    def bars(estimate: Estimate) -> dict[str, object]:
        return {
            "type": "data",
            "symmetric": False,
            "array": [estimate.high - estimate.value],
            "arrayminus": [estimate.value - estimate.low],
        }

    figure.add_scatter(
        x=[x.value],
        y=[y.value],
        error_x=bars(x),
        error_y=bars(y),
        mode="markers",
        marker={"color": _TEST, "size": 10, "symbol": "diamond"},
        name="on test",
    )


def _layout(figure: go.Figure, x: str, y: str) -> go.Figure:
    figure.update_layout(
        height=_HEIGHT,
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        legend={"orientation": "h", "y": 1.08, "x": 0},
    )
    figure.update_xaxes(title=x, tickformat=".0%")
    figure.update_yaxes(title=y, tickformat=".0%", rangemode="tozero")
    return figure
