"""RAF-DB: `list_patition_label.txt` with aligned or original images, or folders named 1 to 7."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from fer_core.data.sources.base import Origin, Skipped, Split
from fer_core.data.sources.class_names import ClassNames
from fer_core.data.sources.files import Box, ImageFile, ImageFiles, is_image, need_tree, square_box
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
_BOX = "_boundingbox.txt"
"""End of the name of a file with the box of a face: `train_00001_boundingbox.txt`."""

ORIGIN = Origin(
    name="rafdb",
    title="RAF-DB, basic emotions",
    licence="Images: non-commercial research, on request from the authors.",
    reference="Li, Deng & Du 2017, CVPR, doi:10.1109/CVPR.2017.277",
)


class RafDbSource(ImageFiles):
    """The published layout: `EmoLabel/list_patition_label.txt` and `Image/aligned/`.

    A line of the list is `train_00001.jpg 5`, with a blank or a tab; its image is
    `train_00001_aligned.jpg`. Without aligned images, the faces are cropped from the original
    ones, `train_00001.jpg`, by the boxes in `Annotation/boundingbox/`. Missing images, and original
    ones whose box is missing, are listed as skipped.

    Args:
        location: The folder `basic`, a parent of it, or one that contains the list and the images;
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
        faces, note = _faces(tree, lists[0])
        self.notes += note
        super().__init__(tree, [*_items(rows, reading.labels, faces), *tree.skipped])


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


@dataclass(frozen=True)
class _Faces:
    """The images of the list, and the boxes of the faces in them.

    Attributes:
        pictures: Path of each image, by its name in the list without suffix.
        suffix: What follows that name in the names of the images.
        boxes: The box of each face, or what is wrong with its file; None if the whole images count.
    """

    pictures: Mapping[str, str]
    suffix: str
    boxes: Mapping[str, Box | str] | None = None


def _faces(tree: FileTree, list_name: str) -> tuple[_Faces, list[str]]:
    """Returns the aligned images, else the original ones with boxes, and notes on them.

    Raises:
        DataError: If there are neither.
    """
    if aligned := {_stem(name): name for name in tree.files if is_rafdb_name(name)}:
        return _Faces(aligned, "_aligned.jpg"), []
    originals = _originals(tree)
    if not originals:
        raise DataError(
            f"No picture of {tree.shown}/{list_name} was found. Unpack RAF-DB's aligned.zip into "
            "Image/aligned, or the original images into Image/original and their boxes into "
            "Annotation/boundingbox."
        )
    boxes = {
        PurePosixPath(name).name.removesuffix(_BOX): _box(tree, name)
        for name in tree.files
        if name.endswith(_BOX)
    }
    if boxes:
        note = f"No aligned images: faces are cropped from the original ones by files *{_BOX}."
        return _Faces(originals, ".jpg", boxes), [note]
    note = (
        "Neither aligned images nor boxes of faces were found: the original images are read whole. "
        f"Unpack RAF-DB's boxes (train_00001{_BOX} ...) into Annotation/boundingbox, or detect the "
        "faces with --faces crop."
    )
    return _Faces(originals, ".jpg"), [note]


def _originals(tree: FileTree) -> dict[str, str]:
    """Returns the images that are named as in the list: those in `original`, if there are any.

    Raises:
        DataError: If several have the same name, because the boxes are those of one.
    """
    pictures = [name for name in tree.files if is_image(name) and _NAME.fullmatch(_stem(name))]
    in_folder = [name for name in pictures if PurePosixPath(name).parent.name == "original"]
    found: dict[str, str] = {}
    for name in in_folder or pictures:
        if (other := found.setdefault(_stem(name), name)) != name:
            raise DataError(
                f"{other} and {name} in {tree.shown} are both named as an image of RAF-DB's list. "
                "Call the folder of the original images Image/original."
            )
    return found


def _box(tree: FileTree, name: str) -> Box | str:
    """Returns the box in a file, `left top right bottom`, or what is wrong with the file."""
    try:
        left, top, right, bottom = (float(cell) for cell in tree.text(name, 4096).split())
        if left < right and top < bottom:
            return square_box(left, top, right, bottom)
    except (ValueError, OverflowError):  # other text, or infinite numbers
        pass
    return f"{PurePosixPath(name).name} is not of the form `left top right bottom`."


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
    rows: Iterable[tuple[str, str, Split]], labels: Mapping[str, str], faces: _Faces
) -> Iterator[ImageFile | Skipped]:
    for stem, code, split in rows:
        if not labels[code]:
            continue
        box = None if faces.boxes is None else faces.boxes.get(stem, f"{stem}{_BOX} is missing.")
        if stem not in faces.pictures:
            yield Skipped(stem, f"{stem}{faces.suffix} is missing.")
        elif isinstance(box, str):
            yield Skipped(stem, box)
        else:
            yield ImageFile(faces.pictures[stem], stem, labels[code], split, box=box)


def _stem(name: str) -> str:
    """Returns `train_00001` for `train_00001.jpg` and `train_00001_aligned.jpg` alike."""
    return PurePosixPath(name).stem.removesuffix("_aligned")
