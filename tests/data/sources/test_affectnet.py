import shutil
from pathlib import Path

import numpy as np
import pytest

from fer_core.data.sources.affectnet import COLUMNS
from fer_core.data.sources.base import Sample
from fer_core.data.sources.formats import open_dataset, open_source, recognise
from fer_core.errors import DataError
from tests.support.layouts import AFFECTNET_ORDER, Pictures, affectnet_arrays

AUTOMATIC = "Automatically_annotated_file_list/automatically_annotated.csv"
MANUAL = "Manually_Annotated_file_lists"


def part(root: Path, file: str, images: str, codes=range(11), columns=COLUMNS) -> Path:
    """Writes a list and its images, in storage folders 0 to 2 as AffectNet's are."""
    pictures = Pictures()
    lines = [",".join(columns)]
    for number, code in enumerate(codes):
        key = f"{number % 3}/{number}.jpg"
        pictures.save(root / images / key)
        row = dict(zip(COLUMNS, [key, 0, 0, 20, 20, "1;2", code, 0.1, -0.2], strict=True))
        lines.append(",".join(str(row[column]) for column in columns))
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).write_text("\n".join(lines) + "\n")
    return root


def automatic(root: Path, file: str = AUTOMATIC, **options) -> Path:
    return part(root, file, "Automatically_Annotated_Images", **options)


def both(root: Path) -> Path:
    """Both parts; their pictures have the same names below their folders."""
    automatic(root)
    for name in ("training", "validation"):
        images = f"Manually_Annotated_Images/{name[0]}"
        part(root, f"{MANUAL}/{name}.csv", images)
        path = root / MANUAL / f"{name}.csv"
        head, *rows = path.read_text().splitlines()
        path.write_text("\n".join([head, *(f"{name[0]}/{row}" for row in rows)]) + "\n")
    return root


def labels(source) -> dict[str, tuple[str | None, str | None]]:
    return {item.key: (item.label, item.split) for item in source if isinstance(item, Sample)}


SEVEN_CODES = {f"{n % 3}/{n}.jpg": (label, None) for n, label in enumerate(AFFECTNET_ORDER[:7])}
LEFT_OUT = {
    "annotators say contempt": 1,
    "annotators say none": 1,
    "annotators say uncertain": 1,
    "annotators say not a face": 1,
}


@pytest.mark.parametrize("file", [AUTOMATIC, "lists/affectnet.csv", "a.csv"])
def test_a_list_is_known_by_its_header(tmp_path: Path, file: str) -> None:
    root = automatic(tmp_path, file)
    assert recognise(str(root)) == "affectnet"
    source = open_source(str(root))
    assert labels(source) == SEVEN_CODES
    assert source.left_out == LEFT_OUT


@pytest.mark.parametrize("place", ["Automatically_annotated_file_list", AUTOMATIC])
def test_the_automatic_part_is_read_by_the_path_of_its_list(tmp_path: Path, place: str) -> None:
    source = open_source(str(both(tmp_path) / place))
    assert labels(source) == SEVEN_CODES
    assert any("predictions of a network" in note for note in source.notes)


def test_a_list_without_landmarks_and_in_another_order_is_known(tmp_path: Path) -> None:
    columns = [column for column in reversed(COLUMNS) if column != "facial_landmarks"]
    assert labels(open_source(str(automatic(tmp_path, columns=columns)))) == SEVEN_CODES


def test_the_name_of_a_list_gives_its_split(tmp_path: Path) -> None:
    part(tmp_path, "affectnet_train.csv", "images", codes=[1, 2])
    assert {split for _, split in labels(open_source(str(tmp_path))).values()} == {"train"}
    (tmp_path / "affectnet_train.csv").rename(tmp_path / "affectnet_val.csv")
    assert {split for _, split in labels(open_source(str(tmp_path))).values()} == {"validation"}


def test_beside_the_manual_lists_the_automatic_one_is_named_and_not_read(tmp_path: Path) -> None:
    source = open_source(str(both(tmp_path)))
    read = labels(source)
    assert {key[0] for key in read} == {"t", "v"}
    assert {split for _, split in read.values()} == {"train", "validation"}
    assert len(read) == 14
    assert source.notes == [
        f"Not read: {AUTOMATIC}, which is another list of AffectNet. Give the path of a list to "
        "read it."
    ]


def test_a_part_of_a_manual_list_beside_it_is_not_read(tmp_path: Path) -> None:
    part(tmp_path, "training.csv", "images", codes=[1, 2, 3])
    part(tmp_path, "training_small.csv", "images", codes=[1, 2])
    source = open_source(str(tmp_path))
    assert len(labels(source)) == 3
    assert any("Not read: training_small.csv" in note for note in source.notes)
    assert len(labels(open_source(str(tmp_path / "training_small.csv")))) == 2


def test_lists_with_the_same_pictures_are_refused(tmp_path: Path) -> None:
    part(tmp_path, "train.csv", "images", codes=[1, 2, 3])
    part(tmp_path, "train_small.csv", "images", codes=[1, 2])
    with pytest.raises(DataError, match=r"such as 0/0\.jpg, .*train\.csv, train_small\.csv"):
        open_source(str(tmp_path))
    assert len(labels(open_source(str(tmp_path / "train.csv")))) == 3


def test_pictures_of_both_parts_may_have_the_same_names(tmp_path: Path) -> None:
    automatic(tmp_path)
    part(tmp_path, f"{MANUAL}/training.csv", "Manually_Annotated_Images", codes=[1, 2])
    source = open_source(str(tmp_path))
    assert {item.name for item in source.listed()} == {
        "Manually_Annotated_Images/0/0.jpg",
        "Manually_Annotated_Images/1/1.jpg",
    }


def test_a_csv_that_cannot_be_read_is_no_list(tmp_path: Path) -> None:
    root = automatic(tmp_path)
    (root / "notes.csv").write_bytes(b"a,b\rc,d\r\x00\xff")
    assert labels(open_source(str(root))) == SEVEN_CODES


@pytest.mark.parametrize("beside", [True, False])
def test_one_set_is_read_alone_and_arrays_may_be_beside_the_images(tmp_path, beside) -> None:
    root = affectnet_arrays(tmp_path)
    shutil.rmtree(root / "train_set")
    if beside:
        for file in [*(root / "val_set").rglob("*.*")]:
            file.rename(root / "val_set" / file.name)
    opened = open_dataset(str(root))
    assert opened.form == "affectnet"
    samples = [item for item in opened.reader if isinstance(item, Sample)]
    assert {(s.split, *s.extras.items()) for s in samples} == {("validation", ("valence", 0.5))}
    assert [s.label for s in samples] == [
        name for name in AFFECTNET_ORDER if name != "contempt" for _ in range(2)
    ]
    assert samples[0].key == "val_set/00"


def test_arrays_that_belong_to_no_image_are_no_annotations(tmp_path: Path) -> None:
    for label in ("happy", "sad"):
        Pictures().save(tmp_path / label / "a.png")
        np.save(tmp_path / label / "b_exp.npy", np.zeros(3))
    assert open_dataset(str(tmp_path)).form == "folder"
