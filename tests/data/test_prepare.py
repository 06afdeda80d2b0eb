import errno
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from fer_core.artifacts import BenchmarkDir
from fer_core.data import copy_search
from fer_core.data.card import DatasetCard
from fer_core.data.plan import PrepareOptions, SplitPlan
from fer_core.data.prepare import mean_faces, prepare, prepare_sources, publish_facts
from fer_core.data.prepared import PreparedDataset
from fer_core.data.selection import SelectedSource
from fer_core.data.sources.base import Sample, Skipped
from fer_core.data.sources.fer2013 import Fer2013Source
from fer_core.data.sources.folder import FolderSource
from fer_core.data.transformed_copies.changes import similarity
from fer_core.data.transformed_copies.table import TransformedCopies, describe_change
from fer_core.errors import ArtifactError, DataError
from fer_core.labels import Emotion
from fer_core.synthetic.face import render
from tests.support.helpers import (
    ListSource,
    fer2013_table,
    noise,
    samples,
    votes_table,
    write_fer2013,
    write_images,
)

SIDE = 16


def prepared(source, folder: Path, **options) -> PreparedDataset:
    return prepare(source, folder, name="tiny", side=SIDE, **options)


def split_source(images: NDArray[np.uint8] | None = None) -> ListSource:
    """Four images in each split (keys 0 to 3, 4 to 7, 8 to 11), of two classes in turn."""
    images = noise(12, side=SIDE) if images is None else images
    items: list[Sample | Skipped] = []
    for start, split in ((0, "train"), (4, "validation"), (8, "test")):
        items += samples(images[start : start + 4], ["happy", "sad"] * 2, split, start)
    return ListSource(items)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def column(dataset: PreparedDataset, name: str) -> list:
    return dataset.samples[name].tolist()


def test_the_splits_of_a_source_are_kept(tmp_path: Path) -> None:
    dataset = prepared(split_source(), tmp_path / "set")
    assert column(dataset, "id") == [f"list/{number:04d}" for number in range(12)]
    assert column(dataset, "split") == ["train"] * 4 + ["validation"] * 4 + ["test"] * 4
    assert column(dataset, "label") == ["happy", "sad"] * 6
    np.testing.assert_array_equal(dataset.images, noise(12, side=SIDE))
    info = dataset.info
    assert info.labels == ("happy", "sad")
    assert info.counts == {
        split: {"happy": 2, "sad": 2} for split in ("train", "validation", "test")
    }
    assert (info.excluded, info.leaked_test, info.skipped) == ({}, 0, {})
    assert (info.side, info.colour, info.name, info.title) == (SIDE, False, "tiny", "A list")


def test_images_are_scaled_to_the_requested_side(tmp_path: Path) -> None:
    dataset = prepared(split_source(noise(12, side=40)), tmp_path / "set")
    assert dataset.images.shape == (12, SIDE, SIDE)


def test_colour_images_stay_colour(tmp_path: Path) -> None:
    images = noise(12, side=SIDE, colour=True)
    source = ListSource(split_source(images).items, colour=True)
    dataset = prepared(source, tmp_path / "set")
    assert dataset.info.colour
    np.testing.assert_array_equal(dataset.images, images)


