"""Annotations in XML as a table: PASCAL VOC, a file for each picture, and CVAT for images."""

import math
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from pathlib import PurePosixPath

import pandas as pd

from fer_core.data.sources.class_names import emotion_of
from fer_core.data.sources.picture_index import PictureIndex
from fer_core.data.sources.split_names import split_of_path
from fer_core.data.sources.tables import LABEL_COLUMNS, AnnotationTable, plain
from fer_core.data.sources.tree import FileTree
from fer_core.errors import DataError

_MOST_BYTES = 2**28
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_OWN = ("file", "label", "subset", *_CORNERS)
"""Columns that every table has; attributes of these names get a prefix."""

_Row = dict[str, str]


def xml_table(tree: FileTree, index: PictureIndex, named: str | None = None) -> (
    AnnotationTable | None
):  # fmt: skip
    """Returns the faces in the XML files of a tree, a row each; None if there are none.

    A label that names no emotion, such as `face`, is not the class if an attribute holds classes.

    Args:
        tree: The dataset's files.
        index: The dataset's images.
        named: The only file to read; then errors name its problem.

    Raises:
        DataError: If the named file is damaged or has a document type.
    """
    names = [named] if named else [name for name in tree.files if name.lower().endswith(".xml")]
    rows: list[_Row] = []
    damaged: dict[str, str] = {}  # by file
    problems: dict[str, str] = {}  # by picture
    for name in names:
        try:
            root = _root(tree.text(name, _MOST_BYTES), name)
        except DataError as error:
            if named:
                raise
            damaged[name] = str(error)
            continue
        rows += _voc(root, name, index, problems) or _cvat(root, name, index, problems)
    if not rows:
        return None
    for name, problem in damaged.items():
        picture = _nearest(index, PurePosixPath(name).stem, name)
        cell = f"/{picture}" if picture else name
        rows.append({"file": cell})
        problems[cell] = problem
    folders = {name.rpartition("/")[0] for name in names if name not in damaged}
    folder = folders.pop() if len(folders) == 1 else ""
    table = _table(rows)
    name = named or f"{folder}/*.xml".lstrip("/")
    return AnnotationTable(name, table, "file", header=True, problems=problems)


def is_annotation(tree: FileTree, name: str) -> bool:
    """Whether an XML file is PASCAL VOC or CVAT for images.

    Raises:
        DataError: If it is damaged or has a document type.
    """
    root = _root(tree.text(name, _MOST_BYTES), name)
    return _is_voc(root) or _is_cvat(root)


def _root(text: str, name: str) -> ET.Element:
    # A document type may define entities that expand without limit. The text is decoded, so no
    # encoding hides it from this search.
    if "<!DOCTYPE" in text:
        raise DataError(
            f"{name} is not read: it has a document type, which may define entities. Remove "
            "<!DOCTYPE ...> from it."
        )
    try:
        return ET.fromstring(text)  # noqa: S314 (there are no entities)
    except ET.ParseError as error:
        raise DataError(f"{name} is damaged ({error}). Export it again.") from error


def _is_voc(root: ET.Element) -> bool:
    return root.tag == "annotation" and root.find("filename") is not None


def _is_cvat(root: ET.Element) -> bool:
    return root.tag == "annotations" and root.find("image") is not None


def _voc(
    root: ET.Element, name: str, index: PictureIndex, problems: dict[str, str]
) -> Sequence[_Row]:
    """Returns the faces of a file of PASCAL VOC; its picture is called like it or as it says."""
    if not _is_voc(root):
        return []
    file = root.findtext("filename", "").strip() or name
    picture = _nearest(index, file, name)
    namesake = _nearest(index, PurePosixPath(name).stem, name)
    cell = f"/{picture or namesake}" if picture or namesake else file
    if picture and namesake and picture != namesake:
        cell = f"/{namesake}"
        problems[cell] = f"{name} is called like it, but names {file}. Correct its filename."
    try:
        rows = [
            _face(
                one.findtext("name", ""),
                [one.findtext(f"bndbox/{corner}") for corner in _CORNERS],
                {child.tag: child.text or "" for child in one if child.tag != "name"}
                | _attributes(one),
            )
            for one in root.findall("object")
        ]
    except DataError as error:
        rows, problems[cell] = [], f"{name}: {error}"
    subset = split_of_path(name) or ""
    return [{**row, "file": cell, "subset": subset} for row in rows or [{}]]


