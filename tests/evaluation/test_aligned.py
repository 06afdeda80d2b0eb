"""Masks and counts of runs' predictions for the same samples, by hand."""

import numpy as np
import pytest

from fer_core.evaluation.aligned import AlignedPredictions, failures, outcomes
from tests.support.constructed import make_scores

TRUTH = [0, 0, 1, 1]
PREDICTED = {"a": [0, 0, 0, 0], "b": [0, 1, 1, 0], "c": [0, 1, 0, 0]}


@pytest.fixture
def aligned():
    runs = {run: make_scores(TRUTH, np.eye(2)[labels]) for run, labels in PREDICTED.items()}
    return AlignedPredictions.of(runs)


def where(masks):
    return {name: np.flatnonzero(mask).tolist() for name, mask in masks.items()}


def test_failures_of_a_run_among_others(aligned):
    expected = {"errors": [2, 3], "all": [3], "alone": [], "unlike": [1]}
    assert where(failures(aligned, "a", ["a", "b", "c"])) == expected
    # a run that is not among the compared ones is counted once
    expected = {"errors": [1, 3], "all": [3], "alone": [1], "unlike": [2]}
    assert where(failures(aligned, "b", ["a"])) == expected


def test_a_single_run_fails_where_all_fail(aligned):
    expected = {"errors": [2, 3], "all": [2, 3], "alone": [2, 3], "unlike": [0, 1]}
    assert where(failures(aligned, "a", ["a"])) == expected


def test_outcomes_of_two_runs(aligned):
    expected = {"fixed": [2], "broken": [1], "both_wrong": [3], "both_right": [0]}
    assert where(outcomes(aligned, "b", "a")) == expected


def test_the_confusion_matrix_counts_the_samples_inside(aligned):
    inside = np.array([True, True, True, False])
    assert aligned.confusion("b", inside).tolist() == [[1, 1], [0, 1]]
    assert np.flatnonzero(aligned.of_class(aligned.labels.names[1])).tolist() == [2, 3]
