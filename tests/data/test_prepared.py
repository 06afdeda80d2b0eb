from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fer_core.data.imaging import SampleFormat
from fer_core.data.prepare import prepare
from fer_core.data.prepared import PreparedDataset, is_prepared
from fer_core.data.relabel import SET_ASIDE
from fer_core.data.sources.base import Sample
from fer_core.errors import DataError
from fer_core.files import read_json, write_json
from tests.support.helpers import ListSource, noise

LABELS = ["sad", "angry", "happy"]


def three_classes(votes: dict[int, dict[str, int]] | None = None) -> ListSource:
    """Nine samples: three in each split, one of each class; votes by sample number."""
    items = [
        Sample(
            key=str(number),
            image=image,
            label=LABELS[number % 3],
            split=("train", "validation", "test")[number // 3],
            votes=(votes or {}).get(number, {}),
        )
        for number, image in enumerate(noise(9, side=16))
    ]
    return ListSource(items)


def dataset(folder: Path, votes: dict[int, dict[str, int]] | None = None) -> PreparedDataset:
    return prepare(three_classes(votes), folder, name="tiny", side=16)


def test_rows_of_each_split_ascend(tmp_path: Path) -> None:
    opened = dataset(tmp_path / "set")
    assert opened.rows("train").tolist() == [0, 1, 2]
    assert opened.rows("test").tolist() == [6, 7, 8]
    assert opened.rows("excluded").tolist() == []
    assert opened.rows("train").dtype == np.int64


def test_a_folder_without_a_dataset_is_not_opened(tmp_path: Path) -> None:
    assert PreparedDataset.open_if_present(tmp_path / "set") is None
    assert not is_prepared(tmp_path / "set")
    written = dataset(tmp_path / "set")
    assert is_prepared(tmp_path / "set")
    opened = PreparedDataset.open_if_present(tmp_path / "set")
    assert opened is not None
    assert opened.info == written.info
    (tmp_path / "set" / "images.npy").write_bytes(b"cut")
    with pytest.raises(DataError, match="damaged"):
        PreparedDataset.open_if_present(tmp_path / "set")


def test_targets_are_canonical_indices(tmp_path: Path) -> None:
    opened = dataset(tmp_path / "set")
    assert opened.labels.names == ("angry", "happy", "sad")
    assert opened.targets(np.array([0, 1, 2])).tolist() == [2, 0, 1]
    assert opened.targets(np.array([8, 0])).tolist() == [1, 2]


def test_images_are_memory_mapped_and_read_only(tmp_path: Path) -> None:
    opened = dataset(tmp_path / "set")
    assert isinstance(opened.images, np.memmap)
    assert not opened.images.flags.writeable
    assert opened.format == SampleFormat(16, colour=False)


def test_soft_targets_by_hand(tmp_path: Path) -> None:
    votes = {
        0: {"sad": 6, "angry": 2, "happy": 0, "unknown": 2},  # votes for no class do not count
        1: {"sad": 1, "angry": 8, "happy": 1, "unknown": 0},  # single votes do not count
        2: {"sad": 0, "angry": 5, "happy": 5, "unknown": 0},  # as many as the label has
        3: {"sad": 1, "angry": 1, "happy": 0, "unknown": 8},  # nothing left: the label itself
        5: {"sad": 6, "angry": 0, "happy": 4, "unknown": 0},  # another label than the votes'
    }
    soft = dataset(tmp_path / "set", votes).soft_targets(np.array([0, 1, 2, 3, 4, 5]))
    assert soft.dtype == np.float32
    assert soft.tolist() == [
        [0.25, 0.0, 0.75],
        [1.0, 0.0, 0.0],
        [0.5, 0.5, 0.0],
        [0.0, 0.0, 1.0],
        [1.0, 0.0, 0.0],  # no votes at all: angry
        [0.0, 1.0, 0.0],
    ]


def test_soft_targets_follow_the_order_of_rows(tmp_path: Path) -> None:
    votes = {0: {"sad": 6, "angry": 2, "happy": 0}}
    soft = dataset(tmp_path / "set", votes).soft_targets(np.array([5, 0]))
    assert soft.tolist() == [[0.0, 1.0, 0.0], [0.25, 0.0, 0.75]]


@pytest.mark.parametrize("votes", [None, {0: {"sad": 9, "angry": 1}}])
def test_without_votes_for_every_class_targets_are_one_hot(tmp_path: Path, votes) -> None:
    soft = dataset(tmp_path / "set", votes).soft_targets(np.array([0, 1, 2]))
    assert soft.tolist() == [[0, 0, 1], [1, 0, 0], [0, 1, 0]]


def test_a_folder_without_a_dataset_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no prepared dataset in .*training prepare"):
        PreparedDataset.open(tmp_path)


@pytest.mark.parametrize("name", ["benchmark.json", "samples.parquet"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    dataset(tmp_path / "set")
    (tmp_path / "set" / name).unlink()
    with pytest.raises(DataError, match=rf"{name} is missing from .*Prepare the set again"):
        PreparedDataset.open(tmp_path / "set")


@pytest.mark.parametrize("name", ["benchmark.json", "samples.parquet", "images.npy"])
@pytest.mark.parametrize("damage", ["cut", "emptied", "overwritten"])
def test_a_damaged_file_is_named(tmp_path: Path, name: str, damage: str) -> None:
    dataset(tmp_path / "set")
    path = tmp_path / "set" / name
    whole = path.read_bytes()
    damaged = {"cut": whole[: len(whole) // 2], "emptied": b"", "overwritten": b"x" * len(whole)}
    path.write_bytes(damaged[damage])
    with pytest.raises(DataError, match=rf"{name} .*Prepare the set again"):
        PreparedDataset.open(tmp_path / "set")


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((8, 16, 16), np.uint8),
        np.zeros((9, 16, 17), np.uint8),
        np.zeros((9, 16, 16, 3), np.uint8),
        np.zeros((9, 16, 16), np.float32),
    ],
)
def test_images_that_do_not_fit_the_table_are_refused(tmp_path: Path, images: np.ndarray) -> None:
    dataset(tmp_path / "set")
    np.save(tmp_path / "set" / "images.npy", images)
    with pytest.raises(DataError, match=r"needs uint8 of shape \(9, 16, 16\)"):
        PreparedDataset.open(tmp_path / "set")


def test_a_table_without_its_columns_is_refused(tmp_path: Path) -> None:
    dataset(tmp_path / "set")
    pd.DataFrame({"id": ["x"]}).to_parquet(tmp_path / "set" / "samples.parquet")
    with pytest.raises(DataError, match="lacks the columns split, label"):
        PreparedDataset.open(tmp_path / "set")


def test_a_set_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    dataset(tmp_path / "set")
    path = tmp_path / "set" / "benchmark.json"
    write_json(path, {**read_json(path), "schema_version": 99})
    with pytest.raises(DataError, match=r"newer FERscope \(schema 99"):
        PreparedDataset.open(tmp_path / "set")


def test_no_majority_images_are_those_with_informative_votes(tmp_path):
    votes = {
        0: {"sad": 5, "angry": 5, "happy": 0},
        1: {"sad": 4, "angry": 2, "unknown": 4},
        2: {"sad": 2, "angry": 2, "contempt": 6},
    }
    made = dataset(tmp_path / "set", votes)
    assert len(made.no_majority_rows()) == 0  # every image has a label
    samples = made.samples.copy()
    samples["label"] = samples["label"].astype(object)
    samples.loc[[0, 1, 2, 4], "label"] = None  # the fifth stands in validation
    samples.loc[[0, 1, 2, 4], "split"] = "excluded"
    samples.loc[[0, 1, 2, 4], "excluded"] = "annotators disagree"
    changed = replace(made, samples=samples)
    assert changed.no_majority_rows().tolist() == [0, 1]
    soft = changed.soft_targets(np.array([0, 1]))  # angry, happy, sad
    np.testing.assert_allclose(soft, [[0.5, 0, 0.5], [1 / 3, 0, 2 / 3]], rtol=1e-6)
    samples.loc[[0, 7], "duplicate_group"] = 99  # a copy stands in test
    assert replace(made, samples=samples).no_majority_rows().tolist() == [1]
    samples.loc[1, "excluded"] = SET_ASIDE  # by the user, whatever the annotators said
    assert replace(made, samples=samples).no_majority_rows().tolist() == []


def test_no_majority_images_of_a_held_out_person_are_not_used(tmp_path: Path) -> None:
    """Persons: a in train and test, b in train only, c in validation; the last has none."""
    source = three_classes()
    votes = {"sad": 5, "angry": 5, "happy": 0}
    persons = {6: "a", 7: "d", 3: "c"}
    items = [replace(item, group=persons.get(n)) for n, item in enumerate(source.items)]
    items += [
        Sample(f"x{n}", image, None, "train", "annotators disagree", votes=votes, group=person)
        for n, (image, person) in enumerate(
            zip(noise(6, seed=3, side=16), ["a", "b", "b", "c", None, "e"], strict=True)
        )
    ]
    # another image of person e is a copy of a test image
    items.append(Sample("y", source.items[7].image, "angry", "train", group="e"))
    made = prepare(ListSource(items), tmp_path / "set", name="tiny", side=16)
    used = made.samples["id"].iloc[made.no_majority_rows()].tolist()
    assert used == ["list/x1", "list/x2", "list/x4"]