def _cvat(
    root: ET.Element, name: str, index: PictureIndex, problems: dict[str, str]
) -> Sequence[_Row]:
    """Returns the faces of all images of a file of CVAT for images."""
    rows: list[_Row] = []
    for image in root.findall("image") if _is_cvat(root) else []:
        file = image.get("name", "")
        picture = _nearest(index, file, name)
        cell = f"/{picture}" if picture else file
        subset = image.get("subset") or split_of_path(name) or ""
        try:
            faces = _cvat_faces(image)
        except DataError as error:
            faces, problems[cell] = [], str(error)
        rows += [{**row, "file": cell, "subset": subset} for row in faces or [{}]]
    return rows


def _cvat_faces(image: ET.Element) -> Sequence[_Row]:
    """Returns the boxes of an image, or its tag with its only box if the boxes name no emotion.

    Raises:
        DataError: If a box is damaged, or it is unclear which tag or box is meant.
    """
    boxes, tags = image.findall("box"), image.findall("tag")
    emotions = [tag for tag in tags if emotion_of(tag.get("label", ""))]
    if boxes and (not emotions or any(emotion_of(box.get("label", "")) for box in boxes)):
        return [_face(box.get("label", ""), _sides(box), _attributes(box)) for box in boxes]
    tags = emotions or tags
    if len(tags) > 1:
        shown = ", ".join(tag.get("label", "") for tag in tags)
        raise DataError(f"It has several tags: {shown}.")
    if len(boxes) > 1:
        raise DataError("It has several boxes, and its tag does not say which is meant.")
    sides = _sides(boxes[0]) if boxes else ()
    more = {name: cell for one in (*boxes, *tags) for name, cell in _attributes(one).items()}
    return [_face(tag.get("label", ""), sides, more) for tag in tags]


def _sides(box: ET.Element) -> Sequence[str | None]:
    return [box.get(side) for side in ("xtl", "ytl", "xbr", "ybr")]


def _face(label: str, corners: Sequence[str | None], more: Mapping[str, str]) -> _Row:
    """Returns label, box and further values; raises a DataError if the box is damaged."""
    row = {(f"attribute_{name}" if name in _OWN else name): more[name].strip() for name in more}
    row["label"] = label.strip()
    if not any(corners):
        return row
    try:
        left, top, right, bottom = (float(corner or "nan") for corner in corners)
    except ValueError:
        left = right = top = bottom = math.nan
    if not (math.isfinite(right - left + bottom - top) and left < right and top < bottom):
        raise DataError(f"the box {', '.join(map(str, corners))} is damaged.")
    return row | {name: str(corner) for name, corner in zip(_CORNERS, corners, strict=True)}


def _attributes(parent: ET.Element) -> _Row:
    """Returns attributes, whose names and values CVAT writes in two ways."""
    return {
        str(one.get("name") or one.findtext("name")): one.findtext("value") or one.text or ""
        for one in parent.iter("attribute")
    }


def _nearest(index: PictureIndex, file: str, xml: str) -> str | None:
    """Returns the picture of a name that shares most folders with an XML file."""
    folder, _, _ = xml.rpartition("/")
    split = split_of_path(xml)
    found: dict[str, int] = {}
    for name in index.candidates(file, folder):
        if None in (split, split_of_path(name)) or split == split_of_path(name):
            pairs = zip(name.split("/")[:-1], folder.split("/"), strict=False)
            found[name] = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    nearest = [name for name, shared in found.items() if shared == max(found.values())]
    return nearest[0] if len(nearest) == 1 else None


def _table(rows: Iterable[_Row]) -> pd.DataFrame:
    """Returns the rows with the columns that tell faces apart."""
    table = pd.DataFrame([{"label": "", **row} for row in rows], dtype="str").fillna("")
    differing = [name for name in table if name in _OWN or table[name].nunique() > 1]
    table = table[differing]
    others = [str(name) for name in table if name not in _OWN]
    if not any(map(emotion_of, table["label"])) and any(_holds_classes(table, n) for n in others):
        constant = table["label"].nunique() == 1
        return (
            table.drop(columns="label") if constant else table.rename(columns={"label": "object"})
        )
    return table


def _holds_classes(table: pd.DataFrame, name: str) -> bool:
    emotions = {emotion_of(cell) for cell in table[name].unique()} - {None}
    return plain(name) in LABEL_COLUMNS or len(emotions) > 1
