"""Parquet files: opening them, their class names, and lists of picture files."""

import json
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from fer_core.data.imaging import MIN_SIDE
from fer_core.data.sources.files import is_image
from fer_core.data.sources.tree import FileTree
from fer_core.errors import DataError

_HEAD = 20
"""Rows that tell whether a column names picture files."""


def open_parquet(tree: FileTree, file: str) -> Any:  # noqa: ANN401 (pyarrow is untyped)
    """Opens a parquet file of a tree.

    Raises:
        DataError: If it is not a parquet file.
    """
    try:
        return pq.ParquetFile(tree.open(file) if tree.root is None else tree.root / file)
    except Exception as error:  # pyarrow raises several exception types
        name = PurePosixPath(file).name
        raise DataError(f"{name} cannot be read as a parquet file ({error}).") from error


def class_names(schema: Any, column: str) -> Sequence[str] | None:  # noqa: ANN401 (untyped)
    """Reads the names from the features that `datasets` writes into a parquet file's schema."""
    text = (schema.metadata or {}).get(b"huggingface")
    if text is None:
        return None
    feature = json.loads(text).get("info", {}).get("features", {}).get(column, {})
    return feature.get("names") if isinstance(feature, dict) else None


def named(value: object, names: Sequence[str] | None) -> object:
    """Returns the name of a numbered class if it is known, else the value."""
    if names is None or not isinstance(value, int) or not 0 <= value < len(names):
        return value
    return names[value]


def lists_pictures(tree: FileTree, file: str) -> bool:
    """Whether a parquet file names picture files instead of holding pictures.

    Raises:
        DataError: If it is not a parquet file.
    """
    batches = open_parquet(tree, file).iter_batches(_HEAD)
    head: dict[str, list[Any]] = next((batch.to_pydict() for batch in batches), {})
    columns = head.values()
    if any(_is_picture(cell) for cells in columns for cell in cells):
        return False
    return any(all(is_image(str(_cell(cell))) for cell in cells) for cells in columns)


def read_picture_list(tree: FileTree, file: str) -> pd.DataFrame | None:
    """Reads a list of picture files, all cells as text; None if the file holds pictures.

    Raises:
        DataError: If it is not a parquet file.
    """
    if not lists_pictures(tree, file):
        return None
    opened = open_parquet(tree, file)
    table = opened.read().to_pydict()
    texts = {}
    for column, cells in table.items():
        names = class_names(opened.schema_arrow, column)
        texts[column] = [str(named(_cell(cell), names)) for cell in cells]
    return pd.DataFrame(texts, dtype="str")


def _is_picture(value: object) -> bool:
    """Whether a cell is an encoded image or grey levels."""
    if isinstance(value, Mapping):
        return bool(value.get("bytes"))
    if isinstance(value, str):
        return len(value) >= MIN_SIDE**2 and value[:MIN_SIDE].replace(" ", "").isdecimal()
    return isinstance(value, (bytes, list))


def _cell(value: object) -> object:
    """Returns a cell of a list; of an image without its bytes its path, as `datasets` writes it."""
    if isinstance(value, Mapping):
        value = value.get("path")
    return "" if value is None else value
