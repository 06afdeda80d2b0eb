"""Boxes in the column `objects` of parquet and Arrow files: each is a face."""

import datetime
import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from fer_core.data.sources.base import Sample, Skipped, items_of
from fer_core.data.sources.formats import open_dataset
from fer_core.errors import DataError
from tests.support.layouts import Pictures

NAMES = ["happy", "sad", "fear"]
FIRST, SECOND = [2.0, 4.0, 10.0, 12.0], [8.0, 9.0, 6.0, 6.0]  # x, y, width, height
VALUE = {"dtype": "float32", "_type": "Value"}
BOX = {"feature": VALUE, "length": 4, "_type": "Sequence"}
CLASS = {"names": NAMES, "_type": "ClassLabel"}
FEATURES = {
    "list of objects": {"feature": {"bbox": BOX, "category": CLASS}, "_type": "Sequence"},
    "object of lists": {
        "bbox": {"feature": BOX, "_type": "List"},
        "category": {"feature": CLASS, "_type": "List"},
    },
    "objects in brackets": [{"bbox": BOX, "category": CLASS}],
}
OBJECTS = (
    {"bbox": [FIRST, SECOND], "category": [0, 1]},
    {"bbox": [], "category": []},
    {"bbox": [SECOND], "category": [2]},
)
SHAPES = [("happy", (12, 12)), ("sad", (6, 6)), ("fear", (6, 6))]


def table(objects: object, features: object = None, **columns: object) -> pa.Table:
    pictures = Pictures()
    images = [{"bytes": pictures.png(), "path": None} for _ in objects]
    made = pa.table({"image": images, "objects": list(objects), **columns})
    if features is None:
        return made
    text = json.dumps({"info": {"features": {"objects": features}}})
    return made.replace_schema_metadata({"huggingface": text})


def written(root: Path, content: pa.Table, file: str = "train-00000-of-00001.parquet") -> Path:
    (root / "data").mkdir(parents=True, exist_ok=True)
    pq.write_table(content, root / "data" / file, row_group_size=2)
    return root


def shapes(root: Path) -> list[tuple[str | None, tuple[int, ...]]]:
    samples = [item for item in open_dataset(str(root)).reader if isinstance(item, Sample)]
    return [(item.label, item.image.shape) for item in samples]


@pytest.mark.parametrize("kind", FEATURES)
def test_each_box_is_a_face(tmp_path: Path, kind: str) -> None:
    opened = open_dataset(str(written(tmp_path, table(OBJECTS, FEATURES[kind]))))
    assert opened.form == "huggingface"
    items = list(opened.reader)
    samples = [item for item in items if isinstance(item, Sample)]
    assert [(s.key, s.label, s.group) for s in samples] == [
        ("all/000000#0", "happy", "all/000000"),
        ("all/000000#1", "sad", "all/000000"),
        ("all/000002", "fear", None),
    ]
    pictures = Pictures()
    first, _, third = pictures.array(), pictures.array(), pictures.array()
    # a width of 10 is extended to 12 around the centre
    for sample, face in zip(
        samples, (first[4:16, 1:13], first[9:15, 8:14], third[9:15, 8:14]), strict=True
    ):
        np.testing.assert_array_equal(sample.image, face)
    assert [item for item in items if isinstance(item, Skipped)] == [
        Skipped("all/000001", "It has no label.")
    ]
    assert "Each box of `objects` is a face" in " ".join(opened.notes)


def test_reading_continues_at_any_face(tmp_path: Path) -> None:
    objects = [*OBJECTS, OBJECTS[0], OBJECTS[2]]
    reader = open_dataset(
        str(written(tmp_path, table(objects, FEATURES["list of objects"])))
    ).reader
    every = list(reader)
    assert len(every) == len(reader) == 7
    for start in range(8):
        rest = list(items_of(reader, start))
        assert [item.key for item in rest] == [item.key for item in every[start:]]
        for item, same in zip(rest, every[start:], strict=True):
            assert not isinstance(item, Sample) or (item.image == same.image).all()


def test_objects_in_a_list_with_names_and_shares(tmp_path: Path) -> None:
    share = [0.25, 0.25, 0.5, 0.5]
    objects = [
        [{"bbox": share, "label": "happy"}, {"bbox": share, "label": "sad"}],
        [{"bbox": share, "label": "fear"}],
        None,
    ]
    root = written(tmp_path, table(objects))
    side = Pictures().array().shape[0] // 2
    assert shapes(root) == [(name, (side, side)) for name in NAMES]


def test_arrow_files_and_columns_of_persons(tmp_path: Path) -> None:
    """A column of persons goes before the picture as the group."""
    content = table(OBJECTS, FEATURES["list of objects"], person=["a", "b", "c"], id=[1, 2, 3])
    with pa.ipc.new_stream(tmp_path / "data-00000-of-00001.arrow", content.schema) as writer:
        writer.write_table(content)
    samples = [item for item in open_dataset(str(tmp_path)).reader if isinstance(item, Sample)]
    assert [(item.label, item.group) for item in samples] == [
        ("happy", "a"), ("sad", "a"), ("fear", "c"),
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["sequence", "struct"])
def test_class_names_come_from_the_card(tmp_path: Path, kind: str) -> None:
    names = "".join(f"\n            '{code}': {name}" for code, name in enumerate(NAMES))
    key = "dtype" if kind == "sequence" else "list"
    inner = f"""
    - name: category
      {key}:
        class_label:
          names:{names}
"""
    (tmp_path / "README.md").write_text(
        f"---\ndataset_info:\n  features:\n  - name: objects\n    {kind}:{inner}---\n"
    )
    assert shapes(written(tmp_path, table(OBJECTS))) == SHAPES


