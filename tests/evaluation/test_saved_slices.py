"""Accuracy on saved slices, by hand."""

import numpy as np
import pytest
from scipy.stats import binomtest

from fer_core.evaluation.aligned import AlignedPredictions
from fer_core.evaluation.predictions import SplitPredictions
from fer_core.evaluation.saved_slices import membership, slice_accuracies, slice_facets
from fer_core.labels import LabelSet

IDS = np.array(["s/0", "s/1", "s/2", "s/3", "s/4"], dtype=object)


def predictions(*answers):
    probabilities = np.array(
        [[0.9, 0.1] if answer == "angry" else [0.1, 0.9] for answer in answers]
    )
    labels = LabelSet(("angry", "happy"))
    return SplitPredictions(labels, IDS, np.array([0, 0, 0, 1, 1]), probabilities)


def test_members_by_id_in_the_order_of_the_samples():
    assert membership(IDS, ["s/4", "s/1", "elsewhere/9"]).tolist() == [0, 1, 0, 0, 1]
    assert not membership(IDS, []).any()


def test_accuracy_and_interval_by_hand():
    aligned = AlignedPredictions.of(
        {
            "good": predictions("angry", "angry", "angry", "happy", "happy"),
            "bad": predictions("happy", "angry", "happy", "happy", "angry"),
        }
    )
    found = slice_accuracies(aligned, membership(IDS, ["s/0", "s/1", "s/4"]))
    assert {run: estimate.value for run, estimate in found.items()} == {"good": 1, "bad": 1 / 3}
    wilson = binomtest(1, 3).proportion_ci(method="wilson")
    assert (found["bad"].low, found["bad"].high) == pytest.approx((wilson.low, wilson.high))
    assert slice_accuracies(aligned, membership(IDS, ["elsewhere/9"])) is None


def test_a_slice_is_a_facet_with_yes_and_no():
    facets = slice_facets(IDS, {"blurred": ["s/2"], "all: of them": list(IDS)})
    assert list(facets) == ["slice blurred", "slice all: of them"]
    assert facets["slice blurred"].tolist() == ["no", "no", "yes", "no", "no"]
    assert set(facets["slice all: of them"]) == {"yes"}
