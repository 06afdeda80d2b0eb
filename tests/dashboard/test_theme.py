"""The title of a page and the pause after it."""

from types import SimpleNamespace

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import theme


def test_only_a_new_page_pauses_after_its_title(monkeypatch):
    pauses = []
    monkeypatch.setattr(theme, "sleep", pauses.append)

    def page() -> None:
        import streamlit as st

        from dashboard import theme

        theme.page_header("Results", st.session_state.get("page", "Trust"), "Lead.")

    app = AppTest.from_function(page).run()
    assert pauses == [theme.PAUSE_S]
    app.run()
    assert len(pauses) == 1
    app.session_state["page"] = "Leaderboard"
    app.run()
    app.run()
    assert pauses == [theme.PAUSE_S] * 2
    assert app.title[0].value == "Leaderboard"


@pytest.mark.parametrize(
    ("agent", "phone"),
    [
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) Mobile/15E148 Safari/604.1", True),
        ("Mozilla/5.0 (Linux; Android 10; K) Chrome/138.0.0.0 Mobile Safari/537.36", True),
        ("Mozilla/5.0 (X11; Linux x86_64) Chrome/138.0.0.0 Safari/537.36", False),
        (None, False),
    ],
)
def test_a_phone_is_known_by_its_browser(monkeypatch, agent, phone):
    headers = {} if agent is None else {"User-Agent": agent}
    monkeypatch.setattr(theme.st, "context", SimpleNamespace(headers=headers))
    assert theme.on_phone() is phone
