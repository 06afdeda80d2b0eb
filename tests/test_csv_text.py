"""Csv that a spreadsheet shows as text."""

import io

import numpy as np
import pandas as pd
from hypothesis import example, given
from hypothesis import strategies as st

from fer_core.csv_text import csv_text, exported_text
from fer_core.data.relabel import read_relabels

_CELLS = st.text(alphabet="'=+-@\ta1 ,\"", min_size=1, max_size=6)


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


@given(st.lists(_CELLS, min_size=1, max_size=4))
@example(["'=a", "''-1", "-1", "'-1", "-a", "'a"])
def test_reading_takes_back_the_apostrophes(cells):
    text = csv_text(pd.DataFrame({"cell": cells, "row": range(len(cells))}))
    table = pd.read_csv(io.StringIO(text, newline=""), dtype=str, keep_default_na=False)
    assert exported_text(table["cell"]).tolist() == cells


def test_an_exported_relabel_list_names_the_ids_that_were_exported(tmp_path):
    ids = ["=cmd/1.png", "-set/2.png", "'+odd/3.png", "plain/4.png"]
    labels = ["-angry", "@happy", "sad", ""]
    path = tmp_path / "relabel.csv"
    path.write_text(csv_text(pd.DataFrame({"id": ids, "label": labels})), encoding="utf-8")
    assert "'=cmd" in path.read_text(encoding="utf-8")
    read = read_relabels(path)
    assert (read.index.tolist(), read.tolist()) == (ids, labels)
