"""Clickable confusion matrix."""

from collections.abc import Sequence
from enum import StrEnum

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_core.evaluation.intervals import wilson
from fer_core.figures.vega import Spec, clickable_boxes, outline_where, quantity

SELECTION = "cell"
"""Name of the chart's selection parameter; selected points have `truth` and `predicted`."""

ANY = "any"
"""Stands for all classes if a row or column header was clicked."""


class Normalisation(StrEnum):
    """Normalisation of the cells."""

    COUNTS = "Counts"
    BY_TRUTH = "By true class"
    BY_PREDICTION = "By predicted class"


def normalise(matrix: NDArray[np.int64], how: Normalisation) -> NDArray[np.float64]:
    """Returns counts or shares of a confusion matrix; NaN for shares of a class without images."""
    if how is Normalisation.COUNTS:
        return matrix.astype(np.float64)
    axis = 1 if how is Normalisation.BY_TRUTH else 0
    total = matrix.sum(axis=axis, keepdims=True)
    shares: NDArray[np.float64] = np.divide(
        matrix, total, out=np.full(matrix.shape, np.nan), where=total > 0
    )
    return shares


def confusion_chart(
    matrix: NDArray[np.int64],
    labels: Sequence[str],
    how: Normalisation,
    selected: tuple[str, str] | None = None,
    *,
    minus: NDArray[np.int64] | None = None,
    dark: bool = False,
) -> Spec:
    """Draws a confusion matrix whose cells, row headers and column headers can be clicked.

    Colour always encodes the share of the true class, because counts would mainly show class
    frequencies. Correct predictions are green, errors red. In a difference, green marks
    improvements (more correct predictions, fewer errors) and red the opposite. A second line has
    the counts, or the shares of the true class below counts.

    Headers are rectangles in the same layer as the cells, because axis labels are not clickable.
    In the selection, a header has `ANY` as the other class.

    Args:
        matrix: Counts with true classes in rows, shape (K, K).
        labels: Class names in the matrix's order.
        how: Normalisation of the cells.
        selected: (true, predicted) class of the cell or header to outline.
        minus: Counts of another model to subtract.
        dark: Whether the dark theme is active.
    """
    table = pd.concat(
        [_cells(matrix, labels, how, minus), _headers(matrix, labels)], ignore_index=True
    )
    table["head"] = (table["truth"] == ANY) | (table["predicted"] == ANY)
    table["selected"] = [
        pair == selected for pair in zip(table["truth"], table["predicted"], strict=True)
    ]
    order = [ANY, *labels]
    chart = clickable_boxes(
        table,
        selection=SELECTION,
        fields=("truth", "predicted"),
        shared={
            "x": _axis("predicted", "predicted", "top", order),
            "y": _axis("truth", "true", "left", order),
            "tooltip": _TOOLTIP,
        },
        boxes=_boxes(dark=dark),
        text=_text(labels, dark=dark),
    )
    chart["layer"].append(_second_line(dark=dark))
    chart["height"] = 56 * len(order)
    chart["config"]["scale"] = {"bandPaddingInner": 0.05}
    return chart


INTERVAL = "share of true class, 95%"
"""Column of Wilson's 95% interval of the share of the true class."""

_UNDEFINED = "n/a"
_LETTER, _GAP = 7.5, 8.0
"""Width of a letter of a header, and the least distance of two headers, in pixels."""

_SECOND = {
    Normalisation.COUNTS: Normalisation.BY_TRUTH,
    Normalisation.BY_TRUTH: Normalisation.COUNTS,
    Normalisation.BY_PREDICTION: Normalisation.COUNTS,
}
"""What the second line of a cell shows, by what the first one shows."""

_TOOLTIP = [
    {"field": "truth", "type": "nominal", "title": "true"},
    {"field": "predicted", "type": "nominal"},
    quantity("count", form=","),
    quantity("share of true class", form=".1%"),
    {"field": INTERVAL, "type": "nominal"},
    quantity("share of predicted class", form=".1%"),
]


def _cells(
    matrix: NDArray[np.int64],
    labels: Sequence[str],
    how: Normalisation,
    minus: NDArray[np.int64] | None,
) -> pd.DataFrame:
    """Returns one row per cell, with its classes, values, colour and text."""
    return pd.DataFrame(
        {
            "truth": np.repeat(list(labels), len(labels)),
            "predicted": np.tile(list(labels), len(labels)),
            "count": matrix.ravel(),
            "share of true class": _filled(matrix, Normalisation.BY_TRUTH).ravel(),
            INTERVAL: _intervals(matrix),
            "share of predicted class": _filled(matrix, Normalisation.BY_PREDICTION).ravel(),
            "shade": _shades(matrix, how, minus).ravel(),
            "text": _texts(matrix, how, minus),
            "second": _texts(matrix, _SECOND[how], minus),
        }
    )


def _filled(matrix: NDArray[np.int64], how: Normalisation) -> NDArray[np.float64]:
    """Returns shares for tooltips, which show NaN as 0 in any case."""
    return np.nan_to_num(normalise(matrix, how))


def _intervals(matrix: NDArray[np.int64]) -> list[str]:
    """Returns Wilson's 95% interval of each cell's share of its true class as text."""
    images = np.repeat(matrix.sum(axis=1), len(matrix))
    return [
        _UNDEFINED if np.isnan(low) else f"{low:.1%} to {high:.1%}"
        for low, high in wilson(matrix.ravel(), images).T
    ]


