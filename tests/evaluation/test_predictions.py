"""Predictions on disk, what is refused, and ensembles."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_core.errors import ArtifactError
from fer_core.evaluation.ensemble import average, greedy_weights
from fer_core.evaluation.predictions import Predictions, SplitPredictions
from fer_core.labels import LabelSet
from tests.support.constructed import make_scores

LABELS = LabelSet.of(["angry", "happy", "sad"])


def predictions(first=(0.7, 0.2, 0.1), order=(0, 1)) -> Predictions:
    ids = np.array(["d/0", "d/1"], dtype=object)[list(order)]
    truth = np.array([0, 2])[list(order)]
    probabilities = np.array([first, (0.1, 0.3, 0.6)])[list(order)]
    part = SplitPredictions(LABELS, ids, truth, probabilities)
    validation = SplitPredictions(
        LABELS, np.array([f"v{name}" for name in ids], object), truth, probabilities
    )
    return Predictions({"validation": validation, "test": part})


def test_predictions_survive_a_round_trip(tmp_path):
    path = tmp_path / "predictions.parquet"
    predictions().write(path)
    read = Predictions.read(path, LABELS).split("test")
    assert list(read.ids) == ["d/0", "d/1"]
    np.testing.assert_array_equal(read.truth, [0, 2])
    np.testing.assert_allclose(read.probabilities, predictions().split("test").probabilities, 1e-6)
    np.testing.assert_array_equal(read.predicted, [0, 2])


def change(table: pd.DataFrame, column: str, value) -> pd.DataFrame:
    table.loc[0, column] = value
    return table


def negative(table: pd.DataFrame) -> pd.DataFrame:
    """Gives the second row a negative probability; it still sums to 1."""
    table.loc[1, [name for name in table if name.startswith("p_")]] = [1.5, -0.5, 0.0]
    return table


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda t: change(t, "p_angry", 0.9), "do not sum to 1 or are negative"),
        (lambda t: change(t, "p_angry", float("nan")), "do not sum to 1 or are negative"),
        (lambda t: negative(t), "probabilities of d/1 do not sum to 1 or are negative"),
        (lambda t: change(t, "y_true", "bored"), "unknown label 'bored'"),
        (lambda t: t.drop(columns="p_sad"), "lacks the columns p_sad"),
        (lambda t: t.assign(p_fear=0.0), "unknown classes: p_fear"),
        (lambda t: change(t, "id", "d/1"), "has sample d/1 twice"),
        (lambda t: t.iloc[:0], "is empty"),
    ],
)
def test_inconsistent_prediction_files_are_refused(tmp_path, damage, message):
    part = {"test": predictions().split("test")}
    path = tmp_path / "predictions.parquet"
    Predictions(part).write(path)
    damage(pd.read_parquet(path)).to_parquet(path)
    with pytest.raises(ArtifactError, match=message):
        Predictions.read(path, LABELS)


def test_a_truncated_file_is_named(tmp_path):
    path = tmp_path / "run" / "predictions.parquet"
    predictions().write(path)
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(ArtifactError, match=r"predictions\.parquet of 'run' is corrupt"):
        Predictions.read(path, LABELS)


def test_average_by_hand_whatever_the_order_of_samples():
    mean = average([predictions(), predictions((0.1, 0.6, 0.3), order=(1, 0))]).split("test")
    np.testing.assert_allclose(mean.probabilities, [[0.4, 0.4, 0.2], [0.1, 0.3, 0.6]])
    assert list(mean.ids) == ["d/0", "d/1"]


@given(st.permutations([0, 1, 2]))
def test_average_does_not_depend_on_the_order_of_members(order):
    members = [predictions((0.5, 0.25, 0.25)), predictions(), predictions((0.0, 1.0, 0.0))]
    first = average(members).split("test").probabilities
    second = average([members[i] for i in order]).split("test").probabilities
    np.testing.assert_allclose(first, second)


def test_members_must_have_scored_the_same_samples():
    other = predictions()
    part = other.split("test")
    moved = SplitPredictions(
        LABELS, np.array(["d/0", "d/9"], dtype=object), part.truth, part.probabilities
    )
    with pytest.raises(ArtifactError, match="predictions for the same samples"):
        average([predictions(), Predictions({"validation": moved, "test": moved})])


def member(*answers: int) -> Predictions:
    """Predictions whose answers, with .6 each, are given; the truth is 0, 1, 2, 0."""
    truth = np.array([0, 1, 2, 0])
    probabilities = np.where(np.eye(3)[list(answers)] == 1, 0.6, 0.2)
    ids = np.array([f"v/{i}" for i in range(4)], dtype=object)
    return Predictions({"validation": SplitPredictions(LABELS, ids, truth, probabilities)})


def test_averages_use_the_weights():
    first, second = member(0, 1, 2, 0), member(1, 1, 1, 1)
    mean = average([first, second], (0.75, 0.25)).split("validation")
    np.testing.assert_allclose(mean.probabilities[0], [0.5, 0.3, 0.2])


def test_greedy_selection_adds_only_what_improves_validation():
    perfect, wrong = member(0, 1, 2, 0), member(1, 2, 0, 1)
    assert greedy_weights([wrong, perfect]) == (0.0, 1.0)


def test_greedy_selection_combines_complementary_members():
    # each errs on another sample; two right answers outvote one wrong
    members = [member(1, 1, 2, 0), member(0, 2, 2, 0), member(0, 1, 0, 0)]
    weights = greedy_weights(members)
    assert sum(weights) == pytest.approx(1)
    assert min(weights) > 0
    mixed = average(members, weights).split("validation")
    assert (mixed.predicted == mixed.truth).all()


def test_greedy_weights_by_hand():
    """Alone each member errs on one of three; the second outvotes the first only if it is twice."""
    truth = [0, 0, 0]
    first, second = (
        make_scores(truth, [[share, 1 - share] for share in shares])
        for shares in ((0.9, 0.25, 0.9), (0.6, 0.65, 0.45))
    )
    members = [Predictions({"validation": one}) for one in (first, second)]
    assert greedy_weights(members, rounds=1) == (1.0, 0.0)  # the smaller log loss
    assert greedy_weights(members, rounds=2) == (0.5, 0.5)  # likewise, still with one error
    for rounds in (3, 4):  # the fourth round has a larger log loss
        assert greedy_weights(members, rounds=rounds) == pytest.approx((1 / 3, 2 / 3))


def test_greedy_selection_compares_log_losses_of_means():
    """Alone and mixed in equal parts the first is right in two of three; its log loss is lower.

    The true class has 0.9, 0.9 and 0.3, in the mean 0.6, 0.6 and 0.495: 0.243 against 0.178.
    """
    first, second = (
        make_scores([0, 0, 0], [[share, 1 - share] for share in shares])
        for shares in ((0.9, 0.9, 0.3), (0.3, 0.3, 0.69))
    )
    members = [Predictions({"validation": one}) for one in (first, second)]
    assert greedy_weights(members, rounds=2) == (1.0, 0.0)


def test_second_labels_replace_the_truth_and_drop_unlabelled_samples():
    names = pd.Series({"d/0": "sad", "d/1": None, "d/9": "happy"})
    again = predictions().split("test").relabelled(names)
    assert list(again.ids) == ["d/0"]
    assert list(again.truth) == [2]
    np.testing.assert_allclose(again.probabilities, [[0.7, 0.2, 0.1]])


def test_greedy_weights_reach_the_required_macro_recall():
    """Six of class 0 and two of class 1: the accurate member never finds class 1."""
    truth = [0] * 6 + [1] * 2
    accurate = make_scores(truth, [[0.9, 0.1]] * 6 + [[0.9, 0.1]] * 2)  # 6 of 8, macro 1/2
    fair = make_scores(truth, [[0.4, 0.6]] * 3 + [[0.6, 0.4]] * 3 + [[0.1, 0.9]] * 2)  # 5, 3/4
    members = [Predictions({"validation": one}) for one in (accurate, fair)]
    assert greedy_weights(members, rounds=1) == (1.0, 0.0)
    assert greedy_weights(members, rounds=1, least_macro_recall=0.7) == (0.0, 1.0)
    assert greedy_weights(members, rounds=1, least_macro_recall=0.5) == (1.0, 0.0)


def test_right_and_confidence_in_the_precision_of_the_file():
    double = make_scores([0, 1, 1], [[0.7, 0.3], [0.6, 0.4], [0.2, 0.8]])
    scores = replace(double, stored=double.stored.astype(np.float32))
    np.testing.assert_array_equal(scores.right, [True, False, True])
    assert scores.stored_confidence.dtype == np.float32
    np.testing.assert_array_equal(
        scores.stored_confidence, np.array([0.7, 0.6, 0.8], dtype=np.float32)
    )
    np.testing.assert_array_equal(scores.confidence, scores.stored_confidence)
