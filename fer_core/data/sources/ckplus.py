"""CK+ as published (Lucey et al. 2010): sequences of frames, and a label for some of them.

`Emotion/S005/001/S005_001_00000011_emotion.txt` holds the code of the sequence whose last frame is
`cohn-kanade-images/S005/001/S005_001_00000011.png`. That frame, the peak, is the labelled image.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from fer_core.data.sources.base import Origin, Skipped
from fer_core.data.sources.class_names import ClassNames, code_of
from fer_core.data.sources.files import ImageFile, ImageFiles, is_image, need_tree
from fer_core.data.sources.tree import FileTree
from fer_core.errors import DataError

_LABEL = re.compile(r"(S\d{3})_\d{3}_\d{8}_emotion\.txt", re.IGNORECASE)
_LAYOUT = "Give the folder of CK+ that holds Emotion and cohn-kanade-images"


class CkPlusSource(ImageFiles):
    """The peak frames of labelled sequences; persons are groups.

    Args:
        location: The folder or archive, or a parent of it.
        names: Mapping of class names; by default numbers are CK+'s codes.

    Raises:
        DataError: If there are no labels.
    """

    def __init__(self, location: Path | FileTree, names: ClassNames | None = None) -> None:
        tree = need_tree(location, _LAYOUT)
        labels = {name: _code(tree.text(name, 1024)) for name in find_ckplus_labels(tree)}
        counts = Counter(code for code in labels.values() if code is not None)
        if not counts:
            raise DataError(f"{tree.shown} holds no labels of CK+. {_LAYOUT}.")
        names = names or ClassNames()
        reading = replace(names, codes=names.codes or "ckplus").read(counts, tree.shown)
        persons = {PurePosixPath(name).name[:4].upper() for name in labels}
        self.left_out = Counter(reading.left_out(counts))
        self.notes = [
            f"The last frame of each labelled sequence is read; {len(persons)} persons are groups "
            "that stay in one split.",
            *reading.notes,
        ]
        super().__init__(tree, [*_items(tree, labels, reading.labels), *tree.skipped])

    @property
    def origin(self) -> Origin:
        """Name, licence and reference of the dataset."""
        return Origin(
            name="ckplus",
            title="Extended Cohn-Kanade (CK+)",
            licence="Images: non-commercial research, on request from the authors.",
            reference="doi:10.1109/CVPRW.2010.5543262",
        )


def find_ckplus_labels(tree: FileTree) -> list[str]:
    """Returns the label files of CK+ in a tree."""
    return [name for name in tree.files if _LABEL.fullmatch(PurePosixPath(name).name)]


def _code(text: str) -> str | None:
    """Returns the code of a label file (`   3.0000000e+00`), or None if it holds none."""
    try:
        return str(code_of(str(float(text.strip()))))
    except ValueError:
        return None


def _items(
    tree: FileTree, codes: Mapping[str, str | None], labels: Mapping[str, str]
) -> Iterator[ImageFile | Skipped]:
    pictures = {PurePosixPath(name).stem: name for name in tree.files if is_image(name)}
    for name, code in codes.items():
        stem = PurePosixPath(name).name[: -len("_emotion.txt")]
        if code is None:
            yield Skipped(stem, "Its label file holds no number.")
        elif stem not in pictures:
            yield Skipped(stem, f"The picture {stem} is missing.")
        elif labels[code]:
            yield ImageFile(pictures[stem], stem, labels[code], None, group=stem[:4].upper())
