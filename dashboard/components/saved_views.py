"""Saved views: a page with everything that was picked on it, under a name, for every visitor."""

from urllib.parse import parse_qs, urlencode

import streamlit as st

from dashboard.cache.benchmarks import Benchmark
from dashboard.components import download, visitor
from dashboard.components.text import plain
from dashboard.pages import BY_NAME, link
from fer_core.csv_text import csv_text
from fer_core.errors import FerscopeError
from fer_core.reviews import ReviewStore, SavedView


def show(benchmark: Benchmark, page: str) -> None:
    """Lists the saved views of a benchmark as links, with a form that saves the current one.

    Views of pages that no longer exist are left out.

    Args:
        benchmark: The benchmark.
        page: Name of the current page.
    """
    store = ReviewStore.of(benchmark.directory)
    try:
        views = [view for view in store.views() if view.page in BY_NAME]
    except FerscopeError as error:
        st.warning(plain(str(error)))
        return
    label = f"Saved views ({len(views)})" if views else "Saved views"
    with st.popover(label, icon=":material/bookmarks:", width="stretch"):
        for view in views:
            _listed(store, view)
        with st.form("save-view", border=False, clear_on_submit=True):
            name = st.text_input("Name", max_chars=60, key="view-name")
            st.caption("Saves this page with its address: models, filters, cell and sample.")
            if st.form_submit_button("Save this view", icon=":material/save:"):
                _save(store, name.strip(), page)
        if views:
            download.button(
                "Download (csv)",
                lambda: csv_text(store.view_table()),
                f"{benchmark.info.name}-views.csv",
            )


def _listed(store: ReviewStore, view: SavedView) -> None:
    left, button = st.columns([6, 1], vertical_alignment="center")
    title = BY_NAME[view.page].title
    note = f"{title}; saved by {plain(view.annotator)} on {view.created[:10]}"
    with left:
        link(view.page, plain(view.name), parse_qs(view.query), icon="bookmark", help_text=note)
    if button.button("", key=f"delete-view-{view.name}", icon=":material/delete:", help="Delete"):
        store.delete_view(view.name)
        st.rerun()


def _save(store: ReviewStore, name: str, page: str) -> None:
    query = urlencode({key: st.query_params.get_all(key) for key in st.query_params}, doseq=True)
    try:
        store.save_view(SavedView(name, visitor.name(), page, query))
    except FerscopeError as error:
        st.error(plain(str(error)))
        return
    st.rerun()
