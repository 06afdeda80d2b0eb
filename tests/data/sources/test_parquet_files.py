"""Parquet files that list pictures, and class names of dataset cards."""

import datetime
import json
import re
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from fer_core.data.sources.base import Sample, Skipped, Source, items_of
from fer_core.data.sources.formats import open_dataset
from fer_core.data.sources.huggingface import HuggingFaceSource
from fer_core.data.sources.tables import MOST_VALUES
from fer_core.errors import DataError
from tests.support.layouts import class_folders, zipped

NAMES = ["happy", "angry", "sad"]


def jpeg(path: Path, level: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (48, 48), level).save(path)


def labels_of(source: Source) -> dict[int, tuple[str | None, str | None]]:
    """Returns label and split by the grey level of the picture."""
    return {
        int(item.image.mean()): (item.label, item.split)
        for item in source
        if isinstance(item, Sample)
    }


@pytest.mark.parametrize("whole_folder", [True, False])
def test_a_parquet_file_of_paths_is_a_list(tmp_path: Path, whole_folder: bool) -> None:
    for number in range(3):
        jpeg(tmp_path / f"imgs/{number}.png", 10 * number)
    table = {
        "path": [f"imgs/{n}.png" for n in range(3)],
        "emotion": NAMES,
        "split": ["train", "val", "test"],
    }
    pq.write_table(pa.table(table), tmp_path / "labels.parquet")
    opened = open_dataset(str(tmp_path if whole_folder else tmp_path / "labels.parquet"))
    assert opened.form == "list"
    assert labels_of(opened.reader) == {
        0: ("happy", "train"), 10: ("angry", "validation"), 20: ("sad", "test"),
    }  # fmt: skip


def test_images_that_are_not_embedded_are_read_beside_the_file(tmp_path: Path) -> None:
    for number in range(3):
        jpeg(tmp_path / f"imgs/{number}.png", 10 * number)
    image = pa.array(
        [{"bytes": None, "path": f"imgs/{n}.png"} for n in range(3)],
        pa.struct({"bytes": pa.binary(), "path": pa.string()}),
    )
    features = '{"info": {"features": {"label": {"names": ["happy", "angry", "sad"]}}}}'
    table = pa.table({"image": image, "label": [2, 0, 1]})
    pq.write_table(
        table.replace_schema_metadata({"huggingface": features}), tmp_path / "train.parquet"
    )
    opened = open_dataset(str(tmp_path))
    assert opened.form == "list"
    assert labels_of(opened.reader) == {
        0: ("sad", "train"), 10: ("happy", "train"), 20: ("angry", "train"),
    }  # fmt: skip


def test_lists_may_have_boxes_bytes_gaps_and_names_without_suffix(tmp_path: Path) -> None:
    for number in range(4):
        jpeg(tmp_path / f"imgs/{number}.png", 10 * number)
    table = {
        "image": ["0", "1", None, "3"],
        "label": ["happy", "sad", "sad", "angry"],
        "bbox": [[0, 0, 9, 9]] * 4,
        "landmarks": [[[1, 2], [3]]] * 4,
        "embedding": [[0.5] * 512] * 4,
        "hash": [b"abc"] * 4,
    }
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    opened = open_dataset(str(tmp_path))
    assert opened.form == "list"
    assert labels_of(opened.reader) == {0: ("happy", None), 10: ("sad", None), 30: ("angry", None)}


def test_parts_in_folders_of_splits_and_columns_of_flags(tmp_path: Path) -> None:
    for number, split in enumerate(("train", "test")):
        folder = tmp_path / f"split={split}"
        jpeg(tmp_path / f"imgs/{number}.png", 10 * number)
        folder.mkdir()
        flags = {"happy": [number == 0], "sad": [number == 1]}
        table = pa.table({"path": [f"imgs/{number}.png"], **flags})
        pq.write_table(table, folder / "part-0.parquet")
    assert labels_of(open_dataset(str(tmp_path)).reader) == {
        0: ("happy", "train"), 10: ("sad", "test"),
    }  # fmt: skip


def test_lists_whose_pictures_are_elsewhere_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"path": ["/far/a.png"], "label": ["sad"]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"a\.parquet names picture files, but .* holds none"):
        open_dataset(str(tmp_path))


def test_columns_of_lists_beside_embedded_images_are_left_out(tmp_path: Path) -> None:
    boxes = {"label": ["sad", "happy"], "bbox": [[1, 2], [3, 4]]}
    embedded(tmp_path / "train.parquet", [0, 1], boxes)
    assert [label for label, _ in labels_of(open_dataset(str(tmp_path)).reader).values()] == [
        "sad", "happy",
    ]  # fmt: skip


