"""Rows of Hugging Face datasets: a row for each picture, or for each box of its `objects`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import pandas as pd

from fer_core.data.sources.base import FileStat
from fer_core.data.sources.box_columns import box_columns
from fer_core.data.sources.files import Box, ShareBox
from fer_core.data.sources.json_tables import OBJECTS, Row, object_rows

_BOX = ("x", "y", "w", "h")


class Rows(Protocol):
    """One split of a dataset."""

    @property
    def columns(self) -> Sequence[str]:
        """Names of the columns that all files have."""
        ...

    @property
    def licence(self) -> str:
        """The licence by the dataset's card; empty if unknown."""
        ...

    def __len__(self) -> int: ...

    def read(self, columns: Sequence[str], label: str, start: int = 0) -> Iterator[dict[str, Any]]:
        """Yields the rows from a position on, with named labels if the names are known."""
        ...

    def stats(self) -> Iterator[FileStat]:
        """Yields size and modification time of the files, or of their archive."""
        ...


@dataclass(frozen=True, slots=True)
class FacePlace:
    """Where the face of a row is.

    Attributes:
        picture: Number of its picture in the split, from 0.
        number: Number of the face in the picture, from 0; None if it is the only one.
        box: Region to crop in pixels.
        share_box: Region to crop as shares of the picture.
    """

    picture: int
    number: int | None
    box: Box | None
    share_box: ShareBox | None

    @property
    def suffix(self) -> str:
        """What tells the faces of a picture apart, such as `#1`; empty if it has only one."""
        return "" if self.number is None else f"#{self.number}"


@dataclass(frozen=True)
class FaceRows:
    """A row for each box in the column `objects`; a picture without boxes is one row.

    Attributes:
        rows: The pictures.
        objects: The objects of each picture; one without any value if it has none.
        keys: The values of objects that become columns, of all splits.
    """

    rows: Rows
    objects: Sequence[Sequence[Row]]
    keys: Sequence[str]

    @property
    def licence(self) -> str:
        """The licence by the dataset's card; empty if unknown."""
        return self.rows.licence

    @property
    def columns(self) -> Sequence[str]:
        """The columns of the pictures without `objects`, and those of the objects."""
        return [*self._stored, *self._columns]

    @cached_property
    def places(self) -> Sequence[FacePlace]:
        """The place of the face of each row."""
        cells = [{key: face.get(key, "") for key in _BOX} for face in self._faces]
        columns = box_columns(pd.DataFrame(cells, dtype="str"), {key: key for key in _BOX})
        boxes = iter((None, None) if columns is None else columns.of(cell) for cell in cells)
        return [
            FacePlace(picture, number if len(found) > 1 else None, *next(boxes))
            for picture, found in enumerate(self.objects)
            for number in range(len(found))
        ]

    def __len__(self) -> int:
        return len(self._faces)

    def read(self, columns: Sequence[str], label: str, start: int = 0) -> Iterator[dict[str, Any]]:
        """Yields the rows from a position on; objects have their columns as text."""
        ends = np.cumsum([len(found) for found in self.objects])
        first = int(np.searchsorted(ends, start, side="right"))
        skipped = start - int(ends[first - 1]) if first else start
        stored = [name for name in columns if name in self._stored]
        # a reader of no column gives no row
        rows = self.rows.read(stored or [OBJECTS], label, first)
        for row, found in zip(rows, self.objects[first:], strict=True):
            for face in found[skipped:]:
                yield {
                    name: row[name] if name in stored else face.get(self._columns[name], "")
                    for name in columns
                }
            skipped = 0

    def stats(self) -> Iterator[FileStat]:
        """Yields size and modification time of the files, or of their archive."""
        return self.rows.stats()

    @cached_property
    def _faces(self) -> Sequence[Row]:
        return [face for found in self.objects for face in found]

    @cached_property
    def _stored(self) -> Sequence[str]:
        return [name for name in self.rows.columns if name != OBJECTS]

    @cached_property
    def _columns(self) -> Mapping[str, str]:
        """The key of the objects by its column; a name of the pictures' columns gets a prefix."""
        return {f"{OBJECTS}_{key}" if key in self._stored else key: key for key in self.keys}


def with_faces(splits: Mapping[str, Rows]) -> Mapping[str, Rows]:
    """Returns a row for each box, if the column `objects` has boxes; else the rows unchanged.

    Args:
        splits: The pictures by the name of their split.

    Raises:
        DataError: If a box is not one, or the boxes of a picture are not as many as their classes.
    """
    objects: dict[str, list[list[Row]]] = {}
    for name, rows in splits.items():
        if OBJECTS in rows.columns:
            objects[name] = []
            for number, row in enumerate(rows.read([OBJECTS], "")):
                found = _objects(row[OBJECTS], number)
                if found is None:
                    return splits
                objects[name].append(found or [{}])
    faces = (face for pictures in objects.values() for found in pictures for face in found)
    keys = list(dict.fromkeys(key for face in faces for key in face))
    if not keys:
        return splits
    others = [key for key in keys if key not in _BOX]
    return {
        name: FaceRows(rows, objects[name], others) if name in objects else rows
        for name, rows in splits.items()
    }


def _objects(cell: object, number: int) -> list[Row] | None:
    is_empty = cell is None or (isinstance(cell, Mapping) and cell.get("bbox", ()) is None)
    return object_rows([] if is_empty else cell, f"picture {number:,}")
