"""Reading predictions by column: shared samples, row order, and the numbers of the file."""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fer_core import tables
from fer_core.errors import ArtifactError
from fer_core.evaluation import prediction_file
from fer_core.evaluation.prediction_file import read_prediction_file
from fer_core.labels import LabelSet

LABELS = LabelSet.of(["angry", "happy"])


def table(**changes) -> pd.DataFrame:
    columns = {
        "id": ["d/0", "d/1", "d/2", "d/3"],
        "split": ["test", "validation", "test", "validation"],
        "y_true": ["happy", "angry", "angry", "happy"],
        "p_angry": np.array([0.3, 0.9, 0.6, 0.1], dtype=np.float32),
        "p_happy": np.array([0.7, 0.1, 0.4, 0.9], dtype=np.float32),
    }
    return pd.DataFrame(columns | changes)


def write(path, **changes):
    table(**changes).to_parquet(path)
    return path


def test_rows_of_mixed_splits_keep_their_order(tmp_path):
    file = read_prediction_file(write(tmp_path / "a.parquet"), LABELS)
    assert list(file.samples.ids["test"]) == ["d/0", "d/2"]
    assert list(file.samples.ids["validation"]) == ["d/1", "d/3"]
    np.testing.assert_array_equal(file.samples.truth["test"], [1, 0])
    np.testing.assert_array_equal(
        file.probabilities["test"], np.array([[0.3, 0.7], [0.6, 0.4]], dtype=np.float32)
    )
    assert file.probabilities["test"].dtype == np.float32


def test_files_with_the_same_samples_share_them(tmp_path):
    first = read_prediction_file(write(tmp_path / "a.parquet"), LABELS)
    other = np.array([0.4, 0.8, 0.6, 0.1], dtype=np.float32)
    second = read_prediction_file(
        write(tmp_path / "b.parquet", p_angry=other, p_happy=1 - other), LABELS
    )
    assert second.samples is first.samples
    np.testing.assert_array_equal(second.probabilities["validation"][:, 0], other[[1, 3]])


def test_samples_that_are_stored_as_the_same_bytes_are_not_decoded_again(tmp_path, monkeypatch):
    first = read_prediction_file(write(tmp_path / "a.parquet"), LABELS)
    decoded = []
    read = prediction_file.read_columns
    monkeypatch.setattr(
        prediction_file,
        "read_columns",
        lambda path, columns, *few: (decoded.append(tuple(columns)), read(path, columns, *few))[1],
    )
    second = read_prediction_file(write(tmp_path / "b.parquet"), LABELS)
    table().to_parquet(tmp_path / "c.parquet", compression="gzip")  # the same values in other bytes
    third = read_prediction_file(tmp_path / "c.parquet", LABELS)
    assert second.samples is third.samples is first.samples
    assert decoded == [("id", "split", "y_true")]  # of the third


def test_a_bad_row_is_named_by_its_id_whether_or_not_ids_were_decoded(tmp_path):
    kept = read_prediction_file(write(tmp_path / "a.parquet"), LABELS)
    bad = np.array([0.3, 0.9, 0.9, 0.1], dtype=np.float32)
    with pytest.raises(ArtifactError, match="the probabilities of d/2 do not sum to 1"):
        read_prediction_file(write(tmp_path / "b.parquet", p_angry=bad), LABELS)
    assert len(kept.samples.ids["test"]) == 2


def test_files_with_another_label_order_or_split_do_not_share(tmp_path):
    first = read_prediction_file(write(tmp_path / "a.parquet"), LABELS)
    changes = (
        {"id": ["d/1", "d/0", "d/2", "d/3"]},
        {"y_true": ["happy", "angry", "happy", "happy"]},
        {"split": ["test", "validation", "test", "test"]},
    )
    for change in changes:
        other = read_prediction_file(write(tmp_path / "b.parquet", **change), LABELS)
        assert other.samples is not first.samples
        rows = table(**change)
        test = rows[rows["split"] == "test"]
        assert list(other.samples.ids["test"]) == list(test["id"])
        assert [LABELS.names[code] for code in other.samples.truth["test"]] == list(test["y_true"])


def test_double_and_half_precision_are_read(tmp_path):
    exact = np.array([1 / 3, 0.5, 0.25, 0.75])
    double = read_prediction_file(
        write(tmp_path / "a.parquet", p_angry=exact, p_happy=1 - exact), LABELS
    )
    np.testing.assert_array_equal(double.probabilities["test"][:, 0], exact[[0, 2]])
    half = exact.astype(np.float16)
    read = read_prediction_file(
        write(tmp_path / "b.parquet", p_angry=half, p_happy=(1 - half).astype(np.float16)), LABELS
    )
    np.testing.assert_array_equal(read.probabilities["test"][:, 0], half[[0, 2]])


def test_a_file_is_read_in_batches(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "_BATCH", 3)
    path = tmp_path / "a.parquet"
    table().to_parquet(path, row_group_size=2)
    file = read_prediction_file(path, LABELS)
    np.testing.assert_array_equal(
        file.probabilities["validation"], np.array([[0.9, 0.1], [0.1, 0.9]], dtype=np.float32)
    )


def test_a_missing_probability_is_no_number(tmp_path):
    path = write(tmp_path / "a.parquet", p_angry=[0.3, None, 0.6, 0.1])
    with pytest.raises(ArtifactError, match="the probabilities of d/1 do not sum to 1"):
        read_prediction_file(path, LABELS)


@pytest.mark.parametrize("name", ["p_angry", "id"])
def test_a_column_that_occurs_twice_is_named(tmp_path, name):
    rows = pa.Table.from_pandas(table())
    pq.write_table(rows.append_column(name, rows[name]), tmp_path / "a.parquet")
    with pytest.raises(ArtifactError, match=f"has more than one column {name}"):
        read_prediction_file(tmp_path / "a.parquet", LABELS)


def test_one_thread_decodes_the_samples_for_all(tmp_path, monkeypatch):
    decoded = []
    decode = prediction_file._samples_of

    def slow(path, *arguments):
        decoded.append(path)
        time.sleep(0.05)
        return decode(path, *arguments)

    monkeypatch.setattr(prediction_file, "_samples_of", slow)
    paths = [write(tmp_path / f"{name}.parquet") for name in "abcdefgh"]
    with ThreadPoolExecutor(8) as pool:
        files = list(pool.map(lambda path: read_prediction_file(path, LABELS), paths))
    assert len(decoded) == 1
    assert all(file.samples is files[0].samples for file in files)
