"""Estimates of accuracy without labels, worked by hand."""

import numpy as np
import pytest
from scipy.stats import norm

from fer_core.evaluation.accuracy_estimates import (
    AgreementLine,
    Estimator,
    RunPredictions,
    difference_of_confidences,
    estimate,
    label_shift_accuracy,
    mean_agreement,
    thresholded_confidence,
)
from fer_core.evaluation.predictions import SplitPredictions
from fer_core.labels import LabelSet

LABELS = LabelSet(("a", "b"))


def two(confidences: list[float]) -> np.ndarray:
    """Returns probabilities that predict `a` with these confidences; below 0.5 is `b`."""
    return np.array([[value, 1 - value] for value in confidences])


def answers(known: list[float], truth: list[int], new: list[float]) -> RunPredictions:
    ids = np.array([str(index) for index in range(len(truth))], dtype=object)
    return RunPredictions(SplitPredictions(LABELS, ids, np.array(truth), two(known)), two(new))


def test_the_threshold_has_validations_errors_below_it():
    # 3 of 4 are right, so the threshold is the second smallest confidence, 0.7
    run = answers([0.6, 0.7, 0.8, 0.9], [1, 0, 0, 0], [0.65, 0.71, 0.95, 0.55])
    assert thresholded_confidence(run) == 0.5


def test_lost_confidence_is_lost_accuracy():
    run = answers([0.8, 0.8, 0.8, 0.8], [0, 0, 0, 1], [0.7, 0.7])
    assert difference_of_confidences(run) == pytest.approx(0.75 - 0.1)


@pytest.mark.parametrize(("truth", "new", "expected"), [(0, 0.9, 1), (1, 0.5, 0)])
def test_an_estimated_accuracy_stays_within_0_and_1(truth, new, expected):
    assert difference_of_confidences(answers([0.6, 0.6], [truth] * 2, [new])) == expected


def test_the_label_shift_model_weighs_recalls():
    # recall of a is 1, of b 0.5; all new faces are predicted as a
    run = answers([0.9, 0.9, 0.9, 0.1], [0, 0, 1, 1], [0.9] * 50)
    assert label_shift_accuracy(run) == pytest.approx(1, abs=0.2)


def test_unchanged_agreement_means_unchanged_accuracy():
    known = [0.9, 0.9, 0.1, 0.1, 0.9, 0.1, 0.9, 0.9]
    first = answers(known, [0, 0, 1, 1, 0, 1, 1, 0], known)
    second = answers([*known[:-1], 0.1], [0, 0, 1, 1, 0, 1, 1, 0], [*known[:-1], 0.1])
    line = AgreementLine.of({"first": first, "second": second})
    assert (line.slope, line.intercept) == pytest.approx((1, 0))
    assert line.accuracy(0.8) == pytest.approx(0.8)
    assert estimate(first, line)[Estimator.DISAGREEMENT] == pytest.approx(first.accuracy)


def test_less_agreement_means_less_accuracy():
    known, truth = [0.9] * 10, [0] * 8 + [1] * 2
    first = answers(known, truth, [0.9] * 10)
    second = answers([0.9] * 9 + [0.1], truth, [0.9] * 6 + [0.1] * 4)
    assert AgreementLine.of({"a": first, "b": second}).accuracy(0.8) < 0.7


def test_copies_agree_everywhere():
    run = answers([0.9, 0.1], [0, 1], [0.9])
    line = AgreementLine.of({"a": run, "b": run})
    assert (line.slope, line.intercept) == (1, 0)
    assert line.accuracy(1) == pytest.approx(0.995)  # agreements are clipped


def disagreeing(known: list[int], new: list[int]) -> dict[str, RunPredictions]:
    """Returns runs that differ from one answer in their own images, so many of ten."""
    runs = {}
    for index in range(len(known)):
        first, second = (
            [0.1 if sum(part[:index]) <= row < sum(part[: index + 1]) else 0.9 for row in range(10)]
            for part in (known, new)
        )
        runs[str(index)] = answers(first, [0] * 10, second)
    return runs


@pytest.mark.parametrize(
    ("last", "slope"),
    [
        (1, 0.3),  # the smallest slope: agreement of 0.8 on the new set for all pairs
        (3, (norm.ppf(0.6) - norm.ppf(0.8)) / (norm.ppf(0.7) - norm.ppf(0.8))),
        (4, 2.0),  # the largest slope
    ],
)
def test_the_line_goes_through_the_agreements_of_four_runs(last, slope):
    """Three pairs agree on 8 of 10 images of both; three on 7 of validation, and on fewer."""
    runs = disagreeing([1, 1, 1, 2], [1, 1, 1, last])
    line = AgreementLine.of(runs)
    means = [norm.ppf([0.8, other]).mean() for other in (0.7, 0.9 - last / 10)]
    assert line.slope == pytest.approx(slope)
    assert line.intercept == pytest.approx(means[1] - slope * means[0])
    three = dict(list(runs.items())[1:])
    assert AgreementLine.of(three).slope == 1


def test_one_run_has_no_agreement():
    run = answers([0.9, 0.1], [0, 1], [0.9])
    assert AgreementLine.of({"a": run}) is None
    assert Estimator.DISAGREEMENT not in estimate(run, None)
    assert np.isnan(mean_agreement([run.predicted]))
    assert mean_agreement([np.array([0, 1]), np.array([0, 0])]) == 0.5
