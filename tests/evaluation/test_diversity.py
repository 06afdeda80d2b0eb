"""Comparison of models: kappa, oracle accuracy, alignment, seeds, differences, subsets."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import cohen_kappa_score

from fer_core.errors import ArtifactError, DataError
from fer_core.evaluation.aligned import AlignedPredictions
from fer_core.evaluation.diversity import (
    agreement,
    complementarity,
    effective_members,
    kappa,
)
from fer_core.evaluation.intervals import interval, wilson
from fer_core.evaluation.leaderboard_columns import pareto_front, prediction_metrics
from fer_core.evaluation.seeds import interval_over_seeds, seed_spreads
from fer_core.evaluation.significance import difference
from fer_core.evaluation.subsets import presets
from fer_core.labels import SEVEN_EMOTIONS
from tests.support.constructed import (
    any_scores,
    doubled,
    make_scores,
    random_scores,
    reordered,
    shuffled,
)

pairs = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40)


@given(pairs)
def test_kappa_agrees_with_scikit_learn(pairs_drawn):
    first, second = np.array(pairs_drawn).T
    result = kappa(first, second, 4)
    if len(set(first)) == len(set(second)) == 1 and first[0] == second[0]:
        assert np.isnan(result)
    else:
        assert result == pytest.approx(cohen_kappa_score(first, second))


def test_agreement_by_hand():
    one = make_scores([0, 0, 1, 1], [[1, 0], [1, 0], [1, 0], [1, 0]])  # right, right, wrong, wrong
    two = make_scores([0, 0, 1, 1], [[1, 0], [0, 1], [0, 1], [1, 0]])  # right, wrong, right, wrong
    result = agreement(AlignedPredictions.of({"one": one, "two": two}))
    assert result.oracle_accuracy == 0.75
    assert result.all_wrong == 0.25
    np.testing.assert_allclose(result.complementarity, [[0, 0.5], [0.5, 0]])
    assert result.kappa[0, 1] == result.kappa[1, 0] == pytest.approx(0)
    assert result.kappa.diagonal().tolist() == [1, 1]  # also of the run that predicts one class
    assert np.isnan(complementarity(np.ones(3, dtype=bool), np.ones(3, dtype=bool)))


def test_identical_members_are_one_effective_member():
    errors = np.array([True, False, False, True, False])
    assert effective_members(np.stack([errors] * 4)) == pytest.approx(1)
    assert effective_members(errors[None]) == pytest.approx(1)
    # errors where the other is right: correlation -1, one member says all about the other
    assert effective_members(np.stack([errors, ~errors])) == pytest.approx(1)


def test_independent_members_are_all_effective():
    # every combination of the three members' errors once: all correlations are zero
    wrong = np.array([[index >> bit & 1 for index in range(8)] for bit in range(3)], dtype=bool)
    assert effective_members(wrong) == pytest.approx(3)
    assert effective_members(wrong[:2]) == pytest.approx(2)


def test_effective_members_of_equally_correlated_errors():
    # 1 err on 1, 2; 2 errs on 1, 3; of 6: covariance 1/6 - 1/9 = 1/18, variance 2/9, so r = 1/4
    wrong = np.zeros((2, 6), dtype=bool)
    wrong[0, [0, 1]] = wrong[1, [0, 2]] = True
    assert effective_members(wrong) == pytest.approx(4 / (2 + 2 / 16))
    # a copy of a member adds nothing but its own weight: 9 / (3 + 2 + 4/16)
    assert effective_members(wrong[[0, 1, 1]]) == pytest.approx(9 / (3 + 2 + 4 / 16))


def test_effective_members_need_errors_and_correct_predictions():
    some = np.array([True, False])
    assert np.isnan(effective_members(np.stack([some, [False, False]])))
    assert np.isnan(effective_members(np.stack([some, [True, True]])))


def test_runs_are_aligned():
    scores = random_scores(50)
    aligned = AlignedPredictions.of({"a": scores, "b": shuffled(scores)})
    np.testing.assert_array_equal(aligned.predicted[0], aligned.predicted[1])
    np.testing.assert_array_equal(aligned.right[1], scores.predicted == scores.truth)
    assert aligned.row("b") == 1
    last = aligned.only(["b"])
    assert (last.runs, last.predictions["b"]) == (("b",), aligned.predictions["b"])
    np.testing.assert_array_equal(last.predicted, aligned.predicted[1:])
    with pytest.raises(ArtifactError, match="no predictions of 'c'"):
        aligned.row("c")
    with pytest.raises(ArtifactError, match="no predictions to compare"):
        AlignedPredictions.of({})


def test_paired_differences_and_intervals_by_hand():
    random = np.random.default_rng(0)
    truth = random.integers(0, 3, 2000)
    first = random.random(2000) < 0.8
    second = np.where(random.random(2000) < 0.1, ~first, first)
    result = difference(truth, first, second, 3)
    gap = first.astype(float) - second
    assert result.accuracy[0] == pytest.approx(gap.mean())
    expected = stats.bootstrap((gap,), np.mean, method="percentile", rng=0).confidence_interval
    assert result.accuracy[1:] == pytest.approx((expected.low, expected.high), abs=0.002)
    by_class = [gap[truth == index].mean() for index in range(3)]
    assert result.macro_recall[0] == pytest.approx(np.mean(by_class))
    other = difference(truth, first, second, 3, seed=1)
    assert other.macro_recall[0] == result.macro_recall[0]
    assert other.macro_recall[1:] != result.macro_recall[1:]


@given(any_scores(), any_scores(max_size=1))
def test_a_run_does_not_differ_from_itself(scores, one):
    for given_scores in (scores, one):
        right = given_scores.predicted == given_scores.truth
        result = difference(given_scores.truth, right, right, 3)
        assert result.accuracy == result.macro_recall == (0, 0, 0)


@given(any_scores(min_size=2), st.randoms())
def test_a_difference_changes_its_sign_with_the_order_of_runs(scores, random):
    first = scores.predicted == scores.truth
    second = np.array([random.random() < 0.5 for _ in first])
    one = difference(scores.truth, first, second, 3)
    other = difference(scores.truth, second, first, 3)
    assert one.accuracy[0] == pytest.approx(-other.accuracy[0])
    assert one.macro_recall[0] == pytest.approx(-other.macro_recall[0])


def test_wilson_agrees_with_scipy():
    low, high = wilson(np.array([0, 3, 10]), np.array([10, 10, 10]))
    for index, successes in enumerate((0, 3, 10)):
        expected = stats.binomtest(successes, 10).proportion_ci(method="wilson")
        assert (low[index], high[index]) == pytest.approx((expected.low, expected.high))


def test_the_interval_over_seeds_includes_the_spread_between_trainings():
    random = np.random.default_rng(0)
    right = random.random((3, 400)) < np.array([[0.7], [0.8], [0.9]])
    means = []
    for _ in range(4000):  # images and seeds one by one
        seeds, images = random.integers(3, size=3), random.integers(400, size=400)
        means.append(right[np.ix_(seeds, images)].mean())
    assert interval_over_seeds(right) == pytest.approx(np.percentile(means, [2.5, 97.5]), abs=0.006)
    low, high = interval_over_seeds(right[:1].repeat(3, axis=0))  # one training: images only
    exact = interval(random.binomial(400, right[0].mean(), 20_000) / 400)
    assert (low, high) == pytest.approx(exact, abs=0.006)


def test_the_interval_over_seeds_of_extreme_seeds():
    ones, zeros = np.ones(50, dtype=bool), np.zeros(50, dtype=bool)
    assert interval_over_seeds(np.stack([ones, ones])) == (1, 1)
    assert interval_over_seeds(np.stack([ones, zeros])) == (0, 1)  # a quarter draws one seed twice
    many = np.stack([ones, *[zeros] * 61])
    # 62 draws of one seed in 62: none to three times in 98% of the resamples
    assert interval_over_seeds(many) == (0, pytest.approx(3 / 62))


def test_runs_of_a_recipe_are_grouped_over_seeds():
    values = {"b-cpu-s0": 0.5, "a-cpu-s0": 0.6, "a-cpu-s1": 0.8}
    recipes = {
        run_id: {
            "name": run_id[0],
            "profile": "cpu",
            "model": {"architecture": "resnet34"},
            "train": {"seed": int(run_id[-1]), "epochs": 4},
        }
        for run_id in values
    }
    best, other = seed_spreads(values, recipes)
    assert best.family == "a-cpu"
    assert (best.mean, best.low, best.high) == (pytest.approx(0.7), 0.6, 0.8)
    assert best.deviation == pytest.approx(np.std([0.6, 0.8], ddof=1))
    assert other.deviation is None
    recipes["a-cpu-s1"]["description"] = "In other words."
    recipes["a-cpu-s1"]["optim"] = {}  # a default, not written down by an earlier version
    assert seed_spreads(values, recipes) == [best, other]
    recipes["a-cpu-s1"]["train"]["epochs"] = 9  # the recipe was changed between two seeds
    assert [family.runs for family in seed_spreads(values, recipes)] == [
        ("a-cpu-s1",),
        ("a-cpu-s0",),
        ("b-cpu-s0",),
    ]


def test_the_order_of_keys_makes_no_other_recipe():
    recipe = {"name": "a", "of_a_later_version": 1}  # cannot be parsed, so it is compared as it is
    recipes = {"a-cpu-s0": recipe, "a-cpu-s1": dict(reversed(recipe.items()))}
    (both,) = seed_spreads(dict.fromkeys(recipes, 0.5), recipes)
    assert both.runs == ("a-cpu-s0", "a-cpu-s1")


def test_the_pareto_front_has_no_dominated_run():
    cost = {"small": 1, "wasteful": 5, "large": 9, "twin": 1, "unmeasured": 2}
    gain = {"small": 0.7, "wasteful": 0.6, "large": 0.8, "twin": 0.65}
    assert pareto_front(cost, gain) == ["small", "large"]
    assert pareto_front({}, gain) == []


def test_a_subset_renormalises():
    scores = make_scores([0, 1, 2], [[0.2, 0.5, 0.3], [0.0, 1.0, 0.0], [0.1, 0.3, 0.6]])
    result = scores.subset(["fear", "angry"])
    assert result.labels.names == ("angry", "fear")
    assert result.ids.tolist() == ["s/00000", "s/00002"]
    assert result.truth.tolist() == [0, 1]
    np.testing.assert_allclose(result.probabilities, [[0.4, 0.6], [1 / 7, 6 / 7]])


def test_a_subset_without_probability_becomes_uniform():
    scores = make_scores([0], [[0.0, 1.0, 0.0]])
    np.testing.assert_array_equal(scores.subset(["angry", "fear"]).probabilities, [[0.5, 0.5]])


def test_a_subset_needs_known_classes_and_two_of_them():
    scores = random_scores(5)
    with pytest.raises(DataError, match="bored"):
        scores.subset(["angry", "bored"])
    with pytest.raises(DataError, match="two classes"):
        scores.subset(["angry"])
    assert scores.subset(list(scores.labels.names)) is scores


@given(any_scores(classes=4, min_size=3))
def test_a_subset_keeps_the_odds(scores):
    result = scores.subset(["angry", "happy"])
    kept = scores.select(np.isin(scores.truth, [0, 3]))
    np.testing.assert_allclose(result.probabilities.sum(axis=1), 1)
    expected = kept.probabilities[:, 0] * result.probabilities[:, 1]
    given_mass = kept.probabilities[:, [0, 3]].sum(axis=1) > 0
    np.testing.assert_allclose(
        expected[given_mass],
        (kept.probabilities[:, 3] * result.probabilities[:, 0])[given_mass],
        atol=1e-12,
    )


def test_presets_are_limited_to_the_benchmarks_classes():
    names = SEVEN_EMOTIONS.names
    result = presets(names)
    assert next(iter(result.values())) == names
    assert result["Angry, happy, sad"] == ("angry", "happy", "sad")
    assert "disgust" not in result["Without disgust and fear"]
    assert list(presets(["bored", "tired"])) == ["All 2"]
    assert list(presets(["angry", "happy", "sad"])) == ["All 3"]


@given(any_scores())
def test_diversity_is_independent_of_order_and_duplication(scores):
    first = prediction_metrics(scores, scores, None).values
    for second in (shuffled(scores), doubled(scores)):
        result = prediction_metrics(second, second, None).values
        for name, value in first.items():
            if name != "aurc" or len(second) == len(scores):  # a mean over ranks, not over samples
                assert result[name] == pytest.approx(value, rel=1e-3, abs=1e-6), name


@given(any_scores(), st.permutations(range(3)))
def test_diversity_is_independent_of_class_order(scores, order):
    """Renaming the classes moves the columns; ties go to another class then, so none are drawn."""
    ranked = np.sort(scores.probabilities, axis=1)
    scores = reordered(scores, np.flatnonzero(ranked[:, -1] > ranked[:, -2]))
    if not len(scores):
        return
    new = np.array(order)
    moved = np.empty_like(scores.probabilities)
    moved[:, new] = scores.probabilities
    renamed = make_scores(new[scores.truth], moved)
    first, second = (
        prediction_metrics(scores, None, None).values,
        prediction_metrics(renamed, None, None).values,
    )
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert second[name] == pytest.approx(value), name
