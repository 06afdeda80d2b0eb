"""The files of a dataset, in a folder or in an archive that is read without unpacking.

A tree lists names and reads files; folders, zip and tar files have the same interface. Nothing is
written to disk. Names outside the archive, links, and encrypted files are listed as skipped.
"""

import codecs
import gzip
import io
import os
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from fer_core.data.imaging import MAX_BYTES
from fer_core.data.sources.base import FileStat, Skipped
from fer_core.errors import DataError, ImageError

try:
    from lzma import LZMAError
except ImportError:  # Python was built without it
    LZMAError = zlib.error  # type: ignore[misc, assignment]

MAX_FILES = 3_000_000
"""Maximum number of files; AffectNet with its annotation arrays has about two million."""

MAX_DEPTH = 16
"""Maximum depth of folders."""

MAX_UNPACKED = 200 * 2**30
"""Maximum total size of the files of an archive in bytes."""

MAX_TABLE_BYTES = 4 * 2**30
"""Maximum size of a table or list."""

TARS = (
    ".tar", ".tgz", ".tbz", ".tbz2", ".txz", ".tzst", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst"
)  # fmt: skip
ARCHIVES = (".zip", *TARS)
UNREAD_ARCHIVES = (".7z", ".rar")

_DAMAGED = (
    OSError, EOFError, zlib.error, zipfile.BadZipFile, tarfile.TarError, NotImplementedError,
    RuntimeError, LZMAError,
)  # fmt: skip
"""Exceptions of the archive modules for damaged, encrypted or unusual files."""


class Store(Protocol):
    """Storage of a tree's files."""

    def size(self, name: str) -> int:
        """Returns the size of a file in bytes."""

    def read(self, name: str) -> bytes:
        """Returns the content of a file."""

    def open(self, name: str) -> IO[bytes]:
        """Opens a file for reading."""


@dataclass(frozen=True)
class FileTree:
    """A folder or archive as a sorted list of file names.

    Attributes:
        shown: Name in error messages.
        title: Name of the folder or archive, for the dataset's title.
        store: Reads the files.
        files: Names of all visible files, relative, with slashes, sorted.
        folders: Names of all visible folders, relative, sorted.
        skipped: Links, pipes and unsafe names, with the reason.
        prefix: Path of this tree in the store, ending with a slash; empty for the whole store.
        root: The folder on disk; None for an archive.
        archives: The archives on disk; none for a folder.
    """

    shown: str
    title: str
    store: Store
    files: tuple[str, ...]
    folders: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    prefix: str = ""
    root: Path | None = None
    archives: tuple[Path, ...] = ()

    def below(self, folder: str) -> "FileTree":
        """Returns the tree of a folder; `.` or an empty name is this tree."""
        if folder in ("", "."):
            return self
        start = f"{folder}/"
        return replace(
            self,
            shown=f"{self.shown}/{folder}",
            title=printable(PurePosixPath(folder).name),
            files=tuple(name[len(start) :] for name in self.files if name.startswith(start)),
            folders=tuple(name[len(start) :] for name in self.folders if name.startswith(start)),
            skipped=tuple(
                Skipped(item.key[len(start) :], item.reason)
                for item in self.skipped
                if item.key.startswith(start)
            ),
            prefix=f"{self.prefix}{start}",
            root=None if self.root is None else self.root / folder,
        )

    @cached_property
    def by_folder(self) -> dict[str, list[str]]:
        """File names by folder; the tree itself has an empty name."""
        folders: dict[str, list[str]] = {}
        for name in self.files:
            folders.setdefault(name.rpartition("/")[0], []).append(name)
        return folders

    @cached_property
    def names(self) -> frozenset[str]:
        """All file names, as a set."""
        return frozenset(self.files)

    def stats(self, names: Iterable[str] | None = None) -> Iterator[FileStat]:
        """Yields size and modification time of files, all by default; of archives, their own."""
        yield from (file_stat(path.name, path) for path in self.archives)
        if self.root is not None:
            for name in self.files if names is None else names:
                yield file_stat(name, self.root / name)

    def size(self, name: str) -> int:
        """Returns the size of a file in bytes."""
        return self.store.size(self.prefix + name)

    def read_picture(self, name: str) -> bytes:
        """Returns the content of an image file.

        Raises:
            ImageError: If it is too large or cannot be read.
        """
        shown = printable(PurePosixPath(name).name)
        try:
            size = self.size(name)
            # Checked before reading: a video with a wrong suffix must not fill the memory.
            if size > MAX_BYTES:
                raise ImageError(
                    f"{shown} is {size / 2**20:.0f} MiB large; the limit is "
                    f"{MAX_BYTES // 2**20} MiB."
                )
            return self.store.read(self.prefix + name)
        except _DAMAGED as error:
            reason = getattr(error, "strerror", None) or error
            raise ImageError(f"{shown} cannot be read ({reason}).") from error

    def open(self, name: str) -> IO[bytes]:
        """Opens a table or list; `.gz` files are decompressed.

        Raises:
            DataError: If it is too large or cannot be read.
        """
        try:
            if self.size(name) > MAX_TABLE_BYTES:
                raise DataError(
                    f"{name} is larger than {MAX_TABLE_BYTES >> 30} GiB. Give a smaller part of it."
                )
            file = self.store.open(self.prefix + name)
        except _DAMAGED as error:
            raise DataError(f"{name} in {self.shown} cannot be read ({error}).") from error
        return gzip.open(file) if name.lower().endswith(".gz") else file  # type: ignore[return-value]

    def text(self, name: str, most: int = 64 * 2**20) -> str:
        """Returns the beginning of a text file."""
        with self.open(name) as file:
            try:
                return decoded(file.read(most))
            except _DAMAGED as error:
                raise DataError(f"{name} in {self.shown} cannot be read ({error}).") from error


