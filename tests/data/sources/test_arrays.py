"""NumPy arrays of images and labels, in the forms of tutorials and published files."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fer_core.data.sources.arrays import ArraysSource
from fer_core.data.sources.base import Sample, Skipped
from fer_core.data.sources.formats import OpenedSource, open_dataset
from fer_core.errors import DataError
from tests.support.layouts import class_folders, tarred, zipped

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 48, 48), dtype=np.uint8)
NAMES = np.array(["happy", "angry", "sad", "happy", "angry", "sad"])
CODES = np.array([3, 0, 4, 3, 0, 4])  # of FER2013
EXPECTED = list(NAMES)


def write(root: Path, arrays: Mapping[str, np.ndarray]) -> Path:
    """Writes `.npz` and `.npy` files: `a.npz/x` is an array in a `.npz` file."""
    packed: dict[str, dict[str, Any]] = {}
    for name, values in arrays.items():
        file, _, member = name.partition(".npz/")
        if member:
            packed.setdefault(file, {})[member] = values
        else:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            np.save(root / name, values)
    for file, members in packed.items():
        root.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(root / f"{file}.npz", **members)
    return root


def samples(opened: OpenedSource) -> list[Sample]:
    return [item for item in opened.reader if isinstance(item, Sample)]


@pytest.mark.parametrize(
    ("arrays", "form"),
    [
        ({"a.npz/images": IMAGES, "a.npz/labels": NAMES}, "uint8"),
        ({"a.npz/X": IMAGES[..., None], "a.npz/y": NAMES[:, None]}, "a channel and a column"),
        ({"X.npy": IMAGES / 255.0, "y.npy": NAMES}, "0 to 1"),
        ({"X.npy": IMAGES.astype(np.float32), "y.npy": np.char.encode(NAMES)}, "0 to 255, bytes"),
        ({"images.npy": IMAGES.reshape(6, -1), "emotions.npy": NAMES}, "rows of pixels"),
        ({"a.npz/arr_0": IMAGES, "a.npz/arr_1": NAMES}, "default names"),
        ({"X.npy": IMAGES / 255 * (1 + 1e-7) - 1e-9, "Y.npy": NAMES}, "rounding errors"),
        ({"x.npy": IMAGES, "emo.npy": NAMES, "gender_label.npy": NAMES[::-1]}, "other labels"),
        ({"x.npy": IMAGES, "y.npy": NAMES, "y_pred.npy": NAMES[::-1]}, "predictions"),
        ({"x.npy": IMAGES, "y.npy": NAMES, "heat.npy": IMAGES[:2]}, "other images"),
        ({"x.npy": IMAGES, "y.npy": NAMES, "features.npy": IMAGES / 9}, "features"),
        ({"x.npy": IMAGES, "y.npy": NAMES, "names.npy": NAMES.astype(object)}, "objects"),
        ({"x.npy": IMAGES[:, None], "y.npy": NAMES, "age.npy": np.arange(6)}, "channels first"),
        ({"d/fdataX.npy": IMAGES[..., None], "d/flabels.npy": NAMES}, "a folder below"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_arrays_give_the_images_and_labels(tmp_path: Path, arrays, form) -> None:
    opened = open_dataset(str(write(tmp_path, arrays)))
    assert opened.form == "arrays"
    read = samples(opened)
    assert [sample.label for sample in read] == EXPECTED
    np.testing.assert_array_equal([sample.image for sample in read], IMAGES)
    assert {sample.split for sample in read} == {None}
    assert [item.label for item in opened.reader.entries()] == EXPECTED
    assert len(opened.reader) == 6
    rest = list(opened.reader.items(4))
    assert [sample.key for sample in rest] == ["all/000004", "all/000005"]


@pytest.mark.parametrize(
    "names",
    [
        ("a.npz/x_{}", "a.npz/y_{}"),
        ("a.npz/{}_images", "a.npz/{}_labels"),
        ("modX{}.npy", "mody{}.npy"),
        ("{}.npz/x", "{}.npz/y"),
        ("{}/X.npy", "{}/y.npy"),
        ("{}X.npy", "{}Y.npy"),
        ("{}Images.npy", "{}Labels.npy"),
        ("x{}.npy", "y{}.npy"),
        ("X{}Data.npy", "Y{}.npy"),
    ],
)
def test_splits_are_named_by_array_file_or_folder(tmp_path: Path, names) -> None:
    rows = {"train": slice(0, 3), "val": slice(3, 5), "test": slice(5, 6)}
    arrays = {}
    for split, part in rows.items():
        arrays[names[0].format(split)] = IMAGES[part]
        arrays[names[1].format(split)] = NAMES[part]
    read = samples(open_dataset(str(write(tmp_path, arrays))))
    by_image = {sample.image.tobytes(): (sample.label, sample.split) for sample in read}
    splits = ["train"] * 3 + ["validation"] * 2 + ["test"]
    assert [by_image[image.tobytes()] for image in IMAGES] == list(
        zip(EXPECTED, splits, strict=True)
    )


def test_a_file_and_an_archive_give_the_same(tmp_path: Path) -> None:
    write(tmp_path, {"a.npz/images": IMAGES, "a.npz/labels": NAMES})
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.write(tmp_path / "a.npz", "faces/a.npz")
    for path in ("a.npz", "set.zip"):
        opened = open_dataset(str(tmp_path / path))
        assert [sample.label for sample in samples(opened)] == EXPECTED
        assert next(iter(opened.reader.stats())).size == (tmp_path / path).stat().st_size


def test_numbers_are_asked_about_or_named_by_an_array_of_classes(tmp_path: Path) -> None:
    arrays = {"a.npz/x": IMAGES, "a.npz/y": np.eye(7)[CODES]}
    path = write(tmp_path / "coded", arrays)
    with pytest.raises(DataError, match="--codes fer2013"):
        open_dataset(str(path))
    opened = open_dataset(str(path), options={"codes": "fer2013"})
    assert [sample.label for sample in samples(opened)] == EXPECTED
    classes = np.array(["sad", "happy", "angry", "fear", "disgust"])
    named = write(tmp_path / "named", {**arrays, "a.npz/classes": classes})
    read = samples(open_dataset(str(named)))
    assert [sample.label for sample in read] == ["fear", "sad", "disgust", "fear", "sad", "disgust"]


def test_colours_are_kept_and_rows_without_a_label_skipped(tmp_path: Path) -> None:
    colour = np.stack([IMAGES, IMAGES[::-1], IMAGES], axis=-1)
    labels = np.array(["happy", "", "sad", "happy", "nan", "sad"])
    opened = open_dataset(str(write(tmp_path, {"X.npy": colour, "y.npy": labels})))
    items = list(opened.reader)
    assert [isinstance(item, Skipped) for item in items] == [False, True, False, False, True, False]
    np.testing.assert_array_equal(items[2].image, colour[2])


@pytest.mark.parametrize(
    "names",
    [
        ("_Training", "_PublicTest", "_PrivateTest"),
        ("Training", "PublicTest", "PrivateTest"),
        ("_tr", "_va", "_te"),
        ("tr", "va", "te"),
    ],
)
def test_other_names_of_splits_are_known(tmp_path: Path, names) -> None:
    arrays = {}
    for number, name in enumerate(names):
        arrays[f"X{name}.npy"] = IMAGES[2 * number : 2 * number + 2]
        arrays[f"y{name}.npy"] = NAMES[2 * number : 2 * number + 2]
    read = samples(open_dataset(str(write(tmp_path, arrays))))
    splits = ["train", "train", "validation", "validation", "test", "test"]
    assert [(sample.label, sample.split) for sample in read] == list(
        zip(EXPECTED, splits, strict=True)
    )


@pytest.mark.parametrize("name", ["faces_latest.npz", "validated.npz", "testimony.npz"])
def test_words_that_contain_a_split_name_none(tmp_path: Path, name) -> None:
    opened = open_dataset(str(write(tmp_path, {f"{name}/x": IMAGES, f"{name}/y": NAMES})))
    assert {sample.split for sample in samples(opened)} == {None}


def test_images_without_labels_are_named(tmp_path: Path) -> None:
    arrays = {"x_train.npy": IMAGES, "y_train.npy": NAMES, "x_test.npy": IMAGES}
    notes = open_dataset(str(write(tmp_path, arrays))).notes
    assert "Not read: x_test.npy, 6 images without labels." in notes
    write(tmp_path, {"y_test.npy": NAMES[:5]})
    with pytest.raises(DataError, match=r"x_test.npy has 6 images, but y_test.npy has .* \(5,\)"):
        open_dataset(str(tmp_path))


def test_equal_labels_in_two_arrays_are_read_once_and_one_can_be_named(tmp_path: Path) -> None:
    arrays = {"x.npy": IMAGES, "y.npy": CODES, "y_onehot.npy": np.eye(7)[CODES]}
    path = str(write(tmp_path, arrays))
    options = {"codes": "fer2013"}
    assert [s.label for s in samples(open_dataset(path, options=options))] == EXPECTED
    np.save(tmp_path / "y_onehot.npy", np.eye(7)[CODES[::-1]])
    with pytest.raises(DataError, match=r"may all be the labels of x\.npy, and they differ"):
        open_dataset(path, options=options)
    for label, expected in (("y", EXPECTED), ("y_onehot", EXPECTED[::-1])):
        read = samples(open_dataset(path, options={**options, "label": label}))
        assert [sample.label for sample in read] == expected


@pytest.mark.parametrize("start", [1, 5])
def test_names_are_not_given_to_other_numbers(tmp_path: Path, start) -> None:
    classes = np.array(["happy", "angry", "sad", "fear", "neutral", "surprise", "disgust"])
    arrays = {"x": IMAGES, "y": np.arange(6) % 3 + start, "class_names": classes}
    path = write(tmp_path, {f"a.npz/{name}": values for name, values in arrays.items()})
    with pytest.raises(DataError, match="--codes"):
        open_dataset(str(path))
    notes = open_dataset(str(path), options={"codes": "rafdb"}).notes
    assert any(note.startswith("The names happy, angry,") for note in notes)


def test_a_colour_anywhere_makes_the_set_coloured(tmp_path: Path) -> None:
    images = np.repeat(np.repeat(IMAGES[:1], 120, axis=0)[..., None], 3, axis=3)
    images[100:, ..., 0] = 0
    labels = np.array(["happy", "sad"] * 60)
    opened = open_dataset(str(write(tmp_path, {"x.npy": images, "y.npy": labels})))
    assert opened.reader.colour


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"x.npy": IMAGES, "y.npy": NAMES, "label.npy": NAMES[::-1]}, "may all be the labels"),
        ({"a.npy": IMAGES, "b.npy": IMAGES, "y.npy": NAMES}, "both images with labels"),
        ({"X.npy": IMAGES, "y.npy": NAMES, "X_train.npy": IMAGES, "y_train.npy": NAMES}, "both"),
        ({"x.npy": IMAGES / 127.5 - 1, "y.npy": NAMES}, "holds values from -1 to 1"),
        ({"x.npy": IMAGES / 200, "y.npy": NAMES}, "holds values from 0 to 1.275"),
        ({"x.npy": IMAGES // 128, "y.npy": NAMES}, "holds values from 0 to 1"),
        ({"x.npy": np.full((6, 48, 48), np.nan), "y.npy": NAMES}, "holds values from nan"),
        ({"x.npy": IMAGES, "y.npy": np.full((6, 7), 1 / 7)}, "not a single 1 in each row"),
        ({"x.npy": IMAGES, "y.npy": NAMES.astype(object)}, r"y\.npy holds pickled Python objects"),
        ({"x.npy": IMAGES, "age.npy": NAMES}, r"holds age\.npy \(6,\), x\.npy \(6, 48, 48\), and"),
        ({"x.npy": IMAGES}, r"holds x\.npy \(6, 48, 48\), and none"),
    ],
)
def test_what_is_unclear_is_an_error_with_a_remedy(tmp_path: Path, arrays, says) -> None:
    with pytest.raises(DataError, match=says):
        list(open_dataset(str(write(tmp_path, arrays))).reader)


def test_damaged_files_are_errors_only_where_arrays_are_wanted(tmp_path: Path) -> None:
    path = write(tmp_path / "cut", {"x.npy": IMAGES, "y.npy": NAMES}) / "x.npy"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(DataError, match=r"x\.npy cannot be read as an array"):
        list(open_dataset(str(tmp_path / "cut")).reader)
    with pytest.raises(DataError, match="one array"):
        open_dataset(str(path))
    folders = class_folders(tmp_path / "folders", ["happy", "sad"])
    (folders / "features.npz").write_bytes(b"PK\x03\x04 no zip")
    assert open_dataset(str(folders)).form == "folder"
    with pytest.raises(DataError, match=r"features\.npz in .* cannot be read"):
        ArraysSource(folders)


@pytest.mark.parametrize(("pack", "name"), [(zipped, "a.zip"), (tarred, "a.tar.gz")])
def test_arrays_in_archives_are_read(tmp_path: Path, pack, name) -> None:
    loose = write(tmp_path / "loose", {"X.npy": IMAGES, "y.npy": NAMES})
    pack(loose, tmp_path / name)
    assert [sample.label for sample in samples(open_dataset(str(tmp_path / name)))] == EXPECTED
    packed = write(tmp_path / "packed", {"b.npz/x": IMAGES[:3], "b.npz/y": NAMES[:3]})
    pack(packed, tmp_path / name)
    inside = open_dataset(str(tmp_path / name / "b.npz"))
    assert [sample.label for sample in samples(inside)] == EXPECTED[:3]
