"""Parquet tables: encodings, and values that are read back as they were."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from fer_core.tables import read_columns, write_table


def test_a_short_table_in_which_each_class_occurs_once_is_read(tmp_path):
    path = tmp_path / "few.parquet"
    labels = pd.Series(["happy", "sad"], dtype="str")
    write_table(path, pd.DataFrame({"id": ["a", "b"], "label": labels}))
    table = read_columns(path, ("id", "label"), ("label",))
    assert table.column("label").to_pylist() == ["happy", "sad"]


def test_floats_of_few_values_are_stored_as_a_dictionary(tmp_path):
    path = tmp_path / "floats.parquet"
    random = np.random.default_rng(0).random(100)
    table = pd.DataFrame({"rounded": np.round(random, 1), "random": random})
    write_table(path, table)
    group = pq.read_metadata(path).row_group(0)
    encodings = [group.column(index).encodings for index in range(2)]
    assert ["RLE_DICTIONARY" in found for found in encodings] == [True, False]
    assert "BYTE_STREAM_SPLIT" in encodings[1]
    pd.testing.assert_frame_equal(pd.read_parquet(path), table)


def test_arrays_of_floats_are_stored_byte_by_byte_and_read_back_as_they_were(tmp_path):
    rng = np.random.default_rng(0)
    arrays = [rng.random(4).astype(np.float16) for _ in range(3)]
    path = tmp_path / "cells.parquet"

    write_table(path, pd.DataFrame({"cells": arrays, "text": ["a", "b", "a"]}))

    group = pq.read_metadata(path).row_group(0)
    encodings = {group.column(i).path_in_schema: group.column(i).encodings for i in range(2)}
    assert "BYTE_STREAM_SPLIT" in encodings["cells.list.element"]
    assert "RLE_DICTIONARY" in encodings["text"]
    read = pd.read_parquet(path)["cells"]
    assert all(
        a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(arrays, read, strict=True)
    )
