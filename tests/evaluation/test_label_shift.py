"""Class priors without labels, on confusions that are known exactly."""

import numpy as np
import pytest

from fer_core.evaluation.label_shift import (
    AgreementCheck,
    bbse,
    em_priors,
    priors_of,
    reweighted,
    with_interval,
)
from fer_core.evaluation.predictions import SplitPredictions
from fer_core.labels import LabelSet

LABELS = LabelSet(("a", "b"))


def predictions(truth: list[int], predicted: list[int]) -> SplitPredictions:
    probabilities = np.where(np.eye(2)[predicted] == 1, 0.9, 0.1)
    ids = np.array([str(index) for index in range(len(truth))], dtype=object)
    return SplitPredictions(LABELS, ids, np.array(truth), probabilities)


def validation() -> SplitPredictions:
    """80% of a are predicted as a, 90% of b as b; the classes are equally frequent."""
    truth = [0] * 100 + [1] * 100
    return predictions(truth, [0] * 80 + [1] * 20 + [0] * 10 + [1] * 90)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_bbse_solves_for_the_priors(share):
    count = 2000
    as_a = round(count * (share * 0.8 + (1 - share) * 0.1))
    predicted = np.array([0] * as_a + [1] * (count - as_a))
    assert bbse(validation(), predicted)[0] == pytest.approx(share, abs=0.01)


def test_priors_are_not_negative():
    # nobody is taken for a, which not even a set of b alone explains: a tenth of b is
    assert bbse(validation(), np.ones(100, dtype=np.int64)).tolist() == [0.0, 1.0]


def test_em_undoes_the_priors_of_the_source():
    # under priors of 4 to 1 the odds of a stand for likelihood ratios of 1/4 and 4
    probabilities = np.array([[0.5, 0.5], [16 / 17, 1 / 17]])
    assert em_priors(probabilities, np.array([0.8, 0.2])) == pytest.approx([0.5, 0.5], abs=1e-4)


def test_em_finds_the_priors_of_calibrated_probabilities():
    random = np.random.default_rng(0)
    truth = (random.random(8000) < 0.3).astype(int)  # 30% are class 1
    x = random.normal(2 * truth - 1, 1)
    odds = np.exp(2 * x)  # of class 1, if both are equally frequent
    probabilities = np.stack([1 / (1 + odds), odds / (1 + odds)], axis=1)
    assert em_priors(probabilities, np.array([0.5, 0.5]))[1] == pytest.approx(0.3, abs=0.02)


def test_intervals_contain_the_value_and_shrink_with_the_set():
    small, large = (with_interval(validation(), np.tile([0, 1], count)) for count in (20, 1000))
    for priors in (small, large):
        assert (priors.low <= priors.value).all()
        assert (priors.value <= priors.high).all()
    assert (large.high - large.low)[0] < (small.high - small.low)[0]


def test_the_interval_of_perfect_predictions_is_that_of_the_sample():
    perfect = predictions([0, 1] * 100, [0, 1] * 100)
    priors = with_interval(perfect, np.tile([0, 1], 800))
    half = 1.96 * np.sqrt(0.25 / 1600)
    assert (priors.value[0], priors.low[0], priors.high[0]) == pytest.approx(
        (0.5, 0.5 - half, 0.5 + half), abs=0.1 * half
    )


def test_reweighted_probabilities_sum_to_one():
    rows = reweighted(np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([3.0, 1.0]))
    assert rows.tolist() == [[0.75, 0.25], [1.0, 0.0]]
    assert priors_of(np.array([0, 0, 1]), 3).tolist() == pytest.approx([2 / 3, 1 / 3, 0])


def agreement(random, per_class, truth):
    """Returns whether two networks agree on each image, with a probability for each class."""
    return (random.random(len(truth)) < np.array(per_class)[truth]).astype(np.float64)


def test_an_agreement_that_follows_from_class_shares_is_expected():
    random = np.random.default_rng(0)
    known = random.permutation(np.repeat([0, 1], [2700, 300]))
    values = []
    for _ in range(100):
        new = np.repeat([0, 1], [20, 80])
        check = AgreementCheck.of(
            agreement(random, (0.95, 0.6), known), known, np.array([0.2, 0.8]),
            agreement(random, (0.95, 0.6), new),
        )  # fmt: skip
        assert check.expected == pytest.approx(0.67, abs=0.06)
        values.append(check.p_value)
    assert np.mean(np.array(values) < 0.05) <= 0.12


def test_an_agreement_below_that_of_each_class_speaks_against_class_shares_alone():
    random = np.random.default_rng(1)
    known, new = np.repeat([0, 1], [1000, 1000]), np.repeat([0, 1], [30, 30])
    check = AgreementCheck.of(
        agreement(random, (0.9, 0.9), known), known, np.array([0.5, 0.5]),
        agreement(random, (0.6, 0.6), new),
    )  # fmt: skip
    assert check.p_value < 0.001
