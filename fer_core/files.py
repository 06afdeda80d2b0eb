"""Atomic writes, locks, hashes and JSON. Readers never see a partially written file."""

import errno
import hashlib
import json
import os
import secrets
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fer_core.errors import ArtifactError

if sys.platform != "win32":
    import fcntl


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; on success it is renamed to `path`.

    The temporary name is unique, so concurrent writers do not interfere; the last one to finish
    wins. On any error the temporary file is removed and `path` is unchanged.

    Raises:
        ArtifactError: If the disk is full or the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch()
        usual = temporary.stat().st_mode
        temporary.unlink()
        yield temporary
        temporary.chmod(usual)  # safetensors creates files that only the owner can read
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ArtifactError(
                f"The disk is full: {path.name} could not be saved. The earlier file is "
                f"unchanged. Free some space in {path.parent} and run the command again."
            ) from error
        raise ArtifactError(
            f"{path} could not be saved ({error.strerror or error}). Check that the folder exists "
            "and is writable."
        ) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def try_lock(folder: Path) -> Iterator[bool]:
    """Locks an existing folder; the lock is released when the process ends.

    Yields:
        False if another process holds the lock or has moved the folder. Always True on Windows,
        where locking is not supported.
    """
    if sys.platform == "win32":
        yield True
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            locked = os.stat(folder).st_ino == os.fstat(handle).st_ino  # noqa: PTH116
        except OSError:
            locked = False
        yield locked
    finally:
        os.close(handle)


def content_hash(path: Path) -> str:
    """Returns a short hash of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def write_text(path: Path, text: str) -> None:
    """Writes a text as UTF-8, atomically; errors are those of `atomic_path`."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Mapping[str, Any], indent: int | None = 1) -> None:
    """Writes plain values as JSON, atomically; NaN is an error. `indent=None` writes one line."""
    text = json.dumps(content, indent=indent, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        ArtifactError: If the file is missing or not a JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(f"{path.name} is missing from {path.parent.name!r}.") from None
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path.name} in {path.parent.name} is corrupt: {error}.") from error
    if not isinstance(content, dict):
        raise ArtifactError(f"{path.name} in {path.parent.name} is not a JSON object.")
    return content
