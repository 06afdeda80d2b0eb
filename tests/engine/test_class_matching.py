"""Class names of other models find the benchmark's classes, or are named."""

import pytest

from fer_core.engine.class_matching import match_classes
from fer_core.errors import DataError
from fer_core.labels import SEVEN_EMOTIONS, LabelSet

LABELS = SEVEN_EMOTIONS


def test_names_in_any_order_and_spelling_find_their_classes():
    outputs = ("0_Happiness", "SADNESS", "suprised", "Angry faces", "neutral", "Fearful", "disgust")
    matched = match_classes(outputs, LABELS, "theirs")
    assert matched.names == ("happy", "sad", "surprise", "angry", "neutral", "fear", "disgust")
    assert matched.columns == (3, 6, 5, 0, 4, 1, 2)
    assert (matched.left_out, matched.missing, matched.notes()) == ((), (), [])


def test_other_and_missing_classes_are_said():
    matched = match_classes(("angry", "happy", "contempt", "bored"), LABELS, "theirs")
    assert matched.left_out == ("contempt", "bored")
    assert matched.missing == ("disgust", "fear", "neutral", "sad", "surprise")
    assert matched.columns == (0, -1, -1, 1, -1, -1, -1)
    left_out, missing = matched.notes()
    assert "contempt, bored" in left_out
    assert "cannot predict disgust, fear" in missing


def test_a_mapping_names_classes_or_leaves_them_out():
    outputs = ("LABEL_0", "LABEL_1", "LABEL_2")
    mapping = {"label_0": "Anger", "LABEL_1": "happy", "LABEL_2": ""}
    matched = match_classes(outputs, LabelSet(("angry", "happy")), "theirs", mapping)
    assert matched.names == ("angry", "happy", "LABEL_2 (left out)")
    assert matched.columns == (0, 1)


def test_classes_of_a_benchmark_that_are_no_emotions_are_matched():
    matched = match_classes(("Boredom", "calm"), LabelSet(("boredom", "calm")), "theirs")
    assert matched.columns == (0, 1)


@pytest.mark.parametrize(
    ("outputs", "mapping", "message"),
    [
        (("joy", "happy", "sad"), {}, "two outputs for the class happy: joy and happy"),
        (("LABEL_0", "LABEL_1"), {}, "Fewer than two classes"),
        (("angry", "x"), {}, "Fewer than two classes"),
        (("angry", "sad"), {"mad": "angry"}, "theirs has no class mad"),
        (("angry", "sad", "x"), {"x": "boredom"}, "the benchmark has no class boredom"),
        (("angry", "sad", "x"), {"x": "sad"}, "two outputs for the class sad"),
    ],
)
def test_what_does_not_fit_is_named(outputs, mapping, message):
    with pytest.raises(DataError, match=message):
        match_classes(outputs, LABELS, "theirs", mapping)
