"""The order of runs under resampled images, annotators and seeds."""

import time

import numpy as np
import pytest

from fer_core.evaluation.aligned import AlignedPredictions
from fer_core.evaluation.human_votes import Votes
from fer_core.evaluation.predictions import SplitPredictions
from fer_core.evaluation.ranking import Doubt, doubts_of, rank_under_doubt
from fer_core.evaluation.resampled_accuracy import label_chances
from fer_core.labels import LabelSet

LABELS = LabelSet(("angry", "happy", "sad"))


def aligned(answers, truth):
    """Returns predictions of runs; `answers` are class indices by run id."""
    truth = np.asarray(truth)
    ids = np.array([f"x/{i}" for i in range(len(truth))], dtype=object)
    return AlignedPredictions.of(
        {
            run: SplitPredictions(LABELS, ids, truth, np.eye(3)[np.asarray(given)])
            for run, given in answers.items()
        }
    )


def votes(counts, others=None):
    counts = np.asarray(counts, dtype=float)
    return Votes(counts, np.zeros((len(counts), 0)) if others is None else np.asarray(others))


def test_a_run_that_is_right_more_often_on_every_resample_always_wins():
    truth = [0, 1, 2] * 20
    ranking = rank_under_doubt(
        aligned({"half": [0] * 60, "all": truth}, truth), [Doubt.IMAGES], draws=200
    )
    assert ranking.runs == ("all", "half")
    assert ranking.beats[0, 1] == 1.0
    assert ranking.beats[1, 0] == 0.0
    np.testing.assert_array_equal(ranking.places, [[1, 0], [0, 1]])


def test_equal_runs_beat_each_other_half_of_the_time():
    truth = [0, 1, 2] * 20
    same = [0, 1, 0] * 20
    ranking = rank_under_doubt(aligned({"a": same, "b": same}, truth), [Doubt.IMAGES], draws=2000)
    assert ranking.beats[0, 1] == 0.5
    np.testing.assert_allclose(ranking.places, 0.5, atol=0.05)


def test_the_chance_to_win_equals_the_bootstrap_of_the_difference():
    # 40 images only a gets right, 30 only b: P(A > B) + P(tie) / 2 of Binomial draws
    answers = {"a": [0] * 40 + [1] * 30 + [0] * 30, "b": [1] * 40 + [0] * 30 + [0] * 30}
    ranking = rank_under_doubt(aligned(answers, [0] * 100), [Doubt.IMAGES], draws=8000)
    random = np.random.default_rng(1)
    drawn = random.multinomial(100, [0.4, 0.3, 0.3], size=200_000)
    gain = drawn[:, 0] - drawn[:, 1]
    expected = (gain > 0).mean() + (gain == 0).mean() / 2
    assert ranking.beats[0, 1] == pytest.approx(expected, abs=0.015)


def test_without_doubt_every_draw_has_the_same_order():
    ranking = rank_under_doubt(aligned({"a": [0, 0], "b": [0, 1]}, [0, 1]), [], draws=5)
    assert ranking.runs == ("b", "a")
    np.testing.assert_array_equal(ranking.accuracy, [[1.0, 0.5]] * 5)


def test_redrawn_annotators_move_accuracy_only_where_they_disagree():
    truth = [0, 0]
    of_images = votes([[10, 0, 0], [6, 4, 0]])
    ranking = rank_under_doubt(
        aligned({"a": [0, 0]}, truth), [Doubt.ANNOTATORS], of_images, draws=4000
    )
    assert set(ranking.accuracy[:, 0]) == {0.5, 1.0}
    chance = label_chances(np.array([[6, 4, 0]]))[0, 0]
    assert (ranking.accuracy[:, 0] == 1.0).mean() == pytest.approx(chance, abs=0.03)


def test_an_image_whose_winner_is_no_class_counts_for_no_run():
    of_images = votes([[10, 0, 0], [0, 0, 0]], others=[[0], [10]])
    ranking = rank_under_doubt(
        aligned({"a": [0, 0]}, [0, 0]), [Doubt.ANNOTATORS], of_images, draws=10
    )
    np.testing.assert_array_equal(ranking.accuracy, 1.0)


def test_images_and_annotators_together_vary_more_than_each_alone():
    random = np.random.default_rng(0)
    truth = random.integers(3, size=300)
    counts = np.eye(3)[truth] * 6 + np.eye(3)[random.integers(3, size=300)] * 4
    predictions = aligned({"a": np.where(random.random(300) < 0.7, truth, 0)}, truth)

    def spread(*doubts):
        return rank_under_doubt(predictions, doubts, votes(counts)).accuracy.std()

    both = spread(Doubt.IMAGES, Doubt.ANNOTATORS)
    assert both > 1.05 * max(spread(Doubt.IMAGES), spread(Doubt.ANNOTATORS))


def test_seeds_are_drawn_within_a_recipe():
    truth = [0] * 10
    answers = {
        "x-cpu-s0": [0] * 9 + [1],
        "x-cpu-s1": [0] * 5 + [1] * 5,
        "y-cpu-s0": [0] * 8 + [1] * 2,
    }
    predictions = aligned(answers, truth)
    assert doubts_of(predictions, None) == (Doubt.IMAGES, Doubt.SEEDS)
    ranking = rank_under_doubt(predictions, [Doubt.SEEDS], draws=4000)
    assert ranking.runs == ("y-cpu-s0", "x-cpu-s0")
    assert ranking.beats[0, 1] == pytest.approx(0.5, abs=0.03)
    fixed = rank_under_doubt(predictions, [], draws=1)
    np.testing.assert_allclose(fixed.accuracy, [[0.8, 0.7]])
    assert fixed.seeds == (1, 2)


def test_annotators_need_votes():
    with pytest.raises(ValueError, match="without their votes"):
        rank_under_doubt(aligned({"a": [0]}, [0]), [Doubt.ANNOTATORS])


def test_twelve_runs_on_test_are_ranked_quickly():
    random = np.random.default_rng(0)
    truth = random.integers(3, size=3137)
    counts = np.eye(3)[truth] * 7 + random.multinomial(3, [1 / 3] * 3, size=3137)
    answers = {
        f"r{run}": np.where(random.random(3137) < 0.8, truth, random.integers(3, size=3137))
        for run in range(12)
    }
    predictions = aligned(answers, truth)
    start = time.process_time()
    rank_under_doubt(predictions, list(Doubt), votes(counts))
    assert time.process_time() - start < 3  # 0.3 s on a quiet machine
