import pytest

from fer_core.errors import DataError
from fer_core.labels import (
    FER2013_CODES,
    FERPLUS_COLUMNS,
    SEVEN_EMOTIONS,
    Emotion,
    LabelSet,
    canonical_name,
)

CANONICAL = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")


def test_the_canonical_order_is_alphabetical() -> None:
    assert SEVEN_EMOTIONS.names == CANONICAL
    assert [SEVEN_EMOTIONS.index(name) for name in CANONICAL] == [0, 1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("code", "name", "index"),
    [
        (0, "angry", 0),
        (1, "disgust", 1),
        (2, "fear", 2),
        (3, "happy", 3),
        (4, "sad", 5),
        (5, "surprise", 6),
        (6, "neutral", 4),
    ],
)
def test_each_fer2013_code(code: int, name: str, index: int) -> None:
    assert FER2013_CODES[code] == name
    assert SEVEN_EMOTIONS.index(FER2013_CODES[code]) == index


def test_there_are_no_more_fer2013_codes() -> None:
    assert sorted(FER2013_CODES) == [0, 1, 2, 3, 4, 5, 6]


def test_each_ferplus_column_in_file_order() -> None:
    assert list(FERPLUS_COLUMNS.items()) == [
        ("neutral", "neutral"),
        ("happiness", "happy"),
        ("surprise", "surprise"),
        ("sadness", "sad"),
        ("anger", "angry"),
        ("disgust", "disgust"),
        ("fear", "fear"),
        ("contempt", "contempt"),
        ("unknown", "unknown"),
        ("NF", "not_a_face"),
    ]


def test_the_text_of_an_emotion_is_its_name() -> None:
    assert f"{Emotion.HAPPY}" == "happy"


@pytest.mark.parametrize(
    ("native", "canonical"),
    [
        ("Anger", "angry"),
        ("ANGRY", "angry"),
        (" happiness ", "happy"),
        ("joy", "happy"),
        ("Fearful", "fear"),
        ("afraid", "fear"),
        ("sadness", "sad"),
        ("surprised", "surprise"),
        ("disgusted", "disgust"),
        ("Neutrality", "neutral"),
        ("Boredom", "boredom"),
    ],
)
def test_class_names_become_canonical(native: str, canonical: str) -> None:
    assert canonical_name(native) == canonical


def test_label_sets_are_sorted_and_distinct_however_they_are_built() -> None:
    assert LabelSet.of(["sad", "angry", "sad"]).names == ("angry", "sad")
    assert len(LabelSet.of(["sad", "angry", "sad"])) == 2


@pytest.mark.parametrize("names", [("sad", "angry"), ("angry", "angry"), ("angry",), ()])
def test_a_label_set_that_is_unsorted_repeated_or_too_small_is_refused(
    names: tuple[str, ...],
) -> None:
    with pytest.raises(DataError):
        LabelSet(names)


def test_an_unknown_label_is_named_with_the_known_ones() -> None:
    with pytest.raises(DataError, match=r"'bored'.*angry, sad"):
        LabelSet(("angry", "sad")).index("bored")
