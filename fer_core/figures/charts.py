"""Plotly figures of reports, histories and answers."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from fer_core.evaluation.report import Report
from fer_core.figures.palette import class_colour


def style(figure: go.Figure, height: int) -> go.Figure:
    """Gives a figure the application's frame: no background, quiet grid, room for labels."""
    return figure.update_layout(
        height=height,
        margin={"l": 8, "r": 16, "t": 8, "b": 8},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0},
        hoverlabel={"namelength": -1},
    )


def interval_chart(
    reports: Sequence[Report],
    titles: Mapping[str, str],
    colours: Mapping[str, str],
    metric: str,
) -> go.Figure:
    """Draws each run's test value of a metric as a dot with its 95% interval, best on top.

    Args:
        reports: At least one.
        titles: Names by run id.
        colours: Colours by run id.
        metric: `accuracy` or `macro_recall`.
    """
    figure = go.Figure()
    for report in sorted(reports, key=lambda item: getattr(item.test, metric).value):
        estimate = getattr(report.test, metric)
        figure.add_scatter(
            x=[estimate.value],
            y=[titles[report.run_id]],
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [estimate.high - estimate.value],
                "arrayminus": [estimate.value - estimate.low],
                "thickness": 3,
                "width": 0,
            },
            mode="markers",
            marker={"size": 13, "color": colours[report.run_id]},
            showlegend=False,
            hovertemplate=(
                f"%{{y}}<br>%{{x:.2%}} [{estimate.low:.2%}, {estimate.high:.2%}]<extra></extra>"
            ),
        )
    figure.update_xaxes(tickformat=".1%", gridcolor="rgba(128,128,128,.2)", zeroline=False)
    figure.update_yaxes(automargin=True)
    return style(figure, 70 + 44 * len(reports))


def recall_heatmap(reports: Sequence[Report], titles: Mapping[str, str]) -> go.Figure:
    """Draws test recall by run (rows, in the given order) and class (columns)."""
    labels = list(reports[0].labels)
    values = [
        [row.recall.value if row.recall else None for row in report.test.classes]
        for report in reports
    ]
    figure = go.Figure(
        go.Heatmap(
            z=values,
            x=labels,
            y=[titles[report.run_id] for report in reports],
            zmin=0,
            zmax=1,
            colorscale="Cividis",
            texttemplate="%{z:.0%}",
            textfont={"size": 14},
            xgap=3,
            ygap=3,
            colorbar={"tickformat": ".0%", "thickness": 10},
            hovertemplate="%{y}<br>%{x}: %{z:.1%} found<extra></extra>",
        )
    )
    figure.update_yaxes(autorange="reversed", automargin=True)
    figure.update_xaxes(side="top")
    return style(figure, 90 + 42 * len(reports)).update_layout(margin={"t": 34})


def history_chart(
    histories: Mapping[str, pd.DataFrame],
    titles: Mapping[str, str],
    colours: Mapping[str, str],
    column: str,
) -> go.Figure:
    """Draws one column of training histories over epochs, one line a run.

    Args:
        histories: `history.parquet` by run id.
        titles: Names by run id.
        colours: Colours by run id.
        column: A column of `EpochRecord`; shares are shown in percent.
    """
    share = column in {"accuracy", "macro_recall", "train_accuracy"}
    figure = go.Figure()
    for run_id, history in histories.items():
        figure.add_scatter(
            x=history["epoch"],
            y=history[column],
            name=titles[run_id],
            mode="lines+markers",
            line={"color": colours[run_id], "width": 2.5},
            marker={"size": 6},
        )
    figure.update_xaxes(
        title="epoch", tickformat="d", gridcolor="rgba(128,128,128,.15)", zeroline=False
    )
    figure.update_yaxes(
        tickformat=".0%" if share else None, gridcolor="rgba(128,128,128,.2)", zeroline=False
    )
    figure.update_layout(hovermode="x unified")
    return style(figure, 340)


def probability_bars(probabilities: NDArray[np.float64], labels: Sequence[str]) -> go.Figure:
    """Draws one distribution over the classes, canonical order from the top; shape (K,)."""
    order = list(labels)
    figure = go.Figure(
        go.Bar(
            x=probabilities,
            y=order,
            orientation="h",
            marker={"color": [class_colour(name, order) for name in order]},
            text=[f"{value:.0%}" for value in probabilities],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{y}: %{x:.1%}<extra></extra>",
        )
    )
    figure.update_xaxes(range=[0, 1.12], visible=False, fixedrange=True)
    figure.update_yaxes(autorange="reversed", automargin=True, fixedrange=True)
    return style(figure, 40 + 27 * len(order))


def class_balance(counts: Mapping[str, Mapping[str, int]], labels: Sequence[str]) -> go.Figure:
    """Draws the number of images by split (rows) and class (colours), as shares of the split."""
    figure = go.Figure()
    splits = list(counts)
    for label in labels:
        totals = [sum(counts[split].values()) for split in splits]
        figure.add_bar(
            y=splits,
            x=[counts[split][label] / total for split, total in zip(splits, totals, strict=True)],
            customdata=[counts[split][label] for split in splits],
            name=label,
            orientation="h",
            marker={"color": class_colour(label, list(labels))},
            hovertemplate=f"{label}: %{{customdata:,}} images (%{{x:.1%}})<extra>%{{y}}</extra>",
        )
    figure.update_layout(barmode="stack", legend_traceorder="normal")
    figure.update_xaxes(tickformat=".0%", gridcolor="rgba(128,128,128,.15)", zeroline=False)
    figure.update_yaxes(autorange="reversed", automargin=True)
    return style(figure, 230)
