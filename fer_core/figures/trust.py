"""Figures on how far a model can be trusted: calibration, selective prediction, corruption."""

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from fer_core.data.corruptions import CORRUPTIONS
from fer_core.evaluation.calibration import Reliability
from fer_core.evaluation.robustness import CLEAN
from fer_core.evaluation.selective import RiskCoverage
from fer_core.figures.charts import GRID, style


def reliability_diagram(
    curves: Mapping[str, Reliability], colours: Mapping[str, str], *, intervals: bool = True
) -> go.Figure:
    """Draws how often a given confidence was right; on the diagonal, confidence is honest.

    Args:
        curves: By shown name.
        colours: By shown name.
        intervals: Whether each dot carries its 95% interval.
    """
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 1],
        y=[0, 1],
        mode="lines",
        line={"color": "rgba(128,128,128,.7)", "dash": "dot"},
        name="honest",
        hoverinfo="skip",
    )
    for name, curve in curves.items():
        largest = max(int(curve.count.max()), 1)
        figure.add_scatter(
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
            mode="lines+markers",
            name=name,
            line={"color": colours[name], "width": 2},
            marker={"size": 5 + 11 * (curve.count / largest) ** 0.5, "color": colours[name]},
            customdata=curve.count,
            hovertemplate=(
                "%{customdata:,} images<br>said %{x:.1%}, came true %{y:.1%}<extra>%{fullData.name}"
                "</extra>"
            ),
        )
    figure.update_xaxes(
        title="confidence given", range=[-0.02, 1.02], tickformat=".0%", gridcolor=GRID
    )
    figure.update_yaxes(
        title="share that was right", range=[-0.02, 1.02], tickformat=".0%", gridcolor=GRID
    )
    return style(figure, 420)


def risk_coverage_chart(
    curves: Mapping[str, RiskCoverage], titles: Mapping[str, str], colours: Mapping[str, str]
) -> go.Figure:
    """Draws the share of wrong answers among the most confident ones, one line a run."""
    figure = go.Figure()
    for run_id, curve in curves.items():
        thin = curve.thinned()
        figure.add_scatter(
            x=thin.coverage,
            y=thin.risk,
            mode="lines",
            name=titles[run_id],
            line={"color": colours[run_id], "width": 2.5},
            customdata=thin.threshold,
            hovertemplate=(
                "%{x:.0%} answered, %{y:.1%} of them wrong<br>confidence from %{customdata:.1%}"
                "<extra>%{fullData.name}</extra>"
            ),
        )
    figure.update_xaxes(
        title="share of images answered, most confident first", tickformat=".0%", gridcolor=GRID
    )
    figure.update_yaxes(
        title="wrong among the answered", tickformat=".0%", gridcolor=GRID, rangemode="tozero"
    )
    return style(figure, 380)


def corruption_title(name: str) -> str:
    """Returns a corruption's name for people; the name itself if it is none of ours."""
    return CORRUPTIONS[name].title if name in CORRUPTIONS else name


def corruption_curves(
    tables: Mapping[str, pd.DataFrame],
    titles: Mapping[str, str],
    colours: Mapping[str, str],
    corruption: str | None = None,
) -> go.Figure:
    """Draws accuracy by corruption severity, one line a run; 0 is clean.

    Args:
        tables: `robustness.parquet` by run id.
        titles: Names by run id.
        colours: Colours by run id.
        corruption: Which; the mean of all by default.
    """
    figure = go.Figure()
    for run_id, table in tables.items():
        clean = table[table["corruption"] == CLEAN]
        rest = table[table["corruption"] != CLEAN]
        if corruption is not None:
            rest = rest[rest["corruption"] == corruption]
        means = rest.groupby("severity")["accuracy"].mean()
        figure.add_scatter(
            x=[0, *means.index],
            y=[float(clean["accuracy"].iloc[0]), *means],
            mode="lines+markers",
            name=titles[run_id],
            line={"color": colours[run_id], "width": 2.5},
            hovertemplate="severity %{x}: %{y:.1%}<extra>%{fullData.name}</extra>",
        )
    figure.update_xaxes(title="severity (0 is clean)", dtick=1, gridcolor=GRID)
    figure.update_yaxes(
        title="accuracy", tickformat=".0%", gridcolor=GRID, rangemode="tozero", zeroline=False
    )
    return style(figure, 380)


def agreement_bars(table: pd.DataFrame) -> go.Figure:
    """Draws accuracy by how many annotators agreed, with intervals and numbers of images.

    Args:
        table: As of `people.accuracy_by_agreement`.
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
    figure.update_xaxes(title="annotators who agree (images in the bars)")
    figure.update_yaxes(title="accuracy", tickformat=".0%", gridcolor=GRID, range=[0, 1.03])
    return style(figure, 340)