def decoded(data: bytes) -> str:
    """Returns the beginning of a text file: UTF-8, UTF-16 with its mark, or Windows-1252."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", errors="replace")
    try:
        # a character at the end may be cut
        return codecs.getincrementaldecoder("utf-8-sig")().decode(data)
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


@dataclass(frozen=True)
class FolderStore:
    """A folder on disk."""

    root: Path

    def size(self, name: str) -> int:
        """Returns the size of a file in bytes."""
        return (self.root / name).stat().st_size

    def read(self, name: str) -> bytes:
        """Returns the content of a file."""
        return (self.root / name).read_bytes()

    def open(self, name: str) -> IO[bytes]:
        """Opens a file for reading."""
        return (self.root / name).open("rb")


@dataclass(frozen=True)
class ZipStore:
    """A zip file."""

    archive: zipfile.ZipFile
    members: dict[str, zipfile.ZipInfo]

    def size(self, name: str) -> int:
        """Returns the size of a file in bytes, unpacked."""
        return self.members[name].file_size

    def read(self, name: str) -> bytes:
        """Returns the content of a file."""
        with self.open(name) as file:
            return file.read(self.members[name].file_size)

    def open(self, name: str) -> IO[bytes]:
        """Opens a file for reading."""
        return self.archive.open(self.members[name])


@dataclass(frozen=True)
class TarStore:
    """A tar file without compression."""

    archive: tarfile.TarFile
    members: dict[str, tarfile.TarInfo]

    def size(self, name: str) -> int:
        """Returns the size of a file in bytes."""
        return self.members[name].size

    def read(self, name: str) -> bytes:
        """Returns the content of a file."""
        with self.open(name) as file:
            return file.read(self.members[name].size)

    def open(self, name: str) -> IO[bytes]:
        """Opens a file for reading."""
        file = self.archive.extractfile(self.members[name])
        if file is None:
            raise tarfile.TarError("it is not a regular file")
        return file


def file_stat(name: str, path: Path) -> FileStat:
    """Returns size and modification time of a file under a name."""
    try:
        stats = path.stat()
    except OSError:
        return FileStat(name, -1, 0)
    return FileStat(name, stats.st_size, stats.st_mtime_ns)


def printable(name: str) -> str:
    """Returns a file's name as encodable text, even if its bytes are not UTF-8."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def is_archive(path: Path) -> bool:
    """Whether a file is a zip or tar archive, by its content.

    Raises:
        DataError: If it is an unsupported kind of archive.
    """
    name = path.name.lower()
    if name.endswith(UNREAD_ARCHIVES):
        raise DataError(
            f"{path.name} is a {path.suffix[1:]} archive; zip and tar are read. Unpack it and give "
            "the folder."
        )
    if name.endswith(ARCHIVES):
        return True
    with suppress(*_DAMAGED), path.open("rb") as file:
        head = file.read(4)
        if head == b"PK\x03\x04":
            return True
        file.seek(0)
        if head[:2] == b"\x1f\x8b":
            with gzip.open(file) as unpacked:
                return unpacked.read(262)[257:] == b"ustar"
    return False


