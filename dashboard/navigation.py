"""The list of pages, and the navigation."""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cache
from itertools import groupby

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from dashboard import accessibility, address, state, theme
from dashboard.cache import warm_models
from dashboard.cache.stamps import new_rerun
from dashboard.components import pickers, saved_views, viewer
from fer_core.errors import MissingExtraError
from fer_core.extras import missing_extra


@dataclass(frozen=True)
class PageSpec:
    """A page of the dashboard.

    Attributes:
        name: File under `views/`, and path in the address; the first page opens at `/`.
        section: Heading in the navigation; empty for none.
        title: Title of the page.
        icon: A Material symbol.
    """

    name: str
    section: str
    title: str
    icon: str

    @property
    def path(self) -> str:
        """The page's file, relative to `Home.py`."""
        return f"views/{self.name}.py"


PAGES: tuple[PageSpec, ...] = (
    PageSpec("overview", "", "Verdict", "task_alt"),
    PageSpec("explorer", "Data", "Dataset explorer", "photo_library"),
    PageSpec("quality", "Data", "Data quality", "rule"),
    PageSpec("leaderboard", "Results", "Leaderboard", "leaderboard"),
    PageSpec("confusion", "Results", "Confusion matrix", "grid_on"),
    PageSpec("errors", "Results", "Error explorer", "search_insights"),
    PageSpec("head_to_head", "Results", "Head to head", "compare_arrows"),
    PageSpec("trust", "Results", "Trust", "verified_user"),
    PageSpec("features", "Explain", "Feature maps", "layers"),
    PageSpec("saliency", "Explain", "Saliency lab", "biotech"),
    PageSpec("regions", "Explain", "Where models look", "visibility"),
    PageSpec("response_curves", "Explain", "Response curves", "tune"),
    PageSpec("compare", "Try", "Compare on a face", "familiar_face_and_zone"),
    PageSpec("video", "Try", "Video", "movie"),
    PageSpec("your_faces", "Try", "Your faces", "add_photo_alternate"),
    PageSpec("label", "Try", "Label a few faces", "new_label"),
    PageSpec("live", "Try", "Live", "videocam"),
    PageSpec("run", "Runs", "Run", "article"),
    PageSpec("monitor", "Runs", "Training monitor", "monitoring"),
)
"""Every page; navigation, tests and benchmarks read this list."""

BY_NAME: Mapping[str, PageSpec] = {page.name: page for page in PAGES}


_TITLES: Mapping[str, str] = {page.name: page.title for page in PAGES}


def in_section(section: str) -> tuple[str, ...]:
    """Returns the names of a section's pages."""
    return tuple(page.name for page in PAGES if page.section == section)


def link(name: str, text: str) -> None:
    """Shows a link to a page: its title and a short description."""
    open_page(name, f"**{BY_NAME[name].title}**: {text}")


def open_page(
    name: str, label: str = "", query: Mapping[str, str | Sequence[str]] | None = None
) -> None:
    """Shows a link to a page.

    Args:
        name: Name of the page.
        label: Text of the link; the page's title if empty.
        query: Query parameters of the link.
    """
    page = BY_NAME[name]
    st.page_link(
        page.path,
        label=label or page.title,
        icon=f":material/{page.icon}:",
        query_params=dict(query or {}),
    )


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
            saved_views.show(shown, page.url_path or PAGES[0].name, _TITLES)
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
