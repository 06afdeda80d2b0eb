"""Csv that a spreadsheet shows as text."""

import io

import numpy as np
import pandas as pd

from fer_core.csv_text import csv_text


def test_cells_and_names_that_a_spreadsheet_would_run_get_an_apostrophe():
    table = pd.DataFrame(
        {
            "file": ["=HYPERLINK(1)", "+a.png", "-b.png", "@SUM(A1)", "a=b.png", "-1.5e3", ""],
            "=label": ["happy"] * 7,
            "share": np.linspace(-0.5, 1, 7),
        }
    )
    lines = csv_text(table, "%.2f").splitlines()
    assert lines[0] == "file,'=label,share"
    assert [line.split(",")[0] for line in lines[1:]] == [
        "'=HYPERLINK(1)", "'+a.png", "'-b.png", "'@SUM(A1)", "a=b.png", "-1.5e3", "",
    ]  # fmt: skip
    assert lines[1].endswith(",-0.50")


def test_other_tables_are_as_pandas_writes_them():
    table = pd.DataFrame(
        {"id": ["a", None, "b,c"], "n": [1, 2, 3], "kind": pd.Categorical(["x", "y", "x"])}
    )
    assert csv_text(table) == table.to_csv(index=False)
    assert pd.read_csv(io.StringIO(csv_text(table))).shape == (3, 3)
