"""Csv files of pixels: a column of grey levels, one of labels, and often one of usages.

Common variants are read: columns in any order, blanks around their names, a byte order mark, an
index, semicolons, no header, no usages, missing classes, archive remains after the last row.
"""

import math
import re
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_core.data.imaging import MIN_SIDE
from fer_core.data.sources.base import Split
from fer_core.data.sources.class_names import code_of, emotion_of
from fer_core.data.sources.split_names import require_known, split_in, split_of
from fer_core.data.sources.tables import (
    Columns,
    extra_columns,
    extras_of,
    group_column,
    group_notes,
    is_unlabelled,
    label_column,
    plain,
    split_column,
    text_of,
    with_label_of_columns,
    with_split_of_flags,
)
from fer_core.data.sources.tree import FileTree, file_tree, open_tree
from fer_core.errors import DataError, ImageError

PIXELS = "pixels"
VOTES = "fer2013new.csv"
_CHUNK = 1000
_FER2013_SIDE = 48
_LEAST_PIXELS = MIN_SIDE * MIN_SIDE
_HEAD = 2**20
"""Bytes at the beginning of a table that are inspected; a row of FER2013 has 8,000."""


@dataclass(frozen=True)
class VotesFile:
    """`fer2013new.csv`, in a tree."""

    tree: FileTree
    path: str

    @classmethod
    def of(cls, path: Path) -> "VotesFile":
        """Returns a file on disk.

        Raises:
            DataError: If it does not exist.
        """
        if not path.is_file():
            raise DataError(f"{path} does not exist. Give the path of {VOTES} with --votes.")
        return cls(file_tree(path), path.name)

    @property
    def name(self) -> str:
        """Name in error messages."""
        return PurePosixPath(self.path).name

    def read(self) -> pd.DataFrame:
        """Reads the table.

        Raises:
            DataError: If it is not a csv.
        """
        try:
            with self.tree.open(self.path) as file:
                return pd.read_csv(file)
        except Exception as error:  # pandas raises several exception types
            raise DataError(f"{self.name} cannot be read as csv: {error}.") from error


@dataclass(frozen=True)
class PixelFile:
    """A csv of pixels, in a tree."""

    tree: FileTree
    path: str

    @classmethod
    def of(cls, location: "Path | PixelFile") -> "PixelFile":
        """Returns a file on disk, or the only one in a zip.

        Raises:
            DataError: If it does not exist, or the archive contains none or several.
        """
        if isinstance(location, PixelFile):
            return location
        if not location.is_file():
            raise DataError(
                f"{location} does not exist. Give the path of fer2013.csv (also .gz or .zip)."
            )
        if location.suffix.lower() != ".zip":
            return cls(file_tree(location), location.name)
        tree = open_tree(location)
        tables = find_pixel_tables(tree)
        if len(tables) != 1:
            raise DataError(
                f"{location.name} holds {len(tables)} tables of pixels. Give the path of one: "
                f"{location}/{tables[0] if tables else 'fer2013.csv'}."
            )
        return cls(tree, tables[0])

    @property
    def name(self) -> str:
        """Name in error messages."""
        return PurePosixPath(self.path).name

    def votes_beside(self) -> VotesFile | None:
        """Returns the FER+ votes beside the csv, if there are any."""
        folder = self.path.rpartition("/")[0]
        path = f"{folder}/{VOTES}".lstrip("/")
        if path in self.tree.names or (self.tree.root and (self.tree.root / path).is_file()):
            return VotesFile(self.tree, path)
        return None


