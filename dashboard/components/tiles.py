"""Columns of equal pictures or cards, which wrap where the page is narrow."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator


def tiles(count: int, key: str, *, wide: bool = False) -> list[DeltaGenerator]:
    """Returns columns that go on in the next row instead of becoming too narrow.

    Args:
        count: Number of columns on a wide page.
        key: Identifies them; unique on the page.
        wide: Whether their content is a card with text and a chart, not a picture.
    """
    with st.container(key=f"tiles-{'wide' if wide else 'small'}-{key}"):
        return st.columns(count, gap="medium" if wide else "small")