def _headers(matrix: NDArray[np.int64], labels: Sequence[str]) -> pd.DataFrame:
    """Returns one row per row header, then one per column header, with the columns of `_cells`."""
    anything = [ANY] * len(labels)
    rows, columns = matrix.sum(axis=1), matrix.sum(axis=0)
    total = max(int(matrix.sum()), 1)  # avoids a division by zero
    return pd.DataFrame(
        {
            "truth": [*labels, *anything],
            "predicted": [*anything, *labels],
            "count": [*rows, *columns],
            "share of true class": [*(rows > 0).astype(np.float64), *(columns / total)],
            INTERVAL: "",
            "share of predicted class": [*(rows / total), *(columns > 0).astype(np.float64)],
            "shade": 0.0,
            "text": [*labels, *labels],
            "second": "",
        }
    )


def _boxes(*, dark: bool) -> Spec:
    """Returns mark and encoding of the rectangles."""
    shades = {
        "domain": [-0.75, 0, 1],
        "range": ["#c2410c", "#22262e" if dark else "#f4f2ee", "#0b7a5c"],
        "interpolate": "lab",
        "clamp": True,
    }
    return {
        "mark": {"cornerRadius": 4, "strokeWidth": 2.5},
        "encoding": {
            "color": {"field": "shade", "type": "quantitative", "scale": shades, "legend": None},
            "stroke": outline_where("datum.selected", dark=dark),
        },
    }


def _text(labels: Sequence[str], *, dark: bool) -> Spec:
    """Returns mark and encoding of the texts, which are white on dark colours.

    Column headers are slanted where they would touch each other.
    """
    needed = (len(labels) + 1) * (_LETTER * max(map(len, labels), default=0) + _GAP)
    return {
        "mark": {"fontSize": 14, "dy": {"expr": "datum.head ? 0 : -8"}},
        "encoding": {
            "angle": {
                "condition": {
                    "test": f"datum.head && datum.truth === '{ANY}' && width < {needed:.0f}",
                    "value": -35,
                },
                "value": 0,
            },
            "text": {"field": "text", "type": "nominal"},
            "size": {"condition": {"test": "datum.head", "value": 13}, "value": 14},
            "color": _ink(dark=dark),
        },
    }


def _second_line(*, dark: bool) -> Spec:
    """Returns the layer of the smaller texts below those of the cells."""
    return {
        "mark": {"type": "text", "cursor": "pointer", "fontSize": 11, "dy": 11},
        "encoding": {"text": {"field": "second", "type": "nominal"}, "color": _ink(dark=dark)},
    }


def _ink(*, dark: bool) -> Spec:
    return {
        "condition": {"test": "abs(datum.shade) > 0.5", "value": "#ffffff"},
        "value": "#d7d9de" if dark else "#33302b",
    }


def _axis(field: str, title: str, side: str, order: Sequence[str]) -> Spec:
    """Returns an axis without labels, because the headers are part of the chart."""
    hidden = dict.fromkeys(("labels", "ticks", "domain", "grid"), False)
    return {
        "field": field,
        "type": "nominal",
        "sort": list(order),
        "title": title,
        "axis": {"orient": side, "titleFontSize": 13, **hidden},
    }


def _shades(
    matrix: NDArray[np.int64], how: Normalisation, minus: NDArray[np.int64] | None
) -> NDArray[np.float64]:
    """Returns signed colour values: above 0 is good; a square root makes small shares visible.

    Undefined shares and differences have the colour of 0.
    """
    scaled = Normalisation.BY_TRUTH if how is Normalisation.COUNTS else how
    good = 2 * np.eye(len(matrix)) - 1
    if minus is None:
        return np.nan_to_num(np.sqrt(normalise(matrix, scaled))) * good
    change = np.nan_to_num(normalise(matrix, scaled) - normalise(minus, scaled))
    # a difference of 0.1 is large and gets almost the full colour
    shades: NDArray[np.float64] = np.sign(change) * np.sqrt(np.minimum(1, np.abs(change) * 6))
    return shades * good


def _texts(
    matrix: NDArray[np.int64], how: Normalisation, minus: NDArray[np.int64] | None
) -> list[str]:
    """Returns the texts of the cells; `n/a` where a share is not defined."""
    values = normalise(matrix, how)
    if minus is None:
        form = "{:,.0f}" if how is Normalisation.COUNTS else "{:.0%}"
        return [_UNDEFINED if np.isnan(value) else form.format(value) for value in values.ravel()]
    change = values - normalise(minus, how)
    if how is Normalisation.COUNTS:
        return [f"{value:+,.0f}" if value else "0" for value in change.ravel()]
    return [_points(value) for value in change.ravel()]


def _points(change: float) -> str:
    """Returns a difference of shares in percentage points."""
    if np.isnan(change):
        return _UNDEFINED
    return f"{100 * change:+.1f}" if abs(change) >= 0.0005 else "0"


def count_table(matrix: NDArray[np.int64], labels: Sequence[str]) -> pd.DataFrame:
    """Returns the counts as a table: the column `true class`, then one per predicted class."""
    table = pd.DataFrame(matrix, columns=list(labels))
    table.insert(0, "true class", list(labels), allow_duplicates=True)
    return table


def most_confused(matrix: NDArray[np.int64], labels: Sequence[str]) -> pd.DataFrame:
    """Returns confused pairs of classes, most frequent first.

    Returns:
        Columns `true`, `predicted`, `images`, `share of true class` (0 to 1).
    """
    shares = normalise(matrix, Normalisation.BY_TRUTH)
    truth, predicted = np.nonzero(matrix * (1 - np.eye(len(labels), dtype=np.int64)))
    table = pd.DataFrame(
        {
            "true": np.array(labels, dtype=object)[truth],
            "predicted": np.array(labels, dtype=object)[predicted],
            "images": matrix[truth, predicted],
            "share of true class": shares[truth, predicted],
        }
    )
    order = ["images", "share of true class"]
    return table.sort_values(order, ascending=False, ignore_index=True)
