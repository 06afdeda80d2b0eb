"""What the numbers of tables open."""

import json

from streamlit.testing.v1 import AppTest


def test_a_cell_keeps_the_filters_and_the_evaluated_samples():
    def script():
        import streamlit as st

        from dashboard.components.opening_table import scope_in_address
        from dashboard.components.sample_list import open_cell

        target = open_cell("a-run", ("happy", "any"), "another")
        st.json({"page": target.page, **target.query, "scope": scope_in_address()})

    app = AppTest.from_function(script)
    app.query_params["where"] = ["class: happy", "source: toy"]
    app.query_params["slice"] = "dark"
    app.query_params["view"] = "Map"
    assert json.loads(app.run().json[0].value) == {
        "page": "confusion",
        "where": ["class: happy", "source: toy"],
        "minus": "another",
        "run": "a-run",
        "true": "happy",
        "predicted": "any",
        "scope": {"slice": ["dark"]},
    }


def test_a_click_opens_the_page_of_its_number():
    def script():
        import pandas as pd
        import streamlit as st

        from dashboard.components import opening_table
        from dashboard.components.opening_table import TableTarget

        def opens(row, column):
            return TableTarget("errors", {"run": f"{row} {column}"}) if column == "images" else None

        switched = []
        switch_page, table = st.switch_page, st.dataframe
        st.switch_page = lambda path, query_params: switched.append([path, query_params])
        st.dataframe = lambda *_, **__: {"selection": {"cells": [(1, "images"), (0, "class")]}}
        try:
            opening_table.show(pd.DataFrame({"class": ["a", "b"], "images": [1, 2]}), opens, "t")
        finally:
            st.switch_page, st.dataframe = switch_page, table
        st.json(switched)

    app = AppTest.from_function(script)
    app.query_params["benchmark"] = "toy"
    assert json.loads(app.run().json[0].value) == [
        ["views/errors.py", {"benchmark": ["toy"], "run": "1 images"}]
    ]
