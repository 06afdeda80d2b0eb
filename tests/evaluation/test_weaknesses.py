"""Where a run fails: confusions by hand, slices through the existing search."""

import numpy as np
import pandas as pd
import pytest

from fer_core.evaluation.error_costs import ErrorCosts
from fer_core.evaluation.intervals import wilson
from fer_core.evaluation.slices import Slice
from fer_core.evaluation.weaknesses import (
    confused_images,
    costly_confusions,
    errors_in_slice,
    slices_of,
)
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
    assert (first.total, first.share.value, first.cost_share) == (8, 0.25, 0.5)
    low, high = wilson(np.array([2]), np.array([8]))
    assert (first.share.low, first.share.high) == (pytest.approx(low[0]), pytest.approx(high[0]))


def test_a_run_without_errors_has_no_confusions():
    assert costly_confusions(predicted(TRUTH, TRUTH), ErrorCosts()) == ()


def test_images_of_a_slice_and_of_a_confusion_are_sorted_by_confidence():
    split = predicted([0, 0, 0, 1], [1, 1, 2, 1])
    split.probabilities[1] = [0.05, 0.9, 0.05]
    first, second = costly_confusions(split, ErrorCosts())
    assert (first.truth, first.predicted) == ("angry", "happy")
    assert confused_images(split, first) == [1, 0]
    assert confused_images(split, second) == [2]
    groups = pd.DataFrame({"light": pd.Categorical(["dark", "dark", "bright", "dark"])})
    part = Slice(
        conditions=(("light", "dark"),),
        samples=3,
        errors=2,
        rate=2 / 3,
        elsewhere=1.0,
        p_value=0.5,
        adjusted=1.0,
    )
    assert errors_in_slice(split, groups, part) == [1, 0]


def test_the_slice_with_all_errors_is_the_worst():
    truth = [index % 3 for index in range(200)]
    dark = np.arange(200) < 60
    answers = [(label + 1) % 3 if dark[i] and i % 2 else label for i, label in enumerate(truth)]
    test = predicted(truth, answers)
    samples = pd.DataFrame({"id": test.ids, "light": np.where(dark, "dark", "bright")})
    worst = slices_of(test, samples.set_index("id", drop=False))
    assert worst[0].name == "light: dark"
    assert (worst[0].samples, worst[0].errors, worst[0].significant) == (60, 30, True)


def test_images_on_which_annotators_disagree_can_be_the_worst():
    truth = [index % 3 for index in range(200)]
    unclear = np.arange(200) < 60
    test = predicted(truth, [(label + unclear[i]) % 3 for i, label in enumerate(truth)])
    votes = np.where(unclear[:, None], [4, 3, 3], np.eye(3, dtype=int)[truth] * 10)
    columns = {f"votes_{name}": votes[:, i] for i, name in enumerate(test.labels.names)}
    samples = pd.DataFrame({"id": test.ids, **columns}).set_index("id", drop=False)
    worst = slices_of(test, samples)[0]
    assert worst.conditions[0][0] == "annotator agreement"
    assert (worst.samples, worst.errors, worst.elsewhere) == (60, 60, 0)
