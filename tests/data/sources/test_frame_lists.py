"""Lists of the class of each frame of a video, as Aff-Wild2 has them."""

from pathlib import Path

import pytest

from fer_core.data.sources.base import Sample, Skipped
from fer_core.data.sources.formats import open_dataset
from fer_core.errors import DataError
from tests.support.layouts import Pictures

HEADER = "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other"


def video(root: Path, name: str, frames: list[int], codes: list[int], split: str = "Train") -> None:
    for frame in frames:
        Pictures().save(root / f"cropped/{name}/{frame:05d}.jpg")
    path = root / f"EXPR/{split}_Set/{name}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([HEADER, *map(str, codes)]) + "\n")


@pytest.mark.parametrize("first", [0, 1])
def test_each_frame_has_the_class_of_its_line(tmp_path: Path, first) -> None:
    """No face was found in the third frame of 105; the second one was not annotated."""
    video(tmp_path, "105", [first, first + 1, first + 3], [4, -1, 1, 5])
    video(tmp_path, "12-30-1x2_left", [first, first + 1], [0], "Validation")
    video(tmp_path, "12-30-1x2", [first], [6], "Validation")
    opened = open_dataset(str(tmp_path))
    items = {item.key.removeprefix("cropped/"): item for item in opened.reader}
    read = {k: (s.label, s.split, s.group) for k, s in items.items() if isinstance(s, Sample)}
    assert read == {
        f"105/{first:05d}.jpg": ("happy", "train", "105"),
        f"105/{first + 3:05d}.jpg": ("sad", "train", "105"),
        f"12-30-1x2_left/{first:05d}.jpg": ("neutral", "validation", "12-30-1x2"),
        f"12-30-1x2/{first:05d}.jpg": ("surprise", "validation", "12-30-1x2"),
    }
    assert {k: item.reason for k, item in items.items() if isinstance(item, Skipped)} == {
        f"105/{first + 1:05d}.jpg": "It has no label.",
        f"12-30-1x2_left/{first + 1:05d}.jpg":
            "EXPR/Validation_Set/12-30-1x2_left.txt ends before this frame.",
    }  # fmt: skip
    assert any(f"counted from {first}" in note for note in opened.notes)


def test_a_number_without_a_name_is_an_error(tmp_path: Path) -> None:
    video(tmp_path, "a", [1, 2], [4, 8])
    with pytest.raises(DataError, match="has the number 8, but its first line names 8 classes"):
        open_dataset(str(tmp_path))
