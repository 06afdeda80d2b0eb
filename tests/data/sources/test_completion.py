"""Splits and persons that the labels lack come from other tables, lists and names."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from fer_core.data.sources.base import Sample
from fer_core.data.sources.formats import open_dataset
from fer_core.errors import DataError
from tests.support.layouts import Pictures, class_folders, listed, yolo

ROWS = [[f"img/{n}.png", ("happy", "sad")[n % 2]] for n in range(8)]


def facts(path: Path, **options: str) -> dict[str, tuple[str | None, str | None]]:
    """Returns split and group of each picture that is read."""
    reader = open_dataset(str(path), options=options).reader
    return {item.key: (item.split, item.group) for item in reader if isinstance(item, Sample)}


def labelled(root: Path, *, folders: bool) -> Path:
    if not folders:
        return listed(root, ROWS, file="labels.csv", header=["path", "label"], separator=",")
    pictures = Pictures()
    for name, label in ROWS:
        pictures.save(root / label / Path(name).name)
    return root


def key(name: str, label: str, *, folders: bool) -> str:
    return f"{label}/{Path(name).name}" if folders else name


@pytest.mark.parametrize("folders", [True, False])
def test_a_second_table_gives_splits_and_persons(tmp_path: Path, folders: bool) -> None:
    labelled(tmp_path, folders=folders)
    names = [key(*row, folders=folders) for row in ROWS]
    lines = [f"{name},{'train' if n < 4 else 'test'},s{n // 4}" for n, name in enumerate(names)]
    (tmp_path / "facts.csv").write_text("path,split,subject\n" + "\n".join(lines))
    expected = {name: (("train", "test")[n // 4], f"s{n // 4}") for n, name in enumerate(names)}
    assert facts(tmp_path) == expected


@pytest.mark.parametrize("folders", [True, False])
def test_lists_of_pictures_give_splits(tmp_path: Path, folders: bool) -> None:
    labelled(tmp_path, folders=folders)
    names = [key(*row, folders=folders) for row in ROWS]
    (tmp_path / "train.txt").write_text("\n".join(names[:4]))
    (tmp_path / "test.txt").write_text("\n".join(names[4:7]))
    expected = {name: (("train", "test")[n // 4], None) for n, name in enumerate(names[:7])}
    assert facts(tmp_path) == expected  # the last one is in no list


def test_lists_of_pictures_give_splits_of_detection_labels(tmp_path: Path) -> None:
    yolo(tmp_path / "a")
    root = tmp_path / "b"
    for kind in ("images", "labels"):
        for path in (tmp_path / "a/train" / kind).iterdir():
            (root / kind).mkdir(parents=True, exist_ok=True)
            path.rename(root / kind / path.name)
    (tmp_path / "a/data.yaml").rename(root / "data.yaml")
    names = sorted(path.name for path in (root / "images").iterdir())
    (root / "train.txt").write_text("\n".join(f"./images/{name}" for name in names[::2]))
    (root / "val.txt").write_text("\n".join(f"./images/{name}" for name in names[1::2]))
    splits = {Path(name).name: split for name, (split, _) in facts(root).items()}
    order = ("train", "validation")
    contempt = ("2.png", "3.png")
    expected = {name: order[n % 2] for n, name in enumerate(names) if name not in contempt}
    assert splits == expected


@pytest.mark.parametrize(
    ("stems", "persons"),
    [
        (("AF01ANS", "BF01HAS", "AM02ANFL", "AM02SAFL"), ("F01", "F01", "M02", "M02")),
        (("S010_001_00000012_crop", "S011_001_00000003"), ("S010", "S011")),
        (("Rafd090_01_Caucasian_female_sad_left", "Rafd045_33_Moroccan_male_happy_right"),
         ("01", "33")),
        (("1001_DFA_ANG_XX_7", "1090_IEO_HAP_HI"), ("1001", "1090")),
        (("01-01-03-01-02-01-12", "02-01-05-02-02-01-24_f3"), ("12", "24")),
        (("004_o_m_a_b", "013_y_f_h_a"), ("004", "013")),
        (("01F_AN_C", "20M_SP_O"), ("01F", "20M")),
        (("p01_x1", "p02_x1", "p03_x1", "p01_x2", "p02_x2", "p03_x2"),
         ("P01", "P02", "P03", "P01", "P02", "P03")),
    ],
)  # fmt: skip
@pytest.mark.parametrize("folders", [True, False])
def test_names_of_files_give_persons(
    tmp_path: Path, stems: Sequence[str], persons: Sequence[str], folders: bool
) -> None:
    pictures, lines = Pictures(), ["path,label"]
    for number, stem in enumerate(stems):
        label = ("happy", "sad")[number * 2 // len(stems)]
        folder = label if folders else "all"
        pictures.save(tmp_path / folder / f"{stem}.png")
        lines.append(f"{folder}/{stem}.png,{label}")
    if not folders:
        (tmp_path / "labels.csv").write_text("\n".join(lines))
    read = {Path(name).stem: str(group).upper() for name, (_, group) in facts(tmp_path).items()}
    assert read == dict(zip(stems, persons, strict=True))


def test_other_numbers_are_no_persons(tmp_path: Path) -> None:
    """Words that are in several splits, show one class each, or are the whole name."""
    class_folders(
        tmp_path / "a", ["happy", "sad"], splits=("train", "test"), name="p1_{number}.png"
    )
    class_folders(tmp_path / "b", ["happy", "sad"], count=4, name="p{number}_a.png")
    class_folders(tmp_path / "c", ["happy", "sad"], count=4, name="p{number}.png")
    for name in "abc":
        assert {group for _, group in facts(tmp_path / name).values()} == {None}


def test_folders_of_persons_in_a_table_are_groups(tmp_path: Path) -> None:
    rows = [[f"crops/S{n % 3:02d}/{n}.png", ("happy", "sad")[n // 3 % 2]] for n in range(12)]
    listed(tmp_path, rows, file="labels.csv", header=["path", "label"], separator=",")
    expected = {name: (None, f"S{n % 3:02d}") for n, (name, _) in enumerate(rows)}
    assert facts(tmp_path) == expected


@pytest.mark.parametrize("header", ["speaker", "Subject No.", "actorID", "PersonName"])
def test_words_for_persons_in_a_header(tmp_path: Path, header: str) -> None:
    rows = [[*row, f"v{n // 4}"] for n, row in enumerate(ROWS)]
    listed(tmp_path, rows, file="a.csv", header=["path", "label", header], separator=",")
    assert facts(tmp_path) == {row[0]: (None, row[2]) for row in rows}


@pytest.mark.parametrize(
    ("header", "cells", "splits"),
    [
        (["is_train"], [["1"], ["0"]], ("train", "test")),
        (["train", "val"], [["True", "False"], ["False", "True"]], ("train", "validation")),
        (["isTrain", "isVal", "isTest"], [["1", "0", "0"], ["0", "0", "1"]], ("train", "test")),
        (["test"], [["1"], ["0"]], (None, None)),  # the others may be train or validation
    ],
)
def test_a_column_of_flags_for_each_split(tmp_path: Path, header, cells, splits) -> None:
    rows = [[*row, *cells[n // 4]] for n, row in enumerate(ROWS)]
    listed(tmp_path, rows, file="a.csv", header=["path", "label", *header], separator=",")
    assert {name: split for name, (split, _) in facts(tmp_path).items()} == {
        row[0]: splits[n // 4] for n, row in enumerate(rows)
    }


def test_a_pattern_gives_persons_beside_class_folders(tmp_path: Path) -> None:
    class_folders(tmp_path, ["happy", "sad"], count=3, name="{number}-of-anna.png")
    read = facts(tmp_path, pattern=r"-of-(?P<person>\w+)\.")
    assert {group for _, group in read.values()} == {"ANNA"}


def test_a_pattern_gives_labels_splits_and_persons(tmp_path: Path) -> None:
    pictures = Pictures()
    for split in ("trn", "tst"):
        for person in ("DC", "JE"):
            for code in ("a", "sa"):
                pictures.save(tmp_path / split / f"{person}_{code}01.png")
    (tmp_path / "trn/odd.png").write_bytes(b"")
    pattern = r"(?P<split>\w+)/(?P<person>[A-Z]{2})_(?P<label>[a-z]+)\d+"
    opened = open_dataset(
        str(tmp_path), mapping={"a": "angry", "sa": "sad"}, options={"pattern": pattern}
    )
    assert [(i.key, i.label, i.split, i.group) for i in opened.reader if isinstance(i, Sample)] == [
        (f"{folder}/{person}_{code}01.png", label, split, person)
        for folder, split in (("trn", "train"), ("tst", "test"))
        for person in ("DC", "JE")
        for code, label in (("a", "angry"), ("sa", "sad"))
    ]
    assert "Not read: 1 pictures that are named otherwise." in opened.notes


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("(", "is no regular expression"),
        (r"(?P<age>\d+)", "names neither person, nor label, nor split"),
        (r"(?P<person>nobody)", "fits no picture, such as happy/0.png"),
    ],
)
def test_a_pattern_that_does_not_fit_is_refused(tmp_path: Path, pattern: str, says: str) -> None:
    class_folders(tmp_path, ["happy", "sad"])
    with pytest.raises(DataError, match=says):
        facts(tmp_path, pattern=pattern)


def test_a_note_in_words_beside_tables_is_no_table(tmp_path: Path) -> None:
    """Its lines have different numbers of words."""
    labelled(tmp_path, folders=False)
    (tmp_path / "README.txt").write_text("exported by hand\na b\nsee this page\n")
    assert len(facts(tmp_path)) == 8


def test_augmented_copies_of_roboflow_stay_together(tmp_path: Path) -> None:
    pictures = Pictures()
    names = [
        (label, number, copy) for label in ("happy", "sad") for number in range(3) for copy in "abc"
    ]
    for label, number, copy in names:
        pictures.save(tmp_path / f"train/{label}/{number}_jpg.rf.{copy * 32}.jpg")
    pictures.save(tmp_path / "train/sad/own.jpg")
    opened = open_dataset(str(tmp_path))
    groups = {item.key: item.group for item in opened.reader if isinstance(item, Sample)}
    assert len(groups) == 19
    assert Counter(groups.values()) == {
        None: 1, **{f"train/{label}/{n}_jpg": 3 for label in ("happy", "sad") for n in range(3)},
    }  # fmt: skip
    assert "6 images have augmented copies by Roboflow's file names" in " ".join(opened.notes)


def test_roboflow_names_without_copies_are_no_groups(tmp_path: Path) -> None:
    pictures = Pictures()
    for label in ("happy", "sad"):
        for number in range(3):
            pictures.save(tmp_path / f"train/{label}/{number}_jpg.rf.{str(number) * 32}.jpg")
    samples = [item for item in open_dataset(str(tmp_path)).reader if isinstance(item, Sample)]
    assert [item.group for item in samples] == [None] * 6
