"""Readers of published layouts, on small trees written in exactly those layouts."""

import shutil
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from fer_core.data.sources.affectnet import (
    AffectNetArraysSource,
    AffectNetCsvSource,
    AffectNetFolderSource,
)
from fer_core.data.sources.base import Sample, Skipped
from fer_core.data.sources.fer2013_folder import Fer2013FolderSource
from fer_core.data.sources.formats import open_source, recognise
from fer_core.data.sources.huggingface import HuggingFaceSource
from fer_core.data.sources.human_emotions import HumanEmotionsSource, original_name
from fer_core.data.sources.rafdb import RafDbFolderSource, RafDbSource
from fer_core.data.sources.tables import Columns
from fer_core.errors import DataError
from tests.support.helpers import noise

RAF_CLASSES = ["surprise", "fear", "disgust", "happy", "sad", "angry", "neutral"]
"""RAF-DB's codes 1 to 7, as its readme lists them."""
AFFECTNET_CLASSES = ["neutral", "happy", "sad", "surprise", "fear", "disgust", "angry"]
"""AffectNet's codes 0 to 6."""


def picture(path: Path, seed: int = 0, side: int = 24, colour: bool = True) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise(1, seed=seed, side=side, colour=colour)[0]).save(path, quality=95)
    return path


def given(source) -> dict[str, Sample]:
    """Returns a source's samples by key; nothing may be skipped."""
    items = list(source)
    assert len(items) == len(source)
    assert not [item for item in items if isinstance(item, Skipped)]
    return {item.key: item for item in items}


@pytest.fixture
def rafdb(tmp_path: Path) -> Path:
    """`basic/EmoLabel/list_patition_label.txt` and `basic/Image/aligned/`."""
    lines = []
    for code in range(1, 8):
        for split, number in (("train", code), ("test", code)):
            lines.append(f"{split}_{number:05d}.jpg {code}")
            aligned = tmp_path / "basic/Image/aligned" / f"{split}_{number:05d}_aligned.jpg"
            picture(aligned, seed=2 * code + (split == "test"))
    (tmp_path / "basic/EmoLabel").mkdir()
    (tmp_path / "basic/EmoLabel/list_patition_label.txt").write_text("\n".join(lines) + "\n")
    return tmp_path


@pytest.mark.parametrize("place", ["", "basic", "basic/EmoLabel"])
def test_rafdb_is_read_by_its_list(rafdb: Path, place: str) -> None:
    assert recognise(str(rafdb / place)) == "rafdb"
    samples = given(open_source(str(rafdb / place)))
    assert len(samples) == 14
    for code, label in enumerate(RAF_CLASSES, 1):
        for split in ("train", "test"):
            sample = samples[f"{split}_{code:05d}"]
            assert (sample.label, sample.split) == (label, split)
    assert samples["train_00001"].image.shape == (24, 24, 3)


def test_rafdb_folders_give_the_same_samples_as_the_list(rafdb: Path, tmp_path: Path) -> None:
    folders = tmp_path / "DATASET"
    for code in range(1, 8):
        for split in ("train", "test"):
            name = f"{split}_{code:05d}_aligned.jpg"
            (folders / split / str(code)).mkdir(parents=True)
            data = (rafdb / "basic/Image/aligned" / name).read_bytes()
            (folders / split / str(code) / name).write_bytes(data)
    assert recognise(str(folders)) == "rafdb"
    listed, result = given(RafDbSource(rafdb)), given(RafDbFolderSource(folders))
    assert listed.keys() == result.keys()
    for key, sample in listed.items():
        assert (sample.label, sample.split) == (result[key].label, result[key].split)
        np.testing.assert_array_equal(sample.image, result[key].image)


def test_a_listed_picture_that_is_missing_is_skipped(rafdb: Path) -> None:
    (rafdb / "basic/Image/aligned/test_00003_aligned.jpg").unlink()
    items = list(RafDbSource(rafdb))
    assert [item.key for item in items if isinstance(item, Skipped)] == ["test_00003"]
    assert len(items) == 14


@pytest.mark.parametrize("line", ["train_00099.jpg 8", "train_00099.jpg 0", "other_1.jpg 3", "x"])
def test_a_malformed_line_of_rafdb_is_named(rafdb: Path, line: str) -> None:
    labels = rafdb / "basic/EmoLabel/list_patition_label.txt"
    labels.write_text(labels.read_text() + line + "\n")
    with pytest.raises(DataError, match="line 15"):
        RafDbSource(rafdb)


