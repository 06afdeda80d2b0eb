"""Charts of calibration, selective prediction, robustness and human agreement."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from fer_core.data.framing_shifts import FRAMING_SHIFTS, FramingChange
from fer_core.evaluation.calibration import Reliability
from fer_core.evaluation.robustness import CLEAN
from fer_core.evaluation.selective import RiskCoverage
from fer_core.figures.charts import GRID, style
from fer_core.figures.palette import model_dashes, model_symbols

DENSE = 20
"""Fewest images of a bin that the line of a reliability diagram passes through."""


def reliability_diagram(
    curves: Mapping[str, Reliability], colours: Mapping[str, str], *, intervals: bool = True
) -> go.Figure:
    """Draws a reliability diagram; on the diagonal, confidence equals accuracy.

    The line joins bins with at least `DENSE` images; the others are hollow markers.

    Args:
        curves: Reliability curves by display name.
        colours: Colours by display name.
        intervals: Whether to show 95% intervals.
    """
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 1],
        y=[0, 1],
        mode="lines",
        line={"color": "rgba(128,128,128,.7)", "dash": "dot"},
        name="perfect calibration",
        hoverinfo="skip",
    )
    for name, curve in curves.items():
        dense = curve.count >= DENSE
        figure.add_scatter(
            x=curve.confidence[dense],
            y=curve.frequency[dense],
            mode="lines",
            line={"color": colours[name], "width": 2},
            legendgroup=name,
            showlegend=False,
            hoverinfo="skip",
        )
        figure.add_trace(_bins(name, curve, colours[name], intervals=intervals))
    figure.update_xaxes(title="confidence", range=[-0.02, 1.02], tickformat=".0%", gridcolor=GRID)
    figure.update_yaxes(title="accuracy", range=[-0.02, 1.02], tickformat=".0%", gridcolor=GRID)
    return style(figure, 420)


def _bins(name: str, curve: Reliability, colour: str, *, intervals: bool) -> go.Scatter:
    """Returns the bins of a reliability curve as markers, larger for more images."""
    largest = max(int(curve.count.max()), 1)
    return go.Scatter(
        x=curve.confidence,
        y=curve.frequency,
        error_y={
            "type": "data",
            "symmetric": False,
            "array": curve.high - curve.frequency,
            "arrayminus": curve.frequency - curve.low,
            "thickness": 1.5,
            "width": 0,
            "visible": intervals,
        },
        mode="markers",
        name=name,
        legendgroup=name,
        marker={
            "size": 5 + 11 * (curve.count / largest) ** 0.5,
            "color": colour,
            "symbol": np.where(curve.count >= DENSE, "circle", "circle-open").tolist(),
        },
        customdata=curve.count,
        hovertemplate=(
            "%{customdata:,} images<br>confidence %{x:.1%}, accuracy %{y:.1%}"
            "<extra>%{fullData.name}</extra>"
        ),
    )


def risk_coverage_chart(
    curves: Mapping[str, RiskCoverage], titles: Mapping[str, str], colours: Mapping[str, str]
) -> go.Figure:
    """Draws the risk-coverage curve of each run."""
    figure = go.Figure()
    dashes = model_dashes(list(colours))
    for run_id, curve in curves.items():
        thin = curve.thinned()
        figure.add_scatter(
            x=thin.coverage,
            y=thin.risk,
            mode="lines",
            name=titles[run_id],
            line={"color": colours[run_id], "width": 2.5, "dash": dashes[run_id]},
            customdata=thin.threshold,
            hovertemplate=(
                "coverage %{x:.0%}, error rate %{y:.1%}<br>confidence before temperature "
                "scaling at least %{customdata:.1%}"
                "<extra>%{fullData.name}</extra>"
            ),
        )
    figure.update_xaxes(
        title="coverage (most confident images first)", tickformat=".0%", gridcolor=GRID
    )
    figure.update_yaxes(
        title="risk (error rate)", tickformat=".0%", gridcolor=GRID, rangemode="tozero"
    )
    return style(figure, 380)


def corruption_curves(
    tables: Mapping[str, pd.DataFrame],
    titles: Mapping[str, str],
    colours: Mapping[str, str],
    corruption: str | None = None,
) -> go.Figure:
    """Draws accuracy by corruption severity, one line per run; severity 0 is clean.

    Args:
        tables: `robustness.parquet` by run id.
        titles: Names by run id.
        colours: Colours by run id.
        corruption: Key of the corruption; by default the mean over all.
    """
    points = {}
    for run_id, table in tables.items():
        clean = table[table["corruption"] == CLEAN]
        corrupted = table[table["corruption"] != CLEAN]
        if corruption is not None:
            corrupted = corrupted[corrupted["corruption"] == corruption]
        means = corrupted.groupby("severity")["accuracy"].mean()
        points[run_id] = [(0, float(clean["accuracy"].iloc[0])), *means.items()]
    figure = _accuracy_lines(points, titles, colours, "severity %{x}")
    return figure.update_xaxes(title="severity (0 is clean)", dtick=1, gridcolor=GRID)


def _accuracy_lines(
    points: Mapping[str, Sequence[tuple[object, float | None]]],
    titles: Mapping[str, str],
    colours: Mapping[str, str],
    hover: str,
) -> go.Figure:
    """Draws accuracy against a condition, one line per run; None ends a line.

    Args:
        points: Condition (x axis) and accuracy, by run id.
        titles: Names by run id.
        colours: Colours by run id.
        hover: The condition in the text on hovering.
    """
    figure = go.Figure()
    dashes, symbols = model_dashes(list(colours)), model_symbols(list(colours))
    for run_id, of_run in points.items():
        figure.add_scatter(
            x=[x for x, _ in of_run],
            y=[y for _, y in of_run],
            mode="lines+markers",
            name=titles[run_id],
            line={"color": colours[run_id], "width": 2, "dash": dashes[run_id]},
            marker={"symbol": symbols[run_id], "size": 8},
            hovertemplate=f"{hover}: %{{y:.1%}}<extra>%{{fullData.name}}</extra>",
        )
    # not from 0: the models' lines would be one band
    figure.update_yaxes(title="accuracy", tickformat=".0%", gridcolor=GRID, zeroline=False)
    return style(figure, 520)


_ROTATIONS = tuple(item for item in FRAMING_SHIFTS if item.change is FramingChange.ROTATION)
# The stored framing is one of them, with a margin of 0.
_MARGINS = tuple(sorted(set(FRAMING_SHIFTS) - set(_ROTATIONS), key=lambda item: item.amount))


def framing_curves(
    tables: Mapping[str, pd.DataFrame],
    split: str,
    titles: Mapping[str, str],
    colours: Mapping[str, str],
) -> go.Figure:
    """Draws accuracy by framing shift: a line per run over margins, and one over rotations.

    Args:
        tables: `framing.parquet` by run id; each has rows of the split.
        split: `validation` or `test`.
        titles: Display names by run id.
        colours: Colours by run id.
    """
    points = {}
    for run_id, table in tables.items():
        rows = table[table["split"] == split]
        accuracy = rows.set_index(["change", "amount"])["accuracy"]
        margins, rotations = (
            [
                (item.title, float(accuracy[item.change, item.amount]))
                for item in part
                if (item.change, item.amount) in accuracy.index
            ]
            for part in (_MARGINS, _ROTATIONS)
        )
        points[run_id] = [*margins, (_MARGINS[-1].title, None), *rotations]
    order = [item.title for item in (*_MARGINS, *_ROTATIONS)]
    figure = _accuracy_lines(points, titles, colours, "%{x}")
    return figure.update_xaxes(categoryorder="array", categoryarray=order, gridcolor=GRID)


def agreement_bars(table: pd.DataFrame) -> go.Figure:
    """Draws accuracy by annotator agreement, with intervals and numbers of images.

    Args:
        table: Table from `human_votes.accuracy_by_agreement`.
    """
    figure = go.Figure(
        go.Bar(
            x=table["agreement"],
            y=table["accuracy"],
            error_y={
                "type": "data",
                "symmetric": False,
                "array": table["high"] - table["accuracy"],
                "arrayminus": table["accuracy"] - table["low"],
                "thickness": 1.5,
                "width": 0,
                "color": "rgba(128,128,128,.9)",
            },
            marker={"color": "#0b7a5c"},
            customdata=table["images"],
            text=[f"{images:,}" for images in table["images"]],
            textposition="inside",
            insidetextanchor="start",
            hovertemplate="%{x}: %{y:.1%} of %{customdata:,} images<extra></extra>",
        )
    )
    figure.update_xaxes(title="annotator agreement (number of images in the bars)")
    figure.update_yaxes(title="accuracy", tickformat=".0%", gridcolor=GRID, range=[0, 1.03])
    return style(figure, 340)