@dataclass(frozen=True)
class PixelTable:
    """The rows of a csv of pixels; sequences have one item per row.

    Attributes:
        name: Name in error messages.
        labels: Labels as text; None without a label.
        splits: Splits from the usages; None without a column of usages.
        usages: Usages as text.
        groups: Persons or recordings.
        extras: Further values; empty if there are none.
        side: Height and width of the images in pixels.
        is_fer2013: Whether numbers are certainly FER2013's codes: the column is called `emotion`,
            images have 48 x 48 pixels, and the codes are not 1 to 7 as in RAF-DB.
        notes: Assumptions, as sentences for the user.
        parts: The tables whose rows are joined, if there are several.
    """

    file: PixelFile
    form: "Form"
    labels: Sequence[str | None]
    splits: Sequence[Split | None]
    usages: Sequence[str]
    groups: Sequence[str | None]
    extras: Sequence[Mapping[str, float | str]]
    side: int
    is_fer2013: bool
    notes: tuple[str, ...] = ()
    parts: tuple["PixelTable", ...] = ()

    @property
    def name(self) -> str:
        """Name in error messages."""
        return self.file.name

    def pixels(self) -> Iterator[str]:
        """Yields the pixels of each row as text, with a few rows in memory at a time."""
        for part in self.parts:
            yield from part.pixels()
        left = 0 if self.parts else len(self.labels)
        if not left:
            return
        for chunk in self.form.chunks(self.file, [self.form.pixels]):
            for text in chunk[self.form.pixels].head(left):
                yield str(text)
            left -= min(left, len(chunk))


