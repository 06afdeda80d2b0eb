"""Datasets at a URL: copied once through fsspec, then read like local files.

An interrupted copy continues where it stopped. The next call copies only what has changed.
"""

import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from fer_core.data.progress import Progress, silent
from fer_core.data.sources.tree import MAX_FILES
from fer_core.errors import ArtifactError, DataError
from fer_core.files import read_json, try_lock, write_json

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

PROTOCOLS = {
    "s3": "s3fs",
    "gs": "gcsfs",
    "hf": "huggingface_hub",
    "https": "aiohttp",
    "http": "aiohttp",
    "file": "fsspec",
}
"""Protocols that are read, and the package that fsspec needs for each."""

_BATCH = 64
"""Files that are copied at once; a copy that is killed loses at most these."""

_PIECE = 32 * 2**20
"""Bytes of a large file that are copied at once."""

_SPARE = 2**30
"""Bytes of the disk that stay free."""


@dataclass(frozen=True)
class RemoteFile:
    """A file at a URL.

    Attributes:
        path: Path in the file system.
        name: Path below the URL, with slashes.
        size: Size in bytes; None if the server does not tell.
        version: Hash of what the server says of the file; another one means another content.
    """

    path: str
    name: str
    size: int | None
    version: str


def is_url(text: str) -> bool:
    """Whether a text is a URL, such as `s3://bucket/faces`; a local path is none."""
    return "://" in text


