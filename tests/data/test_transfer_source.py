"""Which pictures and labels a set has: never guessed, never lost."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fer_core.data.imaging import SampleFormat
from fer_core.data.sources.base import Skipped
from fer_core.data.sources.tables import Columns
from fer_core.data.transfer_faces import FaceOptions, find_set_faces
from fer_core.data.transfer_source import SetOptions, mapped_to, open_set, read_label_table
from fer_core.errors import DataError
from fer_core.labels import SEVEN_EMOTIONS
from tests.support.picture_folders import class_folders, picture


def read(path: Path, **options) -> dict[str, str | None]:
    found = open_set(str(path), None, SetOptions(**options))
    items = [item for item in found.items() if not isinstance(item, Skipped)]
    assert found.length >= len(items)
    return {item.key: item.label for item in items}


def test_class_folders_are_labels(tmp_path):
    assert read(class_folders(tmp_path / "set", "Happiness", "sad")) == {
        "Happiness/0.png": "happy", "Happiness/1.png": "happy",
        "sad/0.png": "sad", "sad/1.png": "sad",
    }  # fmt: skip


def test_the_persons_of_a_table_are_kept(tmp_path):
    root = class_folders(tmp_path / "set", "a", "b")
    rows = ("a/0.png,happy,ann", "a/1.png,sad,ann", "b/0.png,happy,bob", "b/1.png,sad,")
    (root / "labels.csv").write_text("\n".join(("image,label,person", *rows)))
    found = open_set(str(root), None, SetOptions(reader={"group": "person"}))
    assert dict(found.groups) == {"a/0.png": "ann", "a/1.png": "ann", "b/0.png": "bob"}


def test_pictures_beside_class_folders_are_kept_without_a_label(tmp_path):
    root = class_folders(tmp_path / "set", "happy", "sad")
    picture(root / "loose.png", 200)
    assert read(root)["loose.png"] is None


def test_a_folder_of_pictures_has_no_labels_and_a_zip_is_read_alike(tmp_path):
    for number in range(3):
        picture(tmp_path / "set" / "deep" / f"{number}.png", number)
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for file in (tmp_path / "set").rglob("*.png"):
            archive.write(file, file.relative_to(tmp_path / "set"))
    expected = {f"deep/{number}.png": None for number in range(3)}
    assert read(tmp_path / "set", unlabelled=True) == expected
    assert read(tmp_path / "set.zip", unlabelled=True) == expected
    flat = tmp_path / "set" / "deep"
    assert read(flat) == {f"{number}.png": None for number in range(3)}


def test_folders_that_name_no_emotion_are_not_guessed(tmp_path):
    root = class_folders(tmp_path / "set", "2019", "holidays")
    with pytest.raises(DataError, match="nothing says what they mean"):
        read(root)
    assert set(read(root, unlabelled=True).values()) == {None}


def test_a_csv_labels_some_pictures(tmp_path):
    root = class_folders(tmp_path / "set", "2019", "holidays")
    table = tmp_path / "labels.csv"
    table.write_text("file,label\n2019/0.png,Joy\nphotos/holidays/1.png,anger\n2019/1.png,\n")
    assert read(root, labels=table) == {
        "2019/0.png": "happy", "2019/1.png": None, "holidays/0.png": None,
        "holidays/1.png": "angry",
    }  # fmt: skip


def test_a_name_that_several_pictures_have_labels_none(tmp_path):
    root = class_folders(tmp_path / "set", "2019", "holidays")
    table = tmp_path / "labels.csv"
    table.write_text("file,label\n0.png,happy\nholidays/1.png,sad\n")
    found = open_set(str(root), None, SetOptions(labels=table))
    assert dict(found.classes) == {"sad": 1}
    assert any("name no picture, or several" in note for note in found.notes)


def test_annotators_vote_and_a_tie_gives_no_label(tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text(
        "id,annotator,label\na.png,x,happy\na.png,y,happy\na.png,z,sad\nb.png,x,sad\nb.png,y,fear\n"
    )
    found = read_label_table(table, Columns())
    assert found.labels == {"a.png": "happy"}
    assert found.conflict_note == (
        "Annotators disagree on 2 pictures, such as a.png: the majority counts; 1 without a "
        "majority has no label."
    )


def test_rows_that_contradict_without_annotators_are_refused(tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("id,label\na.png,happy\na.png,sad\n")
    with pytest.raises(DataError, match=r"different labels, such as a\.png"):
        read_label_table(table, Columns())


def test_an_empty_folder_is_refused(tmp_path):
    (tmp_path / "set").mkdir()
    with pytest.raises(DataError, match="holds no picture"):
        read(tmp_path / "set")


def test_classes_are_mapped_by_name(tmp_path):
    found = open_set(
        str(class_folders(tmp_path / "set", "happy", "contempt", "sad", "unlabelled")),
        None,
        SetOptions(),
    )
    assert mapped_to(found, SEVEN_EMOTIONS, {}) == {
        "happy": "happy", "contempt": "", "sad": "sad", "unlabelled": ""
    }  # fmt: skip
    assert mapped_to(found, SEVEN_EMOTIONS, {"contempt": "disgust"})["contempt"] == "disgust"
    with pytest.raises(DataError, match="'bored', which the benchmark does not have"):
        mapped_to(found, SEVEN_EMOTIONS, {"contempt": "bored"})


def test_a_set_of_one_class_is_refused(tmp_path):
    root = class_folders(tmp_path / "set", "happy", "contempt")
    found = open_set(str(root), None, SetOptions())
    with pytest.raises(DataError, match=r"are happy\. One class says nothing"):
        mapped_to(found, SEVEN_EMOTIONS, {})


def test_classes_that_cannot_be_mapped_are_listed(tmp_path):
    root = class_folders(tmp_path / "set", "bored", "contempt")
    found = open_set(str(root), None, SetOptions())
    with pytest.raises(DataError, match=r"None of the classes of set \(bored, contempt\)"):
        mapped_to(found, SEVEN_EMOTIONS, {})


def test_a_face_is_cropped_again_if_its_box_changes(tmp_path):
    """The left half of the picture is black, the right half is white."""
    levels = np.repeat(np.array([[0, 255]], dtype=np.uint8), 40, axis=0).repeat(20, axis=1)
    (tmp_path / "set").mkdir()
    Image.fromarray(levels).save(tmp_path / "set/a.png")
    options = FaceOptions(SampleFormat(48, colour=False), None, cropped=True)

    def faces(*lefts):
        rows = [
            f"a.png,{label},{left},10,{left + 20},30"
            for left, label in zip(lefts, ("happy", "sad"), strict=True)
        ]
        (tmp_path / "set/faces.csv").write_text("\n".join(["file,label,x1,y1,x2,y2", *rows]))
        found = find_set_faces(
            open_set(str(tmp_path / "set"), None, SetOptions()), options, None, tmp_path / "cache"
        )
        return [
            (label, int(face.mean()))
            for label, face in zip(found.labels, found.images, strict=True)
        ]

    assert faces(0, 20) == [("happy", 0), ("sad", 255)]
    assert faces(20, 0) == [("happy", 255), ("sad", 0)]
