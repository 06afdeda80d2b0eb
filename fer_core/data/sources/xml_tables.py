"""Annotations in XML as a table: PASCAL VOC, a file for each picture, and CVAT for images."""

import math
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import PurePosixPath

import pandas as pd

from fer_core.data.sources.class_names import emotion_of
from fer_core.data.sources.picture_index import PictureIndex
from fer_core.data.sources.split_names import split_of_path
from fer_core.data.sources.tables import LABEL_COLUMNS, AnnotationTable, plain
from fer_core.data.sources.tree import FileTree
from fer_core.errors import DataError

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_PROBLEM = "problem"
_OWN = ("file", "label", "subset", _PROBLEM, *_CORNERS)  # no attributes

_Row = dict[str, str]
"""Label, box and attributes of a face, or only a problem."""


def xml_table(
    tree: FileTree, index: PictureIndex, named: str | None = None
) -> AnnotationTable | None:
    """Returns the faces in all XML files, or in the named one; None if there are none.

    Raises:
        DataError: If the named file is damaged or has a document type.
    """
    names = [named] if named else [name for name in tree.files if name.lower().endswith(".xml")]
    rows: list[_Row] = []
    problems: dict[str, str] = {}
    notes: list[str] = []
    for name in names:
        try:
            root = _root(tree.text(name), name)
        except DataError as error:
            if named:
                raise
            notes.append(str(error))
            continue
        for cell, subset, faces in _pictures(root, name, index):
            wrong = [face.pop(_PROBLEM) for face in faces if _PROBLEM in face]
            if wrong:
                problems[cell], faces = wrong[0], []
            facts = {"file": cell, "subset": subset or split_of_path(name) or ""}
            rows += [{"label": "", **face, **facts} for face in faces or [{}]]
    if not rows:
        return None
    table = _with_class(pd.DataFrame(rows, dtype="str").fillna(""))
    shown = named or "*.xml"
    return AnnotationTable(shown, table, "file", True, problems=problems, notes=tuple(notes[:4]))


def _root(text: str, name: str) -> ET.Element:
    # Entities may expand without limit. The text is decoded, so that no encoding hides them.
    if "<!DOCTYPE" in text:
        raise DataError(
            f"{name} is not read: its document type may define entities. Remove <!DOCTYPE ...>."
        )
    try:
        return ET.fromstring(text)  # noqa: S314 (there are no entities)
    except ET.ParseError as error:
        raise DataError(f"{name} is damaged ({error}). Export it again.") from error


def _pictures(
    root: ET.Element, name: str, index: PictureIndex
) -> Iterator[tuple[str, str | None, Sequence[_Row]]]:
    """Yields path, split and faces of each picture of a file."""
    if root.tag == "annotation" and (file := root.findtext("filename")):
        faces = _voc_faces(root)
        picture = _nearest(index, file, name)
        namesake = _nearest(index, PurePosixPath(name).stem, name, least=name.count("/") - 1)
        if picture and namesake and picture != namesake:
            faces = [{_PROBLEM: f"{name} is called like it, but names {file}. Correct that."}]
        found = namesake or picture
        yield (f"/{found}" if found else file), None, faces
    for image in root.findall("image") if root.tag == "annotations" else []:
        file = image.get("name", "")
        found = _nearest(index, file, name)
        yield (f"/{found}" if found else file), image.get("subset"), _cvat_faces(image)


def _voc_faces(root: ET.Element) -> Sequence[_Row]:
    return [
        _face(
            one.findtext("name", ""),
            [one.findtext(f"bndbox/{corner}") for corner in _CORNERS],
            _attributes(one),
        )
        for one in root.findall("object")
    ]


def _cvat_faces(image: ET.Element) -> Sequence[_Row]:
    """Returns the boxes of an image, or its tag with its only box if the boxes name no emotion."""
    boxes, tags = image.findall("box"), image.findall("tag")
    emotions = [tag for tag in tags if emotion_of(tag.get("label", ""))]
    if boxes and (not emotions or any(emotion_of(box.get("label", "")) for box in boxes)):
        return [_face(box.get("label", ""), _sides(box), _attributes(box)) for box in boxes]
    tags = emotions or tags
    if len(tags) > 1 or len(boxes) > 1:
        return [{_PROBLEM: "It has several boxes or tags, and it is unclear which one counts."}]
    sides = _sides(boxes[0]) if boxes else ()
    return [_face(tag.get("label", ""), sides, _attributes(image)) for tag in tags]


def _sides(box: ET.Element) -> Sequence[str | None]:
    return [box.get(side) for side in ("xtl", "ytl", "xbr", "ybr")]


def _attributes(parent: ET.Element) -> _Row:
    """Returns attributes, whose names and values CVAT writes in two ways."""
    found = {
        str(one.get("name") or one.findtext("name")): one.findtext("value") or one.text or ""
        for one in parent.iter("attribute")
    }
    return {name: cell.strip() for name, cell in found.items() if name not in _OWN}


def _face(label: str, corners: Sequence[str | None], attributes: _Row) -> _Row:
    row = {**attributes, "label": label.strip()}
    if not any(corners):
        return row
    try:
        box = [float(corner or "nan") for corner in corners]
    except ValueError:
        box = [math.nan] * 4
    if not (all(map(math.isfinite, box)) and box[0] < box[2] and box[1] < box[3]):
        return {_PROBLEM: f"Its box {', '.join(map(str, corners))} is damaged."}
    return row | dict(zip(_CORNERS, map(str, box), strict=True))


def _nearest(index: PictureIndex, file: str, xml: str, least: int = 0) -> str | None:
    """Returns the picture of a name that shares most folders, and not too few, with its XML."""
    folders = xml.split("/")[:-1]
    found: dict[str, int] = {}
    for name in index.candidates(file.strip(), "/".join(folders)):
        splits = {split_of_path(xml), split_of_path(name)} - {None}
        if len(splits) < 2:
            pairs = zip(name.split("/")[:-1], folders, strict=False)
            found[name] = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    most = max(least, *found.values(), 0)
    nearest = [name for name, shared in found.items() if shared == most]
    return nearest[0] if len(nearest) == 1 else None


def _with_class(table: pd.DataFrame) -> pd.DataFrame:
    """Returns the table; an attribute that holds classes replaces labels such as `face`."""
    others = [str(name) for name in table if name not in _OWN]
    emotions = {name: set(map(emotion_of, table[name])) - {None} for name in ("label", *others)}
    classes = [name for name in others if plain(name) in LABEL_COLUMNS or len(emotions[name]) > 1]
    if classes and not emotions["label"]:
        return table.drop(columns="label")
    return table
