"""The application, through its own entry, on a benchmark of the test's choice."""

import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import streamlit as st
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest

from dashboard import theme
from tests.support.pages import HOME

TIMEOUT = 60
_open: list[Path] = []


@pytest.fixture(scope="session", autouse=True)
def installed_packages_read_once() -> Iterator[None]:
    """Caches streamlit's search for components, which reads every package's metadata at each run.

    It took nine tenths of a page's time. A server searches once, when it starts.
    """
    with pytest.MonkeyPatch.context() as patch:
        scan = cache(manifest_scanner.scan_component_manifests)
        patch.setattr(manifest_scanner, "scan_component_manifests", scan)
        yield


@pytest.fixture
def open_page(monkeypatch):
    """Returns a function that opens a page of the application, as a link to it does."""
    # AppTest leaves Home.py as the main module, which processes that are started later would run
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    monkeypatch.setattr(theme, "PAUSE_S", 0)

    def open_(page: str, artifacts: Path, data: Path | None = None, /, **query) -> AppTest:
        monkeypatch.setenv("FERSCOPE_ARTIFACTS", str(artifacts))
        monkeypatch.setenv("FERSCOPE_DATA", str(data or artifacts / "no-data"))
        forget_others(artifacts)
        app = AppTest.from_file(str(HOME), default_timeout=TIMEOUT)
        for key, value in query.items():
            app.query_params[key] = value
        if page != "overview":
            app.switch_page(f"views/{page}.py")
        return app.run()

    return open_


def forget_others(artifacts: Path) -> None:
    """Empties the caches when another benchmark comes: its models would only fill the memory.

    What is cached is keyed by the files' content, so tests of one benchmark may share it, as
    the visitors of a served dashboard do.
    """
    if _open != [artifacts]:
        st.cache_resource.clear()
        st.cache_data.clear()
        _open[:] = [artifacts]
