"""The largest set of runs that can be compared."""

import numpy as np
import pandas as pd

from fer_core.evaluation.comparable import largest_comparable_set
from fer_core.evaluation.predictions import SplitPredictions
from fer_core.labels import LabelSet

LABELS = LabelSet(("happy", "sad"))


def predictions(ids: str, truth: str) -> SplitPredictions:
    classes = np.array(["hs".index(letter) for letter in truth])
    return SplitPredictions(
        LABELS, np.array(list(ids), dtype=object), classes, np.full((len(ids), 2), 0.5)
    )


def test_the_largest_set_is_kept_and_each_other_run_has_its_reason():
    comparable = largest_comparable_set(
        {
            "relabelled": predictions("abcd", "hhss"),
            "one": predictions("abcd", "hsss"),
            "reordered": predictions("dcba", "sssh"),
            "shorter": predictions("abc", "hss"),
            "others": predictions("abxy", "hsss"),
        }
    )
    assert comparable.run_ids == ("one", "reordered")
    assert comparable.problems == {
        "relabelled": "its predictions have another label for 1 sample (b). Evaluate or import it "
        "again on this benchmark.",
        "shorter": "its predictions lack 1 of 4 samples (d). Evaluate or import it again on this "
        "benchmark.",
        "others": "its predictions lack 2 of 4 samples (c, d) and have 2 samples that the other "
        "runs do not have (x, y). Evaluate or import it again on this benchmark.",
    }


def test_between_sets_of_equal_size_the_benchmarks_labels_decide():
    parts = {"wrong": predictions("ab", "ss"), "right": predictions("ab", "hs")}
    truth = pd.Series({"a": "happy", "b": "sad", "c": "sad"})
    assert largest_comparable_set(parts, truth).run_ids == ("right",)
    assert largest_comparable_set(parts).run_ids == ("wrong",)


def test_ids_of_another_type_are_a_difference():
    numbers = SplitPredictions(
        LABELS, np.array([1, 2, 3], dtype=object), np.array([0, 1, 1]), np.full((3, 2), 0.5)
    )
    parts = {
        "a": predictions("123", "hss"),
        "b": predictions("123", "hss"),
        "numbers": numbers,
    }
    comparable = largest_comparable_set(parts)
    assert comparable.run_ids == ("a", "b")
    assert "lack 3 of 3 samples" in comparable.problems["numbers"]


def test_no_runs_agree_on_nothing():
    assert largest_comparable_set({}).run_ids == ()
