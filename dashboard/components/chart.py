"""Charts with a caption and a download button."""

import plotly.graph_objects as go
import streamlit as st


def show(figure: go.Figure, key: str, caption: str) -> None:
    """Shows a plotly figure; its camera button saves it as a picture.

    Args:
        figure: The chart.
        key: Identifies the element, and names the downloaded picture.
        caption: One sentence on what the chart shows.
    """
    st.plotly_chart(
        figure,
        key=f"chart-{key}",  # bound widgets have the plain names
        config={
            "displaylogo": False,
            "displayModeBar": True,
            "modeBarButtons": [["toImage"]],
            "toImageButtonOptions": {"format": "png", "filename": f"ferscope-{key}", "scale": 2},
        },
    )
    st.caption(caption)
