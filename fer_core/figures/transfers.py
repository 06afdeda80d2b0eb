"""Charts of transferred sets: accuracy, class shares, distributions, causes and estimates."""

from collections.abc import Mapping, Sequence

import pandas as pd
import plotly.graph_objects as go

from fer_core.evaluation.shift import Cause, ClassShare, DistributionShift, RunShift
from fer_core.figures.charts import GRID, style

BENCHMARK_COLOUR = "#8C8C8C"
SET_COLOUR = "#0b7a5c"
ESTIMATE_COLOUR = "#E69F00"
_ROW = 34
_LEGEND = 90


def accuracy_change(
    runs: Sequence[RunShift], titles: Mapping[str, str], *, estimates: bool
) -> go.Figure:
    """Draws each run's accuracy on the benchmark and on the set, with a 95% interval.

    Args:
        runs: Runs, best first.
        titles: Display names by run id.
        estimates: Whether to show the estimates without labels.
    """
    ordered = list(reversed(runs))  # plotly draws the first row at the bottom
    names = [titles[run.run_id] for run in ordered]
    figure = go.Figure()
    figure.add_scatter(
        x=[run.benchmark_accuracy for run in ordered],
        y=names,
        mode="markers",
        name="benchmark (test)",
        marker={"size": 10, "color": BENCHMARK_COLOUR},
        hovertemplate="%{y}: %{x:.1%} on the benchmark<extra></extra>",
    )
    _labelled_accuracy(figure, ordered, names)
    if estimates:
        figure.add_scatter(
            x=[run.estimate for run in ordered],
            y=names,
            mode="markers",
            name="this set (estimate without labels)",
            marker={"size": 9, "color": ESTIMATE_COLOUR, "symbol": "diamond-open"},
            hovertemplate="%{y}: %{x:.1%} estimated<extra></extra>",
        )
    figure.update_xaxes(title="accuracy", tickformat=".0%", gridcolor=GRID)
    figure.update_yaxes(automargin=True)
    return style(figure, _LEGEND + _ROW * max(2, len(runs)))


def _labelled_accuracy(figure: go.Figure, runs: Sequence[RunShift], names: Sequence[str]) -> None:
    """Adds the accuracy on labelled faces with its interval, if there are any."""
    labelled = [(run.accuracy, name) for run, name in zip(runs, names, strict=True)
                if run.accuracy is not None]  # fmt: skip
    if labelled:
        figure.add_scatter(
            x=[accuracy.value for accuracy, _ in labelled],
            y=[name for _, name in labelled],
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [accuracy.high - accuracy.value for accuracy, _ in labelled],
                "arrayminus": [accuracy.value - accuracy.low for accuracy, _ in labelled],
                "thickness": 1.5,
                "width": 0,
            },
            mode="markers",
            name="this set (labelled faces)",
            marker={"size": 10, "color": SET_COLOUR},
            hovertemplate="%{y}: %{x:.1%} on this set<extra></extra>",
        )


def class_shares(classes: Sequence[ClassShare]) -> go.Figure:
    """Draws class shares: of the benchmark, of the labels, and estimated without labels."""
    names = [row.label for row in classes]
    figure = go.Figure()
    figure.add_bar(
        x=names,
        y=[row.benchmark for row in classes],
        name="benchmark",
        marker_color=BENCHMARK_COLOUR,
    )
    if any(row.labelled is not None for row in classes):
        figure.add_bar(
            x=names,
            y=[row.labelled for row in classes],
            name="this set (labels)",
            marker_color=SET_COLOUR,
        )
    triples = [row.bbse for row in classes]
    figure.add_bar(
        x=names,
        y=[value for value, _, _ in triples],
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [high - value for value, _, high in triples],
            "arrayminus": [value - low for value, low, _ in triples],
            "thickness": 1.2,
            "width": 0,
        },
        name="estimated (BBSE)",
        marker_color=ESTIMATE_COLOUR,
    )
    figure.add_bar(
        x=names, y=[row.em for row in classes], name="estimated (EM)", marker_color="#CC79A7"
    )
    figure.update_traces(hovertemplate="%{x}: %{y:.1%}<extra>%{fullData.name}</extra>")
    figure.update_yaxes(tickformat=".0%", gridcolor=GRID)
    return style(figure, 340)


def distribution(row: DistributionShift) -> go.Figure:
    """Draws a measure's quantiles (5, 25, 50, 75, 95%) in the benchmark and in the set."""
    figure = go.Figure()
    for name, values, colour in (
        ("this set", row.transferred, SET_COLOUR),
        ("benchmark", row.benchmark, BENCHMARK_COLOUR),
    ):
        low, first, median, third, high = ([value] for value in values)
        figure.add_box(
            y=[name],
            lowerfence=low,
            q1=first,
            median=median,
            q3=third,
            upperfence=high,
            orientation="h",
            name=name,
            line={"color": colour},
            showlegend=False,
        )
    figure.update_xaxes(gridcolor=GRID, ticksuffix=row.unit and f" {row.unit}")
    figure.update_yaxes(automargin=True)
    return style(figure, 130)


def causes_chart(causes: Sequence[Cause]) -> go.Figure:
    """Draws the points of accuracy that each cause explains, largest on top."""
    ordered = [cause for cause in reversed(causes) if cause.points is not None]
    figure = go.Figure(
        go.Bar(
            x=[round(cause.points or 0.0, 3) for cause in ordered],  # no axis of rounding errors
            y=[cause.name for cause in ordered],
            orientation="h",
            marker_color=SET_COLOUR,
            hovertemplate="%{y}: %{x:+.1f} points<extra></extra>",
        )
    )
    figure.update_xaxes(title="points of accuracy", gridcolor=GRID, zerolinecolor=GRID)
    figure.update_yaxes(automargin=True)
    return style(figure, 80 + _ROW * max(2, len(ordered)))


def estimate_checks(checks: pd.DataFrame) -> go.Figure:
    """Draws estimates against true accuracies where labels exist; on the diagonal they agree.

    Args:
        checks: Result of `fer_core.evaluation.estimate_trust.read_checks`.
    """
    low = float(min(checks["accuracy"].min(), checks["estimate"].min())) - 0.03
    figure = go.Figure()
    figure.add_scatter(
        x=[low, 1],
        y=[low, 1],
        mode="lines",
        line={"color": "rgba(128,128,128,.7)", "dash": "dot"},
        name="estimate = truth",
        hoverinfo="skip",
    )
    within, trusted = checks["within"], checks["trusted"]
    for shown, name, colour in (
        (~within, "outside the limits", BENCHMARK_COLOUR),
        (within & ~trusted, "within the limits", ESTIMATE_COLOUR),
        (trusted, "trusted", SET_COLOUR),
    ):
        rows = checks[shown]
        figure.add_scatter(
            x=rows["accuracy"],
            y=rows["estimate"],
            mode="markers",
            name=name,
            marker={"size": 7, "color": colour, "opacity": 0.7},
            customdata=rows[["set", "run_id"]],
            hovertemplate=(
                "%{customdata[0]}, %{customdata[1]}<br>true %{x:.1%}, estimated %{y:.1%}"
                "<extra></extra>"
            ),
        )
    figure.update_xaxes(title="true accuracy", tickformat=".0%", gridcolor=GRID)
    figure.update_yaxes(title="estimate without labels", tickformat=".0%", gridcolor=GRID)
    return style(figure, 380)
