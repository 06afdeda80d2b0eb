"""Plotly charts of metrics, training histories and predictions."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import ArrayLike, NDArray

from fer_core.evaluation.leaderboard_columns import pareto_front
from fer_core.evaluation.report import Estimate
from fer_core.figures.palette import class_colour, model_dashes

GRID = "rgba(128,128,128,.2)"
_NAME_WIDTH = 18
_LEGEND_LINE = 13  # less than a line's 19 px: on wide screens the lines are shared
_SHORT_LEGEND = 5

BESIDE_FRONT = 0.99
"""Opacity of runs that are not on the Pareto frontier; the style of pages finds their names by it,
to hide them on phones, where they would cover each other."""


def style(figure: go.Figure, height: int) -> go.Figure:
    """Applies the common layout to a figure: margins and legend.

    The paper has no colour of its own: a page gives it the theme's, which saved pictures have too.

    A long legend makes the figure higher: on a phone it has a line for each entry, and would leave
    the plot no room.
    """
    entries = sum(bool(trace.name) and trace.showlegend is not False for trace in figure.data)
    return figure.update_layout(
        height=height + _LEGEND_LINE * max(entries - _SHORT_LEGEND, 0),
        margin={"l": 8, "r": 16, "t": 8, "b": 8},
        plot_bgcolor="rgba(0,0,0,0)",
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0, "maxheight": 0.6},
        hoverlabel={"namelength": -1},
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": "rgba(128,128,128,.7)"},
    )


def heatmap(
    values: ArrayLike | Sequence[Sequence[float | None]],
    columns: Sequence[str],
    rows: Sequence[str],
    hover: str,
    form: str = ".0%",
    **more: Any,  # noqa: ANN401 (plotly's)
) -> go.Figure:
    """Draws a heatmap, by default of shares from 0 to 1; the first row is on top.

    Args:
        values: Shape (rows, columns); NaN or None leaves a cell empty.
        columns: Shown names.
        rows: Shown names.
        hover: Hover text, as a plotly template.
        form: Number format of the cells.
        more: Further attributes of `plotly.graph_objects.Heatmap`.
    """
    look = {
        "zmin": 0,
        "zmax": 1,
        "colorscale": "Cividis",
        "texttemplate": "%{z:" + form + "}",
        "xgap": 3,
        "ygap": 3,
        "colorbar": {"tickformat": form, "thickness": 10},
        "hovertemplate": f"{hover}<extra></extra>",
    }
    figure = go.Figure(go.Heatmap(z=values, x=list(columns), y=list(rows), **look | more))
    figure.update_yaxes(autorange="reversed")
    _name_rows(figure, list(rows))
    figure.update_xaxes(side="top")
    return figure


def _name_rows(figure: go.Figure, names: Sequence[str]) -> None:
    """Names the rows of a chart; long names are broken."""
    figure.update_yaxes(automargin=True, tickvals=names, ticktext=[_wrapped(n) for n in names])


def _wrapped(name: str) -> str:
    """Breaks a long row name.

    It would leave the cells no room on a phone, and not fit a saved picture, whose font is wider.
    """
    return "<br>".join(
        textwrap.wrap(name, _NAME_WIDTH, break_long_words=False, break_on_hyphens=False)
    )


def interval_chart(
    estimates: Mapping[str, Estimate], titles: Mapping[str, str], colours: Mapping[str, str]
) -> go.Figure:
    """Draws the value of a metric with its 95% interval for each run, best on top.

    Args:
        estimates: Estimates by run id, at least one.
        titles: Names by run id.
        colours: Colours by run id.
    """
    figure = go.Figure()
    for run_id, estimate in sorted(estimates.items(), key=lambda item: item[1].value):
        figure.add_scatter(
            x=[estimate.value],
            y=[titles[run_id]],
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [estimate.high - estimate.value],
                "arrayminus": [estimate.value - estimate.low],
                "thickness": 3,
                "width": 0,
            },
            mode="markers",
            marker={"size": 13, "color": colours[run_id]},
            showlegend=False,
            hovertemplate=(
                f"%{{y}}<br>%{{x:.2%}} [{estimate.low:.2%}, {estimate.high:.2%}]<extra></extra>"
            ),
        )
    figure.update_xaxes(tickformat=".1%", gridcolor=GRID, zeroline=False)
    _name_rows(figure, [titles[run_id] for run_id in estimates])
    return style(figure, 70 + 44 * len(estimates))


def recall_heatmap(
    recalls: Mapping[str, Sequence[float | None]], labels: Sequence[str], titles: Mapping[str, str]
) -> go.Figure:
    """Draws recall by run (rows, in the given order) and class (columns).

    Args:
        recalls: Recall of each class by run id; None for classes without samples.
        labels: Class names.
        titles: Names by run id.
    """
    figure = heatmap(
        [list(values) for values in recalls.values()],
        labels,
        [titles[run_id] for run_id in recalls],
        "%{y}<br>%{x}: recall %{z:.1%}",
        showscale=False,  # each cell has its number
    )
    return style(figure, 90 + 42 * len(recalls)).update_layout(margin={"t": 34})


def matrix_heatmap(shares: NDArray[np.float64], labels: Sequence[str]) -> go.Figure:
    """Draws a static confusion matrix of row shares, shape (K, K); true classes in rows."""
    hover = "%{y} predicted as %{x}: %{z:.1%}"
    figure = heatmap(shares, labels, labels, hover, showscale=False)
    figure.update_yaxes(title="true")
    figure.update_xaxes(title="predicted")
    return style(figure, 120 + 40 * len(labels)).update_layout(margin={"t": 60})


def pair_heatmap(
    values: NDArray[np.float64], names: Sequence[str], what: str, *, share: bool = False
) -> go.Figure:
    """Draws a number for each pair of runs.

    Args:
        values: Values, shape (R, R); the diagonal is left empty.
        names: Shown names, in the order of the rows.
        what: Hover text between the names: `<row> <what> <column>: value`.
        share: Whether values are shown in percent.
    """
    off_diagonal = np.where(np.eye(len(names), dtype=bool), np.nan, values)
    form = ".0%" if share else ".2f"
    hover = "%{y} " + what + " %{x}: %{z:" + form + "}"
    figure = heatmap(
        off_diagonal, names, names, hover, form, zmin=None, zmax=None, hoverongaps=False
    )
    figure.update_xaxes(side="bottom", automargin=True, tickangle=90)
    return style(figure, 150 + 36 * len(names))


def cost_chart(
    cost: Mapping[str, float],
    gain: Mapping[str, float],
    titles: Mapping[str, str],
    colours: Mapping[str, str],
    axes: tuple[str, str],
) -> go.Figure:
    """Draws a metric against a cost, with the Pareto frontier.

    Args:
        cost: Cost by run id, above 0; on a logarithmic axis.
        gain: Metric by run id, 0 to 1. Only runs in both mappings are drawn.
        titles: Names by run id.
        colours: Colours by run id.
        axes: Titles of both axes.
    """
    figure, front = go.Figure(), pareto_front(cost, gain)
    figure.add_scatter(
        x=[cost[run_id] for run_id in front],
        y=[gain[run_id] for run_id in front],
        mode="lines",
        line={"color": "rgba(128,128,128,.7)", "dash": "dot", "shape": "hv"},
        name="Pareto frontier",
        hoverinfo="skip",
    )
    runs = sorted(set(cost) & set(gain))
    values = [gain[run_id] for run_id in runs]
    low, high = _share_range(values)
    across = _within_0_and_1(np.log([cost[run_id] for run_id in runs]))
    up = (np.array(values) - low) / (high - low)
    labels = [_wrapped(titles[run_id]) for run_id in runs]
    positions = _label_positions(across, up, labels)
    for run_id, label, position in zip(runs, labels, positions, strict=True):
        figure.add_scatter(
            x=[cost[run_id]],
            y=[gain[run_id]],
            mode="markers+text",
            text=[label if position else ""],
            textposition=position or "top center",
            hovertext=[label],
            cliponaxis=False,
            opacity=None if run_id in front else BESIDE_FRONT,
            marker={
                "size": 14,
                "color": colours[run_id],
                "line": {"width": 2 if run_id in front else 0, "color": "rgba(128,128,128,.9)"},
            },
            showlegend=False,
            hovertemplate=f"%{{hovertext}}<br>{axes[0]}: %{{x:,.3g}}<br>{axes[1]}: %{{y:.2%}}"
            "<extra></extra>",
        )
    lines = {"gridcolor": GRID, "zeroline": False}
    ticks = _log_ticks([cost[run_id] for run_id in runs])
    figure.update_xaxes(title=axes[0], type="log", tickformat=",~g", tickvals=ticks, **lines)
    figure.update_yaxes(title=axes[1], tickformat=".1%", range=(low, high), **lines)
    return style(figure, 420)


def _log_ticks(values: Sequence[float]) -> list[float]:
    """Returns 1, 2 and 5 times each power of ten around values; plotly labels 12 as `2`."""
    if not values:
        return []
    decades = range(math.floor(math.log10(min(values))), math.ceil(math.log10(max(values))) + 1)
    return [factor * 10.0**decade for decade in decades for factor in (1, 2, 5)]


def _within_0_and_1(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Scales values to 0 to 1; equal values become 0."""
    lowest = float(values.min(initial=np.inf))
    spread = float(values.max(initial=-np.inf)) - lowest
    return (values - lowest) / (spread if spread > 0 else 1.0)


