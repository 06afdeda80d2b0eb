"""Tables whose numbers open the samples that they count."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pandas as pd
import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig

from dashboard import pages

HINT = "Click a number to see its images."


@dataclass(frozen=True)
class TableTarget:
    """A view that a click on a number opens.

    Benchmark, evaluation set, classes and slice stay picked.

    Attributes:
        page: Name of the page, such as `errors`; empty for the current one.
        query: Query parameters that no widget of the current page is bound to.
        picks: Values for widgets of the current page, by their keys.
    """

    page: str = ""
    query: pages.Query = field(default_factory=dict)
    picks: Mapping[str, object] = field(default_factory=dict)


Opens = Callable[[int, str], TableTarget | None]
"""Returns what a click on a row's number in a column opens; None for nothing."""


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
        opens: Returns the view that a click opens.
        key: Key of the table.
        column_config: Argument of `st.dataframe`.
        hide_index: Whether to hide the row names.
    """

    def clicked() -> TableTarget | None:
        cells = st.session_state[key]["selection"]["cells"] if key in st.session_state else []
        row, column = cells[0] if cells else (len(table), "")
        return opens(int(row), str(column)) if row < len(table) else None

    def follow() -> None:
        # a widget's value can be set only before the page is run
        target = clicked()
        if target is not None and not target.page:
            st.session_state.update({str(name): value for name, value in target.picks.items()})
            st.query_params.update(target.query)

    st.dataframe(
        table,
        hide_index=hide_index,
        key=key,
        column_config=dict(column_config or {}),
        on_select=follow,
        selection_mode="single-cell",
    )
    target = clicked()
    if target is not None and target.page:
        pages.switch_to(target.page, target.query)
