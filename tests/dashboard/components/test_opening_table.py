"""What the numbers of tables open."""

import json

import pytest
from streamlit.testing.v1 import AppTest


def app(page: str) -> AppTest:
    def script():
        import pandas as pd
        import streamlit as st

        from dashboard.components import opening_table
        from dashboard.components.opening_table import TableTarget

        here = st.query_params["here"] == "yes"

        def opens(row, column):
            if column != "images":
                return None
            page = "" if here else "errors"
            return TableTarget(page, {"true": f"{row} {column}"}, {"split": "test"})

        switched = []
        switch_page, table = st.switch_page, st.dataframe
        st.switch_page = lambda path, query_params: switched.append([path, query_params])

        def clicked(*_, on_select, key, **__):
            st.session_state[key] = {"selection": {"cells": [(1, st.query_params["column"])]}}
            on_select()

        st.dataframe = clicked
        try:
            opening_table.show(pd.DataFrame({"class": ["a", "b"], "images": [1, 2]}), opens, "t")
        finally:
            st.switch_page, st.dataframe = switch_page, table
        picked = st.session_state.get("split")
        st.json({"switched": switched, "true": st.query_params.get("true"), "split": picked})

    opened = AppTest.from_function(script)
    opened.query_params["here"] = page
    return opened


@pytest.mark.parametrize(
    ("here", "column", "expected"),
    [
        ("yes", "images", {"switched": [], "true": "1 images", "split": "test"}),
        (
            "no",
            "images",
            {"switched": [["views/errors.py", {"true": "1 images"}]], "true": None, "split": None},
        ),
        ("yes", "class", {"switched": [], "true": None, "split": None}),
    ],
)
def test_a_click_opens_what_its_number_counts(here, column, expected):
    opened = app(here)
    opened.query_params["column"] = column
    opened.run()
    assert not opened.exception
    assert json.loads(opened.json[0].value) == expected
