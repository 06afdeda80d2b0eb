import hashlib
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_core.artifacts import BenchmarkDir
from fer_core.data.assignment import Duplicates, draw_splits
from fer_core.data.plan import SplitPlan
from fer_core.data.quality import group_pairs, linked_pairs
from fer_core.data.selection import SelectedSource
from fer_core.data.splits import leaked_training, leaks, split_hash, stratified_split
from tests.support.helpers import ListSource

ROOT = Path(__file__).parents[2]
PLACES = st.lists(
    st.tuples(st.integers(-1, 4), st.sampled_from(["train", "validation", "test"])),
    min_size=1,
    max_size=30,
)


def unzip(places: list[tuple[int, str]]) -> tuple[np.ndarray, np.ndarray]:
    groups, splits = zip(*places, strict=True)
    return np.array(groups), np.array(splits, dtype=object)


BY_HAND = [
    # group, split, given up because of, leaked into test
    (-1, "train", "", False),
    (-1, "test", "", False),
    (0, "train", "duplicate of a test image", False),
    (0, "validation", "duplicate of a test image", False),
    (0, "test", "", True),
    (1, "train", "duplicate of a validation image", False),
    (1, "validation", "", False),
    (2, "train", "", False),
    (2, "train", "", False),
    (3, "test", "", False),
    (3, "test", "", False),
    (4, "validation", "duplicate of a test image", False),
    (4, "test", "", True),
]


def test_leaks_by_hand() -> None:
    groups, splits = unzip([row[:2] for row in BY_HAND])
    assert leaked_training(groups, splits).tolist() == [row[2] for row in BY_HAND]
    assert leaks(groups, splits).tolist() == [row[3] for row in BY_HAND]


@given(PLACES)
def test_after_removing_leaks_no_group_is_in_two_splits(places: list[tuple[int, str]]) -> None:
    groups, splits = unzip(places)
    reasons = leaked_training(groups, splits)
    is_kept = reasons == ""
    assert is_kept[splits == "test"].all()
    assert is_kept[groups < 0].all()
    for group in range(5):
        assert len(set(splits[is_kept & (groups == group)])) <= 1
    assert not leaks(groups[is_kept], splits[is_kept]).any()


@given(PLACES)
def test_nothing_is_removed_if_groups_are_in_one_split(places: list[tuple[int, str]]) -> None:
    groups, splits = unzip(places)
    splits[groups >= 0] = np.array(["train", "validation", "test"])[groups[groups >= 0] % 3]
    assert (leaked_training(groups, splits) == "").all()


LABELS = np.array(["happy"] * 100 + ["sad"] * 50 + ["fear"] * 10, dtype=object)
ALONE = np.full(160, -1)


@pytest.mark.parametrize(
    ("share", "drawn"),
    [
        (0.2, {"happy": 20, "sad": 10, "fear": 2}),
        (0.1, {"happy": 10, "sad": 5, "fear": 1}),
        (0.3, {"happy": 30, "sad": 15, "fear": 3}),
        (0.4, {"happy": 40, "sad": 20, "fear": 4}),
        (0.9, {"happy": 90, "sad": 45, "fear": 9}),
        (0.99, {"happy": 90, "sad": 45, "fear": 9}),
    ],
)
def test_splits_are_stratified_by_class(share: float, drawn: dict[str, int]) -> None:
    mask = stratified_split(LABELS, ALONE, share, seed=0)
    assert mask.shape == (160,)
    drawn_labels = LABELS[mask].tolist()
    assert {name: drawn_labels.count(name) for name in drawn} == drawn


def test_splits_depend_on_the_seed_only() -> None:
    first = stratified_split(LABELS, ALONE, 0.2, seed=3)
    np.testing.assert_array_equal(first, stratified_split(LABELS, ALONE, 0.2, seed=3))
    assert (first != stratified_split(LABELS, ALONE, 0.2, seed=4)).any()


@pytest.mark.parametrize("seed", range(5))
def test_duplicate_groups_are_not_divided(seed: int) -> None:
    # Groups of four across classes, and samples that are alone.
    groups = np.where(np.arange(160) % 2, np.arange(160) % 20, -1)
    mask = stratified_split(LABELS, groups, 0.2, seed)
    assert 20 <= mask.sum() <= 44
    for group in range(20):
        assert len(set(mask[groups == group])) <= 1


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("rare", [2, 3, 9])
def test_a_small_class_is_in_both_splits(rare: int, seed: int) -> None:
    labels = np.array(["happy"] * 20 + ["sad"] * rare, dtype=object)
    mask = stratified_split(labels, np.full(20 + rare, -1), 0.1, seed)
    assert mask[:20].sum() == 2
    assert mask[20:].sum() == 1