def test_numbers_without_names_are_asked_about(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"are numbers \(0, 1, 2\), and nothing"):
        open_dataset(str(written(tmp_path, table(OBJECTS))))


@pytest.mark.parametrize(
    ("objects", "problem"),
    [
        ({"bbox": [FIRST, SECOND], "label": ["sad"]}, "picture 1 have 2 boxes, but 1 values"),
        ({"bbox": [[1, 2, 3]], "label": ["sad"]}, r"picture 1 have the box \[1.0, 2.0, 3.0\]"),
        ({"bbox": [[1, 2, 0, 3]], "label": ["sad"]}, r"boxes are \[x, y, width, height\]"),
        ({"bbox": [[float("nan"), 2, 3, 3]], "label": ["sad"]}, r"the box \[nan, 2.0, 3.0, 3.0\]"),
        ({"bbox": [[1, 2, 3, float("inf")]], "label": ["sad"]}, r"the box \[1.0, 2.0, 3.0, inf\]"),
    ],
)
def test_damaged_objects_are_named(tmp_path: Path, objects, problem: str) -> None:
    sound = {"bbox": [FIRST], "label": ["happy"]}
    with pytest.raises(DataError, match=problem):
        open_dataset(str(written(tmp_path, table([sound, objects]))))


def test_other_objects_beside_pictures_are_left_alone(tmp_path: Path) -> None:
    objects = [{"glasses": True}, {"glasses": False}]
    root = written(tmp_path, table(objects, label=["happy", "sad"]))
    side = Pictures().array().shape
    assert shapes(root) == [("happy", side), ("sad", side)]


def test_splits_have_their_own_pictures(tmp_path: Path) -> None:
    features = FEATURES["object of lists"]
    written(tmp_path, table(OBJECTS, features))
    written(tmp_path, table(OBJECTS[::-1], features), "test-00000-of-00001.parquet")
    keys = [item.key for item in open_dataset(str(tmp_path)).reader]
    assert keys == [
        "test/000000", "test/000001", "test/000002#0", "test/000002#1",
        "train/000000#0", "train/000000#1", "train/000001", "train/000002",
    ]  # fmt: skip


def test_a_list_of_picture_files_may_have_objects(tmp_path: Path) -> None:
    for number, level in enumerate((10, 20, 30)):
        (tmp_path / "imgs").mkdir(exist_ok=True)
        buffer = io.BytesIO()
        Image.new("L", (24, 24), level).save(buffer, "PNG")
        (tmp_path / f"imgs/{number}.png").write_bytes(buffer.getvalue())
    text = json.dumps({"info": {"features": {"objects": FEATURES["list of objects"]}}})
    content = pa.table({"path": [f"imgs/{n}.png" for n in range(3)], "objects": list(OBJECTS)})
    content = content.replace_schema_metadata({"huggingface": text})
    pq.write_table(content, tmp_path / "train.parquet")
    opened = open_dataset(str(tmp_path))
    assert opened.form == "list"
    samples = [item for item in opened.reader if isinstance(item, Sample)]
    found = [(item.label, item.image.shape, int(item.image.mean())) for item in samples]
    assert found == [("happy", (12, 12), 10), ("sad", (6, 6), 10), ("fear", (6, 6), 30)]


@pytest.mark.parametrize("empty", [{"bbox": [], "category": []}, None, "null lists"])
def test_pictures_without_boxes_may_come_first_or_fill_a_split(tmp_path: Path, empty) -> None:
    if empty == "null lists":
        empty = {"bbox": None, "category": None}
    features = FEATURES["object of lists"]
    written(tmp_path, table([empty, empty, OBJECTS[2]], features))
    content = table([OBJECTS[0], empty], features).slice(1)
    written(tmp_path, content, "test-00000-of-00001.parquet")
    items = list(open_dataset(str(tmp_path)).reader)
    assert [(item.key, getattr(item, "label", None)) for item in items] == [
        ("test/000000", None),
        ("train/000000", None), ("train/000001", None), ("train/000002", "fear"),
    ]  # fmt: skip


def test_masks_and_times_of_objects_are_no_fault(tmp_path: Path) -> None:
    time = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    objects = [
        {"bbox": [FIRST], "label": [name], "mask": [b"\x00\xff"], "at": [time]} for name in NAMES
    ]
    assert [label for label, _ in shapes(written(tmp_path, table(objects)))] == NAMES


def test_a_key_with_the_name_of_a_column_gets_a_prefix(tmp_path: Path) -> None:
    objects = [{"bbox": [FIRST], "label": [name], "age": [7.5]} for name in ("happy", "sad")]
    root = written(tmp_path, table(objects, age=[30, 40]))
    samples = [item for item in open_dataset(str(root)).reader if isinstance(item, Sample)]
    assert [item.extras for item in samples] == [
        {"age": "30", "objects_age": 7.5}, {"age": "40", "objects_age": 7.5},
    ]  # fmt: skip