def _label_positions(
    across: NDArray[np.floating], up: NDArray[np.floating], names: Sequence[str]
) -> list[str]:
    """Returns label positions that avoid overlaps of labels with markers and other labels.

    Greedy from the highest marker down; a label that fits nowhere is left out.

    Args:
        across: Horizontal positions of the markers, 0 to 1.
        up: Vertical positions of the markers, 0 to 1.
        names: Labels in the same order, with `<br>` between their lines.

    Returns:
        plotly's `textposition` of each label; empty without a place for it.
    """
    letter, line, dot = 0.011, 0.055, (0.012, 0.025)  # of a chart of about 650 by 330 px
    occupied = [
        (x - dot[0], y - dot[1], x + dot[0], y + dot[1]) for x, y in zip(across, up, strict=True)
    ]
    positions = [""] * len(names)
    for index in np.argsort(-up, kind="stable"):
        lines = names[index].split("<br>")
        x, y = across[index], up[index]
        width, height = letter * max(map(len, lines)), line * len(lines)
        sides = ("right", "left") if x <= 0.5 else ("left", "right")  # keep labels inside the chart
        options = {}
        for side in sides:
            left = x if side == "right" else x - width
            if side != sides[0] and (left < -0.1 or left + width > 1.1):
                continue  # it would leave the chart
            options[f"top {side}"] = (left, y + dot[1], left + width, y + dot[1] + height)
            options[f"bottom {side}"] = (left, y - dot[1] - height, left + width, y - dot[1])
        free = (
            name for name, box in options.items() if not any(_overlap(box, b) for b in occupied)
        )
        if position := next(free, ""):
            occupied.append(options[position])
            positions[index] = position
    return positions


