"""Columns of tables with one format each."""

import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig

_STEP = 0.0001
"""Streamlit shows as many decimals as the step has, so that all rows have two, also 95.00%.

It cuts numbers off there instead of rounding them, so one decimal would show 86.17% as 86.1%.
"""


def percent_column(label: str | None = None) -> ColumnConfig:
    """Returns a column of shares from 0 to 1, shown in percent with two decimals."""
    return st.column_config.NumberColumn(label, format="percent", step=_STEP)


def share_bar(label: str | None = None, help_text: str | None = None) -> ColumnConfig:
    """Returns a column of shares from 0 to 1, shown as bars in percent with two decimals."""
    return st.column_config.ProgressColumn(
        label, format="percent", min_value=0.0, max_value=1.0, step=_STEP, help=help_text
    )
