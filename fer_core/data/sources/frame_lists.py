"""Lists of the class of each frame of a video, as Aff-Wild2 has them, beside folders of frames.

The first line names the classes; each further line is the number of one frame's class, -1 for none.
"""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

import pandas as pd

from fer_core.data.sources.class_names import emotion_of
from fer_core.data.sources.clips import ClipIndex
from fer_core.data.sources.split_names import split_of_path
from fer_core.data.sources.tables import AnnotationTable
from fer_core.data.sources.tree import FileTree
from fer_core.errors import DataError

_FRAME = re.compile(r"(\d+)\.\w+$")
_SECOND = re.compile(r"_(left|right)$")  # of two persons in one video


def frame_table(tree: FileTree) -> AnnotationTable | None:
    """Returns the frames in folders that are called like their lists; None if there are none.

    Frames without a picture, such as those without a face, have no row.

    Raises:
        DataError: If a number is none of the classes that its list names.
    """
    index = ClipIndex(tree)
    found: list[tuple[str, str, int]] = []  # list, frame, number of the frame
    labels: dict[str, Sequence[str]] = {}
    for name in tree.files:
        path = PurePosixPath(name)
        folder = index.find(path.stem) if path.suffix.lower() == ".txt" else None
        if folder and (classes := _classes(tree.text(name), name)):
            labels[name] = classes
            frames = [(frame, _FRAME.search(frame)) for frame in index.frames(folder)]
            found += [(name, frame, int(match[1])) for frame, match in frames if match]
    if not found:
        return None
    first = min(1, *(number for *_, number in found))
    rows = [
        {
            "file": f"/{frame}",
            "label": "".join(labels[name][number - first :][:1]),
            "person": _SECOND.sub("", PurePosixPath(frame).parent.name),
            "subset": split_of_path(name) or "",
        }
        for name, frame, number in found
    ]
    table = pd.DataFrame(rows, dtype="str")
    note = f"The first number of a list is that of frame {first}. A video stays in one split."
    return AnnotationTable("*.txt", table, "file", True, clips=True, notes=(note,))


def _classes(text: str, file: str) -> Sequence[str]:
    """Returns the class of each frame, empty for -1; nothing if the text is no such list."""
    first, *lines = text.strip().splitlines() or [""]
    names = [name.strip() for name in first.split(",")]
    if sum(emotion_of(name) is not None for name in names) < 2:
        return []
    if not all(re.fullmatch(r"\s*-?\d{1,4}\s*", line) for line in lines):
        return []
    numbers = list(map(int, lines))
    if (largest := max(numbers, default=0)) >= len(names):
        raise DataError(
            f"{file} has the number {largest}, but its first line names {len(names)} classes, "
            "which are counted from 0. Correct one of them."
        )
    return [names[number] if number >= 0 else "" for number in numbers]
