"""ExpW (Zhang et al. 2015): `label.lst` with one face per line, beside images of several faces."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from fer_core.data.sources.base import Origin, Skipped
from fer_core.data.sources.class_names import ClassNames, code_of
from fer_core.data.sources.files import Box, ImageFile, ImageFiles, need_tree
from fer_core.data.sources.picture_index import PictureIndex
from fer_core.data.sources.tree import FileTree, printable
from fer_core.errors import DataError

LIST = "label.lst"
_FIELDS = 8
_LAYOUT = f"Give the folder of ExpW that holds {LIST} and the pictures"


class ExpwSource(ImageFiles):
    """Faces cropped from web images by the boxes of the list.

    A line is `name face_id top left right bottom confidence label`; labels are numbered as in
    FER2013. Faces of one image are a group.

    Args:
        location: The folder or archive, or a parent of it.
        names: Interpretation of class names.

    Raises:
        DataError: If there is no list or a line is malformed. Names the line.
    """

    def __init__(self, location: Path | FileTree, names: ClassNames | None = None) -> None:
        tree = need_tree(location, _LAYOUT)
        lists = find_expw_lists(tree)
        if not lists:
            raise DataError(f"{tree.shown} holds no {LIST} of ExpW. {_LAYOUT}.")
        lines = [
            (f"{lists[0]}, line {number}", line.split())
            for number, line in enumerate(tree.text(lists[0], 2**30).splitlines(), 1)
            if line.strip()
        ]
        for where, cells in lines:
            if len(cells) != _FIELDS or not all(_is_number(cell) for cell in cells[1:]):
                raise DataError(
                    f"{where} is not of the form `name face top left right bottom confidence "
                    "label`. Get the file again."
                )
        names = replace(names or ClassNames(), codes=(names and names.codes) or "fer2013")
        counts = Counter(cells[-1] for _, cells in lines)
        reading = names.read(counts, tree.shown)
        self.left_out = Counter(reading.left_out(counts))
        self.notes = list(reading.notes)
        items = _items(PictureIndex(tree), lists[0], lines, reading.labels)
        super().__init__(tree, [*items, *tree.skipped])

    @property
    def origin(self) -> Origin:
        """Name, licence and reference of the dataset."""
        return Origin(
            name="expw",
            title="Expression in-the-Wild (ExpW)",
            licence="Images: non-commercial research, collected from the web.",
            reference="arXiv:1509.03936",
        )


def find_expw_lists(tree: FileTree) -> list[str]:
    """Returns the lists of a tree in ExpW's format."""
    names = [name for name in tree.files if PurePosixPath(name).name == LIST]
    return [name for name in names if len(tree.text(name, 4096).partition("\n")[0].split()) == 8]


def _is_number(cell: str) -> bool:
    return code_of(cell) is not None or cell.replace(".", "", 1).lstrip("-").isdecimal()


def _items(
    index: PictureIndex, name: str, lines: list[tuple[str, list[str]]], labels: Mapping[str, str]
) -> Iterator[ImageFile | Skipped]:
    for _, cells in lines:
        label = labels[cells[-1]]
        if not label:
            continue
        picture = index.find(cells[0], name.rpartition("/")[0])
        key = printable(f"{PurePosixPath(cells[0]).stem}_{cells[1]}")
        if picture is None:
            yield Skipped(key, f"{cells[0]} is missing.")
            continue
        group = printable(PurePosixPath(cells[0]).stem)
        yield ImageFile(picture, key, label, None, group=group, box=_box(cells[2:6]))


def _box(cells: list[str]) -> Box:
    top, left, right, bottom = (round(float(cell)) for cell in cells)
    return (left, top, right, bottom)
