"""Atomic writing of a data set: a temporary folder that replaces the target once complete.

A killed or failed preparation leaves the earlier data set unchanged; concurrent preparations of
one data set are refused.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fer_core.artifacts import COPIES, PICTURES
from fer_core.errors import ArtifactError, DataError
from fer_core.files import try_lock

FILES = frozenset(
    {
        "images.npy",
        PICTURES,
        "samples.parquet",
        COPIES,
        "benchmark.json",
        "card.json",
        "CARD.md",
    }
)
"""File names of a prepared data set."""

ATTACHED = "attached"
"""Folder of the pictures that `attach` found; a prepared data set replaces it."""


@contextmanager
def atomic_dir(folder: Path) -> Iterator[Path]:
    """Yields an empty folder that replaces `folder` if the block succeeds.

    Raises:
        DataError: If the folder contains other files than a prepared set, or another process is
            preparing it.
        ArtifactError: If the folder cannot be written.
    """
    with locked_dir(folder) as partial:
        yield partial
        _replace_folder(partial, folder)


@contextmanager
def locked_dir(folder: Path) -> Iterator[Path]:
    """Yields an empty folder beside `folder`, and locks `folder` against other preparations.

    On any error the empty folder is removed.

    Raises:
        DataError: As `atomic_dir`.
        ArtifactError: If the folder cannot be written.
    """
    partial = partial_path(folder)
    try:
        partial.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArtifactError(
            f"{folder} cannot be created ({error.strerror}). Pass a writable folder."
        ) from error
    with try_lock(partial) as locked:
        if not locked:
            raise DataError(
                f"Another process is preparing {folder}. Wait until it is finished, or prepare "
                "under another --name."
            )
        try:
            _recover(folder)
            _refuse_foreign(folder)
            _empty(partial)
            yield partial
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise


def partial_path(folder: Path) -> Path:
    """Returns the folder in which a data set is written before it replaces `folder`."""
    return folder.with_name(f".{folder.name}.partial")


def _empty(folder: Path) -> None:
    """Removes files of a killed preparation, but not the folder, which holds the lock."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()


def _replace_folder(new: Path, folder: Path) -> None:
    old = _backup_path(folder)
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    try:
        new.rename(folder)
    except OSError as error:
        _recover(folder)
        raise ArtifactError(
            f"The prepared set could not be moved to {folder} ({error.strerror}). "
            "Check that its parent folder is writable."
        ) from error
    shutil.rmtree(old, ignore_errors=True)


def _backup_path(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.old")


def _recover(folder: Path) -> None:
    """Restores the earlier data set if a preparation was killed while replacing it."""
    old = _backup_path(folder)
    if old.is_dir() and not folder.exists():
        old.rename(folder)


def _refuse_foreign(folder: Path) -> None:
    """Refuses a folder with other files, because replacing it would delete them."""
    if not folder.exists():
        return
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else [folder.name]
    # file managers create hidden files
    names = [name for name in names if name != ATTACHED]
    other = sorted(name for name in names if name not in FILES and not name.startswith("."))
    if other or (names and "benchmark.json" not in names):
        raise DataError(
            f"{folder} contains other files than a prepared set ({(other or names)[0]}); "
            "preparing would delete them. Move them, or pass another folder or --name."
        )
