"""A table for each annotator: counted as votes, and never mistaken for splits or versions."""

from pathlib import Path

import pytest

from fer_core.data.sources.base import Sample, Skipped
from fer_core.data.sources.formats import OpenedSource, open_dataset
from fer_core.errors import DataError
from tests.support.layouts import Pictures

ALICE = {"a": "Joy", "b": "sad", "c": "fear", "d": "sad"}
BOB = {"a": "happy", "b": "SAD", "c": "sad", "e": "angry"}
CAROL = {"a": "sad", "b": "sad", "c": "fear", "d": "sad", "e": ""}


def tables(root: Path, labels: dict[str, dict[str, str]], header: str = "image,label") -> Path:
    """Writes pictures, and a table of picture and label for each name."""
    pictures = Pictures()
    for picture in sorted({picture for rows in labels.values() for picture in rows}):
        pictures.save(root / "images" / f"{picture}.png")
    for name, rows in labels.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        lines = [header, *(f"{picture}.png,{cell}" for picture, cell in rows.items())]
        (root / name).write_text("\n".join(lines))
    return root


def voted(opened: OpenedSource) -> dict[str, tuple[str | None, dict[str, int]]]:
    """Returns label and votes by picture."""
    return {
        Path(item.key).stem: (item.label, {name: n for name, n in item.votes.items() if n})
        for item in opened.reader
        if isinstance(item, Sample)
    }


VOTED = {
    "a": ("happy", {"happy": 2, "sad": 1}),
    "b": ("sad", {"sad": 3}),
    "c": ("fear", {"fear": 2, "sad": 1}),
    "d": ("sad", {"sad": 2}),
    "e": ("angry", {"angry": 1}),
}


@pytest.mark.parametrize(
    "names",
    [
        ("annotations/alice.csv", "annotations/bob.csv", "annotations/carol.csv"),
        ("labels_alice.csv", "labels_bob.csv", "labels_carol.csv"),
        ("annotator_1.csv", "annotator_2.csv", "annotator_3.csv"),
        ("RaterA.csv", "RaterB.csv", "RaterC.csv"),
        ("annotators/1.csv", "annotators/2.csv", "annotators/3.csv"),
    ],
)
def test_tables_of_annotators_are_votes(tmp_path: Path, names) -> None:
    opened = open_dataset(str(tables(tmp_path, dict(zip(names, (ALICE, BOB, CAROL), strict=True)))))
    assert voted(opened) == VOTED
    assert f"{', '.join(names)} are read as the labels of 3 annotators." in " ".join(opened.notes)
    for name in names[1:]:
        (tmp_path / name).unlink()
    first = voted(open_dataset(str(tmp_path)))
    assert first == {"a": ("happy", {}), "b": ("sad", {}), "c": ("fear", {}), "d": ("sad", {})}


def test_annotators_who_are_equally_many_give_no_label(tmp_path: Path) -> None:
    opened = open_dataset(str(tables(tmp_path, {"l/alice.csv": ALICE, "l/bob.csv": BOB})))
    assert voted(opened)["c"] == (None, {"fear": 1, "sad": 1})
    assert voted(opened)["e"] == ("angry", {"angry": 1})


def test_columns_of_one_annotator_are_kept(tmp_path: Path) -> None:
    root = tables(tmp_path, {"bob.csv": BOB, "carol.csv": CAROL})
    rows = ["a,Joy,anna,x", "b,sad,ben,y", "c,fear,anna,z", "d,sad,ben,x"]
    lines = ["image,label,person,comment", *(row.replace(",", ".png,", 1) for row in rows)]
    (root / "alice.csv").write_text("\n".join(lines))
    opened = open_dataset(str(root))
    assert voted(opened) == VOTED
    groups = [item.group for item in opened.reader if isinstance(item, Sample)]
    assert groups == ["anna", "ben", "anna", "ben", None]


def test_annotators_vote_on_each_face(tmp_path: Path) -> None:
    boxes = "{},0,0,9,9\na.png,{},10,10,19,19"
    root = tables(tmp_path, {}, "")
    Pictures().save(root / "a.png")
    for name, first, second in (("alice", "happy", "sad"), ("bob", "happy", "fear")):
        text = f"image,label,x1,y1,x2,y2\na.png,{boxes.format(first, second)}"
        (root / f"{name}.csv").write_text(text)
    samples = list(open_dataset(str(root)).reader)
    assert [(s.key, s.label, s.image.shape) for s in samples if isinstance(s, Sample)] == [
        ("a.png#0", "happy", (9, 9)),
        ("a.png#1", None, (9, 9)),
    ]


@pytest.mark.parametrize(
    "names",
    [
        ("labels.csv", "labels_v2.csv"),
        ("labels_old.csv", "labels_new.csv"),
        ("alice.csv", "final.csv"),
        ("labels_1.csv", "labels_2.csv"),
        ("annotator_1_raw.csv", "annotator_1_clean.csv"),
        ("predictions/lenet.csv", "predictions/vgg.csv"),
        ("one/alice.csv", "two/bob.csv"),
    ],
)
def test_versions_and_other_tables_are_no_annotators(tmp_path: Path, names) -> None:
    root = tables(tmp_path, dict(zip(names, (ALICE, BOB), strict=True)))
    with pytest.raises(DataError, match=r"differ for 3 of them.*annotator_1\.csv"):
        open_dataset(str(root))


def test_tables_that_seldom_agree_are_not_of_annotators(tmp_path: Path) -> None:
    other = {"a": "sad", "b": "fear", "c": "happy", "d": "sad"}
    root = tables(tmp_path, {"alice.csv": ALICE, "bob.csv": other})
    with pytest.raises(DataError, match=r"differ for 3 of them"):
        open_dataset(str(root))
    for name, number in (("alice", 1), ("bob", 2)):
        (root / f"{name}.csv").rename(root / f"annotator_{number}.csv")
    assert voted(open_dataset(str(root)))["d"] == ("sad", {"sad": 2})


def test_tables_of_splits_are_no_annotators(tmp_path: Path) -> None:
    """A picture in two of them is skipped, as before, and no votes are counted."""
    both = {"train.csv": {"a": "happy", "b": "sad"}, "val.csv": {"b": "sad", "c": "fear"}}
    items = list(open_dataset(str(tables(tmp_path, both))).reader)
    assert [(item.key, getattr(item, "split", None)) for item in items] == [
        ("images/a.png", "train"),
        ("images/b.png", None),
        ("images/c.png", "validation"),
    ]
    assert isinstance(items[1], Skipped)
    assert items[0].votes == {}


def test_tables_of_different_pictures_are_parts(tmp_path: Path) -> None:
    parts = {
        "alice.csv": {"a": "happy", "b": "sad", "c": "sad"},
        "bob.csv": {"c": "sad", "d": "fear", "e": "sad"},
    }
    opened = open_dataset(str(tables(tmp_path, parts)))
    assert set(voted(opened)) == set("abcde")
    assert "annotators" not in " ".join(opened.notes)
