"""Where a set is written: a folder beside its place, moved there when it is complete.

A run that is killed or fails leaves an earlier set as it was; a second run at the same time is
refused.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fer_core.artifacts import PICTURES
from fer_core.errors import ArtifactError, DataError
from fer_core.files import try_lock

FILES = frozenset(
    {"images.npy", PICTURES, "samples.parquet", "benchmark.json", "card.json", "CARD.md"}
)
"""What a prepared set consists of."""


@contextmanager
def atomic_dir(folder: Path) -> Iterator[Path]:
    """Gives an empty folder that becomes `folder` if the block ends without an error.

    Raises:
        DataError: If the folder holds something else than a prepared set, or another process is
            preparing it.
        ArtifactError: If it cannot be written.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        partial.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArtifactError(
            f"{folder} cannot be made ({error.strerror}). Give a folder that may be written."
        ) from error
    with try_lock(partial) as held:
        if not held:
            raise DataError(
                f"Another process is preparing {folder}. Wait until it is finished, or prepare "
                "under another --name."
            )
        try:
            _recover(folder)
            _refuse_foreign(folder)
            _empty(partial)
            yield partial
            _replace_folder(partial, folder)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise


def _empty(folder: Path) -> None:
    """Removes what a killed run left, but not the folder, which carries the lock."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()


def _replace_folder(new: Path, folder: Path) -> None:
    old = _set_aside(folder)
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    try:
        new.rename(folder)
    except OSError as error:
        _recover(folder)
        raise ArtifactError(
            f"The prepared set could not be moved to {folder} ({error.strerror}). "
            "Check that its parent folder may be written."
        ) from error
    shutil.rmtree(old, ignore_errors=True)


def _set_aside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.old")


def _recover(folder: Path) -> None:
    """Puts an earlier set back that was set aside by a run killed before its own set stood."""
    old = _set_aside(folder)
    if old.is_dir() and not folder.exists():
        old.rename(folder)


def _refuse_foreign(folder: Path) -> None:
    """Refuses a folder that holds other files: atomic_dir it would delete them."""
    if not folder.exists():
        return
    held = [path.name for path in folder.iterdir()] if folder.is_dir() else [folder.name]
    # hidden files are left by systems that show folders
    other = sorted(name for name in held if name not in FILES and not name.startswith("."))
    if other or (held and "benchmark.json" not in held):
        raise DataError(
            f"{folder} holds something else than a prepared set ({(other or held)[0]}), and "
            "preparing would delete it. Move it away, or give another folder or name."
        )
