"""Saving a selection of samples as a slice, and metrics on saved slices."""

from collections.abc import Callable, Sequence

import streamlit as st

from dashboard import pages
from dashboard.cache.benchmarks import Benchmark
from dashboard.cache.slices import saved_slices
from dashboard.components import download, visitor
from dashboard.components.text import plain
from dashboard.state import EXPLORER_SAMPLES, Key
from fer_core.csv_text import csv_text
from fer_core.errors import FerscopeError
from fer_core.reviews import ReviewStore, SavedSlice

NAME_LIMIT = 60


def save_button(
    benchmark: Benchmark, sample_ids: Callable[[], Sequence[str]], description: str, key: str
) -> None:
    """Shows a button that opens a form to save samples as a named slice.

    Args:
        benchmark: The benchmark.
        sample_ids: Returns the samples; called when they are saved.
        description: The selection in words.
        key: Key of the widgets.
    """
    with (
        st.popover("Save as slice", icon=":material/bookmark_add:"),
        st.form(f"slice-{key}", border=False, clear_on_submit=True),
    ):
        name = st.text_input("Name", max_chars=NAME_LIMIT, key=f"slice-name-{key}")
        st.caption(
            "Pick it in the sidebar to restrict every page to its images. It is also a column of "
            "the leaderboard. Every visitor sees it; a slice of the same name is replaced."
        )
        if st.form_submit_button("Save slice", icon=":material/save:"):
            _save(benchmark, name.strip(), tuple(sample_ids()), description)


def _save(benchmark: Benchmark, name: str, sample_ids: tuple[str, ...], description: str) -> None:
    try:
        ReviewStore.of(benchmark.directory).save_slice(
            SavedSlice(name, visitor.name(), sample_ids, description)
        )
    except FerscopeError as error:
        st.error(plain(str(error)))
        return
    st.toast(f"Saved the slice {plain(name)} with {len(sample_ids):,} samples.")
    st.rerun()


def manage(benchmark: Benchmark) -> None:
    """Lists the saved slices with links to their images, delete buttons, and a csv of all."""
    download.button(
        "All slices (csv)",
        lambda: csv_text(ReviewStore.of(benchmark.directory).slice_table()),
        f"{benchmark.info.name}-slices.csv",
    )
    for saved in saved_slices(benchmark):
        text, button = st.columns([8, 1], vertical_alignment="center")
        text.markdown(
            f"**{plain(saved.name)}**: {len(saved.sample_ids):,} samples, "
            f"{plain(saved.description)}; saved by {plain(saved.annotator)} on {saved.created[:10]}"
        )
        query: pages.Query = {
            Key.BENCHMARK: benchmark.info.name,
            Key.VIEW: EXPLORER_SAMPLES,
            Key.SLICE: saved.name,
        }
        with text:
            pages.link("explorer", "Open its images", query)
        if button.button("Delete", key=f"delete-slice-{saved.name}", icon=":material/delete:"):
            ReviewStore.of(benchmark.directory).delete_slice(saved.name)
            st.rerun()
