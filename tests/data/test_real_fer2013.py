"""The whole of FER2013 against numbers that were counted without FERscope."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image
from sklearn.metrics import roc_auc_score

from fer_core.artifacts import ArtifactStore
from fer_core.data import quality
from fer_core.data.attach import attach
from fer_core.data.card import DatasetCard
from fer_core.data.plan import PrepareOptions, SplitPlan
from fer_core.data.prepare import prepare_sources
from fer_core.data.prepared import PreparedDataset
from fer_core.data.selection import SelectedSource
from fer_core.data.sources.fer2013 import Fer2013Source
from fer_core.data.transformed_copies.search import find_transformed_copies
from fer_core.data.transformed_copies.table import COPY

REPOSITORY = Path(__file__).parents[2]
CSV = Path(
    os.environ.get("FERSCOPE_FER2013")
    or REPOSITORY.parent / "shared" / "data" / "fer2013" / "fer2013.csv.gz"
)

pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif(
        not CSV.is_file(),
        reason=f"FER2013 is not at {CSV}; set FERSCOPE_FER2013 to its csv (votes beside it)",
    ),
]


@pytest.fixture(scope="module")
def prepared(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[PreparedDataset, NDArray[np.int64]]:
    """The prepared set, and its near pairs.

    Transformed copies change no split of FER2013; their search has a test of its own.
    """
    folder = tmp_path_factory.mktemp("real") / "ferplus"
    options = PrepareOptions(side=48, split=SplitPlan(transformed_copies="off"))
    sources = [SelectedSource(Fer2013Source(CSV))]
    dataset = prepare_sources(sources, options, folder, name="ferplus")
    thumbnails = np.stack([quality.thumbnail(image) for image in dataset.images])
    return dataset, quality.near_pairs(thumbnails)


@pytest.fixture(scope="module")
def dataset(prepared: tuple[PreparedDataset, NDArray[np.int64]]) -> PreparedDataset:
    return prepared[0]


def test_every_row_has_its_original_split(dataset: PreparedDataset) -> None:
    assert dataset.images.shape == (35_887, 48, 48)
    assert dataset.samples["id"].iloc[[0, -1]].tolist() == ["fer2013/00000", "fer2013/35886"]
    assert dataset.samples["source_split"].value_counts().to_dict() == {
        "train": 28_709,
        "validation": 3_589,
        "test": 3_589,
    }


def test_the_original_labels(dataset: PreparedDataset) -> None:
    """The codes are mapped rightly: `second_label` is FER2013's own annotation."""
    counts = dataset.samples.groupby(["source_split", "second_label"]).size()
    order = dataset.labels.names
    assert order == ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
    assert counts["train"][list(order)].tolist() == [3995, 436, 4097, 7215, 4965, 4830, 3171]
    assert counts["validation"][list(order)].tolist() == [467, 56, 496, 895, 607, 653, 415]
    assert counts["test"][list(order)].tolist() == [491, 55, 528, 879, 626, 594, 416]


def test_the_test_split_under_strict_majority(dataset: PreparedDataset) -> None:
    assert dataset.info.counts["test"] == {
        "angry": 273,
        "disgust": 18,
        "fear": 83,
        "happy": 893,
        "neutral": 1090,
        "sad": 384,
        "surprise": 396,
    }
    assert len(dataset.rows("test")) == 3137
    reasons = dataset.samples.loc[dataset.samples["source_split"] == "test", "excluded"]
    counts = reasons[reasons != ""].value_counts()
    # The count that is known calls rows without a majority unknown, too.
    unknown = counts.pop("annotators say unknown") + counts.pop("annotators disagree")
    assert unknown == 420
    # Nothing else is taken from test but what is no basic emotion.
    assert counts.to_dict() == {"annotators say contempt": 16, "annotators say not a face": 16}


def test_exact_duplicates(dataset: PreparedDataset) -> None:
    assert dataset.samples["sha1"].nunique() == 34_034
    sizes = dataset.samples.loc[dataset.samples["exact_group"] >= 0, "exact_group"].value_counts()
    assert len(sizes) == 1_516
    assert int((sizes - 1).sum()) == 1_853
    assert int(sizes.max()) == 12


def test_exact_leaks_between_the_original_splits(dataset: PreparedDataset) -> None:
    sha1 = dataset.samples.groupby("source_split")["sha1"].agg(set)
    of = {split: dataset.samples["source_split"] == split for split in sha1.index}

    def standing_in(split: str, *others: str) -> int:
        seen = set().union(*(sha1[other] for other in others))
        return int(dataset.samples.loc[of[split], "sha1"].isin(seen).sum())

    assert standing_in("test", "train", "validation") == 314
    assert standing_in("test", "train") == 288
    assert standing_in("validation", "train") == 280
    assert standing_in("test", "validation") == 44


@pytest.mark.parametrize(("split", "count"), [("test", 336), ("validation", 313)])
def test_near_duplicates_of_train_images(
    prepared: tuple[PreparedDataset, NDArray[np.int64]], split: str, count: int
) -> None:
    dataset, pairs = prepared
    splits = dataset.samples["source_split"].to_numpy()[pairs]
    held_out = pairs[(splits == split) & (splits[:, ::-1] == "train")]
    assert len(np.unique(held_out)) == count


