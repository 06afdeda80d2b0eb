"""Samples of a dataset as faces and as a table, without any model's predictions."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from dashboard.cache import benchmarks
from dashboard.cache.benchmarks import Benchmark
from dashboard.components import pickers, viewer
from dashboard.components.attach import need_pictures
from dashboard.components.gallery import Card, gallery, label_and_colour
from dashboard.components.text import column_title
from fer_core.data.outliers import MEASURES
from fer_core.data.stored_pictures import Pictures

PAGE_SIZE = 40
MEASURE_TITLES = {name: measure.title for name, measure in MEASURES.items()} | {"width": "Size"}
"""Titles of the image statistics by their columns."""


def needs_columns(samples: pd.DataFrame, *columns: str) -> bool:
    """Returns whether the samples have the columns; if not, shows how to add them."""
    if set(columns) <= set(samples.columns):
        return True
    st.info(
        "An earlier version of FERscope prepared this dataset. Prepare it again to see this view."
    )
    return False


def show(benchmark: Benchmark, table: pd.DataFrame, key: str) -> None:
    """Shows one page of samples as a table, and as faces if there are pictures."""
    if table.empty:
        st.info("No image passes these filters.")
        return
    shown = table.iloc[pickers.page(table["id"].to_numpy(), PAGE_SIZE)]
    pictures = benchmarks.pictures(benchmark)
    if pictures is None:
        need_pictures(benchmark, key)
    else:
        cards = _cards(shown, pictures, benchmark.info.labels)
        gallery(cards, key=f"faces-{key}", on_open=viewer.open_sample)
    facts = ["id", "label", "second_label", "split", "excluded", *MEASURES, "width", "height"]
    with st.expander("Table of these images", expanded=pictures is None):
        st.dataframe(
            shown[[name for name in facts if name in shown.columns]],
            hide_index=True,
            key=key,
            column_config={"second_label": column_title("second_label")},
        )
    viewer.offer(benchmark, table["id"])


def _cards(rows: pd.DataFrame, pictures: Pictures, labels: Sequence[str]) -> list[Card]:
    """Returns the faces of samples; those without a picture are left out."""
    cards = []
    for row in rows.itertuples(index=False):
        picture = pictures.get(str(row.id))
        if picture is not None:
            name, colour = label_and_colour(row.label, labels)
            cards.append(Card(picture, name, str(row.excluded or row.split), colour, str(row.id)))
    return cards
