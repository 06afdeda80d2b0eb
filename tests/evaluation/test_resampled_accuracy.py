"""Accuracies in resamples, drawn image by image or as normal sums."""

import time
from itertools import product

import numpy as np
import pytest

from fer_core.evaluation import resampled_accuracy
from fer_core.evaluation.aligned import AlignedPredictions
from fer_core.evaluation.human_votes import Votes
from fer_core.evaluation.predictions import SplitPredictions
from fer_core.evaluation.resampled_accuracy import label_chances, resampled_accuracies
from fer_core.labels import LabelSet

LABELS = LabelSet(("angry", "happy", "sad"))
RUNS = 4


def predictions(count: int, runs: int = RUNS) -> AlignedPredictions:
    """Runs that are right on 70% of the images or more, some of them together."""
    random = np.random.default_rng(0)
    truth = random.integers(3, size=count)
    easy = random.random(count) < 0.5
    ids = np.array([f"x/{i}" for i in range(count)], dtype=object)
    answers = {}
    for run in range(runs):
        known = easy | (random.random(count) < 0.4 + run / 50)
        answers[f"r{run}"] = np.where(known, truth, random.integers(3, size=count))
    return AlignedPredictions.of(
        {
            run: SplitPredictions(LABELS, ids, truth, np.eye(3)[given])
            for run, given in answers.items()
        }
    )


def votes_for(aligned: AlignedPredictions) -> Votes:
    """Ten votes for each image, of which some are for no class."""
    random = np.random.default_rng(1)
    split = random.multinomial(5, [0.3, 0.3, 0.3, 0.1], size=len(aligned))
    counts = np.eye(3)[aligned.truth] * 5 + split[:, :3]
    return Votes(counts, split[:, 3:].astype(float) * 5)


@pytest.mark.parametrize(("images", "annotators"), [(True, False), (False, True), (True, True)])
def test_normal_sums_have_the_distribution_of_drawn_resamples(images, annotators, monkeypatch):
    aligned = predictions(2000)
    votes = votes_for(aligned) if annotators else None
    drawn = resampled_accuracies(aligned, votes, np.random.default_rng(2), 4000, images=images)
    monkeypatch.setattr(resampled_accuracy, "EXACT_IMAGES", 0)
    normal = resampled_accuracies(aligned, votes, np.random.default_rng(3), 4000, images=images)
    deviation = drawn.std(axis=0)
    error = 5 * deviation / np.sqrt(4000)  # five standard errors of a mean of the draws
    assert (abs(normal.mean(axis=0) - drawn.mean(axis=0)) < np.sqrt(2) * error).all()
    np.testing.assert_allclose(normal.std(axis=0), deviation, rtol=0.08)
    np.testing.assert_allclose(np.corrcoef(normal.T), np.corrcoef(drawn.T), atol=0.08)
    for first, second in product(range(RUNS), repeat=2):
        better = (normal[:, first] > normal[:, second]).mean()
        assert better == pytest.approx((drawn[:, first] > drawn[:, second]).mean(), abs=0.06)


def test_equal_runs_tie_in_every_normal_draw(monkeypatch):
    monkeypatch.setattr(resampled_accuracy, "EXACT_IMAGES", 0)
    one = predictions(500, runs=1).predictions["r0"]
    aligned = AlignedPredictions.of({"a": one, "b": one})
    drawn = resampled_accuracies(aligned, None, np.random.default_rng(0), 300, images=True)
    np.testing.assert_array_equal(drawn[:, 0], drawn[:, 1])
    assert drawn.std() > 0


def test_without_resampling_normal_sums_are_the_accuracies(monkeypatch):
    monkeypatch.setattr(resampled_accuracy, "EXACT_IMAGES", 0)
    aligned = predictions(500)
    drawn = resampled_accuracies(aligned, None, np.random.default_rng(0), 3, images=False)
    np.testing.assert_allclose(drawn, [aligned.right.mean(axis=1)] * 3, atol=1e-12)


def test_a_run_without_errors_stays_without_errors(monkeypatch):
    monkeypatch.setattr(resampled_accuracy, "EXACT_IMAGES", 0)
    truth = np.array([0, 1, 2] * 50)
    ids = np.array([f"x/{i}" for i in range(150)], dtype=object)
    right = SplitPredictions(LABELS, ids, truth, np.eye(3)[truth])
    half = SplitPredictions(LABELS, ids, truth, np.eye(3)[np.where(ids < "x/5", truth, 0)])
    aligned = AlignedPredictions.of({"right": right, "half": half})
    drawn = resampled_accuracies(aligned, None, np.random.default_rng(0), 200, images=True)
    np.testing.assert_array_equal(drawn[:, 0], 1.0)
    assert (drawn[:, 1] < 1).all()


