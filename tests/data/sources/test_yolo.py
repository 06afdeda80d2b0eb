from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fer_core.data.sources.base import Sample, Skipped
from fer_core.data.sources.formats import open_dataset, open_source
from fer_core.data.sources.tree import open_tree
from fer_core.data.sources.yolo import YoloSource, find_labelled_pictures
from fer_core.errors import DataError
from tests.support.layouts import Pictures

SIDE = 40


def yolo(root: Path, lines: list[str], description: str = "") -> Path:
    """Writes an image and a label file for each line; the classes are happy and sad."""
    pictures = Pictures()
    for number, line in enumerate(lines):
        path = root / "images" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pictures.array(SIDE)).save(path)
        label = root / "labels" / f"{number}.txt"
        label.parent.mkdir(exist_ok=True)
        label.write_text(line + "\n")
    (root / "data.yaml").write_text(f"names: [happy, sad]\n{description}")
    return root


def region(root: Path, name: str, left: int, top: int, right: int, bottom: int) -> np.ndarray:
    with Image.open(root / "images" / name) as whole:
        return np.asarray(whole.convert("L"))[top:bottom, left:right]


@pytest.mark.parametrize(
    "line",
    [
        "1 0.5 0.375 0.5 0.5",
        "1 0.5 0.375 0.5 0.5 0.93",  # with a confidence
        "1 0.25 0.125 0.75 0.125 0.75 0.625 0.25 0.625",  # its corners
        "1 0.5 0.125 0.75 0.4 0.3 0.625 0.25 0.3",
        "1 0.25 0.125 0.75 0.3 0.5 0.625",
    ],
)
def test_boxes_and_polygons_give_the_same_face(tmp_path: Path, line: str) -> None:
    root = yolo(tmp_path, [line, "0 0.5 0.5 1 1"])
    sample = next(iter(open_source(str(root))))
    assert isinstance(sample, Sample)
    assert sample.label == "sad"
    np.testing.assert_array_equal(sample.image, region(root, "0.png", 10, 5, 30, 25))


@pytest.mark.parametrize(
    "line",
    [
        "1 0.5 0.375 0.5",
        "1 0.5 0.375 0.5 0.5 7",  # no confidence
        "1 0.25 0.125 0.75 0.125 0.75 0.625 0.25",  # half a point
        "1 0.25 0.125 0.75 0.125 -1 -1",  # a point that is missing
        "1 0.5 0.5 0.5 0.6 0.5 0.7",  # a line
        "1 0.5 nan 0.5 0.5",
        "sad 0.5 0.375 0.5 0.5",
    ],
)
def test_a_damaged_row_is_named(tmp_path: Path, line: str) -> None:
    good = "0 0.5 0.5 1 1"
    items = list(open_source(str(yolo(tmp_path, [f"{good}\n{line}", good, "1 0.5 0.5 1 1"]))))
    skipped = [item for item in items if isinstance(item, Skipped)]
    assert [item.key for item in skipped] == ["images/0.png"]
    assert "Line 2 of its label file is damaged" in skipped[0].reason
    assert line in skipped[0].reason
    assert len(items) == 3


def test_an_image_without_faces_has_no_label(tmp_path: Path) -> None:
    items = list(open_source(str(yolo(tmp_path, ["", "0 0.5 0.5 1 1", "1 0.5 0.5 1 1"]))))
    assert items[0] == Skipped("images/0.png", "It has no label.")


def test_keypoints_are_no_polygon(tmp_path: Path) -> None:
    line = "1 0.5 0.375 0.5 0.5 0.4 0.2 2 0.9 0.9 2"
    root = yolo(tmp_path, [line, "0 0.5 0.5 1 1"], "kpt_shape: [2, 3]\n")
    sample = next(iter(open_source(str(root))))
    np.testing.assert_array_equal(sample.image, region(root, "0.png", 10, 5, 30, 25))


def two_exports(root: Path, first: str, second: str) -> None:
    """Writes two exports whose class numbers mean different emotions."""
    lines = ["0 0.5 0.5 1 1", "1 0.5 0.5 1 1"]
    yolo(root / first, lines)
    yolo(root / second, lines)
    (root / second / "data.yaml").write_text("names: [sad, happy]\n")


def test_each_export_has_the_names_of_its_own_yaml(tmp_path: Path) -> None:
    two_exports(tmp_path, "one", "two")
    source = YoloSource(tmp_path)
    assert {item.key: item.label for item in source if isinstance(item, Sample)} == {
        "one/images/0.png": "happy",
        "one/images/1.png": "sad",
        "two/images/0.png": "sad",
        "two/images/1.png": "happy",
    }
    assert source.notes[:2] == [
        "one/data.yaml says what the class numbers mean: 0 happy, 1 sad.",
        "two/data.yaml says what the class numbers mean: 0 sad, 1 happy.",
    ]


def test_the_nearest_yaml_above_the_labels_holds(tmp_path: Path) -> None:
    two_exports(tmp_path, ".", "two")
    labels = {item.key: item.label for item in YoloSource(tmp_path) if isinstance(item, Sample)}
    assert labels == {
        "images/0.png": "happy",
        "images/1.png": "sad",
        "two/images/0.png": "sad",
        "two/images/1.png": "happy",
    }


