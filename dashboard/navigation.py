"""The navigation, and what every page shows."""

from collections.abc import Mapping
from copy import copy
from functools import cache
from itertools import groupby

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from dashboard import accessibility, address, state, theme
from dashboard.cache import warm_models
from dashboard.cache.stamps import new_rerun
from dashboard.components import pickers, saved_views, viewer
from dashboard.pages import PAGES
from fer_core.errors import MissingExtraError
from fer_core.extras import missing_extra


def run() -> None:
    """Shows the navigation, the benchmark picker and the selected page."""
    new_rerun()
    theme.apply()
    address.keep_history()
    accessibility.mend_navigation()
    viewer.reset()
    state.accept_old_addresses()
    # a copy, because st.navigation marks the page that it selects
    sections = {name: [copy(page) for page in pages] for name, pages in _sections().items()}
    page = st.navigation(sections, expanded=True)  # collapsed, pages are hard to find
    st.set_page_config(page_title=f"{page.title} · FERscope")
    with st.sidebar:
        pickers.benchmark_picker()
        if shown := pickers.picked_benchmark():
            saved_views.show(shown, page.url_path or PAGES[0].name)
    with warm_models.pages.counted():
        _show(page)
    if picked := pickers.picked_benchmark():
        viewer.show_requested(picked)
        warm_models.start(picked)
    with st.sidebar:
        st.caption(
            "FERscope evaluates facial-expression classifiers. A predicted expression does not "
            "show what a person feels, and it is not a diagnosis."
        )


@cache
def _sections() -> Mapping[str, list[StreamlitPage]]:
    """Returns the pages by section; to look up the path of each takes a tenth of a rerun."""
    return {
        section: [
            st.Page(
                page.path,
                title=page.title,
                icon=f":material/{page.icon}:",
                default=page is PAGES[0],
            )
            for page in pages
        ]
        for section, pages in groupby(PAGES, key=lambda page: page.section)
    }


def _show(page: StreamlitPage) -> None:
    """Runs a page; where it needs a package of the extra `full`, says what to install."""
    try:
        page.run()
    except MissingExtraError as error:
        st.info(str(error))
    except ModuleNotFoundError as error:
        missing = missing_extra(error)
        if missing is None:
            raise
        st.info(str(missing))
