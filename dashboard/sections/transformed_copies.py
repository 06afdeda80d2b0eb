"""Transformed copies on the Data quality page: pairs side by side with the fitted change."""

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd
import streamlit as st

from dashboard.cache import benchmarks, dataset
from dashboard.cache.benchmarks import Benchmark
from dashboard.components import download, pickers, viewer
from dashboard.components.attach import need_pictures
from dashboard.components.gallery import Card, gallery, label_and_colour
from dashboard.state import Key
from fer_core.csv_text import csv_text
from fer_core.data.stored_pictures import Pictures
from fer_core.data.transformed_copies.table import COPY, SAME_SCENE

PAIRS_PER_PAGE = 12
_COLUMNS = 3
_KINDS = {
    COPY: "Same picture",
    SAME_SCENE: "Same scene",
}
_WHERE = {"crossing": "Across splits", "all": "All"}


def transformed_copies(benchmark: Benchmark) -> None:
    """Shows pairs of images that are one picture, or one scene, under augmentation."""
    table = dataset.transformed_copies(benchmark)
    if table is None:
        st.info(
            "No search for transformed copies was made when this benchmark was prepared. With the "
            "prepared images on this machine, this command adds it and changes no split:",
            icon=":material/content_copy:",
        )
        st.code(f"python -m training find-copies {benchmark.info.name}", language="bash")
        return
    left, right = st.columns(2)
    with left:
        kind = pickers.switch("Kind", _KINDS, Key.COPY_KIND)
    with right:
        where = pickers.switch("Pairs", _WHERE, Key.COPY_SPLITS)
    table = table[table["kind"] == kind]
    crossing = table["split"] != table["other split"]
    shown = table[crossing] if where == "crossing" else table
    st.caption(_explained(benchmark, kind, len(table), int(crossing.sum())))
    if shown.empty:
        st.success("There is no such pair.", icon=":material/check:")
        return
    pictures = benchmarks.pictures(benchmark)
    if pictures is None:
        need_pictures(benchmark, "transformed")
    else:
        page = pickers.page(shown[["id", "other"]].to_numpy(), PAIRS_PER_PAGE)
        _pairs(benchmark, shown.iloc[page], pictures)
    st.dataframe(shown, hide_index=True, key="transformed-copies")
    download.button(
        f"Download {len(shown):,} pairs (csv)",
        lambda: csv_text(shown),
        f"{benchmark.info.name}-transformed-copies.csv",
    )


def _explained(benchmark: Benchmark, kind: str, count: int, crossing: int) -> str:
    if kind == SAME_SCENE:
        return (
            f"{count:,} pairs, {crossing:,} of them across splits, show one scene: frames of one "
            "video, shots of one session, or a picture with something written over it. They stay, "
            "unless `prepare --same-scene group` keeps each scene in one split."
        )
    card = dataset.card(benchmark)
    removed = card is not None and card.transformed is not None and card.transformed.removed
    closed = (
        "Copies of held-out images were removed from training and validation."
        if removed
        else "They are reported, not removed, so that the published split stays as it is. Test "
        "images with such a copy are left out of the leak-free score; `prepare "
        "--transformed-copies remove` with a new --name closes these leaks."
    )
    return (
        f"{count:,} pairs, {crossing:,} of them across splits, are one picture that was mirrored, "
        f"rotated, cropped, lit differently or re-encoded, beyond near duplicates. {closed}"
    )


def _pairs(benchmark: Benchmark, rows: pd.DataFrame, pictures: Pictures) -> None:
    columns = st.columns(_COLUMNS)
    for index, row in enumerate(rows.to_dict("records")):
        with columns[index % _COLUMNS].container(border=True):
            cards = [_card(benchmark, row, pictures, side) for side in ("", "other ")]
            gallery(
                [card for card in cards if card is not None],
                side=96,
                key=f"pair-{index}",
                on_open=viewer.open_sample,
            )
            st.caption(f"{row['change']} (correlation {row['correlation']:.2f})".capitalize())
    viewer.offer(benchmark, rows[["id", "other"]].to_numpy().ravel())


def _card(
    benchmark: Benchmark, row: Mapping[Hashable, Any], pictures: Pictures, side: str
) -> Card | None:
    """Returns the picture of a pair's first (`""`) or second (`"other "`) image."""
    sample = str(row[side.strip() or "id"])
    picture = pictures.get(sample)
    if picture is None:
        return None
    label, colour = label_and_colour(row[f"{side}label"], benchmark.info.labels)
    return Card(picture, f"{label}, {row[f'{side}split']}", sample, colour, sample)