def test_the_reported_leaks_include_every_exact_one(dataset: PreparedDataset) -> None:
    samples = dataset.samples
    seen = set(samples.loc[samples["source_split"] != "test", "sha1"])
    exact = (samples["source_split"] == "test") & samples["sha1"].isin(seen)
    assert bool(samples.loc[exact, "leak"].all())
    assert dataset.info.leaked_test == int(((samples["split"] == "test") & samples["leak"]).sum())
    assert dataset.info.leaked_test > int((exact & (samples["split"] == "test")).sum())


def test_the_split_is_that_of_the_published_runs(dataset: PreparedDataset) -> None:
    assert dataset.info.split_hash == "51f04c5d4902ff50"


def test_the_dataset_card_has_the_known_figures(dataset: PreparedDataset) -> None:
    card = DatasetCard.read(dataset.folder / "card.json")
    assert (card.exact.groups, card.exact.extra, card.exact.largest) == (1_516, 1_853, 12)
    assert card.exact.across == {
        "test in train": 288,
        "test in validation": 44,
        "validation in train": 280,
        "test in either": 314,
    }


def test_duplicates_with_two_original_labels(dataset: PreparedDataset) -> None:
    groups = dataset.samples["exact_group"].to_numpy()
    conflict = quality.conflicting(groups, dataset.samples["second_label"])
    assert (len(np.unique(groups[conflict])), int(conflict.sum())) == (57, 160)


def test_the_embedding_finds_images_that_annotators_call_no_face(dataset: PreparedDataset) -> None:
    """No proof of quality, but far from chance: 176 of 35,887 images are called no face."""
    samples = dataset.samples.dropna(subset="outlier")
    called = samples["excluded"] == "annotators say not a face"
    assert roc_auc_score(called, samples["outlier"]) > 0.7


def test_after_preparation_no_duplicate_is_in_two_splits(dataset: PreparedDataset) -> None:
    used = dataset.samples[dataset.samples["split"] != "excluded"]
    assert (used.groupby("sha1")["split"].nunique() == 1).all()
    grouped = used[used["duplicate_group"] >= 0]
    assert (grouped.groupby("duplicate_group")["split"].nunique() == 1).all()


def test_thirteen_images_are_flat(dataset: PreparedDataset) -> None:
    assert int((dataset.samples["contrast"] < 1).sum()) == 13


def test_the_search_finds_the_shipped_transformed_copies(dataset: PreparedDataset) -> None:
    """Images of 200 pairs among 1,500 that have no copy."""
    benchmark = ArtifactStore(REPOSITORY / "artifacts").benchmark("ferplus")
    pairs = pd.read_parquet(benchmark.copies_path)
    drawn = pairs[pairs["kind"] == COPY].sample(200, random_state=0)
    others = dataset.samples[
        ~dataset.samples["id"].isin({*pairs["id"], *pairs["other"]})
        & (dataset.samples["duplicate_group"] < 0)
    ].sample(1500, random_state=0)
    rows = dataset.samples["id"].isin({*drawn["id"], *drawn["other"], *others["id"]})
    ids = dataset.samples.loc[rows, "id"].to_numpy()
    found = find_transformed_copies(dataset.images[np.flatnonzero(rows)]).of_kind(COPY)
    found_pairs = {frozenset(pair) for pair in ids[found].tolist()}
    known_pairs = {frozenset(pair) for pair in pairs[["id", "other"]].to_numpy().tolist()}
    expected = {pair for pair in known_pairs if pair <= set(ids)}
    assert len(found_pairs & expected) >= 0.95 * len(expected)
    # a pair of two copies of one picture is right, listed or not
    place = pd.Series(range(len(dataset.samples)), dataset.samples["id"])
    listed = np.stack([place[pairs["id"]], place[pairs["other"]]], axis=1)
    group = pd.Series(quality.group_pairs(listed, len(place)), place.index)
    assert all(group[first] == group[second] >= 0 for first, second in found_pairs)


def test_stored_pixels_are_those_of_the_csv(dataset: PreparedDataset) -> None:
    sample = next(iter(Fer2013Source(CSV)))
    np.testing.assert_array_equal(dataset.images[0], sample.image)


def test_the_csv_and_jpeg_copies_are_attached_to_the_shipped_benchmark(tmp_path: Path) -> None:
    """The csv bit for bit; 2,000 of its images at JPEG quality 90 with none wrong."""
    benchmark = ArtifactStore(REPOSITORY / "artifacts").benchmark("ferplus")
    attached = attach(benchmark, tmp_path / "csv", CSV)
    assert (attached.exact, attached.near) == (attached.samples, 0)
    samples = benchmark.samples()
    drawn = samples.drop_duplicates("sha1").sample(2000, random_state=0)
    folder = tmp_path / "pictures"
    folder.mkdir()
    for place, name in enumerate(drawn["id"]):
        picture = Image.fromarray(np.asarray(attached.images[attached.rows[name]]))
        picture.save(folder / f"{place:05d}.jpg", quality=90)
    copies = attach(benchmark, tmp_path / "jpeg", folder)
    right = samples[samples["sha1"].isin(drawn["sha1"])]
    assert set(copies.rows) <= set(right["id"])
    for name, row in copies.rows.items():
        original = attached.images[attached.rows[name]].astype(int)
        assert np.abs(copies.images[row] - original).mean() < 6, name
    assert len(copies.rows) >= 0.99 * len(right)
