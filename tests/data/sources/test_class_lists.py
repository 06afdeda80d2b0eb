"""Lists of class names give numbers a meaning where they fit, and only there."""

from collections import Counter
from pathlib import Path

import pytest

from fer_core.data.sources.base import Sample
from fer_core.data.sources.class_names import emotion_of
from fer_core.data.sources.formats import open_dataset
from fer_core.errors import DataError
from tests.support.layouts import class_folders, listed, numbers, yolo

NAMES = "happy\nsad\nOther\n"


def labels(path: Path, **options: object) -> dict[str, int]:
    reader = open_dataset(str(path), options=options).reader
    return dict(Counter(str(item.label) for item in reader if isinstance(item, Sample)))


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("classes.txt", NAMES),
        ("class_names.txt", "\ufeff" + NAMES.replace("\n", "\r\n")),
        ("labels.json", '["happy", "sad", "other"]'),
    ],
)
def test_a_list_is_counted_from_the_first_number(tmp_path: Path, first: int, file, text) -> None:
    for number, label in enumerate(("happy", "sad", "other")):
        class_folders(
            tmp_path, [str(first + number)], count=number + 1, name=f"{label}{{number}}.png"
        )
    (tmp_path / file).write_text(text)
    assert labels(tmp_path) == {"happy": 1, "sad": 2, "other": 3}


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("label_map.txt", "2: happy\n5: sad\n"),
        ("class_indices.json", '{"happy": 2, "sad": 5}'),
        ("id2label.json", '{"5": "sad", "2": "happy"}'),
        ("labels.csv", "name,id\nhappy,2\nsad,5\n"),
    ],
)
def test_a_list_with_numbers_gives_their_meaning(tmp_path: Path, file: str, text: str) -> None:
    listed(tmp_path, [["a.png", 5], ["b.png", 2], ["c.png", 5]], file="list.txt")
    (tmp_path / file).write_text(text)
    assert labels(tmp_path) == {"happy": 1, "sad": 2}


def test_detection_labels_have_the_names_of_the_list(tmp_path: Path) -> None:
    yolo(tmp_path, names=("happy", "sad"), described=False)
    (tmp_path / "classes.txt").write_text("happy\nsad\n")
    assert labels(tmp_path) == {"happy": 6, "sad": 6}


@pytest.mark.parametrize(
    ("used", "text"),
    [
        (["1", "2"], "happy\nsad\nfear\n"),  # counted from 0 or from 1
        (numbers(0, 3), "happy\nsad\nfear\n"),  # more numbers than names
        (numbers(0, 1), "happy\nhappy\n"),
        (numbers(0, 1), "cat\ndog\n"),
    ],
)
def test_numbers_are_asked_about_where_a_list_does_not_fit(tmp_path: Path, used, text) -> None:
    class_folders(tmp_path, used)
    (tmp_path / "classes.txt").write_text(text)
    with pytest.raises(DataError, match="nothing says what they mean"):
        labels(tmp_path)


def test_two_lists_that_differ_are_not_used(tmp_path: Path) -> None:
    class_folders(tmp_path, numbers(0, 1))
    (tmp_path / "classes.txt").write_text("happy\nsad\n")
    (tmp_path / "labels.txt").write_text("sad\nhappy\n")
    with pytest.raises(DataError, match="nothing says what they mean"):
        labels(tmp_path)


def test_codes_of_the_user_go_before_a_list(tmp_path: Path) -> None:
    class_folders(tmp_path, numbers(0, 1))
    (tmp_path / "classes.txt").write_text("sad\nfear\n")
    assert labels(tmp_path, codes="fer2013") == {"angry": 2, "disgust": 2}


def test_a_class_of_the_list_is_left_out_by_its_name(tmp_path: Path) -> None:
    class_folders(tmp_path, numbers(0, 2))
    (tmp_path / "classes.txt").write_text("happy\nsad\nfear\n")
    reader = open_dataset(str(tmp_path), mapping={"sad": ""}).reader
    assert {item.label for item in reader if isinstance(item, Sample)} == {"happy", "fear"}


@pytest.mark.parametrize(
    ("name", "emotion"),
    [
        ("Überraschung", "surprise"), ("Uberraschung", "surprise"), ("01_Wut", "angry"),
        ("colère", "angry"), ("DEGOUT", "disgust"), ("miedo", "fear"), ("felicità", "happy"),
        ("tristeza", "sad"), ("k\u0131zg\u0131n", "angry"), ("üzgün", "sad"), ("радость", "happy"),
        ("厌恶", "disgust"), ("驚き", "surprise"), ("怒り", "angry"), ("혐오", "disgust"),
        ("Verachtung", "contempt"), ("gelangweilt", None), ("Angst und Wut", None),
    ],
)  # fmt: skip
def test_emotions_in_other_languages(name: str, emotion: str | None) -> None:
    assert emotion_of(name) == emotion
