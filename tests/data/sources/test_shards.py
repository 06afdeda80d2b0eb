"""WebDataset: pictures with their label in a file of the same name, in shards or not."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from fer_core.data.sources.base import Sample, Skipped
from fer_core.data.sources.formats import open_dataset
from fer_core.data.sources.shards import with_shards
from fer_core.data.sources.tree import open_tree
from fer_core.errors import DataError
from tests.support.layouts import Pictures, tarred


def shard(root: Path, name: str, samples: Mapping[str, Mapping[str, str]]) -> Path:
    """Writes a shard; `samples` has the text by suffix by key."""
    folder = root.with_name(f"{root.name}_{name}")
    for key, texts in samples.items():
        Pictures().save(folder / f"{key}.jpg")
        for suffix, text in texts.items():
            (folder / f"{key}.{suffix}").write_text(text)
    root.mkdir(exist_ok=True)
    tarred(folder, root / f"{name}.tar")
    return root / f"{name}.tar"


def facts(path: Path, **options: object) -> list[tuple[str, str | None, str | None]]:
    reader = open_dataset(str(path), options=options).reader
    return [(item.key, item.label, item.split) for item in reader if isinstance(item, Sample)]


def two_shards(root: Path) -> Path:
    for split, codes in (("train", "01"), ("test", "10")):
        shard(root, f"{split}-000000", {f"{n}{n}": {"cls": c} for n, c in enumerate(codes)})
    return root


def test_numbers_are_those_of_the_list_of_classes(tmp_path: Path) -> None:
    root = two_shards(tmp_path / "x")
    with pytest.raises(DataError, match=r"nothing says what they mean(.|\n)*--map-class 0=happy"):
        open_dataset(str(root))
    (root / "classes.txt").write_text("sad\nhappy\n")
    assert [(key.split("/")[-1], label, split) for key, label, split in facts(root)] == [
        ("00.jpg", "happy", "test"),
        ("11.jpg", "sad", "test"),
        ("00.jpg", "sad", "train"),
        ("11.jpg", "happy", "train"),
    ]


def test_a_shard_that_changes_is_noticed(tmp_path: Path) -> None:
    tree = with_shards(open_tree(two_shards(tmp_path / "x")))
    sizes = {f"{name}-000000.tar": (tmp_path / f"x/{name}-000000.tar").stat().st_size
             for name in ("test", "train")}  # fmt: skip
    assert {stat.name: stat.size for stat in tree.stats()} == sizes


def test_fields_of_json_are_columns(tmp_path: Path) -> None:
    moods = {"a": "happy", "b": "sad", "c.face": "sad"}
    samples = {
        key: {"json": json.dumps({"expression": mood, "age": n % 2, "caption": f"person {n}"}),
              "txt": "sad"}
        for n, (key, mood) in enumerate(moods.items())
    }  # fmt: skip
    samples["d"] = {"json": "{"}
    path = shard(tmp_path / "x", "faces", samples)
    items = list(open_dataset(str(path)).reader)
    read = [(i.key, i.label, i.extras["age"]) for i in items if isinstance(i, Sample)]
    assert [(key.split("/")[-1], *rest) for key, *rest in read] == [
        ("a.jpg", "happy", "0"),
        ("b.jpg", "sad", "1"),
        ("c.face.jpg", "sad", "0"),
    ]
    (damaged,) = [item.reason for item in items if isinstance(item, Skipped)]
    assert "d.json is damaged" in damaged


def test_texts_are_labels_unless_they_are_captions(tmp_path: Path) -> None:
    labels = {key: {"txt": label} for key, label in (("a", "Happy\n"), ("b", "sad"))}
    path = shard(tmp_path / "x", "faces", labels)
    assert [label for _, label, _ in facts(path)] == ["happy", "sad"]
    captions = {key: {"txt": "0 0.5 0.5 0.2 0.2"} for key in "ab"}
    with pytest.raises(DataError):
        open_dataset(str(shard(tmp_path / "y", "faces", captions)))


def test_a_field_of_another_name_is_asked_for(tmp_path: Path) -> None:
    samples = {key: {"json": json.dumps({"note": note})} for key, note in (("a", "x"), ("b", "y"))}
    path = shard(tmp_path / "x", "faces", samples)
    with pytest.raises(DataError, match=r"its columns are note, file.*--label"):
        open_dataset(str(path))
    options = {"label": "note", "any_classes": True}
    assert [label for _, label, _ in facts(path, **options)] == ["x", "y"]


def test_equal_keys_give_no_label(tmp_path: Path) -> None:
    """`a.1.jpg` and `a.2.jpg` have their own files; `a.3.jpg` has none of them."""
    for name in ("a.1", "a.2", "a.3"):
        Pictures().save(tmp_path / f"{name}.jpg")
    (tmp_path / "a.1.txt").write_text("happy")
    (tmp_path / "a.2.txt").write_text("sad")
    assert facts(tmp_path) == [("a.1.jpg", "happy", None), ("a.2.jpg", "sad", None)]
