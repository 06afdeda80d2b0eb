"""The application, through its own entry, on a benchmark of the test's choice."""

from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

HOME = Path(__file__).resolve().parents[2] / "dashboard" / "Home.py"
TIMEOUT = 60


@pytest.fixture
def open_page(monkeypatch):
    """Returns a function that opens a page of the application."""

    def open_(page: str, artifacts: Path, data: Path | None = None, /, **query) -> AppTest:
        monkeypatch.setenv("FERSCOPE_ARTIFACTS", str(artifacts))
        monkeypatch.setenv("FERSCOPE_DATA", str(data or artifacts / "no-data"))
        st.cache_resource.clear()
        st.cache_data.clear()
        app = AppTest.from_file(str(HOME), default_timeout=TIMEOUT)
        for key, value in query.items():
            app.query_params[key] = value
        app.run()
        if page != "overview":
            app.switch_page(f"views/{page}.py").run()
        return app

    return open_


def texts(app: AppTest) -> str:
    """Returns all plain text of a page."""
    kinds = (app.title, app.markdown, app.caption, app.info, app.warning, app.error, app.subheader)
    return "\n".join(str(element.value) for kind in kinds for element in kind)
