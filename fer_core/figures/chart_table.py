"""Values of a chart as a table, for readers who cannot see or hover over it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from fer_core.figures.vega import Spec

SERIES = "series"
_HIDDEN = ("text", "second", "head", "selected", "shade")
_TITLES = {"truth": "true class", "predicted": "predicted class"}


def table_of(figure: go.Figure) -> pd.DataFrame:
    """Returns the values that a plotly figure draws.

    Args:
        figure: Heatmaps, or traces with `x` or `y`.

    Returns:
        For a heatmap its rows and columns; else one row per point: its series, both coordinates
        under the titles of the axes, and the ends of its interval. Empty if nothing is drawn.
    """
    heatmaps = [trace for trace in figure.data if trace.type == "heatmap"]
    if heatmaps:
        return _of_heatmap(heatmaps[0])
    tables = [_of_trace(trace, figure.layout) for trace in figure.data if _is_shown(trace)]
    if not tables:
        return pd.DataFrame()
    joined = pd.concat(tables, ignore_index=True).dropna(axis="columns", how="all")
    named = SERIES in joined and joined[SERIES].nunique() > 1
    return joined if named else joined.drop(columns=SERIES, errors="ignore")


def table_of_spec(spec: Spec) -> pd.DataFrame:
    """Returns the rows of a Vega-Lite specification of `fer_core.figures.vega`."""
    rows = pd.DataFrame(spec["data"]["values"])
    if "head" in rows:
        rows = rows[~rows["head"].astype(bool)]
    shown = rows.drop(columns=[name for name in _HIDDEN if name in rows])
    return shown.rename(columns=_TITLES).reset_index(drop=True)


def _is_shown(trace: Any) -> bool:  # noqa: ANN401 (plotly's)
    drawn = getattr(trace, "mode", None) != "text" and trace.visible is not False
    return drawn and (_values(trace, "x") is not None or _values(trace, "y") is not None)


def _of_heatmap(trace: Any) -> pd.DataFrame:  # noqa: ANN401 (plotly's)
    values = np.array(trace.z, dtype=float)
    rows = range(len(values)) if trace.y is None else trace.y
    columns = range(values.shape[1]) if trace.x is None else trace.x
    table = pd.DataFrame(values, columns=[_plain(name) for name in columns])
    table.insert(0, "", [_plain(name) for name in rows])
    return table


def _of_trace(trace: Any, layout: Any) -> pd.DataFrame:  # noqa: ANN401 (plotly's)
    names = {axis: _title(layout, getattr(trace, f"{axis}axis", None) or axis) for axis in "xy"}
    if names["x"] == names["y"]:
        names["y"] += " (vertical)"
    columns: dict[str, Any] = {SERIES: _plain(trace.name) or _label(trace)}
    for axis, name in names.items():
        values = _values(trace, axis)
        if values is None:
            continue
        columns[name] = values
        columns |= _interval(getattr(trace, f"error_{axis}", None), values, name)
    length = max(len(value) for value in columns.values() if not isinstance(value, str))
    fitting = {
        name: value
        for name, value in columns.items()
        if isinstance(value, str) or len(value) == length
    }
    table = pd.DataFrame(fitting)
    # a point without a coordinate is not drawn
    return table.dropna(subset=[name for name in names.values() if name in table])


def _interval(error: Any, values: pd.Series, name: str) -> Mapping[str, Any]:  # noqa: ANN401
    if error is None or error.array is None or len(error.array) != len(values):
        return {}
    above = np.asarray(error.array, dtype=float)
    below = above if error.arrayminus is None else np.asarray(error.arrayminus, dtype=float)
    numbers = values.to_numpy(dtype=float)
    return {f"{name}, low": numbers - below, f"{name}, high": numbers + above}


def _values(trace: Any, axis: str) -> pd.Series | None:  # noqa: ANN401 (plotly's)
    values = getattr(trace, axis, None)
    return None if values is None or not len(values) else pd.Series(np.asarray(values))


def _label(trace: Any) -> str:  # noqa: ANN401 (plotly's)
    """Returns a trace's only text, shown or on hover, which names it where it has no name."""
    hovered = getattr(trace, "hovertext", None)
    text = getattr(trace, "text", None) if hovered is None else hovered
    if isinstance(text, str):
        return _plain(text)
    return _plain(text[0]) if text is not None and len(text) == 1 else ""


def _title(layout: Any, axis: str) -> str:  # noqa: ANN401 (plotly's)
    """Returns the title of an axis such as `x` or `y2`."""
    title = layout[f"{axis[0]}axis{axis[1:]}"].title.text
    return _plain(title) or {"x": "value", "y": "name"}[axis[0]]


def _plain(text: object) -> str:
    return "" if text is None else str(text).replace("<br>", " ")