@pytest.mark.parametrize("annotators", [False, True])
def test_moments_of_several_blocks_are_those_of_one(annotators, monkeypatch):
    aligned = predictions(150)
    votes = votes_for(aligned)
    counts = np.concatenate([votes.counts, votes.others], axis=1)
    chances = label_chances(counts) if annotators else None
    whole = resampled_accuracy._moments(aligned, chances)
    assert whole[0][-1] == pytest.approx(chances[:, :3].sum() if annotators else 150)
    monkeypatch.setattr(resampled_accuracy, "_BLOCK", 64)
    for one, several in zip(whole, resampled_accuracy._moments(aligned, chances), strict=True):
        np.testing.assert_allclose(several, one)


def test_half_a_million_images_are_resampled_quickly():
    """Drawn image by image, 1,000 resamples of them would take most of a minute."""
    aligned = predictions(500_000, runs=8)
    start = time.process_time()
    resampled_accuracies(aligned, None, np.random.default_rng(0), 1000, images=True)
    assert time.process_time() - start < 2  # 0.2 s on a quiet machine


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([10, 0, 0], [1, 0, 0]),
        ([5, 5, 0], [0.5, 0.5, 0]),
        ([0, 0, 0], [0, 0, 0]),
        # three votes of 2 : 1: two or three of them win, 3 (2/3)^2 (1/3) + (2/3)^3
        ([2, 1, 0], [20 / 27, 7 / 27, 0]),
        # two votes of 1 : 1: 2:0 wins with 1/4, a tie of 1/2 is broken at random
        ([0, 1, 1], [0, 0.5, 0.5]),
    ],
)
def test_chances_of_labels_are_exact(given, expected):
    np.testing.assert_allclose(label_chances(np.array([given])), [expected], atol=1e-12)


def test_chances_of_labels_agree_with_drawn_votes():
    given = np.array([[6, 3, 1], [4, 3, 3]])
    random = np.random.default_rng(0)
    for row, chances in zip(given, label_chances(given), strict=True):
        drawn = random.multinomial(10, row / 10, size=100_000) + random.random((100_000, 3)) / 2
        shares = np.bincount(drawn.argmax(axis=1), minlength=3) / 100_000
        np.testing.assert_allclose(chances, shares, atol=0.006)


@pytest.mark.parametrize("annotators", [False, True])
def test_persons_are_drawn_with_all_their_images(annotators, monkeypatch):
    """Two persons: one run is right on all images of the first, the other of the second."""
    monkeypatch.setattr(resampled_accuracy, "EXACT_IMAGES", 0)
    truth, ids = np.zeros(4, dtype=np.int64), np.array(list("abcd"), dtype=object)
    answers = {"first": [0, 0, 0, 1], "second": [1, 1, 1, 0]}
    aligned = AlignedPredictions.of(
        {
            run: SplitPredictions(LABELS, ids, truth, np.eye(3)[given])
            for run, given in answers.items()
        }
    )
    persons = np.array(["p", "p", "p", "q"], dtype=object)
    certain = Votes(np.eye(3)[truth] * 5, np.zeros((4, 1))) if annotators else None
    if annotators:
        monkeypatch.setattr(resampled_accuracy, "EXACT_IMAGES", 4)
    drawn = resampled_accuracies(
        aligned, certain, np.random.default_rng(0), 2000, images=True, persons=persons
    )
    assert {tuple(row) for row in drawn} == {(1, 0), (0.75, 0.25), (0, 1)}
    assert (drawn[:, 0] == 0.75).mean() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("annotators", [False, True])
def test_resamples_of_many_persons_are_drawn_in_parts(annotators, monkeypatch):
    aligned = predictions(100)
    votes = votes_for(aligned) if annotators else None
    persons = np.repeat(np.array([f"p{number}" for number in range(50)], dtype=object), 2)
    random = np.random.default_rng
    whole = resampled_accuracies(aligned, votes, random(0), 2000, images=True, persons=persons)
    monkeypatch.setattr(resampled_accuracy, "EXACT_IMAGES", 30)
    sizes = []
    counts = resampled_accuracy._counts
    monkeypatch.setattr(
        resampled_accuracy,
        "_counts",
        lambda units, source, draws: sizes.append(draws) or counts(units, source, draws),
    )
    parts = resampled_accuracies(aligned, votes, random(1), 2000, images=True, persons=persons)
    assert sizes == [600, 600, 600, 200]
    assert parts.shape == whole.shape
    np.testing.assert_allclose(parts.mean(axis=0), whole.mean(axis=0), atol=0.01)
    np.testing.assert_allclose(parts.std(axis=0), whole.std(axis=0), rtol=0.12)
