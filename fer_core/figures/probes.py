"""Charts of probes with drawn faces."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from fer_core.evaluation.attribute_effects import AttributeEffect
from fer_core.evaluation.real_changes import RealAgreement
from fer_core.evaluation.response_curves import ResponseCurve
from fer_core.figures.charts import GRID, heatmap, style
from fer_core.figures.palette import class_colour, model_symbols
from fer_core.synthetic.attributes import ATTRIBUTES
from fer_core.synthetic.emfacs import unit_title
from fer_core.synthetic.probe_design import LEVELS

_EFFECT, _NO_EFFECT = "#0b7a5c", "#9a9a9a"
_ARROWS = {1: " ↑", -1: " ↓", 0: ""}


def response_chart(curve: ResponseCurve) -> go.Figure:
    """Draws the probability of each class by intensity, with 95% intervals.

    Classes with an expected direction are thick and have an arrow in the legend.
    """
    figure = go.Figure()
    for index, label in enumerate(curve.labels.names):
        colour = class_colour(label, curve.labels.names)
        expected = curve.expected(label)
        figure.add_scatter(
            x=[*LEVELS, *reversed(LEVELS)],
            y=[*curve.high[:, index], *curve.low[::-1, index]],
            mode="lines",
            fill="toself",
            fillcolor=_faded(colour),
            line={"width": 0},
            hoverinfo="skip",
            showlegend=False,
            legendgroup=label,
        )
        figure.add_scatter(
            x=list(LEVELS),
            y=curve.mean[:, index].tolist(),
            mode="lines+markers",
            name=f"{label}{_ARROWS[expected]}",
            legendgroup=label,
            line={"color": colour, "width": 4 if expected else 2},
            marker={"size": 7},
            hovertemplate="intensity %{x}: %{y:.1%}<extra>%{fullData.name}</extra>",
        )
    figure.update_xaxes(title=f"intensity of {curve.title}", dtick=1, gridcolor=GRID)
    figure.update_yaxes(title="mean probability", range=[0, 1], tickformat=".0%", gridcolor=GRID)
    return style(figure, 420)


def _faded(colour: str) -> str:
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red},{green},{blue},.14)"


def effect_bars(effects: Sequence[AttributeEffect]) -> go.Figure:
    """Draws the share of changed predictions by attribute, largest on top."""
    figure = go.Figure()
    for significant, colour, name in (
        (True, _EFFECT, "effect"),
        (False, _NO_EFFECT, "no significant effect"),
    ):
        rows = [effect for effect in effects if effect.significant is significant]
        figure.add_bar(
            x=[effect.flip_share.value for effect in rows],
            y=[effect.attribute.title for effect in rows],
            orientation="h",
            name=name,
            marker={"color": colour},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [effect.flip_share.high - effect.flip_share.value for effect in rows],
                "arrayminus": [effect.flip_share.value - effect.flip_share.low for effect in rows],
                "thickness": 1.5,
                "width": 0,
                "color": "rgba(128,128,128,.9)",
            },
            hovertemplate="%{y}: %{x:.1%}<extra>%{fullData.name}</extra>",
        )
    figure.update_xaxes(
        title="share of changed predictions", tickformat=".0%", gridcolor=GRID, rangemode="tozero"
    )
    figure.update_yaxes(
        automargin=True,
        categoryorder="array",
        categoryarray=[effect.attribute.title for effect in reversed(effects)],
    )
    return style(figure, 110 + 22 * len(effects))


def pair_heatmap(
    probabilities: NDArray[np.float64], units: tuple[str, str], label: str
) -> go.Figure:
    """Draws the probability of a class by the intensity of two units.

    Args:
        probabilities: Shape (levels of the first unit, levels of the second).
        units: Both units.
        label: The class.
    """
    levels = [str(level) for level in LEVELS]
    hover = f"{unit_title(units[0])} %{{y}}, {unit_title(units[1])} %{{x}}: %{{z:.0%}}"
    figure = heatmap(probabilities, levels, levels, hover)
    figure.update_xaxes(title=unit_title(units[1]), side="bottom", type="category")
    figure.update_yaxes(title=unit_title(units[0]), type="category", autorange=True)
    figure.update_traces(colorbar={"tickformat": ".0%", "thickness": 10, "title": label})
    return style(figure, 420)


def flip_heatmap(shares: Mapping[str, Mapping[str, float]], titles: Mapping[str, str]) -> go.Figure:
    """Draws the share of changed predictions by attribute (rows) and run (columns).

    Args:
        shares: Shares by run id and attribute.
        titles: Names by run id.
    """
    names = list(next(iter(shares.values())))
    values = np.array([[shares[run].get(name, np.nan) for run in shares] for name in names])
    order = np.argsort(-np.nanmean(values, axis=1), kind="stable")
    figure = heatmap(
        values[order],
        [titles[run] for run in shares],
        [ATTRIBUTES[names[index]].title for index in order],
        "%{x}, %{y}: %{z:.0%}",
        zmin=0,
        zmax=max(0.01, float(np.nanmax(values))),
    )
    figure.update_xaxes(side="bottom", automargin=True, tickangle=-30)
    return style(figure, 200 + 26 * len(names))


def real_scatter(
    agreement: RealAgreement, titles: Mapping[str, str], colours: Mapping[str, str]
) -> go.Figure:
    """Draws shares of changed predictions on real against drawn pictures, by run and change.

    Args:
        agreement: Shares of both.
        titles: Names by run id.
        colours: Colours by run id, of all runs of the benchmark.
    """
    symbols = model_symbols(list(colours))
    figure = go.Figure()
    points = agreement.points
    highest = max(0.05, float(points[["drawn", "real"]].to_numpy().max()))
    figure.add_scatter(
        x=[0, highest],
        y=[0, highest],
        mode="lines",
        line={"color": "rgba(128,128,128,.7)", "dash": "dot"},
        name="equal",
        hoverinfo="skip",
    )
    for run_id, rows in points.groupby("run", sort=False):
        figure.add_scatter(
            x=rows["drawn"],
            y=rows["real"],
            mode="markers",
            name=titles[str(run_id)],
            marker={"color": colours[str(run_id)], "symbol": symbols[str(run_id)], "size": 9},
            customdata=[ATTRIBUTES[change].title for change in rows["change"]],
            hovertemplate=(
                "%{customdata}: drawn %{x:.0%}, real %{y:.0%}<extra>%{fullData.name}</extra>"
            ),
        )
    for update, title in (
        (figure.update_xaxes, "changed predictions on drawn faces"),
        (figure.update_yaxes, "changed predictions on real faces"),
    ):
        update(title=title, tickformat=".0%", gridcolor=GRID, rangemode="tozero")
    return style(figure, 460)