def test_rafdb_without_images_names_the_archive_to_unpack(tmp_path: Path) -> None:
    (tmp_path / "EmoLabel").mkdir()
    (tmp_path / "EmoLabel/list_patition_label.txt").write_text("train_00001.jpg 1\n")
    with pytest.raises(DataError, match=r"aligned\.zip"):
        RafDbSource(tmp_path)


def test_an_unknown_class_folder_of_rafdb_is_refused(rafdb: Path, tmp_path: Path) -> None:
    picture(tmp_path / "d/train/8/train_1_aligned.jpg")
    with pytest.raises(DataError, match=r"the class 8, which is not a code of rafdb"):
        RafDbFolderSource(tmp_path / "d")


@pytest.fixture
def affectnet_csv(tmp_path: Path) -> Path:
    """The first release: lists of annotations beside `Manually_Annotated_Images`."""
    head = (
        "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,"
        "expression,valence,arousal"
    )
    lists = tmp_path / "Manually_Annotated_file_lists"
    lists.mkdir()
    for number, (name, codes) in enumerate({"training": range(11), "validation": range(8)}.items()):
        lines = [head]
        for code in codes:
            key = f"{number}/{code:02d}abc.jpg"
            lines.append(f"{key},4,6,12,10,1.5;2.5;3.5,{code},{-2 if code > 7 else 0.25},-0.5")
            picture(tmp_path / "Manually_Annotated_Images" / key, seed=20 * number + code, side=40)
        (lists / f"{name}.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


@pytest.mark.parametrize(
    "place", ["", "Manually_Annotated_file_lists", "Manually_Annotated_file_lists/training.csv"]
)
def test_affectnet_is_read_by_its_csv(affectnet_csv: Path, place: str) -> None:
    assert recognise(str(affectnet_csv / place)) == "affectnet"
    source = open_source(str(affectnet_csv / place))
    samples = given(source)
    assert len(samples) == 14
    for number, split in ((0, "train"), (1, "validation")):
        for code, label in enumerate(AFFECTNET_CLASSES):
            sample = samples[f"{number}/{code:02d}abc.jpg"]
            assert (sample.label, sample.split) == (label, split)
    assert source.left_out == {
        "annotators say contempt": 2,
        "annotators say none": 1,
        "annotators say uncertain": 1,
        "annotators say not a face": 1,
    }


def test_affectnet_keeps_valence_and_arousal_and_crops_the_face(affectnet_csv: Path) -> None:
    sample = given(AffectNetCsvSource(affectnet_csv))["0/03abc.jpg"]
    assert sample.extras == {"valence": 0.25, "arousal": -0.5}
    assert sample.image.shape == (12, 12, 3)  # the box, 12 by 10, made square
    with Image.open(affectnet_csv / "Manually_Annotated_Images/0/03abc.jpg") as whole:
        np.testing.assert_array_equal(sample.image, np.asarray(whole)[5:17, 4:16])


@pytest.mark.parametrize("code", [11, float("inf")])
def test_an_unknown_code_of_affectnet_names_its_row(affectnet_csv: Path, code: float) -> None:
    csv = affectnet_csv / "Manually_Annotated_file_lists/training.csv"
    table = pd.read_csv(csv).astype({"expression": float})
    table.loc[4, "expression"] = code
    table.to_csv(csv, index=False)
    with pytest.raises(DataError, match=r"training\.csv, row 4.*0 to 10"):
        AffectNetCsvSource(affectnet_csv)


def test_an_affectnet_path_outside_the_folder_is_not_read(affectnet_csv: Path) -> None:
    csv = affectnet_csv / "Manually_Annotated_file_lists/training.csv"
    csv.write_text(csv.read_text().replace("0/02abc.jpg", "../../outside.jpg"))
    skipped = [item for item in AffectNetCsvSource(affectnet_csv) if isinstance(item, Skipped)]
    assert [item.key for item in skipped] == ["../../outside.jpg"]


@pytest.fixture
def affectnet_arrays(tmp_path: Path) -> Path:
    """The later release: `<n>_exp.npy` beside `<n>_val.npy`, numbers stored as text."""
    for number, part in enumerate(("train_set", "val_set")):
        for code in range(8):
            picture(tmp_path / part / "images" / f"{code}.jpg", seed=10 * number + code)
            notes = tmp_path / part / "annotations"
            notes.mkdir(exist_ok=True)
            np.save(notes / f"{code}_exp.npy", np.array(str(code)))
            np.save(notes / f"{code}_val.npy", np.array("-0.75"))
            np.save(notes / f"{code}_aro.npy", np.array(0.5))
            np.save(notes / f"{code}_lnd.npy", np.zeros(136))
    return tmp_path


def test_affectnet_is_read_by_its_annotation_arrays(affectnet_arrays: Path) -> None:
    source = open_source(str(affectnet_arrays))
    assert isinstance(source, AffectNetArraysSource)
    samples = given(source)
    assert {key: sample.label for key, sample in samples.items()} == {
        f"{part}/{code}": label
        for part in ("train_set", "val_set")
        for code, label in enumerate(AFFECTNET_CLASSES)
    }
    assert samples["train_set/0"].extras == {"valence": -0.75, "arousal": 0.5}
    assert {sample.split for key, sample in samples.items() if key.startswith("val")} == {
        "validation"
    }
    assert source.left_out == {"annotators say contempt": 2}


def test_a_missing_annotation_of_affectnet_is_named(affectnet_arrays: Path) -> None:
    (affectnet_arrays / "val_set/annotations/3_exp.npy").unlink()
    with pytest.raises(DataError, match=r"val_set/annotations/3_exp\.npy is missing"):
        AffectNetArraysSource(affectnet_arrays)


def test_affectnet_without_images_names_their_folder(affectnet_arrays: Path) -> None:
    shutil.rmtree(affectnet_arrays / "val_set/images")
    with pytest.raises(DataError, match=r"val_set/images does not exist.*beside their annotations"):
        AffectNetArraysSource(affectnet_arrays)


def test_pickled_annotations_are_refused(affectnet_arrays: Path) -> None:
    np.save(affectnet_arrays / "val_set/annotations/3_exp.npy", np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataError, match=r"3_exp\.npy holds no number"):
        AffectNetArraysSource(affectnet_arrays)


def test_affectnet_folders_are_read_by_code(tmp_path: Path) -> None:
    parts = ("train", "val")
    for number, part in enumerate(parts):
        for code in range(8):
            picture(tmp_path / part / str(code) / "a.jpg", seed=10 * number + code)
    with pytest.raises(DataError, match="--format affectnet"):
        open_source(str(tmp_path))
    source = AffectNetFolderSource(tmp_path)
    samples = given(source)
    assert {sample.label for sample in samples.values()} == set(AFFECTNET_CLASSES)
    assert samples["train/4/a.jpg"].label == "fear"
    assert samples["val/4/a.jpg"].split == "validation"
    assert source.left_out == {"the class contempt is left out": len(parts)}


def test_contempt_is_kept_on_request(tmp_path: Path) -> None:
    for number, part in enumerate(("train", "val")):
        for code in (0, 7):
            picture(tmp_path / part / str(code) / "a.jpg", seed=10 * number + code)
    source = open_source(str(tmp_path), "affectnet", mapping={"contempt": "contempt"})
    assert {sample.label for sample in given(source).values()} == {"neutral", "contempt"}


def test_class_numbers_without_names_are_refused(tmp_path: Path) -> None:
    for number in range(4):
        picture(tmp_path / str(1 + number % 2) / f"{number}.jpg", seed=number)
    with pytest.raises(DataError, match=r"(?s)are numbers \(1, 2\).*--map-class 1=happy"):
        open_source(str(tmp_path))
    named = open_source(str(tmp_path), mapping={"1": "happy", "2": "sad"})
    assert {sample.label for sample in given(named).values()} == {"happy", "sad"}
    unnamed = given(open_source(str(tmp_path), any_classes=True))
    assert {sample.label for sample in unnamed.values()} == {"1", "2"}


def test_fer2013_folders_get_their_three_splits(tmp_path: Path) -> None:
    """In the widespread copy, `test` holds PublicTest and PrivateTest together."""
    for number, label in enumerate(("angry", "happy")):
        picture(tmp_path / f"train/{label}/Training_{number}.jpg", number, colour=False)
        picture(tmp_path / f"test/{label}/PublicTest_{number}.jpg", 10 + number, colour=False)
        picture(tmp_path / f"test/{label}/PrivateTest_{number}.jpg", 20 + number, colour=False)
    (tmp_path / "train/angry/.DS_Store").write_text("left by a file manager")
    assert recognise(str(tmp_path)) == "fer2013"
    source = open_source(str(tmp_path))
    assert isinstance(source, Fer2013FolderSource)
    assert (source.colour, source.origin.name) == (False, "fer2013")
    assert {key: sample.split for key, sample in given(source).items()} == {
        "train/angry/Training_0.jpg": "train",
        "train/happy/Training_1.jpg": "train",
        "test/angry/PublicTest_0.jpg": "validation",
        "test/happy/PublicTest_1.jpg": "validation",
        "test/angry/PrivateTest_0.jpg": "test",
        "test/happy/PrivateTest_1.jpg": "test",
    }


@pytest.fixture
def human_emotions(tmp_path: Path) -> Path:
    """The archive's nested folders; one altered copy stands on the other side of its original."""
    root = tmp_path / "Emotions Dataset" / "Emotions Dataset"
    for number, label in enumerate(("angry", "happy", "sad")):
        for offset, name in enumerate(
            ("train/{}/12.jpg", "train/{}/12_rotation_1.jpg", "train/{}/13.jpg", "test/{}/13.jpg",
             "test/{}/14.jpg", "test/{}/12_rotation_2.jpg")
        ):  # fmt: skip
            picture(root / name.format(label), seed=10 * number + offset)
    return tmp_path


def test_human_emotions_groups_augmented_copies_with_their_originals(human_emotions: Path) -> None:
    samples = given(HumanEmotionsSource(human_emotions))
    assert {sample.label for sample in samples.values()} == {"angry", "happy", "sad"}
    groups = {key: sample.group for key, sample in samples.items() if "happy" in key}
    assert groups == {
        "train/happy/12.jpg": "happy/12",
        "train/happy/12_rotation_1.jpg": "happy/12",
        "test/happy/12_rotation_2.jpg": "happy/12",
        "train/happy/13.jpg": None,  # equal names alone prove nothing
        "test/happy/13.jpg": None,
        "test/happy/14.jpg": None,
    }


@pytest.mark.parametrize(
    ("stem", "original"),
    [
        ("100221_rotation_1", "100221"),
        ("a_b_rotation_10_flip", "a_b"),
        ("face-rotated-90", "face"),
        ("img_brightness_2", "img"),
        ("plain", "plain"),
        ("rotation_1_of_a_kind", "rotation_1_of_a_kind"),
        ("12_1", "12_1"),
    ],
)
def test_names_of_augmented_copies_give_the_original(stem: str, original: str) -> None:
    assert original_name(stem) == original


def write_parquet(path: Path, labels: list, *, names: list[str] | None = None, start=0) -> Path:
    """Writes image and label columns as the `datasets` package does, features in the schema."""
    import io
    import json

    cells = []
    for number in range(len(labels)):
        buffer = io.BytesIO()
        pixels = noise(1, seed=start + number, side=24, colour=True)[0]
        Image.fromarray(pixels).save(buffer, "PNG")
        cells.append({"bytes": buffer.getvalue(), "path": f"{number}.png"})
    table = pa.table({"image": cells, "label": labels})
    if names:
        features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
        head = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": head})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return path


NAMES = ["Anger", "happiness", "neutral"]


def test_parquet_files_in_hub_layout(tmp_path: Path) -> None:
    write_parquet(tmp_path / "data/train-00000-of-00002.parquet", [0, 1, 2], names=NAMES)
    write_parquet(tmp_path / "data/train-00001-of-00002.parquet", [2, 0], names=NAMES, start=10)
    write_parquet(tmp_path / "data/test-00000-of-00001.parquet", [1, 0, 2], names=NAMES, start=20)
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n# Card\n")
    assert recognise(str(tmp_path)) == "huggingface"
    source = open_source(str(tmp_path))
    samples = given(source)
    assert source.colour
    assert source.origin.licence == "mit"
    assert {key: sample.label for key, sample in samples.items()} == {
        "train/000000": "angry",
        "train/000001": "happy",
        "train/000002": "neutral",
        "train/000003": "neutral",
        "train/000004": "angry",
        "test/000000": "happy",
        "test/000001": "angry",
        "test/000002": "neutral",
    }
    np.testing.assert_array_equal(
        samples["train/000003"].image, noise(1, seed=10, side=24, colour=True)[0]
    )


def test_colour_after_many_grey_images_is_found(tmp_path: Path) -> None:
    cells = []
    for number in range(120):
        buffer = BytesIO()
        colour = (number, number, number) if number < 90 else (number, 0, 200)
        Image.new("RGB", (48, 48), colour).save(buffer, "PNG")
        cells.append({"bytes": buffer.getvalue(), "path": None})
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    table = pa.table({"image": pa.array(cells, kind), "label": ["happy", "sad"] * 60})
    pq.write_table(table, tmp_path / "grey_first.parquet", row_group_size=16)
    pq.write_table(table[:90], tmp_path / "grey.parquet")
    source = HuggingFaceSource(str(tmp_path / "grey_first.parquet"))
    assert source.colour
    assert next(iter(source)).image.shape == (48, 48, 3)
    assert not HuggingFaceSource(str(tmp_path / "grey.parquet")).colour


def test_each_parquet_file_has_its_own_class_codes(tmp_path: Path) -> None:
    write_parquet(tmp_path / "train-0.parquet", [0, 1, 2], names=["happy", "angry", "sad"])
    write_parquet(tmp_path / "train-1.parquet", [0, 1], names=["angry", "sad"], start=10)
    write_parquet(tmp_path / "test-0.parquet", [0, 1, 2], names=["sad", "happy", "angry"], start=20)
    labels = [(item.split, item.label) for item in HuggingFaceSource(str(tmp_path))]
    assert [name for split, name in labels if split == "test"] == ["sad", "happy", "angry"]
    assert [name for split, name in labels if split == "train"] == [
        "happy",
        "angry",
        "sad",
        "angry",
        "sad",
    ]


def test_a_column_missing_in_one_split_is_named(tmp_path: Path) -> None:
    write_parquet(tmp_path / "train-0.parquet", ["happy", "sad"])
    path = write_parquet(tmp_path / "test-0.parquet", ["happy", "sad"], start=5)
    pq.write_table(pq.read_table(path).rename_columns(["image", "emotion"]), path)
    with pytest.raises(DataError, match="no label column"):
        HuggingFaceSource(str(tmp_path))


def test_a_single_split_counts_as_none(tmp_path: Path) -> None:
    source = HuggingFaceSource(str(write_parquet(tmp_path / "all.parquet", ["sad", "joy"])))
    assert [(item.label, item.split) for item in source] == [("sad", None), ("happy", None)]


def test_validation_stays_validation_without_a_test_split(tmp_path: Path) -> None:
    write_parquet(tmp_path / "default/train/0000.parquet", ["sad", "happy"])
    write_parquet(tmp_path / "default/validation/0000.parquet", ["sad", "happy"], start=9)
    assert {item.split for item in HuggingFaceSource(str(tmp_path))} == {"train", "validation"}


def test_numbers_without_names_and_missing_columns_are_refused(tmp_path: Path) -> None:
    path = str(write_parquet(tmp_path / "all.parquet", [0, 1]))
    with pytest.raises(DataError, match=r"(?s)are numbers \(0, 1\).*--codes fer2013"):
        HuggingFaceSource(path)
    with pytest.raises(DataError, match=r"no column 'mood'; its columns are .*Correct --label"):
        HuggingFaceSource(path, columns=Columns(label="mood"))


def test_a_damaged_cell_is_skipped_and_a_damaged_file_named(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "all.parquet", ["sad", "happy"])
    table = pq.read_table(path).to_pydict()
    table["image"][1] = {"bytes": b"nonsense", "path": None}
    pq.write_table(pa.table(table), path)
    first, second = HuggingFaceSource(str(path))
    assert isinstance(first, Sample)
    assert isinstance(second, Skipped)
    path.write_bytes(b"PAR1 nonsense")
    with pytest.raises(DataError, match=r"all\.parquet cannot be read as a parquet"):
        HuggingFaceSource(str(path))


def test_a_save_to_disk_folder_is_read(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["sad", "Fear"])}
    )
    pictures = [Image.fromarray(image) for image in noise(4, side=24, colour=True)]
    table = datasets.Dataset.from_dict({"image": pictures, "label": [0, 1, 1, 0]}, features)
    datasets.DatasetDict({"train": table, "test": table}).save_to_disk(str(tmp_path / "saved"))
    assert recognise(str(tmp_path / "saved")) == "huggingface"
    samples = given(open_source(str(tmp_path / "saved")))
    assert [samples[f"test/00000{n}"].label for n in range(4)] == ["sad", "fear", "fear", "sad"]
    np.testing.assert_array_equal(samples["train/000002"].image, noise(4, side=24, colour=True)[2])


def test_an_unreachable_dataset_is_one_error() -> None:
    pytest.importorskip("datasets")
    with pytest.raises(DataError, match=r"owner/name-7cls cannot be opened.*download its parquet"):
        open_source("owner/name-7cls", "huggingface")


def test_without_the_hf_extra_the_error_names_it(monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(DataError, match=r"pip install 'ferscope\[hf\]'"):
        open_source("owner/name", "huggingface")


def test_a_mistyped_path_does_not_go_to_the_network() -> None:
    with pytest.raises(DataError, match="data/imgaes does not exist"):
        open_source("data/imgaes")


def test_synthetic_needs_no_path() -> None:
    source = open_source("synthetic", count=35, side=32, seed=3)
    assert (len(source), source.colour, source.origin.name) == (35, True, "synthetic")


def test_an_unknown_format_is_named() -> None:
    with pytest.raises(DataError, match="'celeba' is unknown"):
        open_source("x", "celeba")
