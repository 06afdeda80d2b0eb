"""FER+ as written by its scripts: images in `FER2013Train` ... with votes in `label.csv`.

Images are called `fer0000000.png`. If the folders have no `label.csv`, votes and splits are read
from `fer2013new.csv`, whose `Image name` is the file name and whose `Usage` is the split.
"""

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from fer_core.data.sources.base import Origin, Skipped, Split
from fer_core.data.sources.fer2013 import FERPLUS_NAMES, strict_majority
from fer_core.data.sources.files import ImageFile, ImageFiles, is_image, need_tree
from fer_core.data.sources.split_names import require_known, split_of_path
from fer_core.data.sources.tree import FileTree, printable
from fer_core.errors import DataError
from fer_core.labels import FERPLUS_COLUMNS

LIST = "label.csv"
VOTES = "fer2013new.csv"
_FIELDS = 2 + len(FERPLUS_COLUMNS)
LAYOUT = f"Give the folder that holds FER2013Train, FER2013Valid and FER2013Test, with {LIST} each"


@dataclass(frozen=True)
class _Voted:
    """A row of a list: votes in the order of `FERPLUS_COLUMNS`, and the split."""

    votes: tuple[int, ...]
    split: Split | None


_Rows = Mapping[str, _Voted]
"""Rows by the image's name in the tree."""


class FerPlusFolderSource(ImageFiles):
    """Images of FER2013 in three folders, labelled by the strict majority of FER+ votes.

    With `fer2013new.csv` the images may also be in one folder: its `Usage` is the split.

    Args:
        location: The folder or archive, or a parent of it.

    Raises:
        DataError: If no votes are found, a row of a list is malformed (names the row), or a usage
            is no split.
    """

    maps_names = False

    def __init__(self, location: Path | FileTree) -> None:
        tree = need_tree(location, LAYOUT)
        rows = _all_rows(tree)
        if not rows:
            raise DataError(f"{tree.shown} holds no {LIST} and no {VOTES} of FER+. {LAYOUT}.")
        name = PurePosixPath(find_vote_lists(tree)[0]).name
        self.notes = ["Labels are the strict majority of FER+ votes.", *_split_notes(rows, name)]
        super().__init__(tree, [*_items(tree, rows), *tree.skipped])

    @property
    def origin(self) -> Origin:
        """Name, licence and reference of the dataset."""
        return Origin(
            name="ferplus",
            title="FER2013 with FER+ votes",
            licence="Images: none stated, research use. FER+ votes: MIT.",
            reference="arXiv:1307.0414, arXiv:1608.01041",
        )


def find_vote_lists(tree: FileTree) -> list[str]:
    """Returns the files of a tree with FER+ votes by image."""
    lists = [
        name
        for name in tree.files
        if PurePosixPath(name).name == LIST and _is_vote_list(tree.text(name, 4096))
    ]
    pictured = any(
        is_image(name) and PurePosixPath(name).name.startswith("fer0") for name in tree.files
    )
    if lists or not pictured:
        return lists
    tables = [name for name in tree.files if name.lower().endswith(".csv")]
    by_name = [name for name in tables if PurePosixPath(name).name == VOTES]
    return by_name or [name for name in tables if _has_header(tree.text(name, 4096))]


def _has_header(text: str) -> bool:
    """Whether a table has the columns of `fer2013new.csv`, under another name."""
    head = next(csv.reader(io.StringIO(text)), [])
    return {"Image name", *FERPLUS_COLUMNS} <= {cell.strip() for cell in head}


def _is_vote_list(text: str) -> bool:
    rows = [row for row in csv.reader(io.StringIO(text)) if row]
    return bool(rows) and len(rows[0]) == _FIELDS and rows[0][1].strip().startswith("(")


def _all_rows(tree: FileTree) -> _Rows:
    found: dict[str, _Voted] = {}
    for name in find_vote_lists(tree):
        rows = csv.reader(io.StringIO(tree.text(name, 2**30)))
        folder = name.rpartition("/")[0]
        if PurePosixPath(name).name != LIST:
            found.update(_by_name(tree, name, rows))
            continue
        for number, row in enumerate(rows):
            if row:
                path = f"{folder}/{row[0].strip()}".lstrip("/")
                votes = _numbers(row[2:], f"{name}, row {number}")
                found[path] = _Voted(votes, split_of_path(path))
    return found


def _by_name(tree: FileTree, name: str, rows: Iterator[list[str]]) -> _Rows:
    head = [cell.strip() for cell in next(rows, [])]
    if missing := {"Image name", *FERPLUS_COLUMNS} - set(head):
        raise DataError(f"{name} lacks the columns {', '.join(sorted(missing))}.")
    images = {PurePosixPath(path).name: path for path in tree.files if is_image(path)}
    columns = [head.index(column) for column in FERPLUS_COLUMNS]
    image = head.index("Image name")
    listed = [
        (images[row[image]], row, number)
        for number, row in enumerate(rows)
        if len(row) == len(head) and row[image] in images
    ]
    splits: dict[str, Split] = {}
    usages: dict[str, str] = {}
    if "Usage" in head:
        usages = {path: row[head.index("Usage")].strip() for path, row, _ in listed}
        splits = require_known(dict.fromkeys(filter(None, usages.values())), name)
    return {
        path: _Voted(
            _numbers([row[c] for c in columns], f"{name}, row {number}"),
            # A row without a usage keeps the split of its folder.
            splits.get(usages.get(path, "")) or split_of_path(path),
        )
        for path, row, number in listed
    }


def _split_notes(rows: _Rows, file: str) -> list[str]:
    """Returns a note on the images whose split is not that of their folder."""
    other = [name for name, row in rows.items() if row.split != split_of_path(name)]
    if not other:
        return []
    folders = ", not that of their folder" if any(map(split_of_path, other)) else ""
    return [f"The split of {len(other):,} images is the Usage in {file}{folders}."]


def _numbers(cells: list[str], where: str) -> tuple[int, ...]:
    try:
        votes = tuple(int(float(cell)) for cell in cells)
    except ValueError:
        votes = ()
    if len(votes) != len(FERPLUS_COLUMNS) or min(votes) < 0:
        raise DataError(f"{where}: votes must be {len(FERPLUS_COLUMNS)} numbers of 0 or more.")
    return votes


def _items(tree: FileTree, rows: _Rows) -> Iterator[ImageFile | Skipped]:
    for name, row in sorted(rows.items()):
        if name not in tree.names:
            yield Skipped(printable(name), f"{PurePosixPath(name).name} is missing.")
            continue
        label, excluded = strict_majority(np.array(row.votes))
        named = dict(zip(FERPLUS_NAMES, row.votes, strict=True))
        yield ImageFile(name, printable(name), label, row.split, excluded, votes=named)
    for name in tree.files:
        if is_image(name) and name not in rows:
            yield Skipped(printable(name), "No list of FER+ has votes for it.")