def test_a_sample_without_a_group_is_none_of_the_group_numbered_as_its_row() -> None:
    labels = np.array(["sad", "sad"] + ["happy"] * 20, dtype=object)
    mask = stratified_split(labels, np.array([-1, 0] + [-1] * 20), 0.5, seed=0)
    assert mask[:2].sum() == 1  # two groups, so one in each subset


def test_a_class_of_one_group_is_not_divided() -> None:
    labels = np.array(["happy"] * 20 + ["sad"] * 3, dtype=object)
    mask = stratified_split(labels, np.array([-1] * 20 + [0] * 3), 0.2, seed=0)
    assert mask[20:].sum() in (0, 3)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(-1, 5)), min_size=2, max_size=40),
    st.sampled_from([0.1, 0.2, 0.5]),
    st.integers(0, 3),
)
def test_small_sets_are_split_by_group(rows: list, share: float, seed: int) -> None:
    labels = np.array([label for label, _ in rows], dtype=object)
    groups = np.array([group for _, group in rows])
    mask = stratified_split(labels, groups, share, seed)
    for group in set(groups[groups >= 0]):
        assert len(set(mask[groups == group])) == 1


@pytest.mark.parametrize("name", ["ferplus", "fer2013", "synthetic"])
def test_the_splits_of_shipped_benchmarks_are_reproduced(name: str) -> None:
    benchmark = BenchmarkDir(ROOT / "artifacts" / name)
    samples = benchmark.samples()
    near = samples["duplicate_group"].to_numpy()
    groups = near
    if "group" in samples:
        named = samples["group"].where(samples["group"].notna(), None)
        linked = [linked_pairs([None if g < 0 else str(g) for g in near]), linked_pairs(named)]
        groups = group_pairs(np.concatenate(linked), len(samples))
    duplicates = Duplicates(
        samples["phash"].to_numpy(), samples["exact_group"].to_numpy(), near, groups, groups
    )
    leaky = samples["excluded"].str.startswith(("duplicate of", "belongs to"))
    read = samples.assign(excluded=samples["excluded"].where(~leaky, ""))
    source = SelectedSource(ListSource([]), name=samples["source"].iloc[0])
    assignment = draw_splits(read, duplicates, [source], SplitPlan())
    assert (assignment.excluded == samples["excluded"]).all()
    assert split_hash(samples.assign(split=assignment.split)) == benchmark.info().split_hash


def table(*rows: tuple[str, str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["id", "split", "label"])


ROWS = (("x/2", "test", "sad"), ("x/1", "train", "happy"))


def test_the_split_hash_is_that_of_the_sorted_rows() -> None:
    content = b"x/1\ttrain\thappy\nx/2\ttest\tsad"
    assert split_hash(table(*ROWS)) == hashlib.sha256(content).hexdigest()[:16]
    assert split_hash(table(*ROWS[::-1])) == split_hash(table(*ROWS))
    assert split_hash(table(*ROWS).assign(brightness=3.0)) == split_hash(table(*ROWS))


@pytest.mark.parametrize(
    "changed", [("x/3", "test", "sad"), ("x/2", "train", "sad"), ("x/2", "test", "fear")]
)
def test_any_change_of_split_or_label_changes_the_split_hash(changed: tuple[str, str, str]) -> None:
    assert split_hash(table(changed, ROWS[1])) != split_hash(table(*ROWS))
    assert split_hash(table(*ROWS, changed)) != split_hash(table(*ROWS))


def test_a_rare_class_does_not_make_a_large_set_slow() -> None:
    """It took minutes, because each drawn image was compared with all others."""
    labels = np.array(["contempt"] * 4 + ["happy", "sad"] * 150_000)
    started = time.process_time()
    mask = stratified_split(labels, np.full(len(labels), -1), 0.2, 0)
    assert time.process_time() - started < 20
    assert [int(mask[labels == name].sum()) for name in ("contempt", "happy", "sad")] == [
        1, 30_000, 30_000,
    ]  # fmt: skip
