"""Annotations in XML as a table: PASCAL VOC, a file for each picture, and CVAT.

CVAT for images gives boxes, polygons, ellipses and masks, whose bounding box is the face, and tags;
CVAT for video gives tracks, whose frames are pictures with their number at the end of the name.
"""

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import PurePosixPath

import pandas as pd

from fer_core.data.sources.class_names import code_of, emotion_of
from fer_core.data.sources.files import is_image
from fer_core.data.sources.picture_index import PictureIndex
from fer_core.data.sources.split_names import split_of_path
from fer_core.data.sources.tables import LABEL_COLUMNS, AnnotationTable, plain
from fer_core.data.sources.tree import FileTree
from fer_core.errors import DataError

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_PROBLEM = "problem"
_OWN = ("file", "label", "subset", _PROBLEM, *_CORNERS)  # no attributes
_FLAGS = ("difficult", "truncated", "occluded")
_FRAME = re.compile(r"(\d+)\.\w+$")

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
        for cell, subset, faces in (*_pictures(root, name, index), *_frames(root, name, tree)):
            wrong = [face.pop(_PROBLEM) for face in faces if _PROBLEM in face]
            if wrong:
                problems[cell], faces = wrong[0], []
            facts = {"file": cell, "subset": subset or split_of_path(name) or ""}
            rows += [{"label": "", **face, **facts} for face in faces or [{}]]
    if not rows:
        return None
    table = _with_class(pd.DataFrame(rows, dtype="str").fillna(""))
    flags = table.columns.intersection(list(_FLAGS))
    table = table.drop(columns=[flag for flag in flags if "yes" not in table[flag].tolist()])
    notes = [*notes[:4], *_row_notes(table)]
    shown = named or "*.xml"
    return AnnotationTable(shown, table, "file", True, problems=problems, notes=tuple(notes))


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
            _attributes(one) | _flags({flag: one.findtext(flag) for flag in _FLAGS}),
        )
        for one in root.findall("object")
    ]


def _cvat_faces(image: ET.Element) -> Sequence[_Row]:
    """Returns the boxes of an image, or its tag with its only box if the boxes name no emotion.

    Without boxes, other shapes are read like them; points and skeletons, which give no face region,
    are read like tags.
    """
    shapes = [one for one in image if one.tag in _SHAPES]
    tags = image.findall("tag") or [one for one in image if one.tag in ("points", "skeleton")]
    emotions = [tag for tag in tags if emotion_of(tag.get("label", ""))]
    if len(shapes) > 1 and emotions:
        shapes = []  # parts of the face
    boxes = image.findall("box") or shapes
    if boxes and (not emotions or any(emotion_of(box.get("label", "")) for box in boxes)):
        return [_cvat_face(box) for box in boxes]
    tags = emotions or tags
    if len(tags) > 1 or len(boxes) > 1:
        return [{_PROBLEM: "It has several boxes or tags, and it is unclear which one counts."}]
    sides = _sides(boxes[0]) if boxes else ()
    return [_face(tag.get("label", ""), sides, _attributes(image)) for tag in tags]


def _cvat_face(shape: ET.Element) -> _Row:
    facts = _attributes(shape) | _flags({"occluded": shape.get("occluded")})
    return _face(shape.get("label", ""), _sides(shape), facts)


def _frames(
    root: ET.Element, name: str, tree: FileTree
) -> Iterator[tuple[str, str | None, Sequence[_Row]]]:
    """Yields the pictures of the frames of CVAT for video, and the faces in them by its tracks."""
    tracks = root.findall("track")
    frames = _numbered_pictures(root, name, tree) if tracks else {}
    faces: dict[str, list[_Row]] = {}
    for track in tracks:
        person = {"person": f"{name} track {track.get('id')}", "video": name}
        for shape in track:
            picture = frames.get(code_of(shape.get("frame", "")))
            drawn = shape.tag in ("box", *_SHAPES) and shape.get("outside") != "1"
            if picture is not None and drawn:
                shape.set("label", track.get("label", ""))
                faces.setdefault(picture, []).append(person | _cvat_face(shape))
    for picture, rows in faces.items():
        yield f"/{picture}", None, rows