def test_leaks_are_removed_from_training_and_never_from_test(tmp_path: Path) -> None:
    images = noise(18, side=SIDE)
    train = samples(images[:8], ["happy", "sad"] * 4, "train")
    validation = samples(images[8:14], ["happy", "sad"] * 3, "validation", 8)
    test = samples(images[14:18], ["happy", "sad"] * 2, "test", 14)

    def copy_to(items: list[Sample], index: int, image: NDArray[np.uint8]) -> None:
        items[index] = Sample(items[index].key, image, items[index].label, items[index].split)

    copy_to(train, 0, images[14])  # an exact copy of a test image
    copy_to(train, 1, (images[15] // 2 + 40).astype(np.uint8))  # a paler copy of a test image
    copy_to(train, 2, images[8])  # a copy of a validation image
    copy_to(validation, 1, images[16])  # validation copies a test image as well
    copy_to(train, 3, images[16])  # and so does train: the test image is the reason
    copy_to(train, 5, images[4])  # within train copies may stay
    copy_to(test, 3, images[16])  # and within test
    dataset = prepared(ListSource([*train, *validation, *test]), tmp_path / "set")

    reasons = dict(zip(column(dataset, "id"), column(dataset, "excluded"), strict=True))
    assert {key: reason for key, reason in reasons.items() if reason} == {
        "list/0000": "duplicate of a test image",
        "list/0001": "duplicate of a test image",
        "list/0002": "duplicate of a validation image",
        "list/0003": "duplicate of a test image",
        "list/0009": "duplicate of a test image",
    }
    assert column(dataset, "split") == (
        ["excluded"] * 4
        + ["train"] * 4
        + ["validation", "excluded"]
        + ["validation"] * 4
        + ["test"] * 4
    )
    assert dataset.info.counts["test"] == {"happy": 2, "sad": 2}
    assert dataset.info.excluded == {
        "duplicate of a test image": 4,
        "duplicate of a validation image": 1,
    }
    # All four test images had a copy in the original train or validation split.
    assert dataset.info.leaked_test == 4
    assert dataset.samples["leak"].sum() == 4
    group = dataset.samples.set_index("id")["duplicate_group"]
    assert group["list/0000"] == group["list/0014"] >= 0
    assert group["list/0001"] == group["list/0015"] >= 0
    exact = dataset.samples.set_index("id")["exact_group"]
    assert exact["list/0000"] == exact["list/0014"] >= 0
    assert exact["list/0001"] == exact["list/0015"] == -1


def test_without_splits_the_set_is_split_80_20_then_10_by_class(tmp_path: Path) -> None:
    source = ListSource(samples(noise(100, side=SIDE), ["happy", "sad"] * 50))
    dataset = prepared(source, tmp_path / "set")
    assert dataset.info.counts == {
        "train": {"happy": 36, "sad": 36},
        "validation": {"happy": 4, "sad": 4},
        "test": {"happy": 10, "sad": 10},
    }
    assert (dataset.info.excluded, dataset.info.leaked_test) == ({}, 0)


def test_the_split_depends_on_the_seed(tmp_path: Path) -> None:
    source = ListSource(samples(noise(100, side=SIDE), ["happy", "sad"] * 50))
    first = prepared(source, tmp_path / "first", seed=1)
    again = prepared(source, tmp_path / "again", seed=1)
    other = prepared(source, tmp_path / "other", seed=2)
    assert first.info.split_hash == again.info.split_hash != other.info.split_hash


def test_duplicates_stay_in_one_split_when_splits_are_drawn(tmp_path: Path) -> None:
    images = noise(120, side=SIDE)
    images[60:90] = images[:30]  # exact copies
    images[90:] = images[:30] // 2 + 30  # and paler ones: thirty groups of three
    dataset = prepared(ListSource(samples(images, ["happy", "sad"] * 60)), tmp_path / "set")
    grouped = dataset.samples[dataset.samples["duplicate_group"] >= 0]
    assert grouped["duplicate_group"].nunique() == 30
    assert (grouped.groupby("duplicate_group")["split"].nunique() == 1).all()
    assert set(grouped["split"]) == {"train", "validation", "test"}
    assert (dataset.info.excluded, dataset.info.leaked_test) == ({}, 0)


def test_unlabelled_copies_go_to_the_split_of_their_originals(tmp_path: Path) -> None:
    """Left in train, they would mark their originals in test as leaked."""
    images = noise(100, side=SIDE)
    items = samples(images, ["happy", "sad"] * 50)
    items += [
        Sample(f"copy{number:02d}", image, None, None, "annotators disagree")
        for number, image in enumerate(images)
    ]
    dataset = prepared(ListSource(items), tmp_path / "set")
    assert column(dataset, "original_split")[100:] == column(dataset, "original_split")[:100]
    assert dataset.info.leaked_test == 0
    assert dataset.info.excluded == {"annotators disagree": 100}


def train_and(split: str) -> list[Sample]:
    """40 training images and 10 of another split, of two classes in turn."""
    images = noise(50, side=SIDE)
    items = samples(images[:40], ["happy", "sad"] * 20, "train")
    return items + samples(images[40:], ["happy", "sad"] * 5, split, 40)


def test_a_missing_validation_split_is_drawn_from_train(tmp_path: Path) -> None:
    items = train_and("test")
    dataset = prepared(ListSource(items), tmp_path / "set")
    assert dataset.info.counts == {
        "train": {"happy": 18, "sad": 18},
        "validation": {"happy": 2, "sad": 2},
        "test": {"happy": 5, "sad": 5},
    }
    assert column(dataset, "split")[40:] == ["test"] * 10
    assert set(column(dataset, "source_split")[:40]) == {"train"}


def test_samples_without_a_class_are_excluded(tmp_path: Path) -> None:
    items = list(split_source().items)
    items.append(Sample("x", noise(1, seed=9, side=SIDE)[0], None, "test", "annotators disagree"))
    dataset = prepared(ListSource(items), tmp_path / "set")
    assert column(dataset, "split")[-1] == "excluded"
    assert dataset.info.excluded == {"annotators disagree": 1}
    assert dataset.info.counts["test"] == {"happy": 2, "sad": 2}


def test_partly_missing_splits_are_refused(tmp_path: Path) -> None:
    items = [*split_source().items, *samples(noise(1, seed=9, side=SIDE), ["sad"], None, 12)]
    with pytest.raises(
        DataError, match="Images without a split: 1, such as list/0012; others have one"
    ):
        prepared(ListSource(items), tmp_path / "set")


def test_a_class_missing_in_a_split_is_named(tmp_path: Path) -> None:
    items = [*split_source().items, *samples(noise(1, seed=9, side=SIDE), ["fear"], "train", 12)]
    with pytest.raises(DataError, match="'fear' has no usable image in the validation split"):
        prepared(ListSource(items), tmp_path / "set")


def test_an_empty_split_is_named(tmp_path: Path) -> None:
    items = [item for item in split_source().items if item.split == "test"]
    with pytest.raises(DataError, match="no usable image in the train split"):
        prepared(ListSource(items), tmp_path / "set")


def notes_of(dataset: PreparedDataset) -> str:
    return " ".join(DatasetCard.read(dataset.folder / "card.json").notes)


def test_validation_becomes_the_test_split_if_there_is_none(tmp_path: Path) -> None:
    items = train_and("validation")
    dataset = prepared(ListSource(items), tmp_path / "set")
    assert dataset.info.counts == {
        "train": {"happy": 18, "sad": 18},
        "validation": {"happy": 2, "sad": 2},
        "test": {"happy": 5, "sad": 5},
    }
    assert set(column(dataset, "source_split")[40:]) == {"validation"}
    assert "its validation split becomes the test split" in notes_of(dataset)


def test_the_test_split_may_be_drawn_from_train_instead(tmp_path: Path) -> None:
    items = train_and("validation")
    options = PrepareOptions(side=SIDE, split=SplitPlan(test_from="train"))
    dataset = prepare_sources(
        [SelectedSource(ListSource(items))], options, tmp_path / "set", name="tiny"
    )
    assert dataset.info.counts == {
        "train": {"happy": 16, "sad": 16},
        "validation": {"happy": 5, "sad": 5},
        "test": {"happy": 4, "sad": 4},
    }


def test_a_small_class_is_in_every_split(tmp_path: Path) -> None:
    items = samples(noise(24, side=SIDE), ["happy"] * 20 + ["sad"] * 4)
    dataset = prepared(ListSource(items), tmp_path / "set")
    assert {split: row["sad"] for split, row in dataset.info.counts.items()} == {
        "train": 2,
        "validation": 1,
        "test": 1,
    }
    assert "sad 1 (at least 79% wide)" in notes_of(dataset)  # 3.84 / (1 + 3.84)


def test_a_class_of_two_images_is_named_with_the_remedy(tmp_path: Path) -> None:
    items = samples(noise(22, side=SIDE), ["happy"] * 10 + ["sad"] * 10 + ["fear"] * 2)
    with pytest.raises(DataError, match=r"'fear' has no usable image.*it has 2 .*--min-class 3"):
        prepared(ListSource(items), tmp_path / "set")
    options = PrepareOptions(side=SIDE, split=SplitPlan(min_class=3))
    dataset = prepare_sources(
        [SelectedSource(ListSource(items))], options, tmp_path / "set", name="tiny"
    )
    assert dataset.info.labels == ("happy", "sad")
    assert dataset.info.excluded == {"of a class with fewer than 3 images": 2}


def test_a_set_of_sixty_pictures_prepares(tmp_path: Path) -> None:
    names = ["angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"]
    items = samples(noise(60, side=SIDE), (names * 9)[:60])
    dataset = prepared(ListSource(items), tmp_path / "set")
    assert all(count >= 1 for row in dataset.info.counts.values() for count in row.values())
    assert sum(sum(row.values()) for row in dataset.info.counts.values()) == 60


def test_validation_is_drawn_from_the_images_that_training_keeps(tmp_path: Path) -> None:
    """Nine of eleven sad training images are copies of test images: none of them is drawn."""
    images = noise(60, side=SIDE)
    train = samples(images[:22], ["happy", "sad"] * 11, "train")
    test = samples(images[22:44], ["happy", "sad"] * 11, "test", 22)
    for number in range(1, 18, 2):
        item = train[number]
        train[number] = Sample(item.key, test[number].image, item.label, item.split)
    dataset = prepared(ListSource([*train, *test]), tmp_path / "set")
    counts = {split: row["sad"] for split, row in dataset.info.counts.items()}
    assert counts == {"train": 1, "validation": 1, "test": 11}


def test_a_class_whose_validation_images_are_all_copies_gets_others(tmp_path: Path) -> None:
    images = noise(60, side=SIDE)
    train = samples(images[:20], ["happy", "sad"] * 10, "train")
    validation = samples(images[20:24], ["happy", "sad"] * 2, "validation", 20)
    test = samples(images[24:34], ["happy", "sad"] * 5, "test", 24)
    for number in (1, 3):
        item = validation[number]
        validation[number] = Sample(item.key, test[number].image, item.label, item.split)
    dataset = prepared(ListSource([*train, *validation, *test]), tmp_path / "set")
    assert dataset.info.counts == {
        "train": {"happy": 10, "sad": 9},
        "validation": {"happy": 2, "sad": 1},
        "test": {"happy": 5, "sad": 5},
    }
    assert "sad has no validation image that is no copy of a test image" in notes_of(dataset)


def test_unreadable_files_are_listed_and_rows_stay_contiguous(tmp_path: Path) -> None:
    items = list(split_source().items)
    items.insert(0, Skipped("bad", "is damaged"))
    items.insert(7, Skipped("worse", "is empty"))
    dataset = prepared(ListSource(items), tmp_path / "set")
    assert dataset.info.skipped == {"bad": "is damaged", "worse": "is empty"}
    assert dataset.images.shape == (12, SIDE, SIDE)
    np.testing.assert_array_equal(dataset.images, noise(12, side=SIDE))
    assert contents(tmp_path / "set").keys() == {
        "CARD.md",
        "benchmark.json",
        "card.json",
        "images.npy",
        "samples.parquet",
        "transformed_copies.parquet",
    }


def test_a_source_without_a_readable_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no readable image \(2 were skipped\)"):
        prepared(ListSource([Skipped("a", "x"), Skipped("b", "x")]), tmp_path / "set")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [DataError("row 7 is damaged"), KeyboardInterrupt()])
def test_a_failed_preparation_keeps_the_earlier_dataset(
    tmp_path: Path, error: BaseException
) -> None:
    prepared(split_source(), tmp_path / "set")
    before = contents(tmp_path / "set")
    with pytest.raises(type(error)):
        prepared(ListSource(split_source(noise(12, seed=1)).items, error=error), tmp_path / "set")
    assert contents(tmp_path / "set") == before
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_failed_move_keeps_the_earlier_dataset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared(split_source(), tmp_path / "set")
    before = contents(tmp_path / "set")
    rename = Path.rename

    def refuse_the_new_set(path: Path, target: Path) -> Path:
        if path.name == ".set.partial":
            raise OSError(errno.EIO, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse_the_new_set)
    with pytest.raises(ArtifactError, match="could not be moved"):
        prepared(split_source(noise(12, seed=1, side=SIDE)), tmp_path / "set")
    assert contents(tmp_path / "set") == before
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_dataset_moved_aside_by_a_killed_run_is_restored(tmp_path: Path) -> None:
    prepared(split_source(), tmp_path / "set")
    before = contents(tmp_path / "set")
    (tmp_path / "set").rename(tmp_path / ".set.old")
    (tmp_path / ".set.partial").mkdir()
    with pytest.raises(DataError):
        prepared(ListSource([Skipped("a", "x")]), tmp_path / "set")
    assert contents(tmp_path / "set") == before
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_new_dataset_replaces_the_earlier_one(tmp_path: Path) -> None:
    prepared(split_source(), tmp_path / "set")
    newer = noise(12, seed=1, side=SIDE)
    dataset = prepared(split_source(newer), tmp_path / "set")
    np.testing.assert_array_equal(dataset.images, newer)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_too_little_disk_space_is_reported_before_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("fer_core.data.storage.os.posix_fallocate", full)
    source = ListSource(split_source().items, error=AssertionError("was read"))
    with pytest.raises(ArtifactError, match=r"not enough space .*\(No space left.*free some"):
        prepared(source, tmp_path / "set")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_a_prepared_dataset_is_not_deleted(tmp_path: Path) -> None:
    root = write_images(tmp_path / "set", {"happy": noise(2), "sad": noise(2)})
    with pytest.raises(DataError, match="contains other files than a prepared set"):
        prepared(FolderSource(root), root)
    assert (
        sorted(path.name for path in root.rglob("*.png"))
        == ["000.png", "000.png"] + ["001.png"] * 2
    )


@pytest.mark.parametrize("file_name", ["corrections.csv", "runs/resnet34-cpu-s0/run.json"])
def test_a_dataset_folder_with_other_files_is_not_replaced(tmp_path: Path, file_name: str) -> None:
    prepared(split_source(), tmp_path / "set")
    (tmp_path / "set" / ".DS_Store").write_text("left by a file manager")
    prepared(split_source(), tmp_path / "set")
    file = tmp_path / "set" / file_name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("mine")
    with pytest.raises(DataError, match=rf"other files .*\({file_name.partition('/')[0]}\)"):
        prepared(split_source(), tmp_path / "set")
    assert file.read_text() == "mine"


def test_an_empty_folder_is_used(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    assert len(prepared(split_source(), tmp_path / "set").samples) == 12


def test_a_side_too_small_for_duplicates_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"15 x 15 pixels are too small.*at least 16"):
        prepare(split_source(), tmp_path / "set", name="tiny", side=15)


def test_two_preparations_write_the_same_bytes(tmp_path: Path) -> None:
    source = ListSource(samples(noise(60, side=20), ["happy", "sad"] * 30))
    prepared(source, tmp_path / "first")
    prepared(source, tmp_path / "second")
    assert contents(tmp_path / "first") == contents(tmp_path / "second")


def test_statistics_and_digests_are_of_the_stored_image(tmp_path: Path) -> None:
    images = noise(12, side=SIDE)
    images[0] = 7
    dataset = prepared(split_source(images), tmp_path / "set")
    first = dataset.samples.iloc[0]
    assert (first["brightness"], first["contrast"], first["sharpness"]) == (7, 0, 0)
    assert dataset.samples["sha1"].nunique() == 12


def test_fer2013_with_votes_is_prepared_from_csv(tmp_path: Path) -> None:
    table = fer2013_table(63)
    votes = votes_table(table)
    votes.loc[0, ["anger", "unknown"]] = [0, 9]
    source = Fer2013Source(write_fer2013(tmp_path, table, votes))
    dataset = prepare(source, tmp_path / "set", name="fer", side=48)
    assert dataset.labels.names == (
        "angry",
        "disgust",
        "fear",
        "happy",
        "neutral",
        "sad",
        "surprise",
    )
    assert dataset.info.counts["train"] == {
        "angry": 2,
        "disgust": 3,
        "fear": 3,
        "happy": 3,
        "neutral": 3,
        "sad": 3,
        "surprise": 3,
    }
    assert dataset.info.excluded == {"annotators say unknown": 1}
    np.testing.assert_array_equal(dataset.images, noise(63))
    row = dataset.samples.iloc[3]
    assert (row["id"], row["label"], row["second_label"]) == ("fer2013/00003", "happy", "happy")
    assert (row["votes_happy"], row["votes_unknown"]) == (8, 2)


def test_a_class_folder_is_prepared(tmp_path: Path) -> None:
    root = write_images(tmp_path / "faces", {"happy": noise(50), "Sadness": noise(50, seed=1)})
    (root / "happy" / "bad.png").write_bytes(b"x")
    dataset = prepare(FolderSource(root), tmp_path / "set", name="mine", side=48)
    assert dataset.labels.names == ("happy", "sad")
    assert list(dataset.info.skipped) == ["happy/bad.png"]
    assert dataset.info.counts["test"] == {"happy": 10, "sad": 10}
    np.testing.assert_array_equal(dataset.images[:50], noise(50, seed=1))  # Sadness sorts first
    assert str(tmp_path) not in (tmp_path / "set" / "benchmark.json").read_text()


def grey_levels(values: list[int]) -> NDArray[np.uint8]:
    """Returns one flat image for each level; flat images are never near duplicates."""
    return np.tile(np.array(values, dtype=np.uint8)[:, None, None], (1, SIDE, SIDE))


def flat_source(train_sad: int) -> ListSource:
    """Ten happy images in each split, ten sad ones in test and validation, `train_sad` in train."""
    levels = iter(range(256))
    items: list[Sample | Skipped] = []
    for split in ("train", "validation", "test"):
        for label, count in (("happy", 10), ("sad", train_sad if split == "train" else 10)):
            images = grey_levels([next(levels) for _ in range(count)])
            items += samples(images, [label] * count, split, len(items))
    return ListSource(items)


def test_mean_faces_by_hand(tmp_path: Path) -> None:
    source = flat_source(train_sad=10)
    source.items[0].image[0, 0] = 100
    faces = mean_faces(prepared(source, tmp_path / "set"))
    assert sorted(faces) == sorted(
        f"{split}/{label}/{kind}"
        for split in ("train", "validation", "test")
        for label in ("happy", "sad")
        for kind in ("mean", "std")
    )
    assert all(face.dtype == np.float32 and face.shape == (SIDE, SIDE) for face in faces.values())
    # Levels 0 to 9: mean 4.5, variance (10 * 10 - 1) / 12 = 8.25; then 10 to 19 and so on.
    assert (faces["train/sad/mean"] == 14.5).all()
    np.testing.assert_allclose(faces["train/sad/std"], np.sqrt(8.25), rtol=1e-6)
    assert (faces["test/sad/mean"] == 54.5).all()
    happy = faces["train/happy/mean"]
    assert happy[0, 0] == 14.5  # (100 + 1 + ... + 9) / 10
    assert happy[0, 1] == 4.5
    # The mean of squares there is (100² + 285) / 10 = 1028.5.
    np.testing.assert_allclose(faces["train/happy/std"][0, 0], np.sqrt(1028.5 - 14.5**2), rtol=1e-6)


def test_mean_faces_of_few_images_are_not_published(tmp_path: Path) -> None:
    faces = mean_faces(prepared(flat_source(train_sad=9), tmp_path / "set"))
    assert {"train/sad/mean", "train/sad/std"}.isdisjoint(faces)
    assert "train/happy/mean" in faces
    assert "test/sad/mean" in faces


def test_published_aggregates_contain_no_image(tmp_path: Path) -> None:
    dataset = prepared(flat_source(train_sad=10), tmp_path / "set")
    benchmark = BenchmarkDir(tmp_path / "artifacts" / "tiny")
    publish_facts(dataset, benchmark)
    assert contents(benchmark.root).keys() == {
        "CARD.md",
        "benchmark.json",
        "card.json",
        "mean_faces.npz",
        "samples.parquet",
        "transformed_copies.parquet",
    }
    assert benchmark.info() == dataset.info
    pd.testing.assert_frame_equal(benchmark.samples(), dataset.samples)
    published, expected = benchmark.mean_faces(), mean_faces(dataset)
    assert published.keys() == expected.keys()
    for key, face in expected.items():
        np.testing.assert_array_equal(published[key], np.rint(face))  # whole grey levels


@pytest.fixture
def publish_again(tmp_path: Path) -> Callable[[BenchmarkDir], str]:
    """Publishes a first set, and gives a function that publishes one of another split."""
    first = prepared(split_source(), tmp_path / "first")
    items = list(split_source().items)
    items[0] = Sample("0000", items[0].image, "sad", "train")
    items[1] = Sample("0001", items[1].image, "happy", "train")
    second = prepared(ListSource(items), tmp_path / "second")
    benchmark = BenchmarkDir(tmp_path / "artifacts" / "tiny")
    publish_facts(first, benchmark)

    def again(target: BenchmarkDir) -> str:
        publish_facts(second, target)
        return second.info.split_hash

    return again


def test_another_split_is_refused_where_runs_exist(tmp_path: Path, publish_again) -> None:
    benchmark = BenchmarkDir(tmp_path / "artifacts" / "tiny")
    (benchmark.root / "runs" / "resnet34").mkdir(parents=True)
    before = {path.name: path.read_bytes() for path in benchmark.root.glob("*.*")}
    with pytest.raises(ArtifactError, match=r"'tiny' has runs on another split.*another --name"):
        publish_again(benchmark)
    assert {path.name: path.read_bytes() for path in benchmark.root.glob("*.*")} == before


def test_another_split_does_not_replace_a_dataset_that_runs_use(tmp_path: Path) -> None:
    folder, benchmark = tmp_path / "set", BenchmarkDir(tmp_path / "artifacts" / "tiny")
    publish_facts(prepared(split_source(), folder), benchmark)
    (benchmark.root / "runs" / "resnet34").mkdir(parents=True)
    before = contents(folder)
    items = list(split_source().items)
    items[0] = Sample("0000", items[0].image, "sad", "train")
    parts, options = [SelectedSource(ListSource(items))], PrepareOptions(side=SIDE)
    with pytest.raises(ArtifactError, match=r"'tiny' has runs on another split"):
        prepare_sources(parts, options, folder, name="tiny", benchmark=benchmark)
    assert contents(folder) == before


def repainted(source: ListSource, rows: tuple[int, ...]) -> ListSource:
    """The source with other pixels in some of its images."""
    items = list(source.items)
    for row, image in zip(rows, noise(len(rows), seed=9, side=SIDE), strict=True):
        items[row] = Sample(items[row].key, image, items[row].label, items[row].split)
    return ListSource(items)


@pytest.mark.parametrize(
    ("source", "side", "message"),
    [
        (split_source(), 20, "16 px, grey, this set 20 px, grey"),
        (ListSource(split_source().items, colour=True), SIDE, "this set 16 px, in colour"),
        (repainted(split_source(), (2, 5)), SIDE, "2 of 12 differ in their pixels"),
    ],
)
def test_other_images_of_the_same_split_are_refused_where_runs_exist(
    tmp_path: Path, source: ListSource, side: int, message: str
) -> None:
    benchmark = BenchmarkDir(tmp_path / "artifacts" / "tiny")
    publish_facts(prepared(split_source(), tmp_path / "set"), benchmark)
    (benchmark.root / "runs" / "resnet34").mkdir(parents=True)
    published, before = benchmark.info(), contents(tmp_path / "set")
    refusal = rf"'tiny' has runs on other images \(.*{message}\)\. Prepare .* another --name"
    parts, options = [SelectedSource(source)], PrepareOptions(side=side)
    with pytest.raises(ArtifactError, match=refusal):
        prepare_sources(parts, options, tmp_path / "set", name="tiny", benchmark=benchmark)
    assert contents(tmp_path / "set") == before
    other = prepare_sources(parts, options, tmp_path / "other", name="tiny")
    assert other.info.split_hash == published.split_hash
    with pytest.raises(ArtifactError, match=refusal):
        publish_facts(other, benchmark)
    assert benchmark.info() == published


def test_images_are_not_compared_with_a_table_without_their_hashes(tmp_path: Path) -> None:
    benchmark = BenchmarkDir(tmp_path / "artifacts" / "tiny")
    publish_facts(prepared(split_source(), tmp_path / "set"), benchmark)
    (benchmark.root / "runs" / "resnet34").mkdir(parents=True)
    benchmark.samples().drop(columns="sha1").to_parquet(benchmark.samples_path)
    publish_facts(prepared(repainted(split_source(), (2,)), tmp_path / "other"), benchmark)


def test_another_split_is_accepted_if_no_run_exists(tmp_path: Path, publish_again) -> None:
    benchmark = BenchmarkDir(tmp_path / "artifacts" / "tiny")
    assert publish_again(benchmark) == benchmark.info().split_hash


def test_the_same_split_may_be_published_again_if_runs_exist(tmp_path: Path) -> None:
    dataset = prepared(split_source(), tmp_path / "set")
    benchmark = BenchmarkDir(tmp_path / "artifacts" / "tiny")
    publish_facts(dataset, benchmark)
    (benchmark.root / "runs" / "resnet34").mkdir(parents=True)
    shutil.rmtree(tmp_path / "set")
    publish_facts(prepared(split_source(), tmp_path / "set"), benchmark)
    assert benchmark.info() == dataset.info


def transformed_source() -> ListSource:
    """Drawn people in three splits; train mirrors and rotates images of test and validation."""
    faces = [render(seed, Emotion.HAPPY, side=48, identity=seed).image for seed in range(30)]
    labels = ["happy", "sad"] * 15
    items: list[Sample | Skipped] = []
    for start, split in ((0, "train"), (10, "validation"), (20, "test")):
        items += samples(faces[start : start + 10], labels[start : start + 10], split, start)
    mirrored = np.ascontiguousarray(faces[20][:, ::-1])
    items += samples([mirrored, similarity(faces[10], degrees=9)], ["happy", "sad"], "train", 30)
    return ListSource(items, colour=True)


def prepared_with(folder: Path, **split: str) -> PreparedDataset:
    options = PrepareOptions(side=48, split=SplitPlan(**split))
    return prepare_sources([SelectedSource(transformed_source())], options, folder, name="tiny")


@pytest.fixture(scope="module")
def transformed(
    tmp_path_factory: pytest.TempPathFactory,
    transformed_copy_search: Callable[..., TransformedCopies],
) -> dict[str, PreparedDataset]:
    folder = tmp_path_factory.mktemp("transformed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(copy_search, "find_transformed_copies", transformed_copy_search)
        return {
            mode: prepared_with(folder / mode, transformed_copies=mode)
            for mode in ("auto", "report", "off")
        }


def facts_of(dataset: PreparedDataset, sample: str) -> tuple:
    row = dataset.samples.set_index("id").loc[sample]
    return row["split"], row["excluded"], bool(row["leak"])


def test_training_gives_up_transformed_copies(transformed: dict[str, PreparedDataset]) -> None:
    dataset = transformed["auto"]
    assert facts_of(dataset, "list/0030") == ("excluded", "duplicate of a test image", False)
    assert facts_of(dataset, "list/0031") == ("excluded", "duplicate of a validation image", False)
    assert facts_of(dataset, "list/0020") == ("test", "", True)
    card = DatasetCard.read(dataset.folder / "card.json").transformed
    assert card is not None
    assert card.removed
    assert card.held_out["test in train"] >= 1
    assert card.held_out["validation in train"] >= 1
    assert set(card.used.values()) == {0}
    text = (dataset.folder / "CARD.md").read_text()
    assert "## Transformed copies" in text
    assert "|  | exact | exact, near or transformed |" in text
    pairs = pd.read_parquet(dataset.folder / "transformed_copies.parquet")
    mirrored = pairs[(pairs["id"] == "list/0020") & (pairs["other"] == "list/0030")]
    assert describe_change(mirrored.iloc[0].to_dict()) == "mirrored"


def test_reported_copies_change_no_split_but_the_leak_free_score(
    transformed: dict[str, PreparedDataset],
) -> None:
    dataset, without = transformed["report"], transformed["off"]
    assert dataset.info.split_hash == without.info.split_hash
    assert facts_of(dataset, "list/0030") == ("train", "", False)
    assert facts_of(dataset, "list/0020") == ("test", "", True)
    assert facts_of(without, "list/0020") == ("test", "", False)
    card = DatasetCard.read(dataset.folder / "card.json").transformed
    assert card is not None
    assert not card.removed
    assert card.used["test in train"] >= 1
    assert "|  | exact | exact or near |" in (dataset.folder / "CARD.md").read_text()
    assert not (without.folder / "transformed_copies.parquet").exists()
    assert DatasetCard.read(without.folder / "card.json").transformed is None


def test_pairs_are_published_with_the_facts(
    transformed: dict[str, PreparedDataset], tmp_path: Path
) -> None:
    benchmark = BenchmarkDir(tmp_path / "tiny")
    publish_facts(transformed["auto"], benchmark)
    assert benchmark.copies_path.is_file()
    publish_facts(transformed["off"], BenchmarkDir(tmp_path / "other"))
    assert not BenchmarkDir(tmp_path / "other").copies_path.exists()
