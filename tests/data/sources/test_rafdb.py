from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fer_core.data.sources.base import Sample, Skipped
from fer_core.data.sources.formats import open_dataset, open_source, recognise
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


def originals(root: Path, boxes: dict[str, str], count: int = 2) -> Path:
    """Writes original pictures whose columns are 0, 1, 2 ... with the given files of boxes."""
    root = root / "basic"
    for folder in ("EmoLabel", "Annotation/manual", "Annotation/boundingbox", "Image/original"):
        (root / folder).mkdir(parents=True)
    lines = []
    for stem in [f"{split}_0000{n}" for split in ("train", "test") for n in range(count)]:
        lines.append(f"{stem}.jpg {1 + 3 * int(stem[-1])}")
        columns = np.tile(np.arange(60, dtype=np.uint8), (40, 1))
        Image.fromarray(columns).save(root / f"Image/original/{stem}.jpg", quality=100)
        attributes = "10 10\n20 10\n15 15\n10 20\n20 20\n0\n1\n2\n"
        (root / f"Annotation/manual/{stem}_manu_attri.txt").write_text(attributes)
    for stem, box in boxes.items():
        (root / f"Annotation/boundingbox/{stem}_boundingbox.txt").write_text(box)
    (root / LIST).write_text("\n".join(lines) + "\n")
    return root


BOXES = dict.fromkeys(
    ("train_00000", "train_00001", "test_00000", "test_00001"), "12.2 4.4 31.8 23.6 \n"
)


@pytest.mark.parametrize("path", ["", "EmoLabel/list_patition_label.txt"])
def test_faces_are_cropped_from_the_original_images_by_the_files_of_boxes(tmp_path, path) -> None:
    opened = open_dataset(str(originals(tmp_path, BOXES) / path))
    samples = [item for item in opened.reader if isinstance(item, Sample)]
    assert opened.form == "rafdb"
    assert [(item.key, item.label, item.split) for item in samples] == [
        ("test_00000", "surprise", "test"),
        ("test_00001", "happy", "test"),
        ("train_00000", "surprise", "train"),
        ("train_00001", "happy", "train"),
    ]
    # 19.6 x 19.2 pixels from column 12.2, extended to a square of 19.6
    assert {item.image.shape for item in samples} == {(20, 20)}
    assert np.abs(samples[0].image[0].astype(int) - np.arange(12, 32)).max() <= 1  # JPEG
    assert any("cropped from the original ones" in note for note in opened.notes)


def test_original_images_whose_box_is_missing_or_damaged_are_skipped(tmp_path) -> None:
    boxes = BOXES | {"train_00000": "31 4 12 24", "test_00001": "12 4 nan"}
    del boxes["train_00001"]
    root = originals(tmp_path, boxes)
    (root / "Image/original/test_00000.jpg").unlink()
    wrong = "_boundingbox.txt is not of the form `left top right bottom`."
    assert list(open_source(str(root))) == [
        Skipped("test_00000", "test_00000.jpg is missing."),
        Skipped("test_00001", f"test_00001{wrong}"),
        Skipped("train_00000", f"train_00000{wrong}"),
        Skipped("train_00001", "train_00001_boundingbox.txt is missing."),
    ]


def test_original_images_without_boxes_are_read_whole_and_a_note_says_so(tmp_path) -> None:
    opened = open_dataset(str(originals(tmp_path, {})))
    assert {item.image.shape for item in opened.reader if isinstance(item, Sample)} == {(40, 60)}
    (note,) = [note for note in opened.notes if "read whole" in note]
    assert "into Annotation/boundingbox" in note
    assert "--faces crop" in note


def test_aligned_images_go_before_original_ones(tmp_path) -> None:
    root = originals(tmp_path, BOXES)
    for stem in BOXES:
        Pictures().save(root / f"Image/aligned/{stem}_aligned.jpg")
    opened = open_dataset(str(root))
    first = next(item for item in opened.reader if isinstance(item, Sample))
    assert first.image.shape == (20, 20)
    assert first.image.std() > 30  # noise, not columns 12 to 31
    assert not any("original" in note for note in opened.notes)


def test_images_of_the_same_name_are_not_mixed_up_with_the_original_ones(tmp_path) -> None:
    root = originals(tmp_path, BOXES)
    for stem in BOXES:
        Pictures().save(root / f"Image/small/{stem}.jpg")
    assert {item.image.std() < 10 for item in open_source(str(root))} == {True}
    (root / "Image/original").rename(root / "Image/large")
    with pytest.raises(DataError, match="Call the folder of the original images Image/original"):
        open_source(str(root))
    for folder in ("large", "small"):
        for picture in (root / "Image" / folder).iterdir():
            picture.unlink()
    with pytest.raises(DataError, match=r"Unpack RAF-DB's aligned\.zip .* Annotation/boundingbox"):
        open_source(str(root))
