"""Rows of Hugging Face datasets: a row for each picture, or for each box of its `objects`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_core.data.sources.base import FileStat
from fer_core.data.sources.box_columns import box_columns
from fer_core.data.sources.files import Box, ShareBox
from fer_core.data.sources.json_tables import OBJECTS, Row, apart, object_rows

_BOX = ("x", "y", "w", "h")
_HEAD = 100
"""Pictures that tell whether a column holds boxes."""


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


@dataclass(frozen=True)
class FaceRows:
    """A row for each box in the column `objects`; a picture without boxes is one row.

    Attributes:
        rows: The pictures.

    Raises:
        DataError: If a box is not one, or the boxes of a picture are not as many as their classes.
    """

    rows: Rows

    @property
    def licence(self) -> str:
        """The licence by the dataset's card; empty if unknown."""
        return self.rows.licence

    @cached_property
    def columns(self) -> Sequence[str]:
        """The columns of the pictures without `objects`, and those of the objects."""
        kept = [name for name in self.rows.columns if name != OBJECTS]
        return [*kept, *dict.fromkeys(key for face in self._columns_of_faces for key in face)]

    @cached_property
    def pictures(self) -> NDArray[np.int64]:
        """The picture of each row, counted from 0."""
        return np.repeat(np.arange(len(self._faces)), [len(faces) for faces in self._faces])

    @cached_property
    def boxes(self) -> Sequence[tuple[Box | None, ShareBox | None]]:
        """The box of each row in pixels or in shares of the picture; the other, or both, None."""
        faces = [
            {key: face.get(key, "") for key in _BOX} for faces in self._faces for face in faces
        ]
        columns = box_columns(pd.DataFrame(faces, dtype="str"), {key: key for key in _BOX})
        return [(None, None) if columns is None else columns.of(face) for face in faces]

    def __len__(self) -> int:
        return len(self._columns_of_faces)

    def read(self, columns: Sequence[str], label: str, start: int = 0) -> Iterator[dict[str, Any]]:
        """Yields the rows from a position on; objects have their columns as text."""
        if start >= len(self):
            return
        first = int(self.pictures[start])
        stored = [name for name in columns if name in self.rows.columns]
        number = start
        # a reader of no column gives no row
        for picture, row in enumerate(self.rows.read(stored or [OBJECTS], label, first), first):
            while number < len(self) and self.pictures[number] == picture:
                face = self._columns_of_faces[number]
                yield {
                    name: row[name] if name in stored else face.get(name, "") for name in columns
                }
                number += 1

    def stats(self) -> Iterator[FileStat]:
        """Yields size and modification time of the files, or of their archive."""
        return self.rows.stats()

    @cached_property
    def _faces(self) -> list[list[Row]]:
        """The objects of each picture; one without any if it has none."""
        cells = (row[OBJECTS] for row in self.rows.read([OBJECTS], ""))
        return [_objects(cell, number) or [{}] for number, cell in enumerate(cells)]

    @cached_property
    def _columns_of_faces(self) -> list[Row]:
        """The values of each row that come from its object, without its box."""
        return [
            apart({key: cell for key, cell in face.items() if key not in _BOX}, kept, OBJECTS)
            for kept in [set(self.rows.columns) - {OBJECTS}]
            for faces in self._faces
            for face in faces
        ]


def with_faces(rows: Rows) -> Rows:
    """Returns a row for each box, if the column `objects` has boxes; else the rows unchanged.

    Raises:
        DataError: If a box is not one, or the boxes of a picture are not as many as their classes.
    """
    if OBJECTS not in rows.columns:
        return rows
    head = islice(rows.read([OBJECTS], ""), _HEAD)
    found = [_objects(row[OBJECTS], number) for number, row in enumerate(head)]
    are_boxes = None not in found and any(found)
    return FaceRows(rows) if are_boxes else rows


def _objects(cell: object, number: int) -> list[Row] | None:
    return object_rows([] if cell is None else cell, f"picture {number:,}")
