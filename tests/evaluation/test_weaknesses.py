"""Where a run fails: confusions by hand, slices through the existing search."""

import numpy as np
import pandas as pd
import pytest

from fer_core.evaluation.error_costs import ErrorCosts
from fer_core.evaluation.intervals import wilson
from fer_core.evaluation.weaknesses import costly_confusions, slices_of
from tests.support.candidates import predicted

# angry: 8 images, 2 taken for happy; happy: 4, 1 taken for sad; sad: 2, 1 taken for happy
TRUTH = [0] * 8 + [1] * 4 + [2] * 2
ANSWERS = [1, 1, *[0] * 6, 2, 1, 1, 1, 1, 2]


def pairs(costs):
    result = costly_confusions(predicted(TRUTH, ANSWERS), ErrorCosts.parse([costs]))
    return [(item.truth, item.predicted, item.images) for item in result]


def test_confusions_are_ranked_by_their_share_of_the_cost():
    # equal: counts 2, 1, 1; of the last two sad has the larger share
    assert pairs("equal") == [("angry", "happy", 2), ("sad", "happy", 1), ("happy", "sad", 1)]
    # balanced: 1/2, 1/4, 2/8; the last two are equal, so the order is that of the labels
    assert pairs("balanced") == [("sad", "happy", 1), ("angry", "happy", 2), ("happy", "sad", 1)]
    assert pairs("happy>sad=7")[0] == ("happy", "sad", 1)
    assert pairs("angry>happy=0") == [("sad", "happy", 1), ("happy", "sad", 1)]


def test_a_confusion_by_hand():
    first, *_ = costly_confusions(predicted(TRUTH, ANSWERS), ErrorCosts())
    assert (first.total, first.share, first.cost_share) == (8, 0.25, 0.5)
    low, high = wilson(np.array([2]), np.array([8]))
    assert (first.low, first.high) == (pytest.approx(low[0]), pytest.approx(high[0]))


def test_a_run_without_errors_has_no_confusions():
    assert costly_confusions(predicted(TRUTH, TRUTH), ErrorCosts()) == ()


def test_the_slice_with_all_errors_is_the_worst():
    truth = [index % 3 for index in range(200)]
    dark = np.arange(200) < 60
    answers = [(label + 1) % 3 if dark[i] and i % 2 else label for i, label in enumerate(truth)]
    test = predicted(truth, answers)
    samples = pd.DataFrame({"id": test.ids, "light": np.where(dark, "dark", "bright")})
    worst = slices_of(test, samples.set_index("id", drop=False))
    assert worst[0].name == "light: dark"
    assert (worst[0].samples, worst[0].errors, worst[0].significant) == (60, 30, True)
