"""RAF-DB: `list_patition_label.txt` with `aligned/` images, or folders named 1 to 7."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from fer_core.data.sources.base import Origin, Skipped, Split
from fer_core.data.sources.class_names import ClassNames
from fer_core.data.sources.files import ImageFile, ImageFiles, need_tree
from fer_core.data.sources.folder import FolderSource
from fer_core.data.sources.tree import FileTree
from fer_core.errors import DataError
from fer_core.labels import RAFDB_CODES

LIST_NAME = "list_patition_label.txt"
"""The dataset's spelling."""

_SPLITS: dict[str, Split] = {"train": "train", "test": "test"}
_COMPOUND_CODES = frozenset({"8", "9", "10", "11"})
"""Codes that only the list of compound expressions has."""

_NAME = re.compile(r"(train|test)_\d+")

ORIGIN = Origin(
    name="rafdb",
    title="RAF-DB, basic emotions",
    licence="Images: non-commercial research, on request from the authors.",
    reference="Li, Deng & Du 2017, CVPR, doi:10.1109/CVPR.2017.277",
)


class RafDbSource(ImageFiles):
    """The published layout: `EmoLabel/list_patition_label.txt` and `Image/aligned/`.

    A line of the list is `train_00001.jpg 5`, with a blank or a tab; its image is
    `train_00001_aligned.jpg`. Missing images are listed as skipped.

    Args:
        location: The folder `basic`, a parent of it, or one that contains the list and `aligned`;
            or an archive of them.
        names: Interpretation of class names.

    Raises:
        DataError: If the list or images are missing, it is the list of compound expressions, or a
            line is malformed or has an unknown code (names the line).
    """

    origin = ORIGIN

    def __init__(self, location: Path | FileTree, names: ClassNames | None = None) -> None:
        tree = need_tree(location, f"Give the folder of RAF-DB that holds EmoLabel/{LIST_NAME}")
        lists = find_rafdb_lists(tree)
        if not lists:
            raise DataError(
                f"{tree.shown} holds no {LIST_NAME}. Give RAF-DB's folder `basic`, with EmoLabel "
                "and Image in it, or prepare the folder form with train and test."
            )
        _refuse_compound(tree, lists[0])
        names = replace(names or ClassNames(), codes=(names and names.codes) or "rafdb")
        rows = list(_lines(tree, lists[0]))
        counts = Counter(code for _, code, _ in rows)
        reading = names.read(counts, tree.shown)
        self.left_out = Counter(reading.left_out(counts))
        self.notes = list(reading.notes)
        aligned = _aligned(tree, lists[0])
        super().__init__(tree, [*_items(tree, rows, reading.labels, aligned), *tree.skipped])


class RafDbFolderSource(FolderSource):
    """RAF-DB as folders: `train/1/train_00001_aligned.jpg`, `test/7/...`; codes as in the list.

    The names of the files give the split, with or without split folders.

    Args and errors are those of `FolderSource`.
    """

    origin = ORIGIN
    default_codes = "rafdb"

    def _describe(self, files: list[ImageFile]) -> Iterable[ImageFile]:
        splits = [_split_of_name(file) for file in files]
        if moved := [
            file for file, split in zip(files, splits, strict=True) if split != file.split
        ]:
            folders = ", not that of their folder" if any(file.split for file in moved) else ""
            self.notes.append(
                f"The split of {len(moved):,} images is that of their names (train_, test_)"
                f"{folders}."
            )
        for file, split in zip(files, splits, strict=True):
            stem = _stem(file.name)
            # The same image has the same key in both layouts.
            key = stem if stem.startswith(("train_", "test_")) else file.key
            yield replace(file, key=key, split=split)


def _split_of_name(file: ImageFile) -> Split | None:
    """Returns the split that a file's name gives, else that of its folder."""
    match = _NAME.match(PurePosixPath(file.name).name)
    split = _SPLITS[match.group(1)] if match else file.split
    # RAF-DB has no validation split: one that was drawn from train stays.
    return file.split if (split, file.split) == ("train", "validation") else split


def find_rafdb_lists(tree: FileTree) -> list[str]:
    """Returns RAF-DB's lists of labels in a tree."""
    names = (LIST_NAME, LIST_NAME.replace("patition", "partition"))  # some copies correct it
    return [name for name in tree.files if PurePosixPath(name).name in names]


def is_rafdb_name(name: str) -> bool:
    """Whether a file is named like RAF-DB's aligned images."""
    stem = PurePosixPath(name).stem
    return stem.endswith("_aligned") and stem.startswith(("train_", "test_"))


def _aligned(tree: FileTree, list_name: str) -> dict[str, str]:
    """Returns the aligned images by their names in the list."""
    pictures = {_stem(name): name for name in tree.files if is_rafdb_name(name)}
    if not pictures:
        raise DataError(
            f"No aligned picture was found for {tree.shown}/{list_name}. Unpack RAF-DB's "
            "aligned.zip into Image/aligned."
        )
    return pictures


def _cells(line: str) -> tuple[str, str]:
    """Returns the image and the code of a line; an empty image if it has one cell."""
    *picture, code = line.rsplit(maxsplit=1)
    return "".join(picture), code


def _refuse_compound(tree: FileTree, name: str) -> None:
    """Refuses the list of compound expressions, whose codes 1 to 7 mean other classes.

    Raises:
        DataError: If it is below a folder `compound`, or has at least two of the codes 8 to 11.
    """
    codes = {_cells(line)[1] for line in tree.text(name).splitlines() if line.strip()}
    above = tree.root.resolve() if tree.root else Path(tree.prefix)
    parts = [part.lower() for part in (above / name).parts]
    parts = [part for part in parts if part in ("basic", "compound")]
    if parts[-1:] == ["compound"] or len(codes & _COMPOUND_CODES) > 1:
        raise DataError(
            f"{tree.shown}/{name} is RAF-DB's compound list: its codes 1 to 11 are classes of two "
            "expressions, such as happily surprised, and FERscope learns single ones. Give the "
            f"basic list: RAF-DB's folder `basic`, with its EmoLabel/{LIST_NAME}."
        )


def _lines(tree: FileTree, name: str) -> Iterator[tuple[str, str, Split]]:
    """Yields (image, code, split) of each line of the list."""
    seen: set[str] = set()
    for number, line in enumerate(tree.text(name).splitlines(), 1):
        if not line.strip():
            continue
        picture, code = _cells(line)
        stem = _stem(picture)
        split = _SPLITS.get(stem.partition("_")[0])
        if not code.isdecimal() or int(code) not in RAFDB_CODES or split is None:
            raise DataError(
                f"{LIST_NAME}, line {number}: {line.strip()[:80]!r} is not of the form "
                "`train_00001.jpg 5` with a code of 1 to 7. Get the file again."
            )
        if stem in seen:
            raise DataError(f"{LIST_NAME}, line {number}: {picture} is listed twice.")
        seen.add(stem)
        yield stem, code, split


def _items(
    tree: FileTree,
    rows: Iterable[tuple[str, str, Split]],
    labels: Mapping[str, str],
    pictures: Mapping[str, str],
) -> Iterator[ImageFile | Skipped]:
    for stem, code, split in rows:
        if not labels[code]:
            continue
        if stem in pictures:
            yield ImageFile(pictures[stem], stem, labels[code], split)
        else:
            yield Skipped(stem, f"{stem}_aligned.jpg is missing.")


def _stem(name: str) -> str:
    """Returns `train_00001` for `train_00001.jpg` and `train_00001_aligned.jpg` alike."""
    return PurePosixPath(name).stem.removesuffix("_aligned")
