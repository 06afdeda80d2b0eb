"""Parquet tables: atomic writes, and reads that name a damaged file."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from fer_core.errors import ArtifactError
from fer_core.files import atomic_path

_BATCH = 1 << 17
"""Rows that `read_batches` reads at a time."""

_Content = TypeVar("_Content")


def read_table(
    path: Path,
    columns: tuple[str, ...] = (),
    aliases: Mapping[str, str] | None = None,
    *,
    newest: int | None = None,
) -> pd.DataFrame:
    """Reads a parquet file and checks that it has the required columns.

    Args:
        path: The file.
        columns: Required columns.
        aliases: Current column names by former names; files with former names are still read.
        newest: Newest known version of its column `schema_version`; None for a table without it.

    Raises:
        ArtifactError: If it is missing, corrupt, of a newer version, or lacks a column.
    """
    table = _readable(path, lambda: pd.read_parquet(path))
    table = table.rename(columns=dict(aliases or {}))
    _require_columns(path, columns, table.columns)
    if newest is not None and (table["schema_version"] > newest).any():
        raise ArtifactError(
            f"{path.name} of {path.parent.name!r} was written by a newer FERscope. Update FERscope "
            "to read it."
        )
    return table


def read_columns(path: Path, columns: Sequence[str], few_values: Sequence[str] = ()) -> pa.Table:
    """Reads only some columns of a parquet file.

    Args:
        path: The file.
        columns: The columns to read.
        few_values: Columns of text with few different values; they are read as dictionaries.

    Raises:
        ArtifactError: If it is missing, corrupt, or lacks a column.
    """
    _require_columns(path, columns, read_schema(path)[0].names)
    return _readable(
        path, lambda: pq.read_table(path, columns=list(columns), read_dictionary=list(few_values))
    )


def read_schema(path: Path) -> tuple[pa.Schema, int]:
    """Returns the columns of a parquet file, and its number of rows.

    Raises:
        ArtifactError: If it is missing or corrupt.
    """
    metadata = _readable(path, lambda: pq.read_metadata(path))
    return metadata.schema.to_arrow_schema(), metadata.num_rows


def read_batches(path: Path, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Reads some columns of a parquet file in batches of rows.

    All batches use the same memory, which is faster than new memory for the whole table.

    Args:
        path: The file.
        columns: The columns to read.

    Raises:
        ArtifactError: If it is missing, corrupt, or lacks a column.
    """
    _require_columns(path, columns, read_schema(path)[0].names)
    with _readable(path, lambda: pq.ParquetFile(path)) as file:
        batches = file.iter_batches(_BATCH, columns=list(columns), use_threads=False)
        while (batch := _readable(path, lambda: next(batches, None))) is not None:
            yield batch


def stored_digest(path: Path, columns: Sequence[str], salt: str = "") -> str:
    """Returns a hash of the stored bytes of columns, which are read but not decoded.

    Equal hashes mean equal values; equal values can have other bytes, of another writer.

    Args:
        path: A parquet file.
        columns: Names of the columns.
        salt: Further text that the hash depends on.

    Raises:
        ArtifactError: If it is missing, corrupt, or lacks a column.
    """
    metadata = _readable(path, lambda: pq.read_metadata(path))
    schema = [metadata.schema.column(index) for index in range(metadata.num_columns)]
    names = [column.name for column in schema]
    _require_columns(path, columns, names)
    wanted = [names.index(name) for name in columns]
    digest = hashlib.blake2b(salt.encode(), digest_size=16)
    for index in wanted:
        digest.update(f"{schema[index].logical_type}{schema[index].max_definition_level}".encode())

    def update() -> None:
        with path.open("rb") as file:
            for group, index in product(range(metadata.num_row_groups), wanted):
                chunk = metadata.row_group(group).column(index)
                facts = (chunk.physical_type, chunk.compression, chunk.num_values)
                digest.update(repr(facts).encode())
                file.seek(chunk.dictionary_page_offset or chunk.data_page_offset)
                digest.update(file.read(chunk.total_compressed_size))

    _readable(path, update)
    return digest.hexdigest()


def _readable(path: Path, read: Callable[[], _Content]) -> _Content:
    """Returns what a function reads from a parquet file.

    Raises:
        ArtifactError: If it is missing or corrupt.
    """
    try:
        return read()
    except FileNotFoundError:
        raise ArtifactError(f"{path.name} is missing from {path.parent.name!r}.") from None
    except Exception as error:  # pyarrow raises many kinds for damaged files
        reason = str(error).replace(str(path), path.name)  # folders are not for visitors
        raise ArtifactError(
            f"{path.name} of {path.parent.name!r} is corrupt or incomplete: {reason}."
        ) from error


def _require_columns(path: Path, columns: Sequence[str], names: Iterable[str]) -> None:
    count = Counter(names)
    where = f"{path.name} of {path.parent.name!r}"
    if missing := [name for name in columns if not count[name]]:
        raise ArtifactError(f"{where} lacks the columns {', '.join(missing)}.")
    if twice := [name for name in columns if count[name] > 1]:
        raise ArtifactError(f"{where} has more than one column {', '.join(twice)}.")


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Writes a parquet file atomically.

    Floats are stored byte by byte and integers as differences, which zstd then compresses best.
    """
    encodings = {_stored_name(table[name]): _encoding(table[name]) for name in table.columns}
    plain = {name: encoding for name, encoding in encodings.items() if encoding}
    with atomic_path(path) as temporary:
        table.to_parquet(
            temporary,
            index=False,
            compression="zstd",
            compression_level=_STRONG if len(table) <= _STRONGLY_COMPRESSED else None,
            use_dictionary=[name for name in encodings if name not in plain],
            column_encoding=plain or None,
        )


_STRONG, _STRONGLY_COMPRESSED = 19, 50_000
"""Level of zstd for tables of at most so many rows, such as those that ship with a benchmark.

They are 5 to 10% smaller than at the default level, and written in seconds."""

_REPEATED = 2
"""Mean repetitions of a float from which a dictionary of its values is smaller."""

_SHORT = 1000
"""Rows up to which text is stored as a dictionary: a column of few values, such as classes, can be
unique in a short table, and `read_columns` reads it as a dictionary."""


def _holds_float_arrays(column: pd.Series) -> bool:
    first = column.iloc[0] if len(column) and column.dtype == object else None
    return isinstance(first, np.ndarray) and np.issubdtype(first.dtype, np.floating)


def _stored_name(column: pd.Series) -> str:
    """Returns the name under which parquet stores the values of a column."""
    return f"{column.name}.list.element" if _holds_float_arrays(column) else str(column.name)


def _encoding(column: pd.Series) -> str:
    """Returns a column's parquet encoding; empty for a dictionary of its values."""
    if pd.api.types.is_float_dtype(column.dtype):
        few = column.nunique() <= len(column) / _REPEATED  # such as rounded values
        return "" if few else "BYTE_STREAM_SPLIT"
    if _holds_float_arrays(column):
        return "BYTE_STREAM_SPLIT"
    if pd.api.types.is_integer_dtype(column.dtype):
        return "DELTA_BINARY_PACKED"
    if isinstance(column.dtype, pd.StringDtype) and len(column) > _SHORT and column.is_unique:
        return "DELTA_BYTE_ARRAY"
    return ""