def _overlap(box: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Whether two boxes (left, low, right, high) overlap."""
    return box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]


def _share_range(values: Sequence[float]) -> tuple[float, float]:
    """Returns an axis range with room for markers and labels, within 0 to 1."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    room = max(0.25 * (high - low), 0.02)
    return max(0.0, low - room), min(1.0, high + room)


def change_bars(
    gains: Mapping[str, int], losses: Mapping[str, int], labels: Sequence[str]
) -> go.Figure:
    """Draws, by class, the images that one model fixes and breaks relative to another.

    Args:
        gains: Number of images by class that only the second model gets right.
        losses: Number of images by class that only the first model gets right.
        labels: Class names in canonical order.
    """
    order = list(labels)
    figure = go.Figure()
    for values, sign, name in ((gains, 1, "fixed"), (losses, -1, "broken")):
        figure.add_bar(
            y=order,
            x=[sign * values[label] for label in order],
            customdata=[values[label] for label in order],
            orientation="h",
            name=name,
            marker={
                "color": [class_colour(label, order) for label in order],
                "opacity": 1 if sign > 0 else 0.45,
            },
            hovertemplate=f"%{{y}}: %{{customdata}} {name}<extra></extra>",
        )
    net = [gains[label] - losses[label] for label in order]
    reach = max([*gains.values(), *losses.values(), 1])
    figure.add_scatter(
        x=[reach * 1.12] * len(order),
        y=order,
        mode="text",
        text=[f"net {value:+d}" for value in net],
        showlegend=False,
        hoverinfo="skip",
    )
    figure.update_layout(barmode="relative", showlegend=False)
    figure.update_xaxes(
        title="images (left: broken, right: fixed)",
        range=[-reach * 1.1, reach * 1.3],
        gridcolor=GRID,
        zerolinecolor="rgba(128,128,128,.8)",
    )
    figure.update_yaxes(autorange="reversed", automargin=True)
    return style(figure, 90 + 34 * len(order))


def history_chart(
    histories: Mapping[str, pd.DataFrame],
    titles: Mapping[str, str],
    colours: Mapping[str, str],
    column: str,
) -> go.Figure:
    """Draws one column of training histories over epochs, one line per run.

    Args:
        histories: `history.parquet` by run id.
        titles: Names by run id.
        colours: Colours by run id.
        column: A column of `EpochRecord`; shares are shown in percent.
    """
    share = column in {"accuracy", "macro_recall", "train_accuracy"}
    dashes = model_dashes(list(colours))
    figure = go.Figure()
    for run_id, history in histories.items():
        figure.add_scatter(
            x=history["epoch"],
            y=history[column],
            name=titles[run_id],
            mode="lines+markers",
            line={"color": colours[run_id], "width": 2.5, "dash": dashes[run_id]},
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


def trace_chart(trace: pd.DataFrame, history: pd.DataFrame | None, colour: str) -> go.Figure:
    """Draws the training loss within epochs and the validation loss after each epoch.

    Args:
        trace: Columns epoch (a fraction, 0 at the start) and loss.
        history: Columns epoch (from 1) and log_loss; None before the end of the first epoch.
        colour: Colour of the run.
    """
    figure = go.Figure()
    figure.add_scatter(
        x=trace["epoch"],
        y=trace["loss"],
        name="training",
        mode="lines",
        line={"color": colour, "width": 1.5},
    )
    if history is not None:
        figure.add_scatter(
            x=history["epoch"],
            y=history["log_loss"],
            name="validation",
            mode="lines+markers",
            line={"color": colour, "width": 2.5, "dash": "dot"},
            marker={"size": 7},
        )
    figure.update_xaxes(title="epoch", gridcolor=GRID, zeroline=False)
    figure.update_yaxes(title="loss", gridcolor=GRID, zeroline=False)
    figure.update_layout(hovermode="x unified")
    return style(figure, 260)


def probability_bars(probabilities: NDArray[np.float64], labels: Sequence[str]) -> go.Figure:
    """Draws class probabilities as bars in canonical order, shape (K,)."""
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
    figure.update_xaxes(range=[0, 1], visible=False, fixedrange=True)
    figure.update_yaxes(autorange="reversed", automargin=True, fixedrange=True)
    # The margin is fixed, so that "100%" beside a full bar also fits in a narrow card.
    return style(figure, 40 + 27 * len(order)).update_layout(margin_r=40)


def predictions_heatmap(
    rows: Mapping[str, NDArray[np.float64]], labels: Sequence[str], true: str
) -> go.Figure:
    """Draws class probabilities of several models as a heatmap, one row per model.

    Args:
        rows: Probabilities by display name in row order, each of shape (K,).
        labels: Class names.
        true: True class, whose column is marked.
    """
    names = [f"<b>{label}</b>" if label == true else label for label in labels]
    hover = "%{y}<br>%{x}: %{z:.1%}"
    figure = heatmap(list(rows.values()), names, list(rows), hover, showscale=False)
    return style(figure, 70 + 34 * len(rows)).update_layout(margin={"t": 34})


def class_balance(counts: Mapping[str, Mapping[str, int]], labels: Sequence[str]) -> go.Figure:
    """Draws the class balance of each split with labels as stacked bars of shares."""
    figure = go.Figure()
    splits = [split for split, classes in counts.items() if any(classes.values())]
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
