"""Annotations in JSON as rows of text: records, a label for each name, and exports of programs.

Objects inside a record become columns with the names of their keys, and each object of a list
becomes a row of its own: the regions of VGG Image Annotator, the results of Label Studio. COCO's
annotations are joined with their images and categories. Each box of Hugging Face's `objects`,
`{"bbox": [[x, y, width, height], ...], "category": [...]}`, is a row.
"""

import ast
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from math import isfinite
from typing import Any

from fer_core.errors import DataError

_MOST_ROWS = 100
"""Maximum number of rows of one record."""

_COCO_BOX = ("x", "y", "width", "height")

OBJECTS = "objects"
"""The column of boxes and their classes in `metadata.jsonl` and `metadata.csv` of Hugging Face."""

Row = dict[str, str]


def json_rows(text: str) -> list[Row]:
    """Returns the rows of a JSON file; empty if it holds no records."""
    try:
        content = json.loads(text)
    except ValueError:
        return []
    return [row for record in _records(content) for row in rows_of(record)]


def json_line_rows(text: str) -> list[Row]:
    """Returns the rows of a file with a JSON object in each line; empty if it is none."""
    try:
        records = [json.loads(line) for line in text.splitlines() if line.strip()]
    except ValueError:
        return []
    if not all(isinstance(record, dict) for record in records):
        return []
    return [row for record in records for row in rows_of(record)]


def expanded(row: Mapping[str, str]) -> list[Row]:
    """Returns the rows of a row of a csv: the keys of cells that hold an object are columns.

    There are several rows if a cell holds Hugging Face's `objects`.
    """
    flat: Row = {}
    faces: list[Row] = [{}]
    for name, cell in row.items():
        content = _object(cell)
        if content is not None and (objects := _boxed_objects(name, content, row)) is not None:
            faces = [face for item in objects for face in rows_of(item)] or [{}]
        else:
            _add(flat, content if content is not None else {name: cell})
    return [{**apart(face, flat, OBJECTS), **flat} for face in faces]


def holds_objects(cell: str) -> bool:
    """Whether a cell holds an object, such as `{"name": "rect", "x": 5}`."""
    return _object(cell) is not None


def object_rows(cell: object, where: str) -> list[Row] | None:
    """Returns a row for each box of Hugging Face's `objects`, with `x`, `y`, `w` and `h`.

    Args:
        cell: The value of the column.
        where: What has the objects, for messages.

    Returns:
        None if the cell holds other values.

    Raises:
        DataError: If a box is not one, or the boxes are not as many as their classes.
    """
    objects = _boxed_objects(OBJECTS, cell, {"": where})
    return None if objects is None else [row for item in objects for row in rows_of(item)]


def rows_of(record: Mapping[str, Any]) -> list[Row]:
    """Returns the rows of a record: one for each object of its lists."""
    base: Row = {}
    rows: list[Row] = [{}]
    for name, value in record.items():
        objects = _boxed_objects(name, value, record)
        inner = _inner(value) if objects is None else objects
        if not inner:
            _add(base, {name: value} if objects is None else {})
            continue
        more = [apart(row, base, name) for item in inner for row in rows_of(item)]
        if objects or len(rows) * len(more) <= _MOST_ROWS:
            rows = [{**other, **row} for row in rows for other in more]
    return [_with_shares({**row, **base}) for row in rows]


def apart(row: Row, base: Collection[str], prefix: str) -> Row:
    """Returns a row without the names of another one: equal names get a prefix."""
    return {f"{prefix}_{name}" if name in base else name: cell for name, cell in row.items()}


def _with_shares(row: Row) -> Row:
    """Returns a row of Label Studio, whose boxes are percentages of the picture, with shares."""
    if not {"original_width", "original_height", "x", "y", "w", "h"} <= row.keys():
        return row
    shares = {name: str(float(row[name]) / 100) for name in ("x", "y", "w", "h")}
    sizes = ("original_width", "original_height")
    return {name: cell for name, cell in row.items() if name not in sizes} | shares


