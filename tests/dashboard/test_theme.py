"""The title of a page and the pause after it."""

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
