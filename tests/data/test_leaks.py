"""One definition of a leak: by hand, and in the shipped benchmarks."""

from pathlib import Path

import pandas as pd
import pytest

from fer_core.artifacts import ArtifactStore, BenchmarkDir
from fer_core.data import leaks, review
from fer_core.data.card import DatasetCard
from fer_core.data.transformed_copies.table import COLUMNS, COPY, SAME_SCENE
from fer_core.tables import read_table

SHIPPED = Path(__file__).resolve().parents[2] / "artifacts"


@pytest.fixture
def samples() -> pd.DataFrame:
    """Test images t0 to t6, validation v0 and v1, and what they have in common with train."""
    rows = [
        # id, original split, split, exact, near, person
        ("a0", "train", "excluded", 0, 0, None),
        ("t0", "test", "test", 0, 0, None),  # exact
        ("a1", "train", "excluded", -1, 1, None),
        ("t1", "test", "test", -1, 1, None),  # near
        ("a2", "train", "train", -1, -1, None),
        ("t2", "test", "test", -1, -1, None),  # transformed
        ("a3", "train", "train", -1, -1, "ann"),
        ("t3", "test", "test", -1, -1, "ann"),  # the same person
        ("t4", "test", "excluded", 0, 0, None),  # exact, but not scored
        ("t5", "test", "test", -1, 2, None),  # near, of another test image only
        ("t6", "test", "test", -1, 2, None),
        ("v0", "validation", "validation", -1, -1, None),  # transformed, of train
        ("v1", "validation", "validation", -1, -1, None),  # transformed, of test: no leak of its
    ]
    columns = ["id", "original_split", "split", "exact_group", "duplicate_group", "group"]
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(label=["sad", "happy"] * 6 + ["sad"], leak=table["id"].isin(LEAKED))


LEAKED = ("t0", "t1", "t2", "t3", "t6")
"""As `prepare` flagged them; nothing here says why t6 is one."""

PAIRS = pd.DataFrame(
    [("a2", "t2", COPY), ("a2", "v0", COPY), ("v1", "t5", COPY), ("a2", "t4", SAME_SCENE)],
    columns=["id", "other", "kind"],
)


def test_the_closest_kind_counts_and_only_scored_images_do(samples: pd.DataFrame) -> None:
    pairs = PAIRS[PAIRS["other"] != "t5"]
    table = review.leaks(samples, pairs).set_index("id")
    assert table["kind"].to_dict() == {
        "t0": leaks.EXACT,
        "t1": leaks.NEAR,
        "t2": leaks.TRANSFORMED,
        "t3": leaks.OTHER,
        "t6": leaks.OTHER,
        "v0": leaks.TRANSFORMED,
    }
    assert table.loc["t2", "stands_in"] == "train and validation"  # v0 is a copy, too
    assert leaks.leaks_by_kind(samples, pairs) == {
        "exact": 1, "near": 1, "transformed": 1, leaks.OTHER: 2,
    }  # fmt: skip


def test_a_copy_in_validation_is_a_leak_of_test(samples: pd.DataFrame) -> None:
    table = review.leaks(samples, PAIRS).set_index("id")
    assert table.loc[["t5", "t6"], "stands_in"].tolist() == ["validation", "validation"]
    assert "v1" not in table.index


def test_copies_that_were_joined_with_duplicates_are_transformed(samples: pd.DataFrame) -> None:
    samples.loc[samples["id"].isin(["a2", "t2", "v0"]), "duplicate_group"] = 7
    kinds = review.leaks(samples, PAIRS).set_index("id")["kind"]
    assert kinds[["t1", "t2", "v0"]].tolist() == [leaks.NEAR, *[leaks.TRANSFORMED] * 2]


def shipped() -> list[BenchmarkDir]:
    return [found for found in ArtifactStore(SHIPPED).benchmarks() if found.card_path.is_file()]


@pytest.mark.parametrize("benchmark", shipped(), ids=lambda found: found.name)
def test_shipped_records_lists_and_cards_agree(benchmark: BenchmarkDir) -> None:
    samples, card = (
        benchmark.samples().reset_index(drop=True),
        DatasetCard.read(benchmark.card_path),
    )
    pairs = read_table(benchmark.copies_path, COLUMNS) if benchmark.copies_path.is_file() else None
    listed = review.leaks(samples, pairs)
    listed = listed[listed["split"] == "test"]
    flagged = samples.loc[(samples["split"] == "test") & samples["leak"], "id"]
    assert set(listed["id"]) == set(flagged)
    assert benchmark.info().leaked_test == card.leaked_test == len(listed)
    assert listed["kind"].value_counts().to_dict() == dict(card.leaks)

    conflicts, copies = review.conflicts(samples), review.duplicate_groups(samples)
    assert (conflicts["group"].nunique(), len(conflicts)) == (
        card.near.conflicting_groups,
        card.near.conflicting_images,
    )
    assert copies["group"].nunique() == card.near.groups
    assert len(copies) == card.near.groups + card.near.extra
    assert (copies["kind"] == "exact").sum() == card.exact.groups + card.exact.extra
