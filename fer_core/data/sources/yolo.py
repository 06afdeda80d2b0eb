"""Detection labels in YOLO format: `images/<n>.jpg`, `labels/<n>.txt` and `data.yaml`.

A line of a label file is `class x y width height`: the centre and size of the box as shares of the
image.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

import yaml

from fer_core.data.sources.annotated import AFFECTNET_LEFT_OUT, AFFECTNET_ORIGIN
from fer_core.data.sources.base import Origin, Skipped
from fer_core.data.sources.class_names import (
    CONTEMPT,
    ClassNames,
    code_of,
    emotion_of,
)
from fer_core.data.sources.files import ImageFile, ImageFiles, is_image, need_tree
from fer_core.data.sources.split_names import split_of_path
from fer_core.data.sources.tables import NO_LABEL
from fer_core.data.sources.tree import FileTree, printable
from fer_core.errors import DataError
from fer_core.labels import SEVEN_EMOTIONS

_LAYOUT = "Give the folder that holds images, labels and data.yaml"

ShareBox = tuple[float, float, float, float]
"""Left, top, right, bottom as shares of the image."""

Faces = list[tuple[str, ShareBox]]
"""Class number and box of each face in an image."""


class YoloSource(ImageFiles):
    """Faces cropped from images by detection labels.

    A dataset with the eight classes of AffectNet is read as AffectNet: contempt is left out.

    Args:
        location: The folder or archive, or a parent of it.
        names: Interpretation of class names.

    Raises:
        DataError: If there are no labels, or the meaning of class numbers is unknown.
    """

    def __init__(self, location: Path | FileTree, names: ClassNames | None = None) -> None:
        tree = need_tree(location, _LAYOUT)
        pictures = find_labelled_pictures(tree)
        if not pictures:
            raise DataError(f"{tree.shown} holds no pictures with labels of YOLO. {_LAYOUT}.")
        named = _class_names(tree)
        self._is_affectnet = {emotion_of(name) for name in named.values()} == {
            *SEVEN_EMOTIONS.names, CONTEMPT
        }  # fmt: skip
        self._title = tree.title
        names = names or ClassNames()
        if self._is_affectnet:
            names = replace(names, left_out=AFFECTNET_LEFT_OUT)
        faces = {name: _faces(tree.text(label)) for name, label in pictures.items()}
        counts = Counter(number for boxes in faces.values() for number, _ in boxes or ())
        known = Counter({_named(number, named): count for number, count in counts.items()})
        reading = names.read(known, tree.shown)
        self.left_out = Counter(reading.left_out(known))
        self.notes = list(reading.notes)
        if named:
            coding = ", ".join(f"{number} {name}" for number, name in sorted(named.items()))
            self.notes.insert(0, f"data.yaml says what the class numbers mean: {coding}.")
        labels = {number: reading.labels[_named(number, named)] for number in counts}
        super().__init__(tree, [*_items(faces, labels), *tree.skipped])

    @property
    def origin(self) -> Origin:
        """AffectNet's if the classes are AffectNet's, else named after the folder."""
        if self._is_affectnet:
            return AFFECTNET_ORIGIN
        return Origin(
            name="yolo",
            title=self._title,
            licence="Not known to FERscope: see where the images come from.",
            reference="",
        )


def find_labelled_pictures(tree: FileTree) -> dict[str, str]:
    """Returns the label file in `labels` beside `images` of each image that has one."""
    pairs = {}
    for name in tree.files:
        path = PurePosixPath(name)
        if "images" not in path.parts[:-1] or not is_image(name):
            continue
        location = len(path.parts) - 2 - path.parts[-2::-1].index("images")
        label = PurePosixPath(*path.parts[:location], "labels", *path.parts[location + 1 :])
        if (text := label.with_suffix(".txt").as_posix()) in tree.names:
            pairs[name] = text
    return pairs


def _class_names(tree: FileTree) -> dict[str, str]:
    """Reads `names` of `data.yaml`: a list, or names by number."""
    files = [name for name in tree.files if PurePosixPath(name).suffix in (".yaml", ".yml")]
    for name in sorted(files, key=lambda name: name.count("/")):
        try:
            content = yaml.safe_load(tree.text(name))
        except yaml.YAMLError:
            continue
        names = content.get("names") if isinstance(content, dict) else None
        if isinstance(names, list):
            return {str(number): str(word) for number, word in enumerate(names)}
        if isinstance(names, dict):
            return {str(number): str(word) for number, word in names.items()}
    return {}


def _named(number: str, names: Mapping[str, str]) -> str:
    return names.get(number, number)


def _faces(text: str) -> Faces | None:
    """Returns the faces in a label file; None if it is malformed."""
    faces: Faces = []
    for line in text.splitlines():
        cells = line.split()
        if not cells:
            continue
        try:
            x, y, width, height = (float(cell) for cell in cells[1:5])
        except ValueError:
            return None
        code = code_of(cells[0])
        if code is None:
            return None
        box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        faces.append((str(code), box))
    return faces


def _items(
    faces: Mapping[str, Faces | None], labels: Mapping[str, str]
) -> Iterator[ImageFile | Skipped]:
    for name, boxes in faces.items():
        key = printable(name)
        if not boxes:
            yield Skipped(key, NO_LABEL if boxes == [] else "Its label file is malformed.")
            continue
        several = len(boxes) > 1
        for number, (code, box) in enumerate(boxes):
            if labels[code]:
                yield ImageFile(
                    name,
                    f"{key}#{number}" if several else key,
                    labels[code],
                    split_of_path(name),
                    group=key if several else None,
                    share_box=box,
                )
