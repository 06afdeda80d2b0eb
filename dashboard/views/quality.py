"""Data quality: what is wrong with a benchmark's images and labels, and lists that mend it."""

import streamlit as st

from dashboard import data_access, dataset_access, theme
from dashboard.components import issues, pick
from dashboard.components.text import plain
from dashboard.state import Key
from fer_core.errors import FerscopeError

VIEWS = {
    "duplicates": "Duplicates",
    "leaks": "Leaks",
    "conflicts": "Conflicting labels",
    "outliers": "Outliers",
    "labels": "Likely label errors",
}

theme.page_header(
    "Data",
    "Data quality",
    "Copies, leaks, contradicting labels, odd pictures and labels that the models doubt. Each "
    "list says why, and can be taken along as corrections for the next preparation.",
)
chosen = pick.benchmark()
try:
    data_access.samples(chosen)
except FerscopeError as error:
    st.error(plain(str(error)))
    st.stop()

card = dataset_access.card(chosen)
if card is not None:
    columns = st.columns(4)
    columns[0].metric(
        "Extra copies",
        f"{card.near.extra:,}",
        help=f"{card.exact.extra:,} bit for bit; {card.near.groups:,} groups",
        border=True,
    )
    columns[1].metric(
        "Test images with a copy",
        f"{card.near.across['test in either']:,}",
        help=f"in the original train or validation; {card.exact.across['test in either']:,} "
        "bit for bit",
        border=True,
    )
    columns[2].metric(
        "Groups with two labels",
        f"{card.near.conflicting_groups:,}",
        help=f"{card.near.conflicting_images:,} images",
        border=True,
    )
    columns[3].metric("Outliers", f"{sum(card.outliers.values()):,}", border=True)

view = pick.switch("Show", VIEWS, Key.ISSUES)
{
    "duplicates": issues.duplicates,
    "leaks": issues.leaks,
    "conflicts": issues.conflicts,
    "outliers": issues.outliers,
    "labels": issues.labels,
}[view](chosen)
