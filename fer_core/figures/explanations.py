"""Charts of layers, facial regions, faithfulness curves and embeddings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from fer_core.figures.charts import heatmap, style
from fer_core.figures.palette import class_colour
from fer_core.figures.vega import Spec, clickable_boxes, outline_where

LAYER = "layer"
"""Name of the selection parameter of the outline; selected points have `path`."""

_METHOD_COLOURS = ("#0b7a5c", "#c2410c", "#4361a8", "#b8860b", "#7b3f8c", "#4f8f99", "#a63d5a")
_BASELINE_COLOUR = "#9a9a9a"


@dataclass(frozen=True)
class LayerBox:
    """A layer in the outline: module path, name, number of channels and side of its maps."""

    path: str
    kind: str
    channels: int
    side: int


def outline_chart(layers: Sequence[LayerBox], selected: str, *, dark: bool = False) -> Spec:
    """Draws a network from input to output as clickable boxes.

    The height of a box encodes the size of the feature maps, its shade the number of channels.

    Args:
        layers: Layers from input to output.
        selected: Path of the layer to mark.
        dark: Whether the page is dark.
    """
    chart = clickable_boxes(
        _outline_table(layers, selected),
        selection=LAYER,
        fields=("path",),
        shared={"tooltip": _OUTLINE_TOOLTIP},
        boxes=_outline_boxes(layers, dark=dark),
        text={
            "mark": {"fontSize": 13},
            "encoding": {
                "x": {"field": "middle", "type": "quantitative"},
                "text": {"field": "number", "type": "nominal"},
                "color": {"value": "#ffffff" if dark else "#23211d"},
            },
        },
    )
    chart["height"] = 130
    return chart


_OUTLINE_TOOLTIP = [
    {"field": "path", "type": "nominal", "title": "layer"},
    {"field": "kind", "type": "nominal"},
    {"field": "maps", "type": "nominal"},
]


def _outline_table(layers: Sequence[LayerBox], selected: str) -> pd.DataFrame:
    """Returns one row per layer, with the corners of its box."""
    side = np.array([layer.side for layer in layers], dtype=float)
    half = 0.25 + 0.75 * np.sqrt(side / side.max())
    index = np.arange(len(layers))
    return pd.DataFrame(
        {
            "path": [layer.path for layer in layers],
            "kind": [layer.kind for layer in layers],
            "maps": [f"{layer.channels} maps of {layer.side} x {layer.side}" for layer in layers],
            "channels": [layer.channels for layer in layers],
            "left": index + 0.06,
            "right": index + 0.94,
            "middle": index + 0.5,
            "low": -half,
            "high": half,
            "selected": [layer.path == selected for layer in layers],
            "number": [str(number) for number in index + 1],
        }
    )


def _outline_boxes(layers: Sequence[LayerBox], *, dark: bool) -> Spec:
    """Returns mark and encoding of the layers' boxes."""
    ramp = ["#2c4a45", "#3ecf9f"] if dark else ["#cfe5dc", "#0b7a5c"]
    channels = [layer.channels for layer in layers]
    # a domain that Vega finds itself is empty at first, of which it warns
    shades = [min(channels), max(max(channels), min(channels) + 1)]
    across = {"domain": [0, len(layers)], "nice": False}
    up = {"domain": [-1.08, 1.08], "nice": False}
    return {
        "mark": {"cornerRadius": 5, "strokeWidth": 3},
        "encoding": {
            "x": {"field": "left", "type": "quantitative", "axis": None, "scale": across},
            "x2": {"field": "right"},
            "y": {"field": "low", "type": "quantitative", "axis": None, "scale": up},
            "y2": {"field": "high"},
            "color": {
                "field": "channels",
                "type": "quantitative",
                "scale": {"type": "log", "domain": shades, "range": ramp},
                "legend": None,
            },
            "stroke": outline_where("datum.selected", dark=dark),
        },
    }


@dataclass(frozen=True)
class CurvePair:
    """Curves of a saliency map: shares of changed cells, confidence in deletion and insertion."""

    shares: NDArray[np.float64]
    deletion: NDArray[np.float64]
    insertion: NDArray[np.float64]


def curves_chart(
    curves: Mapping[str, Mapping[str, CurvePair]], baselines: Sequence[str] = ()
) -> go.Figure:
    """Draws insertion and deletion curves, one column per model and one line per method.

    Args:
        curves: Curves by model name and method name.
        baselines: Names of the baselines, which are drawn as grey dashed lines.
    """
    models = list(curves)
    figure = make_subplots(
        rows=2,
        cols=len(models),
        shared_xaxes=True,
        shared_yaxes=True,
        subplot_titles=[name if len(name) <= 24 else f"{name[:23]}…" for name in models],
        vertical_spacing=0.08,
        horizontal_spacing=0.02,
    )
    lines = _method_lines(curves, baselines)
    in_legend: set[str] = set()
    for column, by_method in enumerate(curves.values(), 1):
        for name, pair in by_method.items():
            for row, values in ((1, pair.insertion), (2, pair.deletion)):
                figure.add_scatter(
                    x=pair.shares,
                    y=values,
                    name=name,
                    legendgroup=name,
                    showlegend=name not in in_legend,
                    mode="lines",
                    line=lines[name],
                    hovertemplate=f"{name}<br>%{{x:.0%}} of the cells: %{{y:.0%}}<extra></extra>",
                    row=row,
                    col=column,
                )
                in_legend.add(name)
    figure.update_xaxes(tickformat=".0%", gridcolor="rgba(128,128,128,.15)", zeroline=False)
    figure.update_yaxes(
        range=[-0.02, 1.02], tickformat=".0%", gridcolor="rgba(128,128,128,.2)", zeroline=False
    )
    figure.update_annotations(font_size=12)
    for row, title in ((1, "insertion"), (2, "deletion")):
        figure.update_yaxes(title=title, row=row, col=1)
    return style(figure, 420).update_layout(
        margin={"t": 56}, legend={"y": 1.12, "yanchor": "bottom"}
    )


