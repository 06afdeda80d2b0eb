"""Annotations in JSON, and cells of tables that hold JSON."""

import json
from pathlib import Path

import pytest

from fer_core.data.sources.base import Sample, Skipped
from fer_core.data.sources.formats import open_dataset
from fer_core.errors import DataError
from tests.support.layouts import Pictures

LABELS = ("happy", "sad", "happy")
BOX = {"x": 2, "y": 4, "width": 10, "height": 10}


def coco() -> object:
    return {
        "images": [{"id": n, "file_name": f"{n}.png", "width": 20} for n in range(3)],
        "annotations": [
            {
                "id": 9 - n,
                "image_id": n,
                "category_id": 1 + (label == "sad"),
                "bbox": [2, 4, 10, 10],
            }
            for n, label in enumerate(LABELS)
        ],
        "categories": [{"id": 2, "name": "sad"}, {"id": 1, "name": "happy"}],
    }


def via() -> object:
    return {
        f"{n}.png123": {
            "filename": f"{n}.png",
            "regions": [{"shape_attributes": {"name": "rect", **BOX},
                         "region_attributes": {"emotion": label}}],
        }
        for n, label in enumerate(LABELS)
    }  # fmt: skip


def label_studio(*, boxes: bool) -> object:
    value = {name: 5 * BOX[name] for name in BOX} if boxes else {}  # per cent of 20 pixels
    sizes = {"original_width": 20, "original_height": 20} if boxes else {}
    return [
        {
            "id": n,
            "data": {"image": f"/data/upload/1/{n}.png"},
            "annotations": [{"result": [{**sizes, "value": {**value, "choices": [label]}}]}],
            "predictions": [],
        }
        for n, label in enumerate(LABELS)
    ]


def labelbox() -> str:
    return "\n".join(
        json.dumps({
            "data_row": {"id": "x", "external_id": f"{n}.png"},
            "labels": [{"classifications": [{"name": "mood", "radio_answer": {"name": label}}]}],
        })
        for n, label in enumerate(LABELS)
    )  # fmt: skip


def region_csv() -> str:
    lines = ["filename,region_shape_attributes,region_attributes"]
    for number, label in enumerate(LABELS):
        cells = [json.dumps(cell).replace('"', '""') for cell in (BOX, {"emotion": label})]
        lines.append(f'{number}.png,"{cells[0]}","{cells[1]}"')
    return "\n".join(lines)


def records() -> object:
    return [{"image": f"{n}.png", "emotion": label} for n, label in enumerate(LABELS)]


@pytest.mark.parametrize(
    ("file", "content", "side"),
    [
        ("instances.json", coco(), 10),
        ("via.json", via(), 10),
        ("via.csv", region_csv(), 10),
        ("project.json", label_studio(boxes=True), 10),
        ("project.json", label_studio(boxes=False), 20),
        ("export.ndjson", labelbox(), 20),
        ("labels.json", {f"{n}.png": label for n, label in enumerate(LABELS)}, 20),
        ("labels.json", records(), 20),
        ("labels.json", {"version": 1, "data": records()}, 20),
        ("labels.json", {f"{n}.png": {"label": label} for n, label in enumerate(LABELS)}, 20),
    ],
)
def test_exports_of_annotation_programs(tmp_path: Path, file: str, content, side: int) -> None:
    pictures = [Pictures().array(20) for _ in LABELS]
    for number in range(len(pictures)):
        Pictures().save(tmp_path / "img" / f"{number}.png")
    text = content if isinstance(content, str) else json.dumps(content)
    (tmp_path / file).write_text(text)
    samples = [item for item in open_dataset(str(tmp_path)).reader if isinstance(item, Sample)]
    assert [(item.key, item.label) for item in samples] == [
        (f"img/{number}.png", label) for number, label in enumerate(LABELS)
    ]
    expected = pictures[0][4:14, 2:12] if side == 10 else pictures[0]
    assert (samples[0].image == expected).all()


