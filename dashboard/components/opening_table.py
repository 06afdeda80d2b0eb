"""Tables whose numbers open the samples that they count."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd
import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig

from dashboard.state import Key

Query = Mapping[str, str | Sequence[str]]

_SCOPE = (Key.BENCHMARK, Key.SCORED, Key.CLASSES, Key.ONLY, Key.SLICE)

HINT = "Click a number to see its images."


@dataclass(frozen=True)
class TableTarget:
    """A page of the dashboard with query parameters.

    Attributes:
        page: Name of the page, such as `errors`.
        query: Query parameters beside those of the evaluated samples, which are kept.
    """

    page: str
    query: Query = field(default_factory=dict)

    def open(self) -> None:
        """Opens the page."""
        st.switch_page(f"views/{self.page}.py", query_params=scope_in_address() | dict(self.query))


Opens = Callable[[int, str], TableTarget | None]
"""Returns what a click on a row's number in a column opens; None for nothing."""


def scope_in_address() -> dict[str, str | Sequence[str]]:
    """Returns the query parameters of benchmark, evaluation set, classes and slice."""
    return {str(key): st.query_params.get_all(key) for key in _SCOPE if key in st.query_params}


def show(
    table: pd.DataFrame,
    opens: Opens,
    key: str,
    column_config: Mapping[str, ColumnConfig] | None = None,
    *,
    hide_index: bool = True,
) -> None:
    """Shows a table; a click on a number opens its samples.

    Args:
        table: The table.
        opens: What a click opens.
        key: Key of the table; another one after each click that stays on the page.
        column_config: As for `st.dataframe`.
        hide_index: Whether to hide the row names.
    """
    event = st.dataframe(
        table,
        hide_index=hide_index,
        key=key,
        column_config=dict(column_config or {}),
        on_select="rerun",
        selection_mode="single-cell",
    )
    for row, column in event["selection"]["cells"]:
        target = opens(int(row), str(column)) if row < len(table) else None
        if target is not None:
            target.open()
