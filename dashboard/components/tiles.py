"""Columns of equal pictures or cards, which wrap where the page is narrow."""

from typing import Literal

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

Size = Literal["tiny", "small", "wide"]


def tiles(count: int, key: str, size: Size = "small") -> list[DeltaGenerator]:
    """Returns columns that go on in the next row instead of becoming too narrow.

    Args:
        count: Number of columns on a wide page.
        key: Identifies them; unique on the page.
        size: Least width: `tiny` for a picture with a number, `small` for one with a caption,
            `wide` for a card with text and a chart.
    """
    with st.container(key=f"tiles-{size}-{key}"):
        return st.columns(count, gap="medium" if size == "wide" else "small")
