"""Embedding, outliers, lists for review, votes: small tables with answers worked out by hand."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from fer_core.data import annotators, embedding, quality, review
from fer_core.data.outliers import outlier_scores, outliers
from fer_core.data.splits import class_weights
from tests.support.helpers import noise


def thumbnails(count: int, seed: int = 0) -> np.ndarray:
    return noise(count, seed=seed, side=16).astype(np.float32)


def test_hashes_ignore_brightness_and_distinguish_images() -> None:
    images = thumbnails(40)
    hashes = quality.perceptual_hashes(images)
    paler = quality.perceptual_hashes((images * 0.5 + 60).astype(np.float32))
    assert (hashes == paler).all()
    assert (hashes < 2**63).all()
    distance = np.bitwise_count(hashes[:, None] ^ hashes[None])
    assert distance[~np.eye(40, dtype=bool)].min() > quality.HASH_DISTANCE


def test_hashes_have_half_of_their_bits_set() -> None:
    assert set(np.bitwise_count(quality.perceptual_hashes(thumbnails(20)))) == {31}


@pytest.mark.parametrize("strength", [0, 4, 10, 40])
def test_hashing_finds_the_pairs_of_an_exhaustive_comparison(strength: int) -> None:
    """Smooth pictures, as faces are, and noisy copies of them around the threshold."""
    random = np.random.default_rng(0)
    low = random.normal(0, 60, (150, 5, 5))
    smooth = np.stack([np.kron(image, np.ones((4, 4)))[:16, :16] for image in low]) + 128
    copies = smooth + random.normal(0, strength, smooth.shape)
    images = np.concatenate([smooth, copies]).astype(np.float32)
    correlation = np.corrcoef(images.reshape(len(images), -1))
    expected = np.argwhere(np.triu(correlation >= 0.99, 1))
    result = quality.near_pairs(images)
    assert set(map(tuple, result)) == set(map(tuple, expected))
    assert (len(result) == 150) == (strength < 10)


def test_conflicts_need_two_labels_in_one_group() -> None:
    groups = np.array([0, 0, 1, 1, 2, 2, -1, -1])
    labels = pd.Series(["sad", "sad", "sad", "fear", "sad", None, "sad", "fear"])
    mask = quality.conflicting(groups, labels)
    assert mask.tolist() == [False, False, True, True, False, False, False, False]


def test_class_weights_are_scikit_learns() -> None:
    from sklearn.utils.class_weight import compute_class_weight

    counts = {"angry": 3, "happy": 12, "sad": 5}
    given_labels = np.repeat(list(counts), list(counts.values()))
    expected = compute_class_weight("balanced", classes=np.unique(given_labels), y=given_labels)
    assert list(class_weights(counts).values()) == pytest.approx(list(expected))


def test_the_map_equals_principal_component_analysis() -> None:
    images = thumbnails(300)
    images[:, :, 8:] += np.linspace(-150, 150, 300)[:, None, None]  # light from the right
    flat = images.reshape(300, -1).astype(np.float64)
    unit = flat - flat.mean(axis=1, keepdims=True)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    expected = PCA(embedding.AXES, svd_solver="full").fit(unit)
    placed = embedding.project(images)
    scores = expected.transform(unit)
    for axis in (0, 1):
        assert abs(np.corrcoef(scores[:, axis], placed.map[:, axis])[0, 1]) > 0.999
    np.testing.assert_allclose(
        placed.explained[:2], expected.explained_variance_ratio_[:2], rtol=1e-6
    )
    rest = unit - expected.inverse_transform(scores)
    np.testing.assert_allclose(placed.distance, np.linalg.norm(rest, axis=1), atol=1.3e-4)


def test_a_flat_image_has_no_map_position() -> None:
    images = thumbnails(50)
    images[7] = 3
    placed = embedding.project(images)
    assert np.isnan(placed.map[7]).all()
    assert np.isnan(placed.distance[7])
    assert np.isfinite(np.delete(placed.map, 7, axis=0)).all()


def test_images_with_another_framing_are_outliers_of_the_embedding() -> None:
    """All pictures mix forty patterns, but for one."""
    random = np.random.default_rng(0)
    patterns = random.normal(0, 40, (40, 16, 16))
    weights = random.normal(0, 1, (400, 40))
    images = (128 + np.einsum("nk,kij->nij", weights, patterns)).astype(np.float32)
    images += random.normal(0, 2, images.shape).astype(np.float32)
    images[123] = 128 + random.normal(0, 250, (16, 16))
    assert np.argmax(embedding.project(images).distance) == 123


SQUARE = np.array([[0, 0], [2, 0], [2, 2], [0, 2]], dtype=float)


@given(st.floats(-3, 5), st.floats(-3, 5))
def test_points_inside_a_square(x: float, y: float) -> None:
    if min(abs(x), abs(x - 2), abs(y), abs(y - 2)) < 1e-9:
        return  # on the edge either answer is right
    expected = 0 < x < 2 and 0 < y < 2
    assert embedding.inside(np.array([[x, y]]), SQUARE)[0] == expected


def test_concave_regions_and_points_without_a_position() -> None:
    horseshoe = np.array([[0, 0], [6, 0], [6, 6], [4, 6], [4, 2], [2, 2], [2, 6], [0, 6]], float)
    points = np.array([[1, 5], [3, 5], [5, 5], [3, 1], [np.nan, 1]])
    assert embedding.inside(points, horseshoe).tolist() == [True, False, True, True, False]


def test_modified_z_by_hand() -> None:
    # median 3, absolute deviations 2 1 0 1 97, their median 1
    scores = outlier_scores(np.array([1.0, 2, 3, 4, 100]), "modified-z")
    np.testing.assert_allclose(scores, 0.6745 * np.array([-2, -1, 0, 1, 97]))
    assert outlier_scores(np.array([5.0, 5, 5, 9]), "modified-z").tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("rule", ["modified-z", "z-score", "iqr"])
def test_scores_among_some_values_are_those_of_them_alone(rule: str) -> None:
    values = np.array([1.0, 2, 3, 5, 8, 100, 200, np.nan])
    among = np.arange(8) < 5
    scores = outlier_scores(values, rule, among)
    np.testing.assert_allclose(scores[:5], outlier_scores(values[:5], rule))
    assert (scores[5:7] > 20).all()
    assert np.isnan(scores[7])
    assert np.isnan(outlier_scores(values, rule, np.zeros(8, dtype=bool))).all()


def test_outliers_are_named_with_their_reason() -> None:
    random = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "id": [f"a/{n}" for n in range(100)],
            "brightness": random.normal(120, 5, 100),
            "contrast": random.lognormal(4, 0.1, 100),
            "sharpness": random.lognormal(6, 0.1, 100),
            "outlier": random.normal(0.3, 0.01, 100),
        }
    )
    table.loc[3, "brightness"] = 2
    table.loc[4, "brightness"] = 250
    table.loc[5, "contrast"] = 3
    table.loc[6, "sharpness"] = 5
    table.loc[7, "outlier"] = 0.9
    table.loc[8, "outlier"] = 0.01  # like the mean face: no fault
    result = outliers(table)
    assert dict(zip(result["id"], result["reason"], strict=True)) == {
        "a/3": "very dark",
        "a/4": "very bright",
        "a/5": "very low contrast",
        "a/6": "very blurred",
        "a/7": "unlike the other faces",
    }
    assert result["score"].is_monotonic_decreasing


@pytest.fixture
def samples() -> pd.DataFrame:
    """Group 0: three copies over all splits, two labels; group 1: a pair within train."""
    return pd.DataFrame(
        {
            "id": ["s/0", "s/1", "s/2", "s/3", "s/4", "s/5"],
            "original_split": ["train", "validation", "test", "train", "train", "test"],
            "split": ["train", "validation", "test", "train", "train", "test"],
            "label": ["sad", "sad", "fear", "happy", None, "happy"],
            "duplicate_group": [0, 0, 0, 1, 1, -1],
            "exact_group": [0, 0, -1, -1, -1, -1],
        }
    )


def test_duplicate_groups(samples: pd.DataFrame) -> None:
    table = review.duplicate_groups(samples)
    assert table["id"].tolist() == ["s/0", "s/1", "s/2", "s/3", "s/4"]
    assert table["size"].tolist() == [3, 3, 3, 2, 2]
    assert table["kind"].tolist() == ["exact", "exact", "near", "near", "near"]
    assert table["proposal"].tolist() == ["sad", "", "", "happy", ""]
    assert table["reason"].tolist()[1] == "copy of s/0"


def test_the_original_of_a_group_is_labelled_if_possible(samples: pd.DataFrame) -> None:
    samples.loc[[0, 3], "label"] = None
    table = review.duplicate_groups(samples).set_index("id")
    assert table["proposal"].to_dict() == {
        "s/0": "",
        "s/1": "sad",
        "s/2": "",
        "s/3": "",  # none of the group has one: the first is its original, and stays aside
        "s/4": "",
    }
    assert table.loc["s/0", "reason"] == "copy of s/1"
    assert table.loc["s/3", "reason"] == "original of its group"


def test_leaks(samples: pd.DataFrame) -> None:
    table = review.leaks(samples).set_index("id")
    assert table.index.tolist() == ["s/2", "s/1"]
    assert table.loc["s/2", "stands_in"] == "train and validation"
    assert table.loc["s/1", "stands_in"] == "train"
    assert table["same_label"].tolist() == [False, True]


def test_conflicts_propose_the_majority(samples: pd.DataFrame) -> None:
    table = review.conflicts(samples)
    assert table["id"].tolist() == ["s/0", "s/1", "s/2"]
    assert set(table["proposal"]) == {"sad"}
    assert set(table["reason"]) == {"its copies are labelled 1 x fear, 2 x sad"}
    samples.loc[1, "label"] = None  # one against one
    assert set(review.conflicts(samples)["proposal"]) == {""}


def test_a_relabel_list_contains_only_changes(samples: pd.DataFrame) -> None:
    listed = review.relabel_list(review.conflicts(samples))
    assert listed.to_dict("list") == {
        "id": ["s/2"],
        "label": ["sad"],
        "given": ["fear"],
        "reason": ["its copies are labelled 1 x fear, 2 x sad"],
    }
    assert review.relabel_list(review.duplicate_groups(samples))["id"].tolist() == [
        "s/1",
        "s/2",
        "s/4",
    ]


def test_review_lists_of_a_clean_dataset_are_empty(samples: pd.DataFrame) -> None:
    clean = samples.assign(duplicate_group=-1, exact_group=-1)
    assert review.duplicate_groups(clean).empty
    assert review.leaks(clean).empty
    assert review.conflicts(clean).empty


def test_votes_by_hand() -> None:
    table = pd.DataFrame(
        {
            "label": ["sad", "sad", "fear", None],
            "second_label": ["sad", "fear", "fear", "sad"],
            "votes_sad": [10, 6, 1, 0],
            "votes_fear": [0, 2, 9, 0],
            "votes_unknown": [0, 2, 0, 0],
        }
    )
    assert annotators.voted_classes(table) == ["sad", "fear", "unknown"]
    np.testing.assert_allclose(annotators.agreement(table), [1.0, 0.6, 0.9, np.nan])
    means = annotators.votes_by_label(table, ("fear", "sad"))
    assert means.columns.tolist() == ["fear", "sad", "unknown"]
    np.testing.assert_allclose(means.to_numpy(), [[0.9, 0.1, 0], [0.1, 0.8, 0.1]])
    partly = table.assign(label="sad")  # the last image has no votes
    half = annotators.votes_by_label(partly, ("sad",))
    np.testing.assert_allclose(half.to_numpy(), [[1.7 / 3, 1.1 / 3, 0.2 / 3]])
    compared = annotators.annotations_compared(table, ("fear", "sad"))
    assert compared is not None
    assert compared.to_numpy().tolist() == [[1, 0], [1, 1]]
    none = table.assign(second_label=None)
    assert annotators.annotations_compared(none, ("fear", "sad")) is None


def test_scored_are_held_out_images_and_those_that_a_label_would_add() -> None:
    table = pd.DataFrame(
        [
            ("train", "train", "train", "happy"),
            ("test", "test", "test", "happy"),
            ("validation", "validation", "validation", None),
            ("unlabelled", None, "test", None),
            ("set aside", None, "test", "happy"),
            ("unlabelled train", None, "train", None),
        ],
        columns=["id", "split", "original_split", "label"],
    )
    assert review.scored_ids(table) == {"test", "validation", "unlabelled"}