def shown_url(url: str) -> str:
    """Returns a URL without user name, password and query, which may hold secrets."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def local_copy(url: str, cache: Path, progress: Progress = silent) -> Path:
    """Copies a file or a folder at a URL, and returns where the copy is.

    Credentials come from the environment, as s3fs, gcsfs and huggingface_hub read them; they are
    not stored.

    Args:
        url: `s3://`, `gs://`, `hf://`, `https://`, `http://` or `file://`.
        cache: Folder of all copies; each URL has a folder of its own in it.
        progress: Shows progress over the files.

    Returns:
        A file or folder with the name of the URL's last part.

    Raises:
        DataError: If the URL cannot be read, is empty, or does not fit on the disk.
        ArtifactError: If the copy cannot be written.
    """
    shown = shown_url(url)
    with _named_errors(url):
        fs, root = _open(url)
        files = _list(fs, root, shown)
    digest = hashlib.sha256(url.encode()).hexdigest()[:16]
    folder = cache / digest
    folder.mkdir(parents=True, exist_ok=True)
    with try_lock(folder) as locked:
        if not locked:
            raise DataError(f"{shown} is being copied by another process. Wait until it is done.")
        name = PurePosixPath(urlsplit(url).path).name or urlsplit(url).netloc or "files"
        single = len(files) == 1 and not files[0].name
        target = folder / "files" / _safe(name, shown)
        copy = _Copy(fs, folder, target.parent if single else target)
        if single:
            files = [RemoteFile(files[0].path, target.name, files[0].size, files[0].version)]
        with _named_errors(url):
            copy.update(files, progress, f"copying {shown}")
    return target


class _Copy:
    """The files of one URL on the disk."""

    def __init__(self, fs: "AbstractFileSystem", home: Path, folder: Path) -> None:
        self._fs = fs
        self._record = home / "versions.json"
        self._partial = home / "partial"
        self._folder = folder
        self._versions = _recorded(self._record)

    def update(self, files: Sequence[RemoteFile], progress: Progress, title: str) -> None:
        """Copies what is missing or has changed, and removes what is no longer at the URL."""
        for name in set(self._versions) - {file.name for file in files}:
            (self._folder / name).unlink(missing_ok=True)
            del self._versions[name]
        missing = [file for file in files if not self._is_present(file)]
        self._check_space(missing)
        batches = [missing[start : start + _BATCH] for start in range(0, len(missing), _BATCH)]
        for batch in progress(batches, len(batches), title) if batches else ():
            self._fetch(batch)
            self._versions |= {file.name: file.version for file in batch}
            write_json(self._record, self._versions, indent=None)
        shutil.rmtree(self._partial, ignore_errors=True)

    def _is_present(self, file: RemoteFile) -> bool:
        path = self._folder / file.name
        return self._versions.get(file.name) == file.version and path.is_file()

    def _check_space(self, files: Sequence[RemoteFile]) -> None:
        needed = sum(file.size or 0 for file in files)
        free = shutil.disk_usage(self._record.parent).free
        if needed > free - _SPARE:
            raise DataError(
                f"{len(files):,} files of {needed / 2**30:.1f} GiB do not fit: "
                f"{free / 2**30:.1f} GiB are free. Name a folder of a larger disk with "
                "FERSCOPE_DATA."
            )

    def _fetch(self, batch: Sequence[RemoteFile]) -> None:
        self._partial.mkdir(exist_ok=True)
        large = [file for file in batch if (file.size or 0) > _PIECE]
        small = [file for file in batch if file not in large]
        paths = [self._partial / str(number) for number in range(len(small))]
        if small:
            self._fs.get([file.path for file in small], [str(path) for path in paths])
        for file, path in zip(small, paths, strict=True):
            self._move(path, file)
        for file in large:
            self._fetch_in_pieces(file)

    def _move(self, path: Path, file: RemoteFile) -> None:
        target = self._folder / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)

    def _fetch_in_pieces(self, file: RemoteFile) -> None:
        """Copies a large file; an interrupted copy continues after its last piece."""
        partial = self._partial / file.version
        with partial.open("ab") as copy:
            for start in range(copy.tell(), file.size or 0, _PIECE):
                end = min(start + _PIECE, file.size or 0)
                copy.write(self._fs.cat_file(file.path, start=start, end=end))
        if partial.stat().st_size != file.size:
            partial.unlink()
            raise DataError(f"{file.name} changed while it was copied. Run the command again.")
        self._move(partial, file)


def _open(url: str) -> tuple["AbstractFileSystem", str]:
    protocol = urlsplit(url).scheme
    if protocol not in PROTOCOLS or "::" in url:
        known = ", ".join(f"{name}://" for name in PROTOCOLS)
        raise DataError(
            f"{shown_url(url)} cannot be read. Use an address that starts with one of {known}."
        )
    try:
        from fsspec.core import url_to_fs

        fs, root = url_to_fs(url)
    except ImportError as error:
        raise DataError(
            f"{protocol}:// needs the package {PROTOCOLS[protocol]}. Install it: pip install "
            "'ferscope[remote]'."
        ) from error
    return fs, root


def _list(fs: "AbstractFileSystem", root: str, shown: str) -> list[RemoteFile]:
    """Lists the files below a path; a file is its own list and has no name."""
    fs.invalidate_cache()
    info = fs.info(root)
    if info["type"] == "file":
        return [RemoteFile(root, "", info.get("size"), _version(info))]
    found: Mapping[str, dict[str, Any]] = fs.find(root, detail=True)
    files = []
    for path, facts in sorted(found.items()):
        name = PurePosixPath(path).relative_to(root.rstrip("/")).as_posix()
        if not path.endswith("/"):  # S3 keeps an empty object in place of a folder
            files.append(RemoteFile(path, _safe(name, shown), facts.get("size"), _version(facts)))
    if not files:
        raise DataError(f"There is no file below {shown}. Check the address.")
    if len(files) > MAX_FILES:
        raise DataError(
            f"{shown} has {len(files):,} files; the limit is {MAX_FILES:,}. Name a smaller folder, "
            "or pack the files as a zip."
        )
    return files


def _version(facts: Mapping[str, Any]) -> str:
    """Hashes what the server says of a file; file systems name checksum and time differently."""
    changing = ("islink", "mode", "uid", "gid", "ino", "nlink", "created")
    told = sorted((key, str(value)) for key, value in facts.items() if key not in changing)
    return hashlib.sha256(repr(told).encode()).hexdigest()[:16]


def _safe(name: str, shown: str) -> str:
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or name.startswith("/") or any("\\" in part for part in parts):
        raise DataError(f"{shown} has a file whose name is not safe: {name!r}. Rename it there.")
    return name


def _recorded(path: Path) -> dict[str, str]:
    try:
        return {str(name): str(version) for name, version in read_json(path).items()}
    except ArtifactError:
        return {}


@contextmanager
def _named_errors(url: str) -> Iterator[None]:
    """Names the URL and the remedy in an error; every file system has errors of its own."""
    shown = shown_url(url)
    try:
        yield
    except (DataError, ArtifactError):
        raise
    except FileNotFoundError as error:
        raise DataError(f"There is nothing at {shown}. Check the address.") from error
    except ImportError as error:
        raise DataError(f"{shown} cannot be read: {error}.") from error
    except PermissionError as error:
        raise DataError(
            f"{shown} may not be read with these credentials. Set those of its owner in the "
            "environment."
        ) from error
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".replace(url, shown)
        raise DataError(
            f"{shown} cannot be read ({reason}). Check the network and the credentials, "
            "then run the command again: it continues where it stopped."
        ) from error