def _method_lines(
    curves: Mapping[str, Mapping[str, CurvePair]], baselines: Sequence[str]
) -> dict[str, dict[str, object]]:
    """Returns the line style of each method, the same for all models."""
    names = list(dict.fromkeys(name for by_method in curves.values() for name in by_method))
    methods = [name for name in names if name not in baselines]
    lines: dict[str, dict[str, object]] = {
        name: {"color": _METHOD_COLOURS[index % len(_METHOD_COLOURS)], "width": 2.4}
        for index, name in enumerate(methods)
    }
    dotted = {"color": _BASELINE_COLOUR, "width": 2.4, "dash": "dot"}
    return lines | {name: dotted for name in names if name in baselines}


def share_heatmap(
    shares: pd.DataFrame, areas: Mapping[str, float], *, dark: bool = False
) -> go.Figure:
    """Draws shares of saliency by facial region, coloured relative to the region's area.

    Column titles give each region's area as a share of the picture.

    Args:
        shares: Shares 0 to 1, models or classes in rows and regions in columns.
        areas: Area share of each region.
        dark: Whether the page is dark.
    """
    parts = list(shares.columns)
    ratio = shares.to_numpy(dtype=float) / np.array([areas[part] for part in parts])
    empty = "#22262e" if dark else "#f4f2ee"
    figure = go.Figure(
        go.Heatmap(
            z=np.log2(np.clip(ratio, 0.25, 4)),
            zmin=-2,
            zmax=2,
            x=[f"{part}<br>{areas[part]:.0%}" for part in parts],
            y=[str(name) for name in shares.index],
            colorscale=[[0, "#2c6eba"], [0.5, empty], [1, "#d65424"]],
            text=[[f"{value:.0%}" for value in row] for row in shares.to_numpy(dtype=float)],
            customdata=ratio,
            texttemplate="%{text}",
            textfont={"size": 14},
            xgap=3,
            ygap=3,
            colorbar={
                "orientation": "h",  # beside the cells it would leave them no room on a phone
                "thickness": 10,
                "y": 0,
                "yanchor": "top",
                "tickvals": [-2, -1, 0, 1, 2],
                "ticktext": ["1/4", "1/2", "1", "x 2", "x 4"],
            },
            hovertemplate="%{y}, %{x}: %{text} of the saliency, %{customdata:.1f} times its area"
            "<extra></extra>",
        )
    )
    figure.update_yaxes(autorange="reversed", automargin=True)
    figure.update_xaxes(side="top")
    return style(figure, 140 + 42 * len(shares)).update_layout(margin={"t": 50, "b": 50})


def agreement_heatmap(table: pd.DataFrame, titles: Mapping[str, str]) -> go.Figure:
    """Draws rank correlations between the saliency maps of models."""
    names = [titles[str(run)] for run in table.index]
    hover = "%{y} and %{x}: %{z:.2f}"
    figure = heatmap(table.to_numpy(dtype=float), names, names, hover, ".2f")
    figure.update_xaxes(side="bottom")
    return style(figure, 140 + 46 * len(names))


def projection_chart(table: pd.DataFrame, labels: Sequence[str]) -> go.Figure:
    """Draws the 2-D projection of embeddings, coloured by true class.

    Args:
        table: `projection.parquet`.
        labels: The classes in canonical order.
    """
    figure = go.Figure()
    for label in labels:
        rows = table[table["label"] == label]
        # correct predictions first: the legend shows the symbol of the first point
        rows = rows.iloc[np.argsort((rows["predicted"] != label).to_numpy(), kind="stable")]
        wrong = (rows["predicted"] != label).to_numpy()
        figure.add_scattergl(
            x=rows["x"],
            y=rows["y"],
            name=label,
            mode="markers",
            marker={
                "size": 7,
                "color": class_colour(label, list(labels)),
                "symbol": np.where(wrong, "x", "circle").tolist(),
                "opacity": 0.8,
            },
            customdata=rows[["id", "predicted"]].to_numpy(),
            hovertemplate=f"{label}, predicted %{{customdata[1]}}<br>%{{customdata[0]}}"
            "<extra></extra>",
        )
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False, scaleanchor="x")
    return style(figure, 520)
