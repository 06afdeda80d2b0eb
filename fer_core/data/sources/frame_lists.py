"""Lists of the class of each frame of a video, as Aff-Wild2 has them, beside folders of frames.

The first line names the classes; each further line is the number of one frame's class, -1 for none.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

import pandas as pd

from fer_core.data.sources.class_names import emotion_of
from fer_core.data.sources.clips import ClipIndex
from fer_core.data.sources.split_names import split_of_path
from fer_core.data.sources.tables import AnnotationTable
from fer_core.data.sources.tree import FileTree
from fer_core.errors import DataError

_FRAME = re.compile(r"(\d+)\.\w+$")
_SECOND = re.compile(r"_(left|right)$")
"""End of a video's name if it shows two persons, each with a list of their own."""


def frame_table(tree: FileTree) -> AnnotationTable | None:
    """Returns the frames that are in folders called like their lists; None if there are none.

    Frames without a picture, such as those where no face was found, have no row. The frames of a
    video are one group.

    Raises:
        DataError: If a number is none of the classes that its list names.
    """
    index = ClipIndex(tree)
    lists: dict[str, tuple[str, Sequence[str]]] = {}
    for name in tree.files:
        stem, _, suffix = PurePosixPath(name).name.rpartition(".")
        folder = index.find(stem) if suffix.lower() == "txt" else None
        if folder and (labels := _labels(tree.text(name), name)):
            lists[name] = (folder, labels)
    numbered = {
        name: [(frame, int(match[1])) for frame in index.frames(folder)
               if (match := _FRAME.search(frame))]
        for name, (folder, _) in lists.items()
    }  # fmt: skip
    first = 0 if any(number == 0 for of in numbered.values() for _, number in of) else 1
    rows: list[dict[str, str]] = []
    problems: dict[str, str] = {}
    for name, (folder, labels) in lists.items():
        facts = {
            "person": _SECOND.sub("", PurePosixPath(folder).name),
            "subset": split_of_path(name) or "",
        }
        for frame, number in numbered[name]:
            listed = number - first < len(labels)
            rows.append({"file": f"/{frame}", "label": labels[number - first] if listed else ""})
            rows[-1] |= facts
            if not listed:
                problems[f"/{frame}"] = f"{name} ends before this frame."
    if not rows:
        return None
    note = (
        f"Frames are counted from {first}: the first number of a list is that of frame {first}. "
        "The frames of a video stay in one split."
    )
    table = pd.DataFrame(rows, dtype="str")
    return AnnotationTable(
        "*.txt", table, "file", header=True, clips=True, problems=problems, notes=(note,)
    )


def _labels(text: str, file: str) -> Sequence[str]:
    """Returns the class of each frame, empty for -1; nothing if the text is no such list.

    Raises:
        DataError: If a number is none of the classes.
    """
    first, *lines = text.strip().splitlines() or [""]
    names = [name.strip() for name in first.split(",")]
    if sum(emotion_of(name) is not None for name in names) < 2:
        return []
    numbers = list(_numbers(lines))
    if len(numbers) < len(lines):
        return []
    if (largest := max(numbers, default=0)) >= len(names):
        raise DataError(
            f"{file} has the number {largest}, but its first line names {len(names)} classes, "
            "which are counted from 0. Correct one of them."
        )
    return [names[number] if number >= 0 else "" for number in numbers]


def _numbers(lines: Sequence[str]) -> Iterator[int]:
    for line in lines:
        if not re.fullmatch(r"\s*(-?\d{1,4})\s*", line):
            return
        yield int(line)