def test_several_regions_are_several_faces(tmp_path: Path) -> None:
    Pictures().save(tmp_path / "a.png")
    Pictures().save(tmp_path / "b.png")
    regions = [
        {"shape_attributes": {**BOX, "x": 3 * n}, "region_attributes": {"emotion": label}}
        for n, label in enumerate(("happy", "sad"))
    ]
    content = [
        {"filename": "a.png", "regions": regions},
        {"filename": "b.png", "regions": regions[:1]},
    ]
    (tmp_path / "via.json").write_text(json.dumps(content))
    samples = [item for item in open_dataset(str(tmp_path)).reader if isinstance(item, Sample)]
    assert [(item.key, item.label, item.group) for item in samples] == [
        ("a.png#0", "happy", "a.png"),
        ("a.png#1", "sad", "a.png"),
        ("b.png", "happy", None),
    ]


def imagefolder(root: Path, objects: list[object], file: str = "metadata.jsonl") -> Path:
    """Writes pictures with `metadata.jsonl`, or `metadata.csv` as pandas or json write objects."""
    names = [f"{number}.png" for number in range(len(objects))]
    pictures = Pictures()
    for name in names:
        pictures.save(root / "train" / name)
    rows = [{"file_name": n, "objects": cell} for n, cell in zip(names, objects, strict=True)]
    lines = [json.dumps(row) for row in rows]
    if file.endswith(".csv"):
        cells = [str(cell) if "pandas" in file else json.dumps(cell) for cell in objects]
        cells = ['"' + cell.replace('"', '""') + '"' for cell in cells]
        lines = ["file_name,objects", *map(",".join, zip(names, cells, strict=True))]
    (root / "train" / file.replace("-pandas", "")).write_text("\n".join(lines))
    return root


BOXES = ([2, 4, 10, 12], [8.0, 9.0, 6.0, 6.0])  # x, y, width, height


@pytest.mark.parametrize("file", ["metadata.jsonl", "metadata.csv", "metadata-pandas.csv"])
@pytest.mark.parametrize("column", ["categories", "category", "label"])
def test_objects_of_an_imagefolder_are_faces(tmp_path: Path, file: str, column: str) -> None:
    objects = [
        {"bbox": list(BOXES), column: ["happy", "sad"], "area": [120, 36]},
        {"bbox": [BOXES[1]], column: ["fear"], "area": [36]},
        {"bbox": [], column: [], "area": []},
    ]
    opened = open_dataset(str(imagefolder(tmp_path, objects, file)))
    items = list(opened.reader)
    samples = [item for item in items if isinstance(item, Sample)]
    assert [(s.key, s.label, s.split, s.group, s.image.shape) for s in samples] == [
        ("train/0.png#0", "happy", "train", "train/0.png", (12, 12)),
        ("train/0.png#1", "sad", "train", "train/0.png", (6, 6)),
        ("train/1.png", "fear", "train", None, (6, 6)),
    ]
    pictures = Pictures()
    first, second = pictures.array(), pictures.array()
    # a width of 10 is extended to 12 around the centre
    assert (samples[0].image == first[4:16, 1:13]).all()
    assert (samples[1].image == first[9:15, 8:14]).all()
    assert (samples[2].image == second[9:15, 8:14]).all()
    assert [item for item in items if isinstance(item, Skipped)] == [
        Skipped("train/2.png", "It has no label.")
    ]
    assert f"boxes of train/{file.replace('-pandas', '')}: left, top, width, height" in " ".join(
        opened.notes
    )