def _records(content: Any) -> list[Mapping[str, Any]]:  # noqa: ANN401 (as read from JSON)
    if isinstance(content, list):
        return content if all(isinstance(record, dict) for record in content) else []
    if not isinstance(content, dict) or not content:
        return []
    if {"images", "annotations", "categories"} <= content.keys():
        return list(_coco(content))
    values = list(content.values())
    if all(isinstance(value, (str, int)) for value in values):
        return [{"file": name, "label": value} for name, value in content.items()]
    if all(isinstance(value, dict) for value in values):
        return [{"file": name, **value} for name, value in content.items()]
    # one list of records, such as {"version": 1, "data": [...]}
    lists = [value for value in values if _inner(value)]
    return list(lists[0]) if len(lists) == 1 else []


def _coco(content: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    images = {image.get("id"): image for image in content["images"]}
    names = {category.get("id"): category.get("name") for category in content["categories"]}
    for annotation in content["annotations"]:
        image = images.get(annotation.get("image_id"), {})
        box = annotation.get("bbox") or []
        corners = dict(zip(_COCO_BOX, box, strict=False))
        yield {
            "file_name": image.get("file_name", ""),
            "label": names.get(annotation.get("category_id"), ""),
            "bbox": corners,
        }


def _boxed_objects(
    name: str, value: object, record: Mapping[str, Any]
) -> list[Mapping[str, Any]] | None:
    """Returns an item for each object of Hugging Face's `objects`; None for other values.

    Raises:
        DataError: If a box is not one, or the boxes are not as many as their classes.
    """
    if name != OBJECTS:
        return None
    items = _of_lists(value, record) if isinstance(value, dict) else value
    if not isinstance(items, list) or not all(
        isinstance(item, dict) and isinstance(item.get("bbox"), list) for item in items
    ):
        return None
    for item in items:
        if not _is_box(item["bbox"]):
            raise DataError(
                f"The objects of {_first(record)} have the box {item['bbox']}. Correct or remove "
                "it: boxes are [x, y, width, height]."
            )
    return [
        {"category" if key == "categories" else key: cell for key, cell in item.items()}
        | {"bbox": dict(zip(_COCO_BOX, item["bbox"], strict=True))}
        for item in items
    ]


def _of_lists(
    columns: Mapping[str, Any], record: Mapping[str, Any]
) -> list[Mapping[str, Any]] | None:
    """Returns the objects of `{"bbox": [...], "category": [...]}`; None for other values."""
    boxes = columns.get("bbox")
    if not isinstance(boxes, list):
        return None
    lists = {key: cells for key, cells in columns.items() if isinstance(cells, list) and cells}
    for key, cells in lists.items():
        if len(cells) != len(boxes):
            raise DataError(
                f"The objects of {_first(record)} have {len(boxes)} boxes, but {len(cells)} values "
                f"of {key}. Correct them: each box needs one."
            )
    return [{key: cells[number] for key, cells in lists.items()} for number in range(len(boxes))]


def _first(record: Mapping[str, Any]) -> str:
    return str(next(iter(record.values())))[:80]


def _is_box(values: list[Any]) -> bool:
    numbers = [value for value in values if isinstance(value, (int, float)) and isfinite(value)]
    return len(numbers) == len(values) == len(_COCO_BOX) and min(numbers[2:]) > 0


def _inner(value: object) -> Sequence[Mapping[str, Any]]:
    """Returns the objects of a list of them; empty for other values."""
    if isinstance(value, dict):
        return [value] if any(_inner(item) for item in value.values()) else []
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        return value
    return []


def _add(row: Row, values: Mapping[str, Any]) -> None:
    """Adds values to a row, those of objects under the names of their keys.

    Width and height of a box are called `w` and `h`, to tell them from those of the picture.
    """
    is_box = {"x", "y", "width", "height"} <= values.keys()
    for name, value in values.items():
        if isinstance(value, dict):
            inner: Row = {}
            _add(inner, value)
            row |= apart(inner, row, name)
        elif isinstance(value, list) and len(value) == 1:
            _add(row, {name: value[0]})
        elif not isinstance(value, bytes):  # such as a mask
            column = {"width": "w", "height": "h"}.get(name, name) if is_box else name
            text = "" if value is None else value
            row.setdefault(column, text if isinstance(text, str) else json.dumps(text, default=str))


def _object(cell: str) -> dict[str, Any] | None:
    if not cell.lstrip().startswith("{"):
        return None
    for read in (json.loads, ast.literal_eval):  # pandas writes objects as Python does
        with suppress(ValueError, SyntaxError, RecursionError, MemoryError):
            content = read(cell)
            return content if isinstance(content, dict) else None
    return None
