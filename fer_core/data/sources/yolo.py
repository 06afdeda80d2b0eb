"""Detection labels in YOLO format: `images/<n>.jpg`, `labels/<n>.txt` and `data.yaml`.

Label files may also be beside the pictures, as Darknet and LabelImg have them, with the class names
in `obj.names` or `classes.txt`.

A line of a label file is `class x y width height`: the centre and size of the box as shares of the
image, with a confidence behind it in predictions. With more numbers it is a polygon, `class x1 y1
x2 y2 ...`, whose bounding box is used; or, if `data.yaml` has a `kpt_shape`, a box and keypoints.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path, PurePosixPath

import yaml

from fer_core.data.sources.annotated import AFFECTNET_LEFT_OUT, AFFECTNET_ORIGIN
from fer_core.data.sources.base import Origin, Skipped
from fer_core.data.sources.class_lists import find_class_list
from fer_core.data.sources.class_names import (
    CONTEMPT,
    ClassNames,
    code_of,
    emotion_of,
)
from fer_core.data.sources.files import ImageFile, ImageFiles, ShareBox, is_image, need_tree
from fer_core.data.sources.split_names import split_of_path
from fer_core.data.sources.tables import NO_LABEL
from fer_core.data.sources.tree import FileTree, printable
from fer_core.errors import DataError
from fer_core.labels import SEVEN_EMOTIONS

_LAYOUT = "Give the folder that holds images, labels and data.yaml"


Faces = list[tuple[str, ShareBox]]
"""Class and box of each face in an image; the class is its number where no names are given."""

Names = Mapping[str, str]
"""Class names by class number."""

_BEYOND = 0.1
"""How far points of a polygon may lie beyond the image, as shares of it."""

_HEAD = 20
"""Label files that tell whether text files are labels of YOLO."""


class YoloSource(ImageFiles):
    """Faces cropped from images by detection labels: boxes, or the bounding boxes of polygons.

    A dataset with the eight classes of AffectNet is read as AffectNet: contempt is left out.
    Several `data.yaml` with different names each hold for the labels below them.

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
        described = _descriptions(tree)
        named = _names_by_label(_class_names(described), pictures.values(), tree.shown)
        used = dict(named.values())
        self._is_affectnet = bool(used) and all(map(_are_affectnets, used.values()))
        self._title = tree.title
        names = names or ClassNames()
        if self._is_affectnet:
            names = replace(names, left_out=AFFECTNET_LEFT_OUT)
        faces = _read_faces(tree, pictures, described, named)
        known = Counter(
            word for boxes in faces.values() if not isinstance(boxes, str) for word, _ in boxes
        )
        if not known:
            name, boxes = next(iter(faces.items()))
            reason = boxes if isinstance(boxes, str) else NO_LABEL
            raise DataError(
                f"No label file of {tree.shown} gives a face, such as that of {printable(name)}: "
                f"{reason} {_LAYOUT}."
            )
        reading = names.read(known, tree.shown)
        self.left_out = Counter(reading.left_out(known))
        self.notes = [*_names_notes(used), *reading.notes]
        labels = {word: reading.labels[word] for word in known}
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
    """Returns the label file of each image that has one.

    It is in a folder `labels` beside `images`; or, if its lines are those of YOLO, in `labels`
    beside another folder, or beside the image.
    """
    pairs: dict[str, str] = {}
    others: dict[str, str] = {}
    if not any(name.endswith(".txt") for name in tree.files):
        return pairs
    for name in filter(is_image, tree.files):
        *folders, file = name.rpartition(".")[0].split("/")
        for number in reversed(range(len(folders))):
            text = "/".join((*folders[:number], "labels", *folders[number + 1 :], f"{file}.txt"))
            if text in tree.names:
                (pairs if folders[number] == "images" else others)[name] = text
                break
        else:
            if (text := "/".join((*folders, f"{file}.txt"))) in tree.names:
                others[name] = text
    read = filter(None, (tree.text(text).strip() for text in others.values()))
    lines = [text.splitlines()[0].split() for text in islice(read, _HEAD)]
    if not lines or not all(map(_is_label, lines)):
        return pairs
    return others | pairs


def _is_label(cells: Sequence[str]) -> bool:
    """Whether a line is a class number and shares of the image."""
    try:
        box = [float(cell) for cell in cells[1:5]]
    except ValueError:
        return False
    within = all(-_BEYOND <= share <= 1 + _BEYOND for share in box)
    whole = all(map(float.is_integer, box))  # a one-hot label
    return code_of(cells[0]) is not None and len(box) == 4 and within and not whole


def face_boxes(tree: FileTree) -> dict[str, ShareBox | None]:
    """Returns the box of each image if label files give faces, but no emotions.

    They do if their only class is one such as `face`, or has no name. The box is None if an image
    has several, none, or a damaged one.
    """
    pictures = find_labelled_pictures(tree)
    described = _descriptions(tree) if pictures else {}
    named = _class_names(described)
    words = {word for names in named.values() for word in names.values()}
    if not pictures or len(words) > 1 or any(map(emotion_of, words)) or find_class_list(tree):
        return {}
    faces = _read_faces(tree, pictures, described, {})
    read = {name: [] if isinstance(boxes, str) else boxes for name, boxes in faces.items()}
    numbers = {number for boxes in read.values() for number, _ in boxes}
    single = {name: boxes[0][1] if len(boxes) == 1 else None for name, boxes in read.items()}
    return single if len(numbers) == 1 else {}


