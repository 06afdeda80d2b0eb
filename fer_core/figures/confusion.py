"""The confusion matrix as a clickable chart.

Altair, not plotly: in Streamlit a click on a plotly heat map delivers nothing, while a
rectangle mark of Altair delivers its row and column exactly.
"""

from collections.abc import Sequence
from enum import StrEnum

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

SELECTION = "cell"
"""Name of the chart's selection parameter; its points hold `truth` and `predicted`."""


class Normalisation(StrEnum):
    """What a cell shows."""

    COUNTS = "Counts"
    BY_TRUTH = "By true class"
    BY_PREDICTION = "By predicted class"


def normalise(matrix: NDArray[np.int64], how: Normalisation) -> NDArray[np.float64]:
    """Returns counts or shares of a matrix with true classes in rows; empty rows give 0."""
    if how is Normalisation.COUNTS:
        return matrix.astype(np.float64)
    axis = 1 if how is Normalisation.BY_TRUTH else 0
    total = matrix.sum(axis=axis, keepdims=True)
    shares: NDArray[np.float64] = np.divide(
        matrix, total, out=np.zeros(matrix.shape), where=total > 0
    )
    return shares


def confusion_chart(
    matrix: NDArray[np.int64],
    labels: Sequence[str],
    how: Normalisation,
    selected: tuple[str, str] | None = None,
    *,
    dark: bool = False,
) -> alt.LayerChart:
    """Draws a confusion matrix whose cells can be clicked.

    Colour is the share of the true class in counts too: raw counts would show nothing but
    which class is frequent. Right answers are green, mistakes red.

    Args:
        matrix: Counts, true classes in rows, shape (K, K).
        labels: Class names in the matrix's order.
        how: What the cells show.
        selected: (true, predicted) class of the cell to outline.
        dark: Whether the page is dark.
    """
    values = normalise(matrix, how)
    strength = normalise(matrix, Normalisation.BY_TRUTH) if how == Normalisation.COUNTS else values
    count = len(labels)
    table = pd.DataFrame(
        {
            "truth": np.repeat(list(labels), count),
            "predicted": np.tile(list(labels), count),
            "count": matrix.ravel(),
            "share of true class": normalise(matrix, Normalisation.BY_TRUTH).ravel(),
            "share of predicted class": normalise(matrix, Normalisation.BY_PREDICTION).ravel(),
            # signed root of the share: right answers above 0, mistakes below
            "shade": (np.sqrt(strength) * (2 * np.eye(count) - 1)).ravel(),
            "text": [
                f"{int(value):,}" if how is Normalisation.COUNTS else f"{value:.0%}"
                for value in values.ravel()
            ],
        }
    )
    table["selected"] = [
        pair == selected for pair in zip(table.truth, table.predicted, strict=True)
    ]
    empty = "#22262e" if dark else "#f4f2ee"
    click = alt.selection_point(name=SELECTION, fields=["truth", "predicted"], on="click")
    axis = alt.Axis(labelAngle=0, labelFontSize=13, titleFontSize=13, ticks=False, domain=False)
    base = alt.Chart(table).encode(
        x=alt.X("predicted:N", sort=list(labels), title="predicted", axis=axis),
        y=alt.Y("truth:N", sort=list(labels), title="true", axis=axis),
        tooltip=[
            alt.Tooltip("truth:N", title="true"),
            alt.Tooltip("predicted:N"),
            alt.Tooltip("count:Q", format=","),
            alt.Tooltip("share of true class:Q", format=".1%"),
            alt.Tooltip("share of predicted class:Q", format=".1%"),
        ],
    )
    scale = alt.Scale(
        domain=[-0.75, 0, 1], range=["#c2410c", empty, "#0b7a5c"], interpolate="lab", clamp=True
    )
    outline = alt.condition(
        "datum.selected", alt.value("#ffffff" if dark else "#111111"), alt.value("transparent")
    )
    cells = (
        base.mark_rect(cursor="pointer", cornerRadius=4, strokeWidth=2.5)
        .encode(color=alt.Color("shade:Q", scale=scale, legend=None), stroke=outline)
        .add_params(click)
    )
    text = base.mark_text(fontSize=14, fontWeight=600, cursor="pointer").encode(
        text="text:N",
        color=alt.condition(
            "abs(datum.shade) > 0.5",
            alt.value("#ffffff"),
            alt.value("#d7d9de" if dark else "#33302b"),
        ),
    )
    chart: alt.LayerChart = (
        alt.layer(cells, text)
        .properties(height=62 * count)
        .configure_scale(bandPaddingInner=0.05)
        .configure_view(strokeWidth=0)
        .configure(background="transparent")
    )
    return chart


def most_confused(matrix: NDArray[np.int64], labels: Sequence[str]) -> pd.DataFrame:
    """Lists mistakes, most frequent first.

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