def open_tree(path: Path) -> FileTree:
    """Lists a folder or archive.

    Raises:
        DataError: If it cannot be read, is damaged, or exceeds a limit.
    """
    if path.is_dir():
        return _folder_tree(path)
    try:
        if zipfile.is_zipfile(path):
            return _zip_tree(path)
        return _tar_tree(path)
    except _DAMAGED as error:
        raise DataError(
            f"{path.name} cannot be read as an archive ({error}). Get the file again, or unpack "
            "it and give the folder."
        ) from error


def nested_zip(tree: FileTree, name: str) -> FileTree:
    """Lists a zip file that is in a tree.

    Raises:
        DataError: If it is damaged or exceeds a limit.
    """
    try:
        return _zip_tree(Path(printable(name)), tree.open(name))
    except _DAMAGED as error:
        raise DataError(f"{name} in {tree.shown} cannot be read ({error}).") from error


def file_tree(path: Path) -> FileTree:
    """Returns a tree of one file and its folder, without listing the folder."""
    return FileTree(
        shown=str(path.parent),
        title=path.name.partition(".")[0],
        store=FolderStore(path.parent),
        files=(path.name,),
        root=path.parent,
    )


def _folder_tree(root: Path) -> FileTree:
    files: list[str] = []
    folders: list[str] = []
    skipped: list[Skipped] = []
    real_root = Path(os.path.realpath(root))
    try:
        for entry, name in _walk(root, "", real_root):
            if entry.is_symlink() and leads_out(entry.path, real_root):
                skipped.append(Skipped(printable(name), _LEADS_OUT.format(printable(entry.name))))
            elif _is(entry.is_dir):
                folders.append(name)
            elif _is(entry.is_file):
                files.append(name)
            else:  # reading a pipe would block
                reason = f"{printable(entry.name)} is not a regular file."
                skipped.append(Skipped(printable(name), reason))
            _check_count(len(files), root.name)
    except OSError as error:
        raise DataError(
            f"{error.filename or root} cannot be read ({error.strerror}). "
            "Check the rights on the folder and its files."
        ) from error
    return FileTree(
        shown=str(root),
        title=printable(real_root.name) or "Folder",
        store=FolderStore(root),
        files=tuple(sorted(files)),
        folders=tuple(sorted(folders)),
        skipped=tuple(skipped),
        root=root,
    )


_LEADS_OUT = "{} is a link that points outside the folder. Copy its target into the folder."


def leads_out(path: str, root: Path) -> bool:
    """Whether a link's target is outside a folder, given as a resolved path."""
    # Not Path.resolve: it raises on a link to itself.
    return not Path(os.path.realpath(path)).is_relative_to(root)


def _walk(folder: Path, prefix: str, real_root: Path) -> Iterator[tuple["os.DirEntry[str]", str]]:
    """Yields all visible entries below a folder; links to targets inside it are followed."""
    with os.scandir(folder) as listing:
        entries = sorted(listing, key=lambda entry: entry.name)
    for entry in entries:
        if entry.name.startswith((".", "__")):
            continue
        name = prefix + entry.name
        yield entry, name
        if not _is(entry.is_dir) or name.count("/") >= MAX_DEPTH:
            continue
        if entry.is_symlink() and (
            leads_out(entry.path, real_root) or _leads_up(entry.path, folder)
        ):
            continue
        yield from _walk(Path(entry.path), f"{name}/", real_root)


