"""Reads `predictions.parquet` column by column, without one Python object per cell.

Runs of one benchmark have the same samples, so their ids and labels are kept once: files with equal
columns share the same arrays as long as one of them is in use. Columns that are stored as the same
bytes are not even decoded.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from weakref import WeakValueDictionary

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fer_core.errors import ArtifactError
from fer_core.evaluation.metrics import Stored
from fer_core.labels import LabelSet
from fer_core.tables import read_batches, read_columns, read_schema, stored_digest

PREFIX = "p_"
SUM_TOLERANCE = 1e-3

UNLABELLED = -1
"""Truth of an image without a label."""

_UNKNOWN = -2
_REMEDY = "Evaluate or import the run again."

_FEW = ("split", "y_true")
_SAMPLES = ("id", *_FEW)
_Rows = slice | NDArray[np.int64]


class SharedSamples:
    """Ids and labels of a file, shared by all files with the same ones.

    Attributes:
        rows: Rows of the file by split.
        ids: Sample ids by split, each of shape (N,).
        truth: True class indices by split, each of shape (N,); `UNLABELLED` without a label.
    """

    def __init__(
        self, splits: pa.Array, ids: pa.Array, labelled: pa.Array, labels: LabelSet, where: str
    ) -> None:
        truth = _codes(labelled, labels.names)
        if (truth == _UNKNOWN).any():
            unknown = labelled[int(np.argmax(truth == _UNKNOWN))].as_py()
            raise ArtifactError(f"{where} has the unknown label {unknown!r}. {_REMEDY}")
        every_id = ids.to_numpy(zero_copy_only=False).astype(object, copy=False)
        if len(set(every_id.tolist())) < len(every_id):  # pyarrow needs five times as long
            twice = ids.to_pandas()[lambda names: names.duplicated()].iloc[0]
            raise ArtifactError(f"{where} has sample {twice} twice. {_REMEDY}")
        self.rows = _rows_by_split(splits)
        self.ids: dict[str, NDArray[np.object_]] = {}
        self.truth: dict[str, NDArray[np.int64]] = {}
        for split, rows in self.rows.items():
            self.ids[split], self.truth[split] = every_id[rows].copy(), truth[rows].copy()

    def labelled(self, split: str) -> NDArray[np.int64] | None:
        """Returns the rows of a split that have a label; None if all have one."""
        known = self.truth[split] != UNLABELLED
        return None if known.all() else np.flatnonzero(known)


_shared: WeakValueDictionary[str, SharedSamples] = WeakValueDictionary()
_lock = Lock()


@dataclass(frozen=True)
class PredictionFile:
    """Content of `predictions.parquet`.

    Attributes:
        samples: Ids and labels by split.
        probabilities: Probabilities by split, shape (N, K), each class contiguous in memory.
    """

    samples: SharedSamples
    probabilities: Mapping[str, Stored]


def read_prediction_file(path: Path, labels: LabelSet) -> PredictionFile:
    """Reads the columns and checks ids, labels, and that rows sum to 1.

    Raises:
        ArtifactError: If the file is missing, corrupt, or not a table of predictions.
    """
    columns = [f"{PREFIX}{name}" for name in labels.names]
    stored_key = stored_digest(path, _SAMPLES, "\n".join(labels.names))
    where = f"{path.name} of {path.parent.name!r}"
    by_class = _matrix(path, columns, where)
    with _lock:  # one thread decodes the samples for all
        samples = _shared.get(stored_key)
        if samples is None:
            samples = _shared[stored_key] = _samples_of(path, labels, where)
    if (row := _bad_sum(by_class)) is not None:
        name = read_columns(path, ("id",))["id"][row].as_py()
        raise ArtifactError(
            f"{where}: the probabilities of {name} do not sum to 1 or are negative. {_REMEDY}"
        )
    probabilities = {split: by_class[:, rows].T for split, rows in samples.rows.items()}
    return PredictionFile(samples, probabilities)


def _samples_of(path: Path, labels: LabelSet, where: str) -> SharedSamples:
    """Returns the ids and labels of a file, shared with files of the same values."""
    table = read_columns(path, _SAMPLES, _FEW)
    ids, splits, labelled = (_one_array(table[name]) for name in _SAMPLES)
    digest = _digest((splits, ids, labelled), labels)
    samples = _shared.get(digest)
    if samples is None:
        samples = _shared[digest] = SharedSamples(splits, ids, labelled, labels, where)
    return samples


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    array = column.combine_chunks()
    return array.chunk(0) if isinstance(array, pa.ChunkedArray) else array


def _digest(arrays: Sequence[pa.Array], labels: LabelSet) -> str:
    """Returns a hash of the values of arrays, and of the classes that index the labels."""
    digest = hashlib.blake2b("\n".join(labels.names).encode(), digest_size=16)
    for array in arrays:
        digest.update(f"{array.type}{len(array)}{array.offset}".encode())
        if isinstance(array, pa.DictionaryArray):
            digest.update(repr(array.dictionary.to_pylist()).encode())
        for buffer in array.buffers():
            digest.update(b"" if buffer is None else memoryview(buffer))
    return digest.hexdigest()


def _codes(values: pa.Array, names: Sequence[str]) -> NDArray[np.int64]:
    """Returns the position of each value among names, shape (N,).

    It is `UNLABELLED` for a missing value and `_UNKNOWN` for any other.
    """
    encoded = values if isinstance(values, pa.DictionaryArray) else values.dictionary_encode()
    position = {name: index for index, name in enumerate(names)}
    of_code = [position.get(value, _UNKNOWN) for value in encoded.dictionary.to_pylist()]
    # the last entry is for a missing value
    codes = encoded.indices.fill_null(len(of_code)).to_numpy(zero_copy_only=False)
    codes_in_file: NDArray[np.int64] = np.array([*of_code, UNLABELLED], dtype=np.int64)[codes]
    return codes_in_file


def _rows_by_split(splits: pa.Array) -> dict[str, _Rows]:
    """Returns the rows of each split, as a slice where they are contiguous."""
    names = [str(name) for name in splits.unique().to_pylist()]
    codes = _codes(splits, names)
    by_split: dict[str, _Rows] = {}
    for code, name in enumerate(names):
        rows = np.flatnonzero(codes == code)
        contiguous = len(rows) and rows[-1] - rows[0] + 1 == len(rows)
        by_split[name] = slice(int(rows[0]), int(rows[-1]) + 1) if contiguous else rows
    return by_split


def _matrix(path: Path, columns: Sequence[str], where: str) -> Stored:
    """Returns columns of numbers, NaN where one is missing; shape (K, N)."""
    matrix = _empty_matrix(path, columns, where)
    precision = pa.from_numpy_dtype(matrix.dtype)
    start = 0
    for batch in read_batches(path, columns):
        for row, name in zip(matrix, columns, strict=True):
            try:
                values = batch.column(name).cast(precision)
            except pa.ArrowException as error:
                raise ArtifactError(
                    f"{where} has probabilities that are not numbers. {_REMEDY}"
                ) from error
            row[start : start + len(batch)] = values.to_numpy(zero_copy_only=False)
        start += len(batch)
    return matrix


def _empty_matrix(path: Path, columns: Sequence[str], where: str) -> Stored:
    """Returns a matrix for the columns; checks that there are rows, and no other classes."""
    schema, rows = read_schema(path)
    if not rows:
        raise ArtifactError(f"{where} is empty. {_REMEDY}")
    if extra := [name for name in schema.names if name.startswith(PREFIX) and name not in columns]:
        raise ArtifactError(
            f"{where} has probabilities for unknown classes: {', '.join(extra)}. {_REMEDY}"
        )
    types = {field.type for field in schema if field.name in columns}
    if types <= {pa.float16(), pa.float32()}:
        return np.empty((len(columns), rows), dtype=np.float32)
    return np.empty((len(columns), rows), dtype=np.float64)


def _bad_sum(columns: Stored) -> int | None:
    """Returns the first row that does not sum to 1 or has a negative number."""
    total = columns[0].copy()
    lowest = columns[0].copy()
    for column in columns[1:]:
        total += column
        np.minimum(lowest, column, out=lowest)
    good = (np.abs(total - 1) <= SUM_TOLERANCE) & (lowest >= 0)
    return None if good.all() else int(np.argmin(good))
