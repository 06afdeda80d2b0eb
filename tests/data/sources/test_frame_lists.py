"""Lists of the class of each frame of a video, as Aff-Wild2 has them."""

from pathlib import Path

import pytest

from fer_core.data.sources.base import Sample
from fer_core.data.sources.formats import open_dataset
from fer_core.errors import DataError
from tests.support.layouts import Pictures


def video(root: Path, name: str, frames: list[int], codes: list[int], split: str = "Train") -> None:
    for frame in frames:
        Pictures().save(root / f"{name}/{frame:05d}.jpg")
    path = root / f"EXPR/{split}_Set/{name}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["Neutral,Anger,Fear,Happiness,Other", *map(str, codes)]))


@pytest.mark.parametrize("first", [0, 1])
def test_each_frame_has_the_class_of_its_line(tmp_path: Path, first) -> None:
    """Of 105 the second frame has no label and the third no picture; the other list is short."""
    video(tmp_path, "105", [first, first + 1, first + 3], [3, -1, 1, 2])
    video(tmp_path, "3-1x2_left", [first, first + 1], [0], "Validation")
    items = {item.key: item for item in open_dataset(str(tmp_path)).reader}
    assert {
        key: (s.label, s.split, s.group) if isinstance(s, Sample) else s.reason
        for key, s in items.items()
    } == {
        f"105/{first:05d}.jpg": ("happy", "train", "105"),
        f"105/{first + 1:05d}.jpg": "It has no label.",
        f"105/{first + 3:05d}.jpg": ("fear", "train", "105"),
        f"3-1x2_left/{first:05d}.jpg": ("neutral", "validation", "3-1x2"),
        f"3-1x2_left/{first + 1:05d}.jpg": "It has no label.",
    }


def test_a_number_without_a_name_is_an_error(tmp_path: Path) -> None:
    video(tmp_path, "a", [1, 2], [4, 5])
    with pytest.raises(DataError, match="has the number 5, but its first line names 5 classes"):
        open_dataset(str(tmp_path))
