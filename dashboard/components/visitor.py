"""The visitor's name, under which reviews, notes, slices and views are stored."""

import streamlit as st

from dashboard.state import Key

ANONYMOUS = "anonymous"
NAME_LIMIT = 80
"""Largest number of characters of a name."""


def name() -> str:
    """Returns the name that the visitor entered last, on whichever page; else `ANONYMOUS`."""
    return str(st.session_state.get(Key.ANNOTATOR, ANONYMOUS))


def name_input(key: str, help_text: str) -> str:
    """Shows an input of the visitor's name, which other pages then know, and returns the name.

    Args:
        key: Key of the widget.
        help_text: Shown on hovering over the question mark.
    """
    entered = st.text_input(
        "Your name",
        name(),
        key=key,
        max_chars=NAME_LIMIT,
        help=help_text,
        # a callback, because the page Label a few faces has a widget of this key
        on_change=_keep,
        args=(key,),
    )
    return entered.strip()


def _keep(key: str) -> None:
    st.session_state[Key.ANNOTATOR] = str(st.session_state[key]).strip()
