"""Plotly charts of a data set: class counts, distributions, PCA map and annotator votes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from fer_core.figures.charts import heatmap, style
from fer_core.figures.palette import class_colour

SPLITS: Mapping[str, str] = {
    "train": "#0b7a5c",
    "validation": "#DDAA33",
    "test": "#BB5566",
    "excluded": "#9A9A9A",
}
"""Colours of the splits."""

_GRID = "rgba(128,128,128,.18)"
_NO_GROUP = "#77777780"
BINS = 32


def class_counts(counts: pd.DataFrame, labels: Sequence[str]) -> go.Figure:
    """Draws counts by class (bars) and group (colours).

    Args:
        counts: Classes in rows, groups (splits or sources) in columns.
        labels: The classes.
    """
    figure = go.Figure()
    palette = ("#4477AA", "#EE6677", "#228833", "#CCBB44", "#66CCEE", "#AA3377")
    for index, group in enumerate(counts.columns):
        figure.add_bar(
            x=list(labels),
            y=counts[group].reindex(list(labels), fill_value=0),
            name=str(group),
            marker={"color": SPLITS.get(str(group), palette[index % len(palette)])},
            hovertemplate=f"%{{x}}, {group}: %{{y:,}}<extra></extra>",
        )
    figure.update_layout(barmode="stack")
    figure.update_yaxes(gridcolor=_GRID, zeroline=False, title="images")
    return style(figure, 320)


def histogram(
    values: Mapping[str, NDArray[np.float64]], colours: Mapping[str, str], title: str, log: bool
) -> go.Figure:
    """Draws the distribution of a statistic in several groups as lines over common bins.

    Args:
        values: Values by group; NaN is ignored.
        colours: Colours by group.
        title: Axis title.
        log: Whether the axis is logarithmic; values of 0 are then ignored.
    """
    figure = go.Figure()
    finite = {name: v[np.isfinite(v) & ((v > 0) | (not log))] for name, v in values.items()}
    everything = np.concatenate(list(finite.values())) if finite else np.array([])
    if len(everything):
        low, high = np.quantile(everything, [0.001, 0.999])
        if low == high:
            low, high = low * 0.9 - 1e-6, high * 1.1 + 1e-6
        edges = np.geomspace(low, high, BINS) if log else np.linspace(low, high, BINS)
        centres = np.sqrt(edges[1:] * edges[:-1]) if log else (edges[1:] + edges[:-1]) / 2
        for name, part in finite.items():
            count, _ = np.histogram(part.clip(low, high), edges)
            figure.add_scatter(
                x=centres,
                y=count / max(1, len(part)),
                name=name,
                mode="lines",
                line={"color": colours[name], "width": 2.2, "shape": "spline", "smoothing": 0.6},
                hovertemplate=f"{name}: %{{y:.1%}} near %{{x:.3g}}<extra></extra>",
            )
    figure.update_xaxes(type="log" if log else None, title=title, gridcolor=_GRID, zeroline=False)
    figure.update_yaxes(tickformat=".0%", gridcolor=_GRID, zeroline=False, title="share of images")
    return style(figure, 340)


@dataclass(frozen=True)
class PointGroups:
    """Points of a map coloured by group.

    Attributes:
        names: Group of each point, shape (N,).
        colours: Colours by group, in the order of the legend; other groups are grey.
    """

    names: pd.Series
    colours: Mapping[str, str]

    def draw(self, figure: go.Figure, points: pd.DataFrame) -> None:
        """Adds the points to a figure, one trace for each group."""
        known = list(self.colours)
        rest = sorted(set(self.names) - set(known))
        for name in [*known, *rest]:
            members = points[(self.names == name).to_numpy()]
            if members.empty:
                continue
            colour = self.colours.get(name, _NO_GROUP)
            _add_points(figure, members, name, {"color": colour}, f"%{{text}}<br>{name}")


@dataclass(frozen=True)
class PointValues:
    """Points of a map coloured by a quantity.

    Attributes:
        title: Name of the quantity.
        values: Value of each point, shape (N,); NaN is grey.
    """

    title: str
    values: NDArray[np.float64]

    def draw(self, figure: go.Figure, points: pd.DataFrame) -> None:
        """Adds the points to a figure, with a colour bar from the 1% to the 99% quantile."""
        known = np.isfinite(self.values)
        if not known.all():
            _add_points(figure, points[~known], "unknown", {"color": _NO_GROUP}, "%{text}")
        if not known.any():
            return
        low, high = np.quantile(self.values[known], [0.01, 0.99])
        marker = {
            "color": self.values[known],
            "colorscale": "Viridis",
            "cmin": low,
            "cmax": high if high > low else low + 1,
            "colorbar": {"title": {"text": self.title, "side": "right"}, "thickness": 12},
        }
        hover = f"%{{text}}<br>{self.title}: %{{marker.color:.3g}}"
        _add_points(figure, points[known], self.title, marker, hover)
        figure.data[-1].showlegend = False


def _add_points(
    figure: go.Figure, points: pd.DataFrame, name: str, marker: Mapping[str, object], hover: str
) -> None:
    figure.add_scattergl(
        x=points["x"],
        y=points["y"],
        text=points["id"],
        customdata=points[["id"]].to_numpy(),
        name=name,
        mode="markers",
        marker={"size": 5, "opacity": 0.62, **marker},
        selected={"marker": {"opacity": 0.9}},
        unselected={"marker": {"opacity": 0.14}},
        hovertemplate=f"{hover}<extra></extra>",
    )


def class_groups(points: pd.DataFrame, labels: Sequence[str]) -> PointGroups:
    """Colours points by their class, the column `label`, which may be missing."""
    names = points["label"].where(points["label"].isin(list(labels)), "no class")
    return PointGroups(names, {label: class_colour(label, labels) for label in labels})


def dataset_map(
    points: pd.DataFrame,
    colouring: PointGroups | PointValues,
    region: NDArray[np.float64] | None,
    shares: Sequence[float],
) -> go.Figure:
    """Draws the PCA map of images; supports lasso selection.

    Args:
        points: Columns `id`, `x` and `y`.
        colouring: Colours of the points.
        region: Corners of the selected region, shape (K, 2).
        shares: Explained variance ratio of each axis.
    """
    figure = go.Figure()
    colouring.draw(figure, points)
    if region is not None:
        closed = np.vstack([region, region[:1]])
        figure.add_scatter(
            x=closed[:, 0],
            y=closed[:, 1],
            mode="lines",
            line={"color": "#D4006A", "width": 3},
            hoverinfo="skip",
            showlegend=False,
        )
    for axis, share in zip(("x", "y"), shares, strict=False):
        title = f"principal component {1 if axis == 'x' else 2} ({share:.0%} of the variance)"
        update = figure.update_xaxes if axis == "x" else figure.update_yaxes
        update(title=title, gridcolor=_GRID, zeroline=False, showticklabels=False)
    figure.update_layout(dragmode="lasso", legend={"itemsizing": "constant"})
    return style(figure, 560)


def vote_heatmap(votes: pd.DataFrame) -> go.Figure:
    """Draws mean vote shares: classes of the data set in rows, voted classes in columns."""
    figure = _shares(votes, votes, "%{y}: %{z:.1%} of the votes for %{x}")
    return figure.update_xaxes(labelalias={name: name.replace("_", " ") for name in votes.columns})


def annotation_heatmap(counts: pd.DataFrame) -> go.Figure:
    """Draws the agreement of two annotations as row shares; hover shows counts."""
    shares = counts.div(counts.sum(axis=1).clip(lower=1), axis=0)
    hover = "label %{y}, second label %{x}: %{customdata:,} images (%{z:.1%})"
    figure = _shares(shares, counts, hover)
    figure.update_yaxes(title="label")
    figure.update_xaxes(title="second label")
    return figure.update_layout(margin={"t": 60}, height=figure.layout.height + 30)


def _shares(shares: pd.DataFrame, counts: pd.DataFrame, hover: str) -> go.Figure:
    names = list(shares.columns), list(shares.index)
    figure = heatmap(shares.to_numpy(), *names, hover, customdata=counts.to_numpy())
    return style(figure, 90 + 42 * len(shares)).update_layout(margin={"t": 34})


def cleared_chart(
    rows: Sequence[tuple[str, str, float, float]],
) -> go.Figure:
    """Draws test accuracy with (hollow) and without (filled) suspect labels for each run.

    Args:
        rows: Tuples (title, colour, accuracy, accuracy without suspect labels), best last.
    """
    figure = go.Figure()
    for title, colour, every, without in rows:
        figure.add_scatter(
            x=[every, without],
            y=[title, title],
            mode="lines+markers",
            line={"color": colour, "width": 3},
            marker={"size": 13, "color": [colour, colour], "symbol": ["circle-open", "circle"]},
            showlegend=False,
            hovertemplate="%{y}<br>%{x:.2%}<extra></extra>",
        )
    figure.update_xaxes(tickformat=".0%", gridcolor=_GRID, zeroline=False)
    figure.update_yaxes(automargin=True)
    return style(figure, 80 + 44 * len(rows))
