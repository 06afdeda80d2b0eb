"""Numpy archives: atomic writes, and reads that name a damaged file."""

import zipfile
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fer_core.errors import ArtifactError
from fer_core.files import atomic_path

_DAMAGED = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error)

Arrays = dict[str, NDArray[Any]]


def write_arrays(path: Path, arrays: Mapping[str, ArrayLike], *, compress: bool = False) -> None:
    """Writes named arrays into an `.npz` file atomically.

    Args:
        path: File; its folder is created.
        arrays: Arrays by name; a text or a number becomes an array without axes.
        compress: Whether to compress; slower, but useful for arrays with repeated values.

    Raises:
        ArtifactError: If the file cannot be written.
    """
    save: Any = np.savez_compressed if compress else np.savez
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        save(file, **arrays)


def read_arrays(path: Path, names: Collection[str] = ()) -> Arrays:
    """Reads all arrays of an `.npz` file; never unpickles.

    Args:
        path: File.
        names: Arrays that it must hold.

    Raises:
        ArtifactError: If it is missing, damaged or lacks an array.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays: Arrays = {name: archive[name] for name in archive.files}
    except _DAMAGED as error:
        raise ArtifactError(f"{_shown(path)} cannot be read: {error}") from error
    except TypeError as error:  # np.load gave one array, not an archive
        raise ArtifactError(f"{_shown(path)} is not an archive of arrays.") from error
    lacking = sorted(set(names) - set(arrays))
    if lacking:
        raise ArtifactError(f"{_shown(path)} lacks {', '.join(lacking)}.")
    return arrays


def cached_arrays(path: Path, names: Collection[str] = ()) -> Arrays:
    """Reads an archive that can be computed again; empty if `read_arrays` refuses it."""
    try:
        return read_arrays(path, names)
    except ArtifactError:
        return {}


def _shown(path: Path) -> str:
    return f"{path.name} of {path.parent.name!r}"
