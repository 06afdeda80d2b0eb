"""Parquet and Arrow files: opening them, their class names, and lists of picture files."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from fer_core.data.imaging import MIN_SIDE, open_picture
from fer_core.data.sources.files import is_image
from fer_core.data.sources.json_tables import OBJECTS, apart, object_rows
from fer_core.data.sources.tree import FileTree
from fer_core.errors import DataError, ImageError

Content = Literal["pictures", "list", "other"]

_FILE_COLUMNS = ("image", "img", "file", "filename", "filepath", "path", "imagepath", "imagename")
_HEAD = 20
"""Rows that tell whether a column names picture files."""


SUFFIXES = (".parquet", ".arrow")


@dataclass(frozen=True)
class _ArrowFile:
    """An Arrow file with the interface of `pq.ParquetFile`; its batches are its row groups."""

    schema_arrow: Any
    batches: Sequence[Any]

    @property
    def metadata(self) -> "_ArrowFile":
        return self

    @property
    def num_rows(self) -> int:
        return sum(batch.num_rows for batch in self.batches)

    @property
    def num_row_groups(self) -> int:
        return len(self.batches)

    def row_group(self, number: int) -> Any:  # noqa: ANN401 (pyarrow is untyped)
        return self.batches[number]

    def iter_batches(
        self, size: int, groups: Iterable[int] | None = None, columns: list[str] | None = None
    ) -> Iterator[Any]:
        chosen = self.batches if groups is None else [self.batches[group] for group in groups]
        table = pa.Table.from_batches(chosen, self.schema_arrow)
        yield from (table if columns is None else table.select(columns)).to_batches(size)


def data_files(tree: FileTree) -> list[str]:
    """Returns the parquet and Arrow files of a tree, without caches of the `datasets` package.

    Raises:
        DataError: If a dataset was saved with a list of its rows, as before version 2.
    """
    files = [name for name in tree.files if name.lower().endswith(SUFFIXES)]
    named = {name: PurePosixPath(name).name for name in files if name.lower().endswith(".arrow")}
    if indices := [name for name, file in named.items() if file.startswith("indices")]:
        raise DataError(
            f"{indices[0]} lists the rows of the dataset, which is not read. Load it with "
            "`datasets`, and save dataset.flatten_indices() again."
        )
    return [name for name in files if not named.get(name, "").startswith("cache-")]


def open_parquet(tree: FileTree, file: str) -> Any:  # noqa: ANN401 (pyarrow is untyped)
    """Opens a parquet or Arrow file of a tree.

    Raises:
        DataError: If it is neither.
    """
    try:
        if file.lower().endswith(".arrow"):
            source = tree.open(file) if tree.root is None else pa.memory_map(str(tree.root / file))
            stream = pa.ipc.open_stream(source)
            return _ArrowFile(stream.schema, list(stream))
        return pq.ParquetFile(tree.open(file) if tree.root is None else tree.root / file)
    except Exception as error:  # pyarrow raises several exception types
        name = PurePosixPath(file).name
        kind = "an Arrow" if file.lower().endswith(".arrow") else "a parquet"
        raise DataError(f"{name} cannot be read as {kind} file ({error}).") from error


def class_names(schema: Any, column: str) -> Sequence[str] | None:  # noqa: ANN401 (untyped)
    """Reads the names from the features that `datasets` writes into a parquet file's schema."""
    return _names(_features(schema).get(column))


def object_class_names(schema: Any) -> dict[str, Sequence[str]]:  # noqa: ANN401 (untyped)
    """Reads the names of the classes of `objects` from a parquet file's schema, by key."""
    return names_by_key(_features(schema).get(OBJECTS))


def names_by_key(feature: object) -> dict[str, Sequence[str]]:
    """Returns the class names of the keys of a feature, such as that of `objects`.

    Args:
        feature: As `datasets.Features.to_dict` gives it: lists hold their type under `feature`.
    """
    inner = _inner(feature)
    named_keys = {key: _names(_inner(value)) for key, value in inner.items()}
    return {key: names for key, names in named_keys.items() if names}


def _features(schema: Any) -> Mapping[str, Any]:  # noqa: ANN401 (untyped)
    text = (schema.metadata or {}).get(b"huggingface")
    return {} if text is None else json.loads(text).get("info", {}).get("features", {})


def _names(feature: object) -> Sequence[str] | None:
    return feature.get("names") if isinstance(feature, Mapping) else None


def _inner(feature: object) -> Mapping[str, Any]:
    """Returns the feature inside of lists; empty if there is none."""
    while True:
        if isinstance(feature, list) and feature:
            feature = feature[0]
        elif isinstance(feature, Mapping) and "feature" in feature:
            feature = feature["feature"]
        else:
            return feature if isinstance(feature, Mapping) else {}