def _is(kind: Callable[[], bool]) -> bool:
    """Returns whether an entry is of a kind; a link to itself is of none."""
    try:
        return kind()
    except OSError:
        return False


def _leads_up(path: str, folder: Path) -> bool:
    """Whether a link's target contains the link, so that following it would never end."""
    return Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(path))


def _check_count(count: int, name: str) -> None:
    if count > MAX_FILES:
        raise DataError(
            f"{name} holds more than {MAX_FILES:,} files. Give a folder with fewer of them."
        )


def uploaded_trees(uploads: Iterable[tuple[str, bytes]]) -> list[FileTree]:
    """Returns the trees of files in memory: one for each zip, and one for all others.

    Args:
        uploads: Name and content of each file.

    Raises:
        DataError: If a zip is damaged or exceeds a limit.
    """
    trees: list[FileTree] = []
    loose: dict[str, bytes] = {}
    for number, (name, content) in enumerate(uploads):
        if not content.startswith(b"PK\x03\x04"):
            loose[f"{number}/{printable(PurePosixPath(name).name)}"] = content
            continue
        try:
            trees.append(_zip_tree(Path(printable(name)), io.BytesIO(content)))
        except _DAMAGED as error:
            raise DataError(
                f"{printable(name)} is no zip file that can be read ({error}). Get it again."
            ) from error
    if loose:
        store = MemoryStore(loose)
        trees.append(FileTree("the upload", "upload", store, tuple(loose)))
    return trees


@dataclass(frozen=True)
class MemoryStore:
    """Files in memory."""

    contents: dict[str, bytes]

    def size(self, name: str) -> int:
        """Returns the size of a file in bytes."""
        return len(self.contents[name])

    def read(self, name: str) -> bytes:
        """Returns the content of a file."""
        return self.contents[name]

    def open(self, name: str) -> IO[bytes]:
        """Opens a file for reading."""
        return io.BytesIO(self.contents[name])


def _zip_tree(path: Path, content: IO[bytes] | None = None) -> FileTree:
    archive = zipfile.ZipFile(content or path)
    infos = [info for info in archive.infolist() if not info.is_dir()]
    members: dict[str, zipfile.ZipInfo] = {}
    skipped: list[Skipped] = []
    for info in infos:
        name = info.filename
        if not _is_visible(name):
            continue
        if reason := _unsafe(name) or _odd_zip_member(info):
            skipped.append(Skipped(printable(name), reason))
        else:
            members[_relative(name)] = info
    _check_archive(path, len(infos), sum(info.file_size for info in members.values()))
    return _archive_tree(path, ZipStore(archive, members), members, skipped)


def _odd_zip_member(info: zipfile.ZipInfo) -> str:
    mode = info.external_attr >> 16
    if info.flag_bits & 1:
        return "It is encrypted. Unpack the archive with its password and give the folder."
    return "It is a link." if stat.S_ISLNK(mode) else ""


def _tar_tree(path: Path) -> FileTree:
    archive = tarfile.open(fileobj=_plain_tar(path), mode="r:")  # noqa: SIM115 (kept open to read)
    members: dict[str, tarfile.TarInfo] = {}
    skipped: list[Skipped] = []
    count = 0
    for count, info in enumerate(archive, 1):
        _check_count(count, path.name)
        if info.isdir() or not _is_visible(info.name):
            continue
        if reason := _unsafe(info.name) or ("" if info.isreg() else "It is not a regular file."):
            skipped.append(Skipped(printable(info.name), reason))
        else:
            members[_relative(info.name)] = info
    _check_archive(path, count, sum(info.size for info in members.values()))
    return _archive_tree(path, TarStore(archive, members), members, skipped)


