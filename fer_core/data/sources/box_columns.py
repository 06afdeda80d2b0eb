"""Boxes of faces in annotation tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from fer_core.data.sources.files import Box, ShareBox, square_box

_CORNERS = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("x1", "y1", "x2", "y2"),
    ("left", "top", "right", "bottom"),
)
_SIZES = (
    ("facex", "facey", "facewidth", "faceheight"),
    ("x", "y", "w", "h"),
)
"""Usual column names, in lower case without blanks and punctuation.

`x, y, width, height` are not among them: in tables of this project they are the place of an image
on the map and its size.
"""


@dataclass(frozen=True)
class BoxColumns:
    """Four columns that say where the face of a row is.

    Attributes:
        names: The columns: left, top, then right and bottom, or width and height.
        sizes: Whether the last two are width and height.
        shares: Whether the values are shares of the picture, 0 to 1, and not pixels.
    """

    names: tuple[str, ...]
    sizes: bool
    shares: bool

    def of(self, row: Mapping[str, str]) -> tuple[Box | None, ShareBox | None]:
        """Returns the box of a row, in pixels or in shares; the other, or both, are None.

        Boxes in pixels are extended to squares, as those in shares are when the picture is read.
        """
        try:
            left, top, right, bottom = (float(row[name]) for name in self.names)
        except ValueError:
            return None, None
        if self.sizes:
            right, bottom = left + right, top + bottom
        if not (left < right and top < bottom):
            return None, None
        if self.shares:
            return None, (left, top, right, bottom)
        return square_box(left, top, right, bottom), None


def box_columns(table: pd.DataFrame, plain_names: Mapping[str, str]) -> BoxColumns | None:
    """Returns the columns of boxes, if there are four that are known and hold numbers.

    Args:
        table: The cells as text.
        plain_names: Column by its plain name, see `tables.plain`.
    """
    for usual, sizes in [*((names, False) for names in _CORNERS), *((n, True) for n in _SIZES)]:
        if all(name in plain_names for name in usual):
            names = [plain_names[name] for name in usual]
            if (shares := _are_shares(table, names)) is not None:
                return BoxColumns(tuple(names), sizes, shares)
    return None


def _are_shares(table: pd.DataFrame, names: Sequence[str]) -> bool | None:
    """Returns whether all numbers are at most 1; None if a cell is neither empty nor a number."""
    cells = pd.concat([table[name].astype(str).str.strip() for name in names])
    cells = cells[cells != ""]
    numbers = pd.to_numeric(cells, errors="coerce")
    if not len(numbers) or bool(numbers.isna().any()):
        return None
    return bool((numbers <= 1).all())
