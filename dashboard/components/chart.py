"""Charts with a caption, a text alternative, their values as a table, and a download button."""

from collections.abc import Callable

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from fer_core.figures.chart_table import table_of


def show(figure: go.Figure, key: str, caption: str) -> None:
    """Shows a plotly figure; its camera button saves it as SVG.

    Args:
        figure: The chart.
        key: Identifies the element, and names the downloaded picture.
        caption: One sentence on what the chart shows; also its text alternative.
    """
    st.plotly_chart(
        figure,
        key=f"chart-{key}",  # bound widgets have the plain names
        config={
            "displaylogo": False,
            "displayModeBar": "hover",  # shown always, it covers labels
            "modeBarButtons": [["toImage"]],
            **saved_as(key),
        },
        alt=caption,
    )
    st.caption(caption)
    values(lambda: table_of(figure), key)


def saved_as(name: str) -> dict[str, dict[str, str]]:
    """Returns the option of a plotly figure whose camera button saves `ferscope-NAME.svg`."""
    return {"toImageButtonOptions": {"format": "svg", "filename": f"ferscope-{name}"}}


def values(
    table: Callable[[], pd.DataFrame], key: str, on_row: Callable[[int], None] | None = None
) -> None:
    """Shows a button that opens the values of a chart as a table.

    Args:
        table: Called when it is open.
        key: Identifies the button; unique on its page.
        on_row: Called with the index of a picked row, for readers who cannot click the chart.
    """
    shown = f"values-of-{key}"

    def pick() -> None:
        picked = st.session_state[shown]["selection"]["rows"]
        if picked and on_row is not None:
            on_row(int(picked[0]))

    opened = st.popover(
        "Values",
        icon=":material/table:",
        type="tertiary",
        key=f"values-{key}",
        on_change="rerun",
        help="The values of this chart as a table",
    )
    if opened.open:
        opened.dataframe(
            table(),
            hide_index=True,
            key=shown,
            on_select=pick if on_row else "ignore",
            selection_mode="single-row",
        )
