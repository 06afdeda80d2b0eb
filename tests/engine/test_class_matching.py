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


@pytest.mark.parametrize(
    "outputs",
    [
        ("\U0001f620 Angry", "\U0001f922 Disgust", "\U0001f628", "\U0001f604", "\U0001f610",
         "\U0001f622", "\U0001f62e"),
        ("ANGER", "DISGUST", "FEAR", "HAPPINESS", "NEUTRAL", "SADNESS", "SURPRISE"),
        ("ang", "dis", "fea", "hap", "neu", "sad", "sur"),
    ],
)  # fmt: skip
def test_emoji_capitals_and_short_names_are_read(outputs):
    assert match_classes(outputs, LABELS, "theirs").names == LABELS.names


def test_a_model_of_a_thousand_classes_is_told_briefly():
    names = ("crane", "crane", *(f"n{index}" for index in range(998)))
    with pytest.raises(DataError, match=r"\(crane, crane, n0, .* n9 and 988 more\)"):
        match_classes(names, LABELS, "theirs")
    matched = match_classes((*names, "happy", "sad"), LABELS, "theirs")
    assert matched.names[:3] == ("crane", "crane (1)", "n0")
    assert "and 988 more. The probabilities" in matched.notes()[0]


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
