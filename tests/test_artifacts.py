"""Files on disk: names, versions, damage."""

import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from fer_core.artifacts import ArtifactStore, read_columns, write_table
from fer_core.errors import ArtifactError
from fer_core.records import RunInfo


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden", "a b", "<script>", "x" * 200])
def test_names_cannot_escape_the_artifacts_folder(tmp_path, name):
    store = ArtifactStore(tmp_path)
    with pytest.raises(ArtifactError, match="not a valid benchmark name"):
        store.benchmark(name)
    with pytest.raises(ArtifactError, match="not a valid run name"):
        store.benchmark("fine").run(name)


def test_an_empty_folder_has_no_benchmarks(tmp_path):
    assert ArtifactStore(tmp_path / "nowhere").benchmarks() == []


def test_records_survive_a_round_trip(toy, tmp_path):
    run = toy.benchmark.run("pair-cpu")
    info = run.info()
    info.write(tmp_path / "run.json")
    assert RunInfo.read(tmp_path / "run.json") == info


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c | {"schema_version": 99}, "written by a newer FERscope"),
        (lambda c: c | {"surprise": 1}, "corrupt: surprise"),
        (lambda c: {k: v for k, v in c.items() if k != "seed"}, "corrupt: seed"),
        (lambda c: c | {"kind": "magic"}, "corrupt: kind"),
    ],
)
def test_damaged_records_are_named(toy, tmp_path, change, message):
    content = json.loads(toy.benchmark.run("pair-cpu").info_path.read_text())
    (tmp_path / "run.json").write_text(json.dumps(change(content)))
    with pytest.raises(ArtifactError, match=message):
        RunInfo.read(tmp_path / "run.json")


def test_mean_faces_are_read_without_pickle(toy, tmp_path):
    faces = toy.benchmark.mean_faces()
    assert faces["train/angry/mean"].shape == (48, 48)
    benchmark = ArtifactStore(tmp_path).benchmark("pickled")
    benchmark.root.mkdir(parents=True)
    objects = np.array([{"any": "object"}], dtype=object)  # only a pickle can hold it
    np.savez(benchmark.mean_faces_path, **{"train/angry/mean": objects})
    with pytest.raises(ArtifactError, match="of 'pickled' cannot be read"):
        benchmark.mean_faces()


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