def test_labels_without_a_yaml_of_their_own_are_refused_if_names_differ(tmp_path: Path) -> None:
    two_exports(tmp_path, "one", "two")
    yolo(tmp_path / "three", ["0 0.5 0.5 1 1"])
    (tmp_path / "three" / "data.yaml").unlink()
    with pytest.raises(DataError, match=r"class names in one/data\.yaml .* in two/data\.yaml"):
        YoloSource(tmp_path)


def test_two_yamls_of_one_folder_with_different_names_are_refused(tmp_path: Path) -> None:
    yolo(tmp_path, ["0 0.5 0.5 1 1", "1 0.5 0.5 1 1"])
    (tmp_path / "other.yaml").write_text("names: [sad, happy]\n")
    with pytest.raises(DataError, match=r"class names in data\.yaml and others in other\.yaml"):
        YoloSource(tmp_path)


def test_equal_names_may_be_given_twice_and_beside_the_labels(tmp_path: Path) -> None:
    yolo(tmp_path / "set", ["0 0.5 0.5 1 1", "1 0.5 0.5 1 1"])
    (tmp_path / "set" / "data.yaml").rename(tmp_path / "set" / "a.yaml")
    for name in ("b", "c"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "data.yaml").write_text("names: {0: happy, 1: sad}\n")
    samples = [item for item in YoloSource(tmp_path) if isinstance(item, Sample)]
    assert [item.label for item in samples] == ["happy", "sad"]


EMOTIONS = "happy\nsad\n"


@pytest.mark.parametrize(
    ("pictures", "labels", "listed"),
    [
        ("obj_train_data", "obj_train_data", "obj.names"),  # Darknet, and CVAT's export for it
        (".", ".", "classes.txt"),  # LabelImg
        ("JPEGImages", "labels", "labels/classes.txt"),
        ("x/JPEGImages/a", "x/labels/a", "classes.txt"),
    ],
)
def test_labels_are_also_beside_the_pictures(tmp_path: Path, pictures, labels, listed) -> None:
    yolo(tmp_path / "x", ["1 0.5 0.375 0.5 0.5", "", "0 0.5 0.5 1 1"])
    root = tmp_path / "set"
    for number in range(3):
        for folder, file in ((pictures, f"images/{number}.png"), (labels, f"labels/{number}.txt")):
            (root / folder).mkdir(parents=True, exist_ok=True)
            (tmp_path / "x" / file).rename(root / folder / Path(file).name)
    (root / listed).write_text(EMOTIONS)
    opened = open_dataset(str(root))
    assert opened.form == "yolo"
    items = list(opened.reader)
    assert [item.label for item in items if isinstance(item, Sample)] == ["sad", "happy"]
    assert [item.image.shape for item in items if isinstance(item, Sample)] == [(20, 20), (40, 40)]


@pytest.mark.parametrize("text", ["0 0 0 1 0 0 0", "happy", "10.5 20.5\n3 4", "3 40 20 60 60"])
def test_other_texts_beside_pictures_are_no_boxes(tmp_path: Path, text: str) -> None:
    for name in ("happy", "sad"):
        Pictures().save(tmp_path / name / "a.png")
        (tmp_path / name / "a.txt").write_text(text)
    assert find_labelled_pictures(open_tree(tmp_path)) == {}


def faces_only(root: Path, names: str, folders: tuple[str, str]) -> Path:
    """Writes boxes of one class in two folders; the second image has two faces."""
    face, other = "0 0.5 0.375 0.5 0.5", "0 0.2 0.2 0.1 0.1"
    for number, lines in enumerate([face, f"{face}\n{other}"]):
        path = root / "images" / folders[number] / f"{number}.png"
        label = root / "labels" / folders[number] / f"{number}.txt"
        Pictures().save(path)
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text(lines)
    (root / "data.yaml").write_text(names)
    return root


@pytest.mark.parametrize("names", ["names: [face]", ""])
@pytest.mark.parametrize("folders", [("happy", "sad"), ("", "")])
def test_boxes_of_faces_crop_what_folders_or_tables_label(tmp_path: Path, names, folders) -> None:
    root = faces_only(tmp_path, names, folders)
    if not folders[0]:
        with pytest.raises(DataError, match=r"list with path and label|nothing says what they"):
            open_dataset(str(root))
        (root / "emotions.csv").write_text("image,emotion\n0.png,happy\n1.png,sad\n")
    opened = open_dataset(str(root))
    samples = [item for item in opened.reader if isinstance(item, Sample)]
    assert [(s.label, s.image.shape) for s in samples] == [("happy", (10, 10)), ("sad", (20, 20))]
    np.testing.assert_array_equal(
        samples[0].image, region(root, f"./{folders[0]}/0.png", 5, 2, 15, 12)
    )
    note = "label files of 1 images; 1 images without a single box are read whole."
    assert any(note in text for text in opened.notes)


@pytest.mark.parametrize(
    ("line", "reason"),
    [("", "It has no label"), ("happy", "0.png"), ("happy 0.5 0.5 0.4 0.4", "0.png")],
)
def test_label_files_without_any_face_are_refused(tmp_path: Path, line: str, reason: str) -> None:
    with pytest.raises(DataError, match=f"gives a face, such as that of .*{reason}"):
        open_dataset(str(yolo(tmp_path, [line, line])))