def test_parquet_without_images_is_no_dataset_beside_class_folders(tmp_path: Path) -> None:
    class_folders(tmp_path, ["happy", "sad"])
    pq.write_table(pa.table({"run": ["a"], "score": [0.5]}), tmp_path / "scores.parquet")
    assert open_dataset(str(tmp_path)).form == "folder"
    (tmp_path / "a").mkdir()
    embedded(tmp_path / "a/faces.parquet", [0, 1], {"label": ["sad", "happy"]})
    pq.write_table(pa.table({"path": ["x.png"], "age": [7]}), tmp_path / "a/ages.parquet")
    both = open_dataset(str(tmp_path / "a")).reader
    assert [label for label, _ in labels_of(both).values()] == ["sad", "happy"]
    embedded(tmp_path / "faces.parquet", [0, 1], {"label": ["sad", "happy"]})
    with pytest.raises(DataError, match="2 datasets"):
        open_dataset(str(tmp_path))


def test_embedded_images_are_not_read_from_files_of_their_names(tmp_path: Path) -> None:
    path = tmp_path / "train.parquet"
    embedded(path, [0, 1], {"filename": ["a.jpg", "b.jpg"], "emotion": ["sad", "happy"]})
    opened = open_dataset(str(tmp_path))
    assert opened.form == "huggingface"
    assert labels_of(opened.reader) == {0: ("sad", None), 10: ("happy", None)}


def embedded(
    path: Path, labels: list[int], columns: Mapping[str, Sequence[object]] | None = None
) -> None:
    cells = []
    for level in range(len(labels)):
        buffer = BytesIO()
        Image.new("L", (48, 48), 10 * level).save(buffer, "PNG")
        cells.append({"bytes": buffer.getvalue(), "path": f"{level}.png"})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"image": cells, **(columns or {"label": labels})}), path)


CLASSES = """
  - name: label
    dtype:
      class_label:
        names:
          '0': {}
          '1': {}
"""


def card(*features: str) -> str:
    configs = "".join(f"- config_name: c{n}\n  features:{text}" for n, text in enumerate(features))
    return f"---\nlicense: mit\ndataset_info:\n{configs}---\n# Faces\n"


@pytest.mark.parametrize("listed", [False, True])
def test_class_names_are_read_from_the_dataset_card(tmp_path: Path, listed: bool) -> None:
    embedded(tmp_path / "data/train-00000-of-00001.parquet", [1, 0, 1])
    names = CLASSES.format("sad", "happy")
    names = re.sub(r"'\d':", "-", names) if listed else names
    (tmp_path / "README.md").write_text(card(names).replace("mit\n", "mit\ntitle: a---b\n"))
    source = open_dataset(str(tmp_path)).reader
    assert source.origin.licence == "mit"
    assert [label for label, _ in labels_of(source).values()] == ["happy", "sad", "happy"]


@pytest.mark.parametrize(
    "text",
    [
        card(CLASSES.format("sad", "happy"), CLASSES.format("happy", "sad")),  # which of them?
        card(CLASSES.format("sad", "happy").replace("'1'", "'2'")),
        card("\n  - name: label\n    dtype: int64\n"),
        card(CLASSES.format("sad", "happy"), "\n  - name: label\n    dtype: int64\n"),
        "---\ndataset_info: [7, {features: 3}]\n---\n",
        "---\n- a list\n---\n",
    ],
)
def test_a_card_without_clear_names_leaves_numbers_to_be_asked_about(
    tmp_path: Path, text: str
) -> None:
    embedded(tmp_path / "train.parquet", [1, 0])
    (tmp_path / "README.md").write_text(text)
    with pytest.raises(DataError, match="--codes"):
        open_dataset(str(tmp_path))


def test_pictures_of_one_video_are_a_group(tmp_path: Path) -> None:
    pictures = []
    for number in range(4):
        buffer = BytesIO()
        Image.new("L", (48, 48), 10 * number).save(buffer, "png")
        pictures.append({"bytes": buffer.getvalue(), "path": None})
    struct = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    columns = {
        "image": pa.array(pictures, struct),
        "emotion": ["happy", "sad"] * 2,
        "video": [7, 7, 8, None],
    }
    pq.write_table(pa.table(columns), tmp_path / "train.parquet")
    opened = open_dataset(str(tmp_path / "train.parquet"))
    groups = [item.group for item in opened.reader if isinstance(item, Sample)]
    assert groups == ["7", "7", "8", None]
    assert any("same value of the column video stay in one split" in n for n in opened.notes)


def cells(count: int) -> list[dict[str, object]]:
    """Returns pictures as `datasets` stores them; the grey level is ten times the number."""
    pictures: list[dict[str, object]] = []
    for number in range(count):
        buffer = BytesIO()
        Image.new("L", (48, 48), 10 * number).save(buffer, "png")
        pictures.append({"bytes": buffer.getvalue(), "path": None})
    return pictures


def saved(folder: Path, labels: list[int], file: str = "data-00000-of-00001.arrow") -> None:
    """Writes a split as `save_to_disk` does, with a batch of two rows each."""
    features = {"label": {"names": NAMES, "_type": "ClassLabel"}}
    table = pa.table({"image": cells(len(labels)), "label": labels})
    table = table.replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": features}})}
    )
    folder.mkdir(parents=True, exist_ok=True)
    with pa.ipc.new_stream(folder / file, table.schema) as writer:
        writer.write_table(table, 2)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": file}]}))
    (folder / "dataset_info.json").write_text(json.dumps({"features": features}))