@dataclass(frozen=True)
class Form:
    """Format of a csv of pixels.

    Attributes:
        separator: Separator of the columns.
        columns: Names, without surrounding blanks.
        header: Whether the first line is a header.
        pixels: The column of pixels.
        side: Height and width of the first image in pixels.
    """

    separator: str
    columns: tuple[str, ...]
    header: bool
    pixels: str
    side: int
    encoding: str = field(default="utf-8-sig")

    def chunks(self, file: PixelFile, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
        """Reads columns as text, `_CHUNK` rows at a time; malformed rows are left out.

        Raises:
            DataError: If the file is damaged.
        """
        indices = [self.columns.index(column) for column in columns]
        try:
            with file.tree.open(file.path) as opened, warnings.catch_warnings():
                warnings.simplefilter("ignore", pd.errors.ParserWarning)
                reader = pd.read_csv(
                    opened,
                    sep=self.separator,
                    header=0 if self.header else None,
                    names=list(range(len(self.columns))),
                    usecols=indices,
                    dtype="str",
                    keep_default_na=False,
                    skipinitialspace=True,
                    encoding=self.encoding,
                    encoding_errors="replace",
                    on_bad_lines="skip",
                    chunksize=_CHUNK if self.pixels in columns else 100 * _CHUNK,
                )
                for chunk in reader:
                    yield chunk.rename(columns=dict(zip(indices, columns, strict=True)))
        except DataError:
            raise
        except Exception as error:  # pandas, gzip and zip raise different exception types
            raise DataError(f"{file.name} cannot be read as csv: {error}.") from error


def find_pixel_tables(tree: FileTree) -> list[str]:
    """Returns the csv files of a tree that have a column of pixels."""
    names = [name for name in tree.files if re.search(r"\.(csv|tsv|txt)(\.gz)?$", name.lower())]
    return [name for name in names if _form_of(PixelFile(tree, name)) is not None]


def pixel_pictures(file: PixelFile) -> Iterator[NDArray[np.uint8] | None]:
    """Gives the picture of each row, whatever its label; None for a damaged row.

    Raises:
        DataError: If the file has no column of pixels, or cannot be read.
    """
    form = _form_of(file)
    if form is None:
        raise DataError(_no_pixels(file))
    for chunk in form.chunks(file, [form.pixels]):
        for text in chunk[form.pixels]:
            try:
                yield parse_pixels(str(text), form.side)
            except ImageError:
                yield None


def _form_of(file: PixelFile) -> Form | None:
    """Returns the format of a file; None if it has no column of pixels."""
    try:
        with file.tree.open(file.path) as opened:
            head = _beginning(opened).decode("utf-8-sig", errors="replace")
    except (DataError, OSError, EOFError, zlib.error):
        return None
    lines = [line for line in head.splitlines() if line.strip()][:2]
    for separator in (",", ";", "\t"):
        cells = [_cells(line, separator) for line in lines]
        if not cells or len(cells[0]) < 2:
            continue
        for row in cells:
            indices = [location for location, cell in enumerate(row) if _pixel_count(cell)]
            if indices and len(cells[0]) == len(row):
                return _form(separator, cells[0], row, indices[0])
    return None


def _beginning(file: IO[bytes]) -> bytes:
    return file.read(_HEAD)


def _form(separator: str, first: list[str], row: list[str], location: int) -> Form:
    header = row is not first
    names = [name or f"column {number}" for number, name in enumerate(first, 1)]
    if not header:
        names = [f"column {number}" for number in range(1, len(row) + 1)]
        others = [number for number in range(len(row)) if number != location]
        for number in others:
            if split_of(row[number]):
                names[number] = "Usage"
            elif len(row) <= 3:  # FER2013's columns
                names[number] = "emotion"
        names[location] = PIXELS
    side = math.isqrt(_pixel_count(row[location]))
    return Form(separator, tuple(names), header, names[location], side)


def _cells(line: str, separator: str) -> list[str]:
    return [cell.strip().strip('"').strip() for cell in line.split(separator)]


def _pixel_count(cell: str) -> int:
    """Returns the number of values in a cell if they form a square image; else 0."""
    if len(cell) < _LEAST_PIXELS:
        return 0
    numbers = cell.split()
    count = len(numbers)
    square = math.isqrt(count) ** 2 == count
    return count if square and count >= _LEAST_PIXELS and numbers[0].isdecimal() else 0


def read_pixel_table(file: PixelFile, columns: Columns) -> PixelTable:
    """Reads a csv of pixels except its pixels.

    Raises:
        DataError: If it is not such a csv, lacks labels, has an unknown usage or a label that is
            neither number nor name. Names the row.
    """
    form = _form_of(file)
    if form is None:
        raise DataError(_no_pixels(file))
    others = [name for name in form.columns if name != form.pixels]
    table = pd.concat(list(form.chunks(file, others)), ignore_index=True)
    table = with_split_of_flags(with_label_of_columns(table))
    label = label_column(table, columns.label, file.name)
    if label is None:
        raise DataError(
            f"{file.name} has no column of labels; its columns are {', '.join(form.columns)}. "
            "FER2013's layout is emotion,pixels,Usage. Name the column with --label; a file "
            "without labels (test.csv of the competition) cannot be used."
        )
    split = split_column(table, columns.split_column, file.name)
    group = group_column(table, columns.group, file.name, (label, split))
    notes = [] if form.header else ["The file has no header; FER2013's columns are assumed."]
    notes += group_notes(group, columns.group)
    count = _without_remains(table[label])
    if count < len(table):
        notes.append(
            f"Not read: {len(table) - count:,} rows after the last picture, remains of an archive."
        )
        table = table.head(count)
    extras = extra_columns(table, (label, split))
    rows = table.to_dict(orient="records") if extras else []
    labels = [_label(value, row, file.name) for row, value in enumerate(table[label])]
    return PixelTable(
        file=file,
        form=form,
        labels=labels,
        splits=_splits(table, split, file.name),
        usages=table[split].tolist() if split else [""] * len(table),
        groups=[None if is_unlabelled(v) else str(v) for v in table[group]]
        if group
        else [None] * len(table),
        extras=[extras_of(row, extras) for row in rows],
        side=form.side,
        is_fer2013=_is_fer2013(label, form.side, labels),
        notes=tuple(notes),
    )


def split_files(names: Sequence[str]) -> dict[str, Split]:
    """Returns the split of each file if all are named after different ones, else nothing."""
    named = {name: split_in(PurePosixPath(name).name.partition(".")[0]) for name in names}
    splits = {name: split for name, split in named.items() if split is not None}
    return splits if len(names) == len(set(splits.values())) > 1 else {}


def read_pixel_tables(files: Sequence[PixelFile], columns: Columns) -> PixelTable:
    """Reads a csv of pixels, or those of several splits, such as `train.csv` and `test.csv`.

    Raises:
        DataError: As `read_pixel_table`, or if the images have different sizes.
    """
    tables = [read_pixel_table(file, columns) for file in files]
    first, *others = tables
    if not others:
        return first
    if other := next((table for table in others if table.side != first.side), None):
        raise DataError(
            f"{first.name} has images of {first.side} pixels and {other.name} of {other.side}. "
            "Give the path of one of them."
        )
    by_file = split_files([file.path for file in files])
    splits = [split or by_file.get(table.file.path) for table in tables for split in table.splits]
    return replace(
        first,
        labels=[label for table in tables for label in table.labels],
        splits=splits,
        usages=[usage for table in tables for usage in table.usages],
        groups=[group for table in tables for group in table.groups],
        extras=[extra for table in tables for extra in table.extras or [{}] * len(table.labels)],
        is_fer2013=all(table.is_fer2013 for table in tables),
        notes=(
            f"The rows of {', '.join(table.name for table in tables)} are joined.",
            *dict.fromkeys(note for table in tables for note in table.notes),
        ),
        parts=tuple(tables),
    )


def _is_fer2013(column: str, side: int, labels: Sequence[str | None]) -> bool:
    from_1_to_7 = "0" not in labels and "7" in labels
    return plain(column) == "emotion" and side == _FER2013_SIDE and not from_1_to_7


def _no_pixels(file: PixelFile) -> str:
    try:
        with file.tree.open(file.path) as opened:
            line = _beginning(opened)[:2000].decode("utf-8-sig", errors="replace")
    except (OSError, EOFError, zlib.error) as error:
        return f"{file.name} cannot be read as csv: {error}. Get the file again."
    columns = ", ".join(_cells(line.partition("\n")[0][:200], ",")[:12])
    return (
        f"{file.name} has no column of pixels; its first line is {columns!r}. FER2013's layout is "
        "emotion,pixels,Usage; a list of pictures is read with --format list."
    )


def _without_remains(labels: "pd.Series[str]") -> int:
    """Returns the number of rows up to the last one with a label."""
    known = [
        _is_number(value) or emotion_of(value) is not None or (value != "" and is_unlabelled(value))
        for value in labels.tail(1000)
    ]
    with suppress(ValueError):
        return len(labels) - known[::-1].index(True)
    return len(labels)


def _is_number(value: str) -> bool:
    return re.fullmatch(r"\s*-?\d+(\.\d+)?\s*", value) is not None


def _label(value: str, row: int, name: str) -> str | None:
    if is_unlabelled(value):
        return None
    if _is_number(value) and code_of(value) is None:
        raise DataError(
            f"{name}, row {row}: emotion code {value!r} is unknown. Codes are whole numbers; "
            "correct or remove the row."
        )
    code = code_of(value)
    return str(code) if code is not None else text_of(value)


def _splits(table: pd.DataFrame, column: str | None, name: str) -> list[Split | None]:
    if column is None:
        return [None] * len(table)
    splits = require_known([value for value in table[column].unique() if value.strip()], name)
    return [splits.get(value) for value in table[column]]


def parse_pixels(text: str, side: int) -> NDArray[np.uint8]:
    """Returns the image of a cell of pixels.

    Raises:
        ImageError: If it has another number of pixels, or one is not an integer of 0 to 255.
    """
    count = side * side
    if text.count(" ") == count - 1 and text[-1].isdigit():
        # Four times as fast as the code below, which names the error in a line.
        with suppress(ValueError):
            numbers = np.fromstring(text, dtype=np.int64, sep=" ")
            if len(numbers) == count and numbers.min() >= 0 and numbers.max() <= 255:
                return numbers.astype(np.uint8).reshape(side, side)
    parts = text.split()
    if len(parts) != count:
        raise ImageError(f"It has {len(parts)} pixels instead of {count}: the row is damaged.")
    try:
        values = np.array(parts, dtype=np.int64)
    except (ValueError, OverflowError):
        raise ImageError("A pixel is not a whole number: the row is damaged.") from None
    if values.min() < 0 or values.max() > 255:
        raise ImageError("A pixel is outside 0 to 255: the row is damaged.")
    return values.astype(np.uint8).reshape(side, side)
