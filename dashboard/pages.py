"""The list of pages, and links to them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import streamlit as st

from dashboard.state import Key

Query = Mapping[str, str | Sequence[str]]
"""Query parameters of a link, by `Key`."""


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


def in_section(section: str) -> tuple[str, ...]:
    """Returns the names of a section's pages."""
    return tuple(page.name for page in PAGES if page.section == section)


def link(
    name: str,
    label: str = "",
    query: Query | None = None,
    *,
    icon: str = "",
    help_text: str | None = None,
) -> None:
    """Shows a link to a page.

    Args:
        name: Name of the page.
        label: Text of the link; the page's title if empty.
        query: Query parameters of the link.
        icon: A Material symbol; the page's if empty.
        help_text: Shown on hovering over the link.
    """
    page = BY_NAME[name]
    st.page_link(
        page.path,
        label=label or page.title,
        icon=f":material/{icon or page.icon}:",
        help=help_text,
        query_params=_parameters(query or {}),
    )


def described_link(name: str, text: str, query: Query | None = None) -> None:
    """Shows a link to a page: its title and a short description."""
    link(name, f"**{BY_NAME[name].title}**: {text}", query)


def switch_to(name: str, query: Query) -> None:
    """Leaves the current page and opens another one."""
    st.switch_page(BY_NAME[name].path, query_params=_parameters(query))


def run_query(benchmark: str, run_id: str, more: Query | None = None) -> Query:
    """Returns the query of a link to a run.

    Args:
        benchmark: Name of its benchmark.
        run_id: The run.
        more: Further query parameters.
    """
    return {Key.BENCHMARK: benchmark, Key.RUN: run_id, **(more or {})}


def _parameters(query: Query) -> dict[str, str | Sequence[str]]:
    return {str(key): value for key, value in query.items()}
