"""Columns of tables with one format each."""

import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig

_HUNDREDTH, _TENTH = 0.0001, 0.001
"""Streamlit shows as many decimals as the step has, so that all rows have as many, also 95.0%.

It rounds bars, but cuts numbers off: with one decimal, 86.17% would be shown as 86.1%.
"""


def percent_column(label: str | None = None) -> ColumnConfig:
    """Returns a column of shares from 0 to 1, shown in percent with two decimals."""
    return st.column_config.NumberColumn(label, format="percent", step=_HUNDREDTH)


def share_bar(label: str | None = None, help_text: str | None = None) -> ColumnConfig:
    """Returns a column of shares from 0 to 1, shown as bars in percent with one decimal."""
    return st.column_config.ProgressColumn(
        label, format="percent", min_value=0.0, max_value=1.0, step=_TENTH, help=help_text
    )
