"""Models against annotators: by hand, by enumeration, and against scipy."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon

from fer_core.evaluation.human_votes import (
    Votes,
    accuracy_by_agreement,
    human_agreement,
    vote_metrics,
)
from tests.support.constructed import make_scores

SAMPLES = pd.DataFrame(
    {
        "id": ["s/00000", "s/00001", "s/00002"],
        "votes_angry": [8, 3, 0],
        "votes_disgust": [1, 6, 0],
        "votes_unknown": [1, 1, 10],
    }
).set_index("id", drop=False)


def test_votes_are_aligned_by_id_and_votes_for_other_classes_kept():
    labels = make_scores([0], [[1.0, 0.0]]).labels
    votes = Votes.of(SAMPLES, np.array(["s/00001", "s/00000"], dtype=object), labels)
    np.testing.assert_array_equal(votes.counts, [[3, 6], [8, 1]])
    np.testing.assert_array_equal(votes.others, [[1], [1]])
    np.testing.assert_allclose(votes.agreement, [0.6, 0.8])
    np.testing.assert_allclose(votes.distribution, [[1 / 3, 2 / 3], [8 / 9, 1 / 9]])


def test_a_benchmark_without_votes_has_none():
    labels = make_scores([0], [[1.0, 0.0]]).labels
    assert Votes.of(SAMPLES[["id"]], SAMPLES["id"].to_numpy(), labels) is None
    assert Votes.of(SAMPLES, np.array(["elsewhere"], dtype=object), labels) is None


def test_human_agreement_by_hand():
    scores = make_scores([0, 1, 0], [[0.5, 0.5], [0.75, 0.25], [0.9, 0.1]])
    votes = Votes.of(SAMPLES, scores.ids, scores.labels)
    result = vote_metrics(scores, votes)
    first = -np.log(0.5)
    second = -(np.log(0.75) / 3 + 2 * np.log(0.25) / 3)
    assert result.cross_entropy == pytest.approx((first + second) / 2)  # the third has no vote
    entropy = stats.entropy([8 / 9, 1 / 9]) + stats.entropy([1 / 3, 2 / 3])
    assert result.vote_entropy == pytest.approx(entropy / 2)
    assert result.vote_entropy <= result.cross_entropy
    assert result.supported_errors == 1.0  # the one error, angry for disgust, has three votes


def test_errors_on_images_without_votes_are_not_counted():
    scores = make_scores([0, 1, 1], [[0.5, 0.5], [0.75, 0.25], [0.9, 0.1]])
    votes = Votes.of(SAMPLES, scores.ids, scores.labels)
    assert not votes.counts[2].any()
    assert vote_metrics(scores, votes).supported_errors == 1.0


def test_without_errors_there_is_no_share_of_supported_errors():
    scores = make_scores([0], [[1.0, 0.0]])
    assert np.isnan(
        vote_metrics(scores, Votes.of(SAMPLES, scores.ids, scores.labels)).supported_errors
    )


def test_the_metrics_are_means_over_the_images_with_votes_of_all_classes():
    random = np.random.default_rng(0)
    counts = random.integers(0, 3, (200, 4)).astype(float)  # many classes have no vote
    counts[:20] = 0
    probabilities = random.dirichlet(np.full(4, 0.3), size=200)
    probabilities[50:60] = [1, 0, 0, 0]
    predictions = make_scores(random.integers(0, 4, 200).tolist(), probabilities)
    result = vote_metrics(predictions, Votes(counts, np.zeros((200, 1))))
    known = counts.sum(axis=1) > 0
    first = probabilities[known]
    second = counts[known] / counts[known].sum(axis=1, keepdims=True)
    logarithms = np.log(np.clip(first, 1e-12, 1))
    assert result.cross_entropy == pytest.approx(-(second * logarithms).sum(axis=1).mean())
    assert result.vote_entropy == pytest.approx(stats.entropy(second, axis=1).mean())
    assert result.distance == pytest.approx(jensenshannon(first, second, base=2, axis=1).mean())


def test_without_votes_there_is_nothing_to_compare():
    votes = Votes(np.zeros((1, 2)), np.ones((1, 1)))
    result = vote_metrics(make_scores([0], [[0.4, 0.6]]), votes)
    values = (result.cross_entropy, result.vote_entropy, result.distance, result.supported_errors)
    assert np.isnan(values).all()


def test_accuracy_by_agreement_includes_upper_edges():
    counts = np.array([[6, 4], [7, 3], [10, 0], [10, 0]], dtype=float)
    votes = Votes(counts, np.zeros((4, 0)))
    table = accuracy_by_agreement(np.array([False, True, True, False]), votes)
    assert list(table.columns) == ["agreement", "images", "accuracy", "low", "high"]
    assert table["agreement"].tolist() == ["up to 60%", "over 60 to 70%", "over 90 to 100%"]
    assert table["images"].tolist() == [1, 1, 2]
    assert table["accuracy"].tolist() == [0, 1, 0.5]
    low, high = table.loc[2, ["low", "high"]]
    expected = stats.binomtest(1, 2).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high))


def by_enumeration(counts: np.ndarray, classes: int) -> tuple[float, float]:
    """Sets each annotator aside in turn, as the definition says."""
    agreed = compared = 0.0
    for row in counts:
        answers = np.repeat(np.arange(len(row)), row)
        for index, vote in enumerate(answers):
            rest = np.bincount(np.delete(answers, index), minlength=len(row))
            label = int(rest.argmax())
            if rest[label] * 2 > len(answers) - 1 and label < classes:
                compared += 1 / len(answers)
                agreed += (vote == label) / len(answers)
    return agreed, compared


@given(st.lists(st.lists(st.integers(0, 4), min_size=4, max_size=4), min_size=1, max_size=6))
def test_the_human_reference_is_the_mean_over_annotators(rows):
    counts = np.array(rows)
    counts[counts.sum(axis=1) == 0, 0] = 1
    agreed, compared = by_enumeration(counts, classes=3)
    votes = Votes(counts[:, :3].astype(float), counts[:, 3:].astype(float))
    result = human_agreement(votes, np.zeros(len(counts), dtype=np.int64))
    if compared == 0:
        assert result is None
        return
    assert result.images == pytest.approx(compared)
    assert result.annotator == pytest.approx(agreed / compared)
    assert 0 <= result.model <= 1


def test_a_model_that_predicts_the_majority_exceeds_human_agreement():
    votes = Votes(np.array([[8.0, 2.0], [1.0, 9.0]]), np.zeros((2, 0)))
    result = human_agreement(votes, np.array([0, 1]))
    assert result.model == 1.0
    # 8 of 10 agree with the other 9, and 9 of 10
    assert result.annotator == pytest.approx(0.85)
    np.testing.assert_allclose(result.by_class, [0.8, 0.9])


def test_an_image_without_votes_has_no_majority():
    votes = Votes(np.array([[8.0, 2.0], [0.0, 0.0], [1.0, 9.0]]), np.zeros((3, 1)))
    result = human_agreement(votes, np.array([0, 1, 1]))
    assert (result.model, result.annotator, result.images) == pytest.approx((1, 0.85, 2))
    np.testing.assert_array_equal(votes.left_out.weight, [[1, 0], [0, 0], [0, 1]])
