"""Finds the pictures that the cells of an annotation table name."""

import posixpath
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from pathlib import PurePosixPath

from fer_core.data.sources.base import Split
from fer_core.data.sources.files import is_image
from fer_core.data.sources.split_names import split_of_path
from fer_core.data.sources.tree import FileTree


class PictureIndex:
    """Finds pictures by their path, or by their name and the folders above it.

    Data sets are moved and unpacked elsewhere, so the beginning of a path may be wrong. Its end
    must be right: a picture of the same name in another folder is another picture.

    Args:
        tree: The dataset's files.
    """

    def __init__(self, tree: FileTree) -> None:
        self._names = tree.names
        self._by_end: dict[str, list[str]] = {}
        self._folder_ends: set[tuple[str, ...]] = set()
        folders = set()
        for name in tree.files:
            folder, _, file = name.rpartition("/")
            folders.add(folder)
            if is_image(name):
                file = _plain(file)
                for end in dict.fromkeys((file, posixpath.splitext(file)[0])):
                    self._by_end.setdefault(end, []).append(name)
                    if folder:
                        parent = _plain(folder.rpartition("/")[2])
                        self._by_end.setdefault(f"{parent}/{end}", []).append(name)
        for folder in folders:
            parts = tuple(map(_plain, PurePosixPath(folder).parts))
            self._folder_ends.update(parts[start:] for start in range(len(parts)))

    def find(self, cell: str, folder: str, split: Split | None = None) -> str | None:
        """Returns the picture that a cell names; None if there is none or several.

        Args:
            cell: A path, relative to the table, the dataset, or a parent or subfolder of it.
            folder: The table's folder.
            split: Split of the row; it decides between pictures of the same name.
        """
        best = self.candidates(cell, folder)
        if len(best) > 1 and split is not None:
            best = [name for name in best if split_of_path(name) == split]
        return best[0] if len(best) == 1 else None

    def candidates(self, cell: str, folder: str) -> list[str]:
        """Returns the pictures that a cell may name, as `find`."""
        if (exact := self._at(cell, folder)) is not None:
            return [exact]
        path = PurePosixPath(*_folders_and_name(cell))
        if not path.name:
            return []
        files = (_plain(path.name), _plain(f"{path.stem}_aligned"))
        file = next((file for file in files if file in self._by_end), "")
        parent = _plain(path.parent.name)
        # frames of videos are called alike: those in a folder of the same name go before others
        in_folder = self._by_end.get(f"{parent}/{file}") if parent else None
        named = in_folder or self._by_end.get(file, [])
        least = self._known_folders(path)
        ends = {name: _common_end(name, path) for name in named if not _other(name, path)}
        longest = max(ends.values(), default=0)
        best = [name for name, end in ends.items() if end == longest >= least]
        if folder:
            best = [name for name in best if name.startswith(f"{folder}/")] or best
        return best

    def find_all(
        self, cells: Sequence[str], folder: str, splits: Sequence[Split | None]
    ) -> list[str | None]:
        """Returns the picture of each row of a table, as `find`.

        A picture that a row names by its path is not given to rows that name another path. A row
        whose picture was not downloaded thus does not take the picture of another row.
        """
        found = [self.find(cell, folder, split) for cell, split in zip(cells, splits, strict=True)]
        exact = [self._at(cell, folder) for cell in cells]
        claimed = set(exact) - {None}
        others: dict[str, set[str]] = {}
        for cell, name, at in zip(cells, found, exact, strict=True):
            if name is not None and at is None:
                others.setdefault(name, set()).add(cell)
        return [
            name
            if at is not None or name is None or (name not in claimed and len(others[name]) == 1)
            else None
            for name, at in zip(found, exact, strict=True)
        ]

    def _at(self, cell: str, folder: str) -> str | None:
        """Returns the picture at a path relative to the table or the dataset."""
        path = cell.strip().replace("\\", "/").lstrip("/")
        for start in (folder, ""):
            if (name := posixpath.normpath(posixpath.join(start, path))) in self._names:
                return name
        return None

    def _known_folders(self, path: PurePosixPath) -> int:
        """Returns how many folders at the end of a path the dataset has in this order."""
        parts = tuple(map(_plain, path.parts[:-1]))
        starts = range(len(parts))
        return next(
            (len(parts) - start for start in starts if parts[start:] in self._folder_ends), 0
        )


def _plain(name: str) -> str:
    """Returns a name in lower case; systems differ in how they write accents in file names."""
    return (name if name.isascii() else unicodedata.normalize("NFC", name)).lower()


def _folders_and_name(cell: str) -> Sequence[str]:
    """Returns the parts of a path after the last `..`."""
    parts = PurePosixPath(cell.strip().replace("\\", "/").lstrip("/")).parts
    ups = [number for number, part in enumerate(parts) if part == ".."]
    return parts[ups[-1] + 1 :] if ups else parts


def _other(name: str, path: PurePosixPath) -> bool:
    """Whether a picture is in the folder of another split than the one that a path names."""
    splits = (_split_of_folder(name.rpartition("/")[0]), _split_of_folder(str(path.parent)))
    return None not in splits and splits[0] != splits[1]


@lru_cache(maxsize=4096)
def _split_of_folder(folder: str) -> Split | None:
    return split_of_path(f"{folder}/any")


def _common_end(name: str, path: PurePosixPath) -> int:
    """Returns the number of equal folders at the end of two paths."""
    pairs = zip(name.split("/")[-2::-1], path.parts[-2::-1], strict=False)
    count = 0
    for first, other in pairs:
        if _plain(first) != _plain(other):
            break
        count += 1
    return count