def _read_faces(
    tree: FileTree,
    pictures: Mapping[str, str],
    described: Mapping[str, Mapping[str, object]],
    named: Mapping[str, tuple[str, Names]],
) -> dict[str, Faces | str]:
    keypoints = any("kpt_shape" in description for description in described.values())
    return {
        name: _faces(tree.text(label), keypoints, named[label][1] if label in named else {})
        for name, label in pictures.items()
    }


def _descriptions(tree: FileTree) -> dict[str, Mapping[str, object]]:
    """Reads the yaml files of a tree, by path, those of the upper folders first."""
    files = [name for name in tree.files if PurePosixPath(name).suffix in (".yaml", ".yml")]
    described: dict[str, Mapping[str, object]] = {}
    for name in sorted(files, key=lambda name: name.count("/")):
        with suppress(yaml.YAMLError):
            content = yaml.safe_load(tree.text(name))
            if isinstance(content, dict):
                described[name] = content
    return described


def _class_names(described: Mapping[str, Mapping[str, object]]) -> dict[str, Names]:
    """Returns `names` of each yaml that has them: a list, or names by number."""
    found: dict[str, Names] = {}
    for path, content in described.items():
        names = content.get("names")
        if isinstance(names, list):
            found[path] = {str(number): str(word) for number, word in enumerate(names)}
        elif isinstance(names, dict):
            found[path] = {str(number): str(word) for number, word in names.items()}
    return found


def _names_by_label(
    named: Mapping[str, Names], labels: Iterable[str], where: str
) -> dict[str, tuple[str, Names]]:
    """Returns the yaml that holds for each label file, and its class names.

    It is the first one if all have the same names, else the nearest above the label file.

    Raises:
        DataError: If names differ and no yaml, or two of one folder, are nearest.
    """
    if not named:
        return {}
    first, *others = named
    other = next((path for path in others if named[path] != named[first]), None)
    if other is None:
        return dict.fromkeys(labels, (first, named[first]))
    by_folder: dict[PurePosixPath, str] = {}
    for path, names in named.items():
        nearest = by_folder.setdefault(PurePosixPath(path).parent, path)
        if names != named[nearest]:
            raise _differing(nearest, path, where)
    applied = {}
    for label in labels:
        folders = [folder for folder in PurePosixPath(label).parents if folder in by_folder]
        if not folders:
            raise _differing(first, other, where)
        path = by_folder[folders[0]]
        applied[label] = (path, named[path])
    return applied


def _differing(first: str, second: str, where: str) -> DataError:
    return DataError(
        f"{where} has class names in {printable(first)} and others in {printable(second)}, and it "
        "is unclear which labels each is for. Put each beside its images and labels, or give one "
        "of the datasets."
    )


def _are_affectnets(names: Names) -> bool:
    return {emotion_of(name) for name in names.values()} == {*SEVEN_EMOTIONS.names, CONTEMPT}


def _names_notes(used: Mapping[str, Names]) -> list[str]:
    """Returns a note on the class names of each yaml that holds for a label file."""
    notes = []
    for path, names in used.items():
        if names:
            coding = ", ".join(f"{number} {name}" for number, name in sorted(names.items()))
            title = "data.yaml" if len(used) == 1 else printable(path)
            notes.append(f"{title} says what the class numbers mean: {coding}.")
    return notes


def _faces(text: str, keypoints: bool, names: Names) -> Faces | str:
    """Returns the faces in a label file, or what is wrong with it."""
    faces: Faces = []
    for number, line in enumerate(text.splitlines(), 1):
        cells = line.split()
        if not cells:
            continue
        code = code_of(cells[0])
        try:
            values = [float(cell) for cell in cells[1:]]
        except ValueError:
            values = []
        box = _box(values[:4] if keypoints else values)
        if code is None or box is None:
            return (
                f"Line {number} of its label file is damaged: {line.strip()[:60]!r} is neither a "
                "class with a box (4 numbers) nor a class with a polygon (3 points or more)."
            )
        faces.append((names.get(str(code), str(code)), box))
    return faces


def _box(values: Sequence[float]) -> ShareBox | None:
    """Returns the box of a line's numbers; None if they are neither a box nor a polygon."""
    if not all(map(math.isfinite, values)):
        return None
    if len(values) == 4 or (len(values) == 5 and 0 <= values[4] <= 1):  # with a confidence
        x, y, width, height = values[:4]
        return (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    if len(values) < 6 or len(values) % 2:
        return None
    left, top, right, bottom = (pick(values[axis::2]) for pick in (min, max) for axis in (0, 1))
    within = min(left, top) >= -_BEYOND and max(right, bottom) <= 1 + _BEYOND
    return (left, top, right, bottom) if within and left < right and top < bottom else None


def _items(
    faces: Mapping[str, Faces | str], labels: Mapping[str, str]
) -> Iterator[ImageFile | Skipped]:
    for name, boxes in faces.items():
        key = printable(name)
        if isinstance(boxes, str) or not boxes:
            yield Skipped(key, boxes if isinstance(boxes, str) else NO_LABEL)
            continue
        several = len(boxes) > 1
        for number, (word, box) in enumerate(boxes):
            if labels[word]:
                yield ImageFile(
                    name,
                    f"{key}#{number}" if several else key,
                    labels[word],
                    split_of_path(name),
                    group=key if several else None,
                    share_box=box,
                )