def test_objects_may_be_a_list_with_an_object_for_each_box(tmp_path: Path) -> None:
    objects = [
        [{"bbox": BOXES[0], "label": "happy"}, {"bbox": BOXES[1], "label": "sad"}],
        [{"bbox": BOXES[0], "label": "sad"}],
        [],
    ]
    samples = list(open_dataset(str(imagefolder(tmp_path, objects))).reader)
    assert [(s.key, s.label, s.image.shape) for s in samples if isinstance(s, Sample)] == [
        ("train/0.png#0", "happy", (12, 12)),
        ("train/0.png#1", "sad", (6, 6)),
        ("train/1.png", "sad", (12, 12)),
    ]


def test_every_face_of_a_crowd_is_read(tmp_path: Path) -> None:
    crowd = {"bbox": [BOXES[1]] * 60 + [BOXES[0]] * 60, "label": ["sad"] * 60 + ["happy"] * 60}
    for number in range(120):
        crowd["bbox"][number] = [number % 12, number // 12, 3, 3]
    objects = [crowd, {"bbox": [BOXES[0]], "label": ["sad"]}]
    samples = list(open_dataset(str(imagefolder(tmp_path, objects))).reader)
    assert [item.label for item in samples].count("sad") == 61
    assert len(samples) == 121


def test_numbers_of_objects_need_a_meaning(tmp_path: Path) -> None:
    objects = [{"bbox": list(BOXES), "category": [0, 1]}, {"bbox": [BOXES[0]], "category": [1]}]
    root = imagefolder(tmp_path, objects)
    with pytest.raises(DataError, match=r"are numbers \(0, 1\), and nothing"):
        open_dataset(str(root))
    (root / "classes.txt").write_text("happy\nsad\n")
    labels = [item.label for item in open_dataset(str(root)).reader if isinstance(item, Sample)]
    assert labels == ["happy", "sad", "sad"]


@pytest.mark.parametrize(
    ("objects", "problem"),
    [
        ({"bbox": list(BOXES), "label": ["sad"]}, r"0\.png have 2 boxes, but 1 values of label"),
        ({"bbox": [[1, 2, 3]], "label": ["sad"]}, r"0\.png have the box \[1, 2, 3\]"),
        ({"bbox": [[1, 2, 0, 3]], "label": ["sad"]}, r"boxes are \[x, y, width, height\]"),
    ],
)
def test_damaged_objects_are_named(tmp_path: Path, objects, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        open_dataset(str(imagefolder(tmp_path, [objects])))


@pytest.mark.parametrize("file", ["instances_train2017.json", "train_labels.json"])
def test_the_name_of_a_json_file_gives_its_split(tmp_path: Path, file: str) -> None:
    for number in range(3):
        Pictures().save(tmp_path / "img" / f"{number}.png")
    (tmp_path / file).write_text(json.dumps(records()))
    samples = [item for item in open_dataset(str(tmp_path)).reader if isinstance(item, Sample)]
    assert {item.split for item in samples} == {"train"}


def test_votes_in_a_column_for_each_class(tmp_path: Path) -> None:
    """More than half of the votes decide; 1 against 1, and no vote at all, do not."""
    rows = {"a": (3, 2), "b": (0, 4), "c": (1, 1), "d": (0, 0), "e": (5, 0)}
    for name in rows:
        Pictures().save(tmp_path / f"{name}.png")
    lines = [f"{name}.png,{happy},{sad}" for name, (happy, sad) in rows.items()]
    (tmp_path / "votes.csv").write_text("file,Happiness,Sadness\n" + "\n".join(lines))
    opened = open_dataset(str(tmp_path))
    items = list(opened.reader)
    samples = [item for item in items if isinstance(item, Sample)]
    assert [(item.key, item.label, item.excluded) for item in samples] == [
        ("a.png", "happy", ""),
        ("b.png", "sad", ""),
        ("c.png", None, "annotators disagree"),
        ("e.png", "happy", ""),
    ]
    assert samples[0].votes == {"happy": 3, "sad": 2}
    assert [item.key for item in items if isinstance(item, Skipped)] == ["d.png"]
    assert "more than half of the votes" in " ".join(opened.notes)