def _numbered_pictures(root: ET.Element, name: str, tree: FileTree) -> dict[int | None, str]:
    """Returns the pictures below the folder of a file by frame, counted from 0.

    If they are in several folders, those in the one called like the file, task or video.
    """
    folders: dict[str, dict[int, str]] = {}
    start = name.rpartition("/")[0]
    for picture in tree.below(start).files:
        if is_image(picture) and (match := _FRAME.search(picture)):
            path = f"{start}/{picture}".lstrip("/")
            folders.setdefault(path.rpartition("/")[0], {})[int(match[1])] = path
    titles = (name, *(root.findtext(f"meta/task/{fact}", "") for fact in ("name", "source")))
    own = {PurePosixPath(title).stem for title in titles}
    named = [folder for folder in folders if PurePosixPath(folder).name in own] or list(folders)
    if len(named) != 1:
        return {}
    pictures = folders[named[0]]
    first = min(1, *pictures)
    return {number - first: picture for number, picture in pictures.items()}


_SHAPES = ("polygon", "ellipse", "mask")


def _sides(shape: ET.Element) -> Sequence[str | None]:
    """Returns the bounding box of a shape as text; of a damaged one what cannot be read."""
    if shape.tag == "box" and not shape.get("rotation"):
        return [shape.get(side) for side in ("xtl", "ytl", "xbr", "ybr")]
    try:
        return [str(round(side, 2)) for side in _extent(shape)]
    except ValueError:
        return [f"of the {shape.tag}"]


def _extent(shape: ET.Element) -> Sequence[float]:
    """Returns left, top, right and bottom of a shape of CVAT.

    Raises:
        ValueError: If a number is damaged.
    """
    if shape.tag == "polygon":
        points = [point.split(",") for point in shape.get("points", "").split(";")]
        xs, ys = ([float(point[axis]) for point in points] for axis in (0, -1))
        return min(xs), min(ys), max(xs), max(ys)

    def number(name: str) -> float:
        return float(shape.get(name, "nan"))

    if shape.tag == "mask":
        left, top = number("left"), number("top")
        return left, top, left + number("width"), top + number("height")
    angle = math.radians(float(shape.get("rotation", "0")))
    cos, sin = abs(math.cos(angle)), abs(math.sin(angle))
    if shape.tag == "ellipse":
        x, y, a, b = map(number, ("cx", "cy", "rx", "ry"))
        width, height = math.hypot(a * cos, b * sin), math.hypot(a * sin, b * cos)
    else:
        left, top, right, bottom = map(number, ("xtl", "ytl", "xbr", "ybr"))
        x, y, a, b = (left + right) / 2, (top + bottom) / 2, (right - left) / 2, (bottom - top) / 2
        width, height = a * cos + b * sin, a * sin + b * cos
    return x - width, y - height, x + width, y + height


def _flags(marks: Mapping[str, str | None]) -> _Row:
    """Returns the marks that are given, each `yes` or `no`."""
    return {
        name: "yes" if mark.strip().lower() in ("1", "true") else "no"
        for name, mark in marks.items()
        if mark
    }


def _row_notes(table: pd.DataFrame) -> list[str]:
    """Returns notes on marks of faces, and on tracks."""
    notes = []
    counts = {flag: int((table[flag] == "yes").sum()) for flag in _FLAGS if flag in table}
    if any(counts.values()):
        marked = ", ".join(f"{flag} {count:,}" for flag, count in counts.items() if count)
        notes.append(f"Marked faces are kept, and each mark is a slice: {marked}.")
    if {"person", "video"} <= {*table}:
        notes.append(
            "Each track of a video is read as one person, who stays in one split (--group video "
            "keeps each video in one split)."
        )
    return notes


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
