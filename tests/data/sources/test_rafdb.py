from pathlib import Path

import pytest

from fer_core.data.sources.base import Sample
from fer_core.data.sources.formats import open_source, recognise
from fer_core.errors import DataError
from tests.support.layouts import RAFDB_ORDER, Pictures, splits_of

LIST = "EmoLabel/list_patition_label.txt"


def folders(root: Path, names: dict[str, str], classes=("1", "4")) -> Path:
    """Writes an image `<split>_<number>_aligned.jpg` per class, in the folder of its key."""
    pictures = Pictures()
    number = 0
    for folder, split in names.items():
        for label in classes:
            number += 1
            pictures.save(root / folder / label / f"{split}_{number:05d}_aligned.jpg")
    return root


def listed(root: Path, codes, separator: str = " ") -> Path:
    """Writes RAF-DB's list with two images for each code."""
    pictures = Pictures()
    lines = []
    for code in codes:
        for split in ("train", "test"):
            lines.append(f"{split}_{code:04d}.jpg{separator}{code}")
            pictures.save(root / f"Image/aligned/{split}_{code:04d}_aligned.jpg")
    (root / LIST).parent.mkdir(parents=True)
    (root / LIST).write_text("\n".join(lines) + "\n")
    return root


@pytest.mark.parametrize("classes", [("1", "4"), ("Surprise", "Happy")])
def test_names_give_the_split_without_split_folders(tmp_path: Path, classes) -> None:
    pictures = Pictures()
    for label in classes:
        for name in ("train_00001", "train_00002", "test_0001"):
            stem = f"{name}{classes.index(label)}"
            pictures.save(tmp_path / label / f"{stem}_aligned.jpg")
    assert recognise(str(tmp_path)) == "rafdb"
    source = open_source(str(tmp_path))
    assert splits_of(source) == {
        "test_00010": "test",
        "test_00011": "test",
        "train_000010": "train",
        "train_000011": "train",
        "train_000020": "train",
        "train_000021": "train",
    }
    assert "The split of 6 images is that of their names (train_, test_)." in source.notes


def test_names_give_the_split_if_the_folder_is_another_one(tmp_path: Path) -> None:
    source = open_source(str(folders(tmp_path, {"train": "train", "val": "test"})))
    assert set(splits_of(source).values()) == {"train", "test"}
    assert any("2 images" in note and "not that of their folder" in note for note in source.notes)


def test_a_validation_split_drawn_from_train_stays(tmp_path: Path) -> None:
    names = {"train": "train", "test": "test"}
    folders(tmp_path / "a", names)
    pictures = Pictures()
    for number, label in enumerate(("1", "4")):
        pictures.save(tmp_path / "a/validation" / label / f"train_9999{number}_aligned.jpg")
    source = open_source(str(tmp_path / "a"))
    kept = splits_of(source)
    assert (kept["train_99990"], kept["train_00001"], kept["test_00003"]) == (
        "validation",
        "train",
        "test",
    )
    assert not any("of their names" in note for note in source.notes)


def test_a_list_separated_by_tabs_is_read(tmp_path: Path) -> None:
    source = open_source(str(listed(tmp_path, range(1, 8), "\t")))
    labels = {item.key: item.label for item in source if isinstance(item, Sample)}
    assert labels == {
        f"{split}_{code:04d}": label
        for code, label in enumerate(RAFDB_ORDER, 1)
        for split in ("train", "test")
    }


@pytest.mark.parametrize(
    ("folder", "codes"), [("compound", range(1, 12)), ("raf", range(1, 12)), ("compound", [1, 2])]
)
def test_the_list_of_compound_expressions_is_refused(tmp_path: Path, folder: str, codes) -> None:
    with pytest.raises(DataError, match=r"compound list.*two expressions.*Give the basic list"):
        open_source(str(listed(tmp_path / folder, codes)))


def test_the_basic_list_beside_a_folder_of_compound_expressions_is_read(tmp_path: Path) -> None:
    root = listed(tmp_path / "compound/basic", range(1, 8))
    assert len(list(open_source(str(root)))) == 14


def test_a_list_whose_name_is_spelt_right_is_the_same(tmp_path: Path) -> None:
    root = listed(tmp_path, (1, 4))
    (root / LIST).rename(root / "EmoLabel/list_partition_label.txt")
    for path in (root, root / "EmoLabel/list_partition_label.txt"):
        assert recognise(str(path)) == "rafdb"
        labels = {item.key: item.label for item in open_source(str(path))}
        assert labels["test_0001"] == "surprise"
        assert labels["train_0004"] == "happy"
