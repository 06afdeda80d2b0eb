"""Tables of clips: each frame in the folder of a clip has its row."""

from pathlib import Path

import pytest

from fer_core.data.sources.base import Sample, Skipped
from fer_core.data.sources.formats import open_dataset
from tests.support.layouts import Pictures, rafdb_kaggle

LABELS = ("happy", "sad", "fear")


def clips(root: Path, names: list[str]) -> None:
    for name in names:
        for frame in (1, 2):
            Pictures().save(root / "frames" / name / f"{frame:03d}.jpg")


def facts(root: Path) -> list[tuple[str, str | None, str | None]]:
    reader = open_dataset(str(root)).reader
    return [(item.key, item.label, item.split) for item in reader if isinstance(item, Sample)]


@pytest.mark.parametrize(
    ("form", "lines"),
    [
        ("{name}", "video_name,label"),
        ("{name}.mp4", None),
        ("{number}", "id,emotion"),
        ("frames\\{name}", "clip,emotion"),
    ],
)
def test_each_frame_of_a_clip_has_its_label(tmp_path: Path, form: str, lines) -> None:
    names = [f"{number:05d}" for number in (7, 8, 12)]
    clips(tmp_path, names)
    cells = [form.format(name=name, number=int(name)) for name in names]
    separator = "," if lines else " "
    rows = [separator.join(pair) for pair in zip(cells, LABELS, strict=True)]
    (tmp_path / "train.csv").write_text("\n".join([*([lines] if lines else []), *rows]))
    assert facts(tmp_path) == [
        (f"frames/{name}/{frame:03d}.jpg", label, "train")
        for name, label in zip(names, LABELS, strict=True)
        for frame in (1, 2)
    ]


def test_lists_of_clips_beside_class_folders_give_the_splits(tmp_path: Path) -> None:
    """As FERV39k has it; the number of a clip is used in every class."""
    names = [f"Action/{label}/{number:04d}" for number in range(4) for label in ("Angry", "Happy")]
    clips(tmp_path, names)
    for split, part in (("train", names[:4]), ("test", names[4:])):
        lines = [f"{name} {name.split('/')[1]}" for name in part]
        (tmp_path / f"{split}_All.csv").write_text("\n".join(lines))
    assert facts(tmp_path) == [
        (f"frames/{name}/{frame:03d}.jpg", "angry" if "Angry" in name else "happy",
         "train" if name in names[:4] else "test")
        for name in sorted(names)
        for frame in (1, 2)
    ]  # fmt: skip
    reader = open_dataset(str(tmp_path)).reader
    groups = {item.key: item.group for item in reader if isinstance(item, Sample)}
    assert {key: group and Path(group) for key, group in groups.items()} == {
        key: Path(key).parent for key in groups
    }


def test_numbers_of_clips_are_not_compared_with_codes(tmp_path: Path) -> None:
    """Clips 1 and 2 with the labels 1 and 2: the folders are no classes that agree."""
    clips(tmp_path, ["00001", "00002"])
    (tmp_path / "single.txt").write_text("00001.mp4 1\n00002.mp4 2\n")
    opened = open_dataset(str(tmp_path), options={"codes": "rafdb"})
    assert opened.form == "list"
    assert {item.label for item in opened.reader if isinstance(item, Sample)} == {
        "surprise",
        "fear",
    }


def test_a_missing_clip_is_skipped(tmp_path: Path) -> None:
    clips(tmp_path, ["a", "b"])
    (tmp_path / "labels.csv").write_text("clip,label\na,happy\nb,sad\nc,sad\n")
    items = list(open_dataset(str(tmp_path)).reader)
    assert [item.key for item in items if isinstance(item, Skipped)] == ["/c"]
    assert len(items) == 5


def test_numbers_of_classes_are_no_clips(tmp_path: Path) -> None:
    assert len(facts(rafdb_kaggle(tmp_path))) == 28
