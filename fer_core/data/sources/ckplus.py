"""CK+ as published (Lucey et al. 2010): sequences of frames, and a label for some of them.

`Emotion/S005/001/S005_001_00000011_emotion.txt` holds the code of the sequence whose last frame is
`cohn-kanade-images/S005/001/S005_001_00000011.png`. That frame, the peak, is the labelled image.
Pictures of the same names in another folder, such as masks, are not read.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from pathlib import Path, PurePosixPath

from fer_core.data.sources.base import Origin, Skipped
from fer_core.data.sources.class_names import ClassNames, code_of
from fer_core.data.sources.files import ImageFile, ImageFiles, is_image, need_tree
from fer_core.data.sources.tree import FileTree
from fer_core.errors import DataError

_LABEL = re.compile(r"(S\d{3})_\d{3}_\d{8}_emotion\.txt", re.IGNORECASE)
_FRAME = re.compile(r"S\d{3}_\d{3}_\d{8}", re.IGNORECASE)
_PERSON = re.compile(r"S\d{3}", re.IGNORECASE)
IMAGES = "cohn-kanade-images"
"""Name of the folder of the published images."""

_LAYOUT = "Give the folder of CK+ that holds Emotion and cohn-kanade-images"


class CkPlusSource(ImageFiles):
    """The peak frames of labelled sequences; persons are groups.

    Args:
        location: The folder or archive, or a parent of it.
        names: Mapping of class names; by default numbers are CK+'s codes.

    Raises:
        DataError: If there are no labels, or two folders have the pictures of as many labels and
            neither is called `cohn-kanade-images`.
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
        pictures = self._pictures(tree, {_stem(name) for name in labels})
        super().__init__(tree, [*_items(pictures, labels, reading.labels), *tree.skipped])

    @property
    def origin(self) -> Origin:
        """Name, licence and reference of the dataset."""
        return Origin(
            name="ckplus",
            title="Extended Cohn-Kanade (CK+)",
            licence="Images: non-commercial research, on request from the authors.",
            reference="doi:10.1109/CVPRW.2010.5543262",
        )

    def _pictures(self, tree: FileTree, labelled: AbstractSet[str]) -> dict[str, str]:
        """Returns the pictures by their stems, from one of the folders that have the same stems."""
        folders = {
            folder: frames
            for folder, frames in _frames_by_folder(tree).items()
            if labelled & frames.keys()
        }

        def rank(folder: str) -> tuple[bool, int]:
            return _is_published(folder), len(labelled & folders[folder].keys())

        pictures: dict[str, str] = {}
        read: list[str] = []
        for folder in sorted(folders, key=rank, reverse=True):
            frames = folders[folder]
            rivals = [other for other in read if frames.keys() & folders[other].keys()]
            if not rivals:
                pictures |= frames
                read.append(folder)
            elif rank(folder) == rank(rivals[0]):
                raise DataError(_two_folders(tree, rivals[0], folder))
            else:
                self.notes.append(
                    f"Not read: {len(frames):,} pictures in {folder or tree.title}, which have the "
                    f"names of those in {rivals[0] or tree.title}."
                )
        return pictures


def find_ckplus_labels(tree: FileTree) -> list[str]:
    """Returns the label files of CK+ in a tree."""
    return [name for name in tree.files if _LABEL.fullmatch(PurePosixPath(name).name)]


def _code(text: str) -> str | None:
    """Returns the code of a label file (`   3.0000000e+00`), or None if it holds none."""
    try:
        return str(code_of(str(float(text.strip()))))
    except ValueError:
        return None


def _stem(label: str) -> str:
    """Returns the stem of the picture that a label file belongs to."""
    return PurePosixPath(label).name[: -len("_emotion.txt")]


def _frames_by_folder(tree: FileTree) -> dict[str, dict[str, str]]:
    """Returns the frames by stem, by the folder that contains the folders of their persons."""
    folders: dict[str, dict[str, str]] = {}
    for name in tree.files:
        path = PurePosixPath(name)
        if is_image(name) and _FRAME.fullmatch(path.stem):
            parts = path.parts[:-1]
            end = next((n for n, part in enumerate(parts) if _PERSON.fullmatch(part)), len(parts))
            folders.setdefault("/".join(parts[:end]), {})[path.stem] = name
    return folders


def _is_published(folder: str) -> bool:
    return PurePosixPath(folder).name.lower() == IMAGES


def _two_folders(tree: FileTree, first: str, second: str) -> str:
    shown = " and ".join(sorted(folder or tree.title for folder in (first, second)))
    return (
        f"{tree.shown} has pictures of the same names in {shown}, for as many labels of CK+. Call "
        f"the folder of the photographs {IMAGES}, or move the other one away."
    )


def _items(
    pictures: Mapping[str, str], codes: Mapping[str, str | None], labels: Mapping[str, str]
) -> Iterator[ImageFile | Skipped]:
    for name, code in codes.items():
        stem = _stem(name)
        if code is None:
            yield Skipped(stem, "Its label file holds no number.")
        elif stem not in pictures:
            yield Skipped(stem, f"The picture {stem} is missing.")
        elif labels[code]:
            yield ImageFile(pictures[stem], stem, labels[code], None, group=stem[:4].upper())