@pytest.mark.parametrize("packed", [True, False])
def test_a_folder_of_save_to_disk_needs_no_package(tmp_path: Path, packed: bool) -> None:
    root = tmp_path / "x/faces"
    saved(root / "train", [0, 1, 2, 2, 0])
    saved(root / "test", [1])
    saved(root / "train", [1] * 9, "cache-0a1b2c3d.arrow")  # of a function that was mapped
    (root / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "test"]}))
    path = zipped(tmp_path / "x", tmp_path / "x.zip") if packed else root
    opened = open_dataset(str(path))
    assert opened.form == "huggingface"
    source = opened.reader
    samples = [(item.key, item.label, int(item.image.mean())) for item in source]
    names = ("happy", "angry", "sad", "sad", "happy")
    train = [(f"train/{n:06d}", name, 10 * n) for n, name in enumerate(names)]
    assert samples == [("test/000000", "angry", 0), *train]
    assert [item.key for item in items_of(source, 4)] == ["train/000003", "train/000004"]


def test_a_list_of_rows_of_a_saved_dataset_is_refused(tmp_path: Path) -> None:
    saved(tmp_path, [0, 1, 2])
    saved(tmp_path, [0], "indices.arrow")
    with pytest.raises(DataError, match=r"flatten_indices\(\) again"):
        open_dataset(str(tmp_path))
    (tmp_path / "indices.arrow").unlink()
    assert len(open_dataset(str(tmp_path)).reader) == 3
    (tmp_path / "data-00000-of-00001.arrow").write_bytes(b"nonsense")
    with pytest.raises(DataError, match=r"cannot be read as an Arrow file"):
        open_dataset(str(tmp_path))


@pytest.mark.parametrize(
    ("columns", "votes"),
    [
        (
            {"happiness": [3, 1, 0], "sadness": [1, 1, 0], "unknown": [0, 0, 0]},
            [{"happy": 3, "sad": 1, "unknown": 0}, {"happy": 1, "sad": 1, "unknown": 0}],
        ),
        (
            {"rater_1": [0, 0, None], "rater_2": [0, 2, None]},
            [{"happy": 2, "sad": 0}, {"happy": 1, "sad": 1}],
        ),
    ],
)
def test_votes_in_parquet_are_kept(tmp_path: Path, columns, votes) -> None:
    pq.write_table(pa.table({"image": cells(3), **columns}), tmp_path / "train.parquet")
    (tmp_path / "classes.txt").write_text("\n".join(NAMES))
    opened = open_dataset(str(tmp_path))
    first, second, third = opened.reader
    assert isinstance(first, Sample)
    assert isinstance(second, Sample)
    assert (first.label, second.label, second.excluded) == ("happy", None, "annotators disagree")
    assert [first.votes, second.votes] == votes
    assert third == Skipped("all/000002", "It has no label.")
    assert "The label is the class with more than half of the votes." in opened.notes


def test_lists_of_labels_are_refused_with_a_remedy(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": cells(2), "labels": [[0, 1], [1]]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="Write one value instead of the lists of labels"):
        open_dataset(str(tmp_path))


def test_a_column_of_times_becomes_text(tmp_path: Path) -> None:
    count = 3 * MOST_VALUES
    times = [datetime.datetime(1800 + n, 1, 1, tzinfo=datetime.UTC) for n in range(count)]
    embedded(tmp_path / "a.parquet", [0] * count, {"label": NAMES * MOST_VALUES, "taken": times})
    samples = [i for i in open_dataset(str(tmp_path)).reader if isinstance(i, Sample)]
    assert [item.label for item in samples] == NAMES * MOST_VALUES
    assert all(dict(item.extras) == {} for item in samples)  # too many values for slices


def test_a_dataset_without_rows_is_refused(tmp_path: Path) -> None:
    schema = pa.schema({"image": pa.binary(), "label": pa.string()})
    pq.write_table(schema.empty_table(), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"has no rows\. Get its files again"):
        HuggingFaceSource(str(tmp_path / "a.parquet"))


def test_a_late_gap_in_columns_of_classes_is_named(tmp_path: Path) -> None:
    """The columns are chosen by the first 2,000 rows."""
    picture = cells(1)[0]
    rows = {"image": [picture] * 2001, "happy": [1] * 2001, "sad": [0] * 2000 + [None]}
    pq.write_table(pa.table(rows), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="some of their cells are neither 0 and 1 nor votes"):
        HuggingFaceSource(str(tmp_path / "a.parquet"))


@pytest.mark.parametrize("head", ["license:", "created: 2020-13-45"])
def test_a_card_without_a_licence_gives_none(tmp_path: Path, head: str) -> None:
    embedded(tmp_path / "data/train.parquet", [0, 1], {"label": NAMES[:2]})
    (tmp_path / "README.md").write_text(f"---\n{head}\n---\n")
    assert "Not known to FERscope" in open_dataset(str(tmp_path)).reader.origin.licence