def named(value: object, names: Sequence[str] | None) -> object:
    """Returns the name of a numbered class if it is known, else the value."""
    if names is None or not isinstance(value, int) or not 0 <= value < len(names):
        return value
    return names[value]


def with_named_objects(cell: object, names: Mapping[str, Sequence[str]]) -> object:
    """Returns a cell of `objects` with names in place of numbers of classes.

    Args:
        cell: A list of objects, or an object of lists; other values are returned as they are.
        names: Class names by key of the objects.
    """
    if isinstance(cell, list):
        return [with_named_objects(item, names) for item in cell]
    if not isinstance(cell, Mapping):
        return cell
    return {
        key: [named(item, names.get(key)) for item in value]
        if isinstance(value, list)
        else named(value, names.get(key))
        for key, value in cell.items()
    }


def content_of(tree: FileTree, file: str) -> Content:
    """Returns whether a parquet or Arrow file holds pictures, or names picture files.

    Raises:
        DataError: If it is neither kind of file.
    """
    batches = open_parquet(tree, file).iter_batches(_HEAD)
    head: dict[str, list[Any]] = next((batch.to_pydict() for batch in batches), {})
    cells = {name: [cell for cell in row if cell is not None] for name, row in head.items()}
    if any(_is_picture(cell) for row in cells.values() for cell in row):
        return "pictures"
    return "list" if any(_are_files(name, row) for name, row in cells.items()) else "other"


def read_picture_list(tree: FileTree, file: str) -> pd.DataFrame | None:
    """Reads a list of picture files, all cells as text; None if the file is none.

    Columns of lists and bytes are left out.

    Raises:
        DataError: If it is not a parquet file.
    """
    if content_of(tree, file) != "list":
        return None
    opened = open_parquet(tree, file)
    schema = opened.schema_arrow
    columns = [field.name for field in schema if _is_text_or_number(field.type)]
    texts = {}
    for column, cells in opened.read(columns).to_pydict().items():
        names = class_names(schema, column)
        texts[column] = [str(named(_cell(cell), names)) for cell in cells]
    table = pd.DataFrame(texts, dtype="str")
    return table if OBJECTS not in schema.names else _with_objects(table, opened)


def _with_objects(table: pd.DataFrame, opened: Any) -> pd.DataFrame:  # noqa: ANN401 (untyped)
    """Returns a list of picture files with a row for each box of `objects`."""
    names = object_class_names(opened.schema_arrow)
    rows: list[dict[str, str]] = []
    cells = opened.read([OBJECTS]).column(OBJECTS).to_pylist()
    for row, cell in zip(table.to_dict(orient="records"), cells, strict=True):
        base = {str(name): str(value) for name, value in row.items()}
        faces = object_rows(with_named_objects(cell or [], names), next(iter(base.values())))
        if faces is None:
            return table
        rows += [apart(face, base, OBJECTS) | base for face in faces or [{}]]
    return pd.DataFrame(rows, dtype="str").fillna("")


def _is_picture(value: object) -> bool:
    """Whether a cell is an encoded image or grey levels."""
    if isinstance(value, Mapping):
        value = value.get("bytes")
    if isinstance(value, bytes):
        try:
            open_picture(value)
        except ImageError:
            return False
        return True
    if isinstance(value, list):
        return _is_grey_levels(value)
    return (
        isinstance(value, str)
        and len(value) >= MIN_SIDE**2
        and value[:MIN_SIDE].replace(" ", "").isdecimal()
    )


def _is_grey_levels(value: list[Any]) -> bool:
    """Whether a list holds whole numbers for at least the smallest image; features do not."""
    try:
        levels = np.asarray(value)
    except ValueError:  # lists of different lengths
        return False
    return levels.dtype.kind in "ui" and levels.size >= MIN_SIDE**2


def _are_files(column: str, cells: Sequence[object]) -> bool:
    """Whether a column names picture files; names without suffix need a usual column name."""
    texts = [cell.get("path") if isinstance(cell, Mapping) else cell for cell in cells]
    if not texts or not all(isinstance(text, str) for text in texts):
        return False
    usual = re.sub(r"[^a-z]", "", column.lower()) in _FILE_COLUMNS
    return usual or 2 * sum(is_image(str(text)) for text in texts) > len(texts)


def _is_text_or_number(kind: Any) -> bool:  # noqa: ANN401 (untyped)
    if pa.types.is_struct(kind):
        return any(field.name == "path" for field in kind)
    binary = pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
    return not (binary or pa.types.is_nested(kind))


def _cell(value: object) -> object:
    """Returns a cell of a list; of an image without its bytes its path, as `datasets` writes it."""
    if isinstance(value, Mapping):
        value = value.get("path")
    return "" if value is None else value
