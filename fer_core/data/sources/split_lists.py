"""Lists of the pictures of each split, such as `train.txt` and `test.txt` beside class folders."""

from dataclasses import dataclass, field
from pathlib import PurePosixPath

from fer_core.data.sources.base import Split
from fer_core.data.sources.picture_index import PictureIndex
from fer_core.data.sources.split_names import split_in
from fer_core.data.sources.tree import FileTree
from fer_core.errors import DataError

_SUFFIXES = (".txt", ".lst", ".list", ".csv")
_MOST_LISTS = 10


@dataclass(frozen=True)
class SplitLists:
    """The splits that lists give to pictures.

    Attributes:
        lists: The files that were read.
        splits: Split by the picture's name in the tree.
    """

    lists: tuple[str, ...] = ()
    splits: dict[str, Split] = field(default_factory=dict)


def read_split_lists(tree: FileTree) -> SplitLists:
    """Reads the lists whose name is that of a split and whose every line is one picture.

    Raises:
        DataError: If two lists give different splits to a picture.
    """
    files = [name for name in tree.files if name.lower().endswith(_SUFFIXES)]
    files = [name for name in files if split_in(PurePosixPath(name).stem)]
    if not 2 <= len(files) <= _MOST_LISTS:
        return SplitLists()
    index = PictureIndex(tree)
    lists: dict[str, str] = {}
    splits: dict[str, Split] = {}
    for name in files:
        split = split_in(PurePosixPath(name).stem)
        for picture in _pictures(tree, name, index):
            if split is not None and splits.setdefault(picture, split) != split:
                raise DataError(
                    f"{lists[picture]} and {name} in {tree.shown} give different splits to "
                    f"{picture}. Correct the lists, or draw new splits with --split random."
                )
            lists[picture] = name
    return SplitLists(tuple(sorted(set(lists.values()))), splits)


def _pictures(tree: FileTree, name: str, index: PictureIndex) -> list[str]:
    """Returns the pictures of a list; none if it is not a list of pictures."""
    folder = name.rpartition("/")[0]
    lines = [line.strip() for line in tree.text(name).splitlines() if line.strip()]
    found = [index.find(line, folder) for line in lines]
    known = [picture for picture in found if picture is not None]
    return known if len(known) * 2 > len(lines) else []