def _plain_tar(path: Path) -> IO[bytes]:
    """Opens a tar file; a compressed one is decompressed into an unnamed temporary file.

    A compressed stream can only be read sequentially, but images are read by name.
    """
    opener = _opener(path)
    if opener is None:
        return path.open("rb")
    plain = tempfile.TemporaryFile()  # noqa: SIM115 (kept open to read)
    size = 0
    with opener(path) as packed:
        while block := packed.read(2**24):
            size += len(block)
            if size > min(MAX_UNPACKED, shutil.disk_usage(tempfile.gettempdir()).free):
                raise DataError(
                    f"{path.name} needs more room than there is in {tempfile.gettempdir()}. "
                    "Unpack it elsewhere and give the folder."
                )
            plain.write(block)
    plain.seek(0)
    return plain


def first_members(path: Path, count: int) -> list[str]:
    """Returns the names of the first members of a tar file; empty if it is none.

    Of a compressed one only their part is decompressed.
    """
    try:
        opener = _opener(path) or (lambda path: path.open("rb"))
        with opener(path) as file, tarfile.open(fileobj=file, mode="r|") as archive:
            return [info.name for info in islice(archive, count)]
    except _DAMAGED:
        return []


def _opener(path: Path) -> Callable[[Path], IO[bytes]] | None:
    """Returns what opens a compressed file; None if the file is not compressed."""
    with path.open("rb") as file:
        head = file.read(6)
    return next((opener for magic, opener in _COMPRESSED if head.startswith(magic)), None)


def _open_zstd(path: Path) -> IO[bytes]:
    import pyarrow as pa  # slow to import

    stream: IO[bytes] = pa.input_stream(str(path), compression="zstd")
    return stream


def _open_bz2(path: Path) -> IO[bytes]:
    import bz2

    return bz2.open(path)


def _open_xz(path: Path) -> IO[bytes]:
    import lzma

    return lzma.open(path)


def _open_gzip(path: Path) -> IO[bytes]:
    return gzip.open(path)  # type: ignore[return-value]


_COMPRESSED: tuple[tuple[bytes, Callable[[Path], IO[bytes]]], ...] = (
    (b"\x1f\x8b", _open_gzip),
    (b"BZh", _open_bz2),
    (b"\xfd7zXZ\x00", _open_xz),
    (b"\x28\xb5\x2f\xfd", _open_zstd),
)


def _relative(name: str) -> str:
    """Returns a member's name with slashes, without a leading `./`."""
    return PurePosixPath(name.replace("\\", "/")).as_posix()


def _is_visible(name: str) -> bool:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return not any(part.startswith((".", "__")) and part != ".." for part in parts)


def _unsafe(name: str) -> str:
    """Returns why a member's name is unsafe; empty if it is safe."""
    path = PurePosixPath(name.replace("\\", "/"))
    if not path.parts:
        return "It has no name."
    if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
        return "Its path points outside the archive."
    return "Its path has too many folders." if len(path.parts) > MAX_DEPTH else ""


def _check_archive(path: Path, count: int, size: int) -> None:
    _check_count(count, path.name)
    if size > MAX_UNPACKED:
        raise DataError(
            f"{path.name} holds {size >> 30} GiB; the limit is {MAX_UNPACKED >> 30} GiB. "
            "Unpack it and give the folder."
        )


def _archive_tree(
    path: Path, store: Store, members: Iterable[str], skipped: Iterable[Skipped]
) -> FileTree:
    files = tuple(sorted(members))
    folders = {
        parent.as_posix() for name in files for parent in PurePosixPath(name).parents
    }  # fmt: skip
    title = path.name
    while title.lower().endswith((*ARCHIVES, ".gz", ".bz2", ".xz", ".zst")):
        title = Path(title).stem
    return FileTree(
        shown=str(path),
        title=printable(title),
        store=store,
        files=files,
        folders=tuple(sorted(folders - {"."})),
        skipped=tuple(skipped),
        archives=(path,),
    )
