"""Samples of a scope: leak-free images, second labels, classes and slices."""

import numpy as np
import pandas as pd
import pytest

from fer_core.errors import ArtifactError
from fer_core.evaluation.predictions import Predictions
from fer_core.evaluation.scope import (
    LEAK_FREE,
    SECOND_LABEL,
    TEST,
    SampleSet,
    Scope,
    ScopeSelection,
    select_predictions,
)
from tests.support.constructed import make_scores

TRUTH = [0, 1, 2, 0, 1]
SCORES = make_scores(TRUTH, np.full((5, 3), 1 / 3))
PREDICTIONS = Predictions({TEST: SCORES})
# the samples lack the last image
SAMPLES = pd.DataFrame(
    {
        "leak": [True, False, True, False],
        "second_label": ["disgust", None, "fear", "angry"],
    },
    index=list(SCORES.ids[:4]),
)


def within(*rows):
    return SampleSet("part", frozenset(str(SCORES.ids[row]) for row in rows))


@pytest.mark.parametrize(
    ("scope", "rows"),
    [
        (Scope(TEST), [0, 1, 2, 3, 4]),
        (Scope(TEST, within=within(0, 2, 4)), [0, 2, 4]),
        (Scope(TEST, ("angry", "disgust"), within(0, 2, 4)), [0, 4]),
        (Scope(LEAK_FREE), [1, 3, 4]),  # nothing is known of a leak of the last
        (Scope(LEAK_FREE, within=within(0, 1, 4)), [1, 4]),
        (Scope(LEAK_FREE, ("angry", "fear"), within(0, 1, 2, 3)), [3]),
        (Scope(SECOND_LABEL), [0, 2, 3]),
        (Scope(SECOND_LABEL, within=within(0, 1, 2)), [0, 2]),
    ],
)
def test_all_parts_of_a_scope_must_hold(scope, rows):
    selected = select_predictions(PREDICTIONS, SAMPLES, scope)
    assert selected.ids.tolist() == SCORES.ids[rows].tolist()


def test_second_labels_are_the_truth():
    selected = select_predictions(PREDICTIONS, SAMPLES, Scope(SECOND_LABEL, within=within(0, 3)))
    assert selected.truth.tolist() == [1, 0]


def test_runs_that_share_their_ids_share_the_selection():
    other = Predictions({TEST: SCORES.with_ids_of(SCORES)})
    selection = ScopeSelection(SAMPLES, Scope(LEAK_FREE))
    assert selection.of(PREDICTIONS).ids is selection.of(other).ids


@pytest.mark.parametrize(
    ("scope", "remedy"),
    [
        (Scope(TEST, ("happy", "sad")), "Select more classes"),
        (Scope(TEST, within=SampleSet("none", frozenset())), "Select another slice"),
    ],
)
def test_without_a_sample_the_remedy_is_named(scope, remedy):
    predictions = Predictions({TEST: make_scores([0], [[0.4, 0.1, 0.1, 0.2, 0.1, 0.1]])})
    with pytest.raises(ArtifactError, match=remedy):
        select_predictions(predictions, SAMPLES, scope)
