"""FER+ as written by its scripts: images in `FER2013Train` ... with votes in `label.csv`.

Images are called `fer0000000.png`. If the folders have no `label.csv`, votes are read from
`fer2013new.csv`, whose `Image name` is the file name.
"""

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

import numpy as np

from fer_core.data.sources.base import Origin, Skipped
from fer_core.data.sources.fer2013 import FERPLUS_NAMES, strict_majority
from fer_core.data.sources.files import ImageFile, ImageFiles, is_image, need_tree
from fer_core.data.sources.split_names import split_of_path
from fer_core.data.sources.tree import FileTree, printable
from fer_core.errors import DataError
from fer_core.labels import FERPLUS_COLUMNS

LIST = "label.csv"
VOTES = "fer2013new.csv"
_FIELDS = 2 + len(FERPLUS_COLUMNS)
LAYOUT = f"Give the folder that holds FER2013Train, FER2013Valid and FER2013Test, with {LIST} each"

Votes = Mapping[str, tuple[int, ...]]
"""Votes by the image's name in the tree, in the order of `FERPLUS_COLUMNS`."""


class FerPlusFolderSource(ImageFiles):
    """Images of FER2013 in three folders, labelled by the strict majority of FER+ votes.

    Args:
        location: The folder or archive, or a parent of it.

    Raises:
        DataError: If no votes are found, or a row of a list is malformed. Names the row.
    """

    maps_names = False

    def __init__(self, location: Path | FileTree) -> None:
        tree = need_tree(location, LAYOUT)
        votes = _all_votes(tree)
        if not votes:
            raise DataError(f"{tree.shown} holds no {LIST} and no {VOTES} of FER+. {LAYOUT}.")
        self.notes = ["Labels are the strict majority of FER+ votes."]
        super().__init__(tree, [*_items(tree, votes), *tree.skipped])

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
    by_name = [name for name in tree.files if PurePosixPath(name).name == VOTES]
    pictured = any(
        is_image(name) and PurePosixPath(name).name.startswith("fer0") for name in tree.files
    )
    return lists or (by_name if pictured else [])


def _is_vote_list(text: str) -> bool:
    rows = [row for row in csv.reader(io.StringIO(text)) if row]
    return bool(rows) and len(rows[0]) == _FIELDS and rows[0][1].strip().startswith("(")


def _all_votes(tree: FileTree) -> Votes:
    votes: dict[str, tuple[int, ...]] = {}
    for name in find_vote_lists(tree):
        rows = csv.reader(io.StringIO(tree.text(name, 2**30)))
        folder = name.rpartition("/")[0]
        if PurePosixPath(name).name == VOTES:
            votes.update(_by_name(tree, name, rows))
            continue
        for number, row in enumerate(rows):
            if row:
                path = f"{folder}/{row[0].strip()}".lstrip("/")
                votes[path] = _numbers(row[2:], f"{name}, row {number}")
    return votes


def _by_name(tree: FileTree, name: str, rows: Iterator[list[str]]) -> Votes:
    head = [cell.strip() for cell in next(rows, [])]
    if missing := {"Image name", *FERPLUS_COLUMNS} - set(head):
        raise DataError(f"{name} lacks the columns {', '.join(sorted(missing))}.")
    images = {PurePosixPath(path).name: path for path in tree.files if is_image(path)}
    columns = [head.index(column) for column in FERPLUS_COLUMNS]
    image = head.index("Image name")
    return {
        images[row[image]]: _numbers([row[c] for c in columns], f"{name}, row {number}")
        for number, row in enumerate(rows)
        if len(row) == len(head) and row[image] in images
    }


def _numbers(cells: list[str], where: str) -> tuple[int, ...]:
    try:
        votes = tuple(int(float(cell)) for cell in cells)
    except ValueError:
        votes = ()
    if len(votes) != len(FERPLUS_COLUMNS) or min(votes) < 0:
        raise DataError(f"{where}: votes must be {len(FERPLUS_COLUMNS)} numbers of 0 or more.")
    return votes


def _items(tree: FileTree, votes: Votes) -> Iterator[ImageFile | Skipped]:
    for name, counts in sorted(votes.items()):
        if name not in tree.names:
            yield Skipped(printable(name), f"{PurePosixPath(name).name} is missing.")
            continue
        label, excluded = strict_majority(np.array(counts))
        named = dict(zip(FERPLUS_NAMES, counts, strict=True))
        yield ImageFile(name, printable(name), label, split_of_path(name), excluded, votes=named)
    for name in tree.files:
        if is_image(name) and name not in votes:
            yield Skipped(printable(name), "No list of FER+ has votes for it.")
