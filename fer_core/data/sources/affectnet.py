"""AffectNet in its three published forms: annotation csv, annotation arrays, class folders.

The csv files are the manual lists, `training.csv` and `validation.csv`, or others with their
header, such as `automatically_annotated.csv`. Their images are in numbered folders that are no
classes.

AffectNet has no public test set: publications report on its validation set, and preparation does so
for any dataset without a test split. Contempt and the codes for no, uncertain or non-face images
are left out.
"""

import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from fer_core.data.sources.annotated import AFFECTNET_LEFT_OUT, AFFECTNET_ORIGIN
from fer_core.data.sources.base import Skipped
from fer_core.data.sources.class_names import ClassNames
from fer_core.data.sources.files import Box, ImageFile, ImageFiles, is_image, need_tree
from fer_core.data.sources.folder import FolderSource
from fer_core.data.sources.picture_index import PictureIndex
from fer_core.data.sources.split_names import split_in, split_of
from fer_core.data.sources.tables import NO_LABEL, is_unlabelled
from fer_core.data.sources.tree import FileTree
from fer_core.errors import DataError
from fer_core.labels import AFFECTNET_CODES

COLUMNS = (
    "subDirectory_filePath", "face_x", "face_y", "face_width", "face_height", "facial_landmarks",
    "expression", "valence", "arousal",
)  # fmt: skip
"""Header of AffectNet's lists; some copies of `training.csv` and `validation.csv` have none."""

_NEEDED = ("subDirectory_filePath", "expression")
_HEADER = frozenset(COLUMNS) - {"facial_landmarks"}
MANUAL_LISTS = ("training.csv", "validation.csv")
_LIST_FOLDERS = ("manually_annotated_file_lists", "automatically_annotated_file_list")
_LAYOUT = (
    "Give the folder of AffectNet that holds Manually_Annotated_file_lists and "
    "Manually_Annotated_Images, or train_set and val_set"
)

ORIGIN = AFFECTNET_ORIGIN


class AffectNetCsvSource(ImageFiles):
    """The first release: lists of annotations beside folders of images.

    The split of a list is that of its name; the list of automatic labels has none. Beside
    `training.csv` and `validation.csv` other lists are not read. Faces are cropped by the boxes of
    the csv, if there are any. Valence and arousal (-1 to 1) are kept; -2 in the files means a
    missing value.

    Args:
        location: The folder or archive of the csv files and the pictures, or one above it.
        names: Interpretation of class names.
        lists: The lists to read; by default they are searched for.

    Raises:
        DataError: If a csv is malformed or has an unknown code (names the row), two lists have the
            same picture, or the pictures are not found.
    """

    origin = ORIGIN

    def __init__(
        self,
        location: Path | FileTree,
        names: ClassNames | None = None,
        lists: Sequence[str] = (),
    ) -> None:
        tree = need_tree(location, _LAYOUT)
        lists = lists or find_affectnet_lists(tree)
        if not lists:
            raise DataError(
                f"{tree.shown} holds no {' and no '.join(MANUAL_LISTS)} of AffectNet. {_LAYOUT}."
            )
        self.notes = _list_notes(tree, lists)
        index = PictureIndex(tree)
        items: list[ImageFile | Skipped] = []
        self.left_out: Counter[str] = Counter()
        for name in lists:
            items.extend(self._rows(index, name, _read_csv(tree, name), _affectnet(names)))
        if not any(isinstance(item, ImageFile) for item in items):
            raise DataError(
                f"None of AffectNet's pictures was found in {tree.shown}. Put the folder "
                f"{_images_of(lists[0])} there."
            )
        _refuse_twice(tree, lists, items)
        super().__init__(tree, [*items, *tree.skipped])

    def _rows(
        self, index: PictureIndex, name: str, table: pd.DataFrame, names: ClassNames
    ) -> Iterator[ImageFile | Skipped]:
        file = PurePosixPath(name).name
        columns = list(table.columns)
        split, images = split_in(PurePosixPath(name).stem), _images_of(name)
        for number, value in enumerate(table["expression"]):
            if not is_unlabelled(value):
                _code(value, f"{file}, row {number}")
        codes = table["expression"].map(lambda value: "" if is_unlabelled(value) else _text(value))
        counts = Counter(code for code in codes if code)
        labels = names.read(counts, name).labels
        for code, values in zip(codes, table.itertuples(index=False, name=None), strict=True):
            row = dict(zip(columns, values, strict=True))
            key = str(row["subDirectory_filePath"])
            if not code:
                yield Skipped(key, NO_LABEL)
            elif not labels[code]:
                self.left_out[_annotators_say(code)] += 1
            elif PurePosixPath(key).is_absolute() or ".." in PurePosixPath(key).parts:
                yield Skipped(key, "The csv's path points outside the image folder.")
            elif (picture := _find(index, key, images, name.rpartition("/")[0])) is None:
                yield Skipped(key, f"{PurePosixPath(key).name} is missing.")
            else:
                extras = _affect(row.get("valence"), row.get("arousal"))
                yield ImageFile(picture, key, labels[code], split, extras=extras, box=_box(row))


class AffectNetArraysSource(ImageFiles):
    """The later release: `train_set/images/<n>.jpg` with `train_set/annotations/<n>_exp.npy`.

    The arrays may also be beside the images, and one of the sets may be missing. Valence and
    arousal are read from `<n>_val.npy` and `<n>_aro.npy` where they exist.

    Args:
        location: The folder or archive that holds `train_set` and `val_set`, or one above it.
        names: Interpretation of class names.

    Raises:
        DataError: If a part or an annotation is missing or malformed. Names the file.
    """

    origin = ORIGIN

    def __init__(self, location: Path | FileTree, names: ClassNames | None = None) -> None:
        tree = need_tree(location, _LAYOUT)
        root = find_affectnet_arrays(tree)
        if root is None:
            raise DataError(
                f"{tree.shown} lacks train_set/annotations. Give the folder of AffectNet that "
                "holds train_set and val_set."
            )
        tree = tree.below(root)
        self.left_out: Counter[str] = Counter()
        items: list[ImageFile] = []
        for folder in filter(partial(_holds_arrays, tree), tree.by_folder):
            items.extend(self._subset(tree, PurePosixPath(folder), _affectnet(names)))
        super().__init__(tree, [*items, *tree.skipped])

    def _subset(
        self, tree: FileTree, notes: PurePosixPath, names: ClassNames
    ) -> Iterator[ImageFile]:
        folder = _above_arrays(notes)
        images = notes if folder == notes else folder / "images"
        shown = images.as_posix().removeprefix(".")
        pictures = [name for name in tree.by_folder.get(shown, ()) if is_image(name)]
        if not pictures:
            raise DataError(
                f"{tree.shown}/{shown} does not exist or is empty. AffectNet's pictures "
                "stand beside their annotations."
            )
        codes = {}
        for picture in pictures:
            note = (notes / f"{PurePosixPath(picture).stem}_exp.npy").as_posix()
            codes[picture] = _text(_code(_number(tree, note), note))
        labels = names.read(Counter(codes.values()), f"{tree.shown}/{folder}").labels
        for picture, code in codes.items():
            if not labels[code]:
                self.left_out[_annotators_say(code)] += 1
                continue
            stem = PurePosixPath(picture).stem
            values = [(notes / f"{stem}_{kind}.npy").as_posix() for kind in ("val", "aro")]
            extras = _affect(
                *(_number(tree, name) if name in tree.names else None for name in values)
            )
            key = (folder / stem).as_posix()
            yield ImageFile(picture, key, labels[code], split_of(folder.name), extras=extras)


class AffectNetFolderSource(FolderSource):
    """Class folders, named 0 to 7 by AffectNet's codes or by name, below `train` and `val`.

    Args and errors are those of `FolderSource`.
    """

    origin = ORIGIN
    default_codes = "affectnet"
    foreign = AFFECTNET_LEFT_OUT


def find_affectnet_lists(tree: FileTree) -> list[str]:
    """Returns the annotation csv files of AffectNet's first release in a tree.

    Beside the manual lists others are not among them, and beside lists whose names are splits,
    those without one.
    """
    lists = _all_lists(tree)
    manual = [name for name in lists if PurePosixPath(name).name in MANUAL_LISTS]
    return manual or [name for name in lists if split_in(PurePosixPath(name).stem)] or lists


def above_list_folder(root: Path) -> Path:
    """Returns the folder that contains AffectNet's images, if `root` is that of its lists."""
    return root.parent if root.name.lower() in _LIST_FOLDERS else root


def _all_lists(tree: FileTree) -> list[str]:
    return [name for name in tree.files if name.lower().endswith(".csv") and _is_list(tree, name)]


def _is_list(tree: FileTree, name: str) -> bool:
    manual = PurePosixPath(name).name in MANUAL_LISTS
    try:
        text = tree.text(name, 4096)
    except DataError:
        if manual:
            raise
        return False
    first = [cell.strip(' "') for cell in "".join(text.splitlines()[:1]).split(",")]
    return (manual and len(first) >= len(COLUMNS)) or set(first) >= _HEADER


def _list_notes(tree: FileTree, lists: Sequence[str]) -> list[str]:
    """Returns notes on lists that are not read, and on labels that no person gave."""
    notes = []
    if others := [name for name in _all_lists(tree) if name not in lists]:
        notes.append(
            f"Not read: {', '.join(others[:4])}{' ...' if len(others) > 4 else ''}, which "
            f"{'are other lists' if len(others) > 1 else 'is another list'} of AffectNet. Give "
            "the path of a list to read it."
        )
    if automatic := [name for name in lists if _is_automatic(name)]:
        notes.append(
            f"The labels of {PurePosixPath(automatic[0]).name} are predictions of a network, not "
            "of annotators."
        )
    return notes


def _refuse_twice(
    tree: FileTree, lists: Sequence[str], items: Sequence[ImageFile | Skipped]
) -> None:
    """Refuses lists that have a picture in common, such as a list and a part of it."""
    counts = Counter(item.key for item in items if isinstance(item, ImageFile))
    if twice := [key for key, count in counts.items() if count > 1]:
        raise DataError(
            f"{len(twice):,} pictures, such as {twice[0]}, are in several of AffectNet's lists in "
            f"{tree.shown}: {', '.join(lists[:4])}. Give the path of one, or move the others away."
        )


def _is_automatic(name: str) -> bool:
    return PurePosixPath(name).name.lower().startswith("automatic")


def _images_of(name: str) -> str:
    """Returns the folder of images that belongs to a list."""
    return f"{'Automatically' if _is_automatic(name) else 'Manually'}_Annotated_Images"


def _find(index: PictureIndex, key: str, images: str, folder: str) -> str | None:
    """Returns the image of a row; that of the list's own images, if another part has its name."""
    return index.find(f"{images}/{key}", folder) or index.find(key, folder)


def find_affectnet_arrays(tree: FileTree) -> str | None:
    """Returns the folder that contains AffectNet's `train_set` or `val_set`, if there is one."""
    for folder in filter(partial(_holds_arrays, tree), tree.by_folder):
        above = _above_arrays(PurePosixPath(folder))
        root = (above.parent if split_of(above.name) else above).as_posix()
        return "" if root == "." else root
    return None


def _holds_arrays(tree: FileTree, folder: str) -> bool:
    names = [name for name in tree.by_folder[folder] if name.endswith("_exp.npy")]
    if PurePosixPath(folder).name == "annotations":
        return bool(names)
    stems = [name.removesuffix("_exp.npy") for name in names]
    return any(f"{stem}{suffix}" in tree.names for stem in stems for suffix in (".jpg", ".png"))


def _above_arrays(folder: PurePosixPath) -> PurePosixPath:
    """Returns the folder of a set: that of its arrays, or the one above `annotations`."""
    return folder.parent if folder.name == "annotations" else folder


def _affectnet(names: ClassNames | None) -> ClassNames:
    return replace(names or ClassNames(), codes="affectnet", left_out=AFFECTNET_LEFT_OUT)


def _annotators_say(code: str) -> str:
    return f"annotators say {AFFECTNET_CODES[int(code)].replace('_', ' ')}"


def _read_csv(tree: FileTree, path: str) -> pd.DataFrame:
    name = PurePosixPath(path).name
    try:
        with tree.open(path) as file:
            table = pd.read_csv(file, usecols=lambda name: name != "facial_landmarks")
        if not set(_NEEDED) & set(table.columns) and len(table.columns) == len(COLUMNS):
            with tree.open(path) as file:
                table = pd.read_csv(file, names=list(COLUMNS))
    except Exception as error:  # pandas raises several exception types
        raise DataError(f"{name} cannot be read as csv: {error}.") from error
    if missing := [column for column in _NEEDED if column not in table.columns]:
        raise DataError(
            f"{name} lacks the columns {', '.join(missing)}. Add AffectNet's header: "
            f"{','.join(COLUMNS)}."
        )
    if table["subDirectory_filePath"].duplicated().any():
        twice = table.loc[table["subDirectory_filePath"].duplicated(), "subDirectory_filePath"]
        raise DataError(f"{name} lists {twice.iloc[0]} twice. Remove one of the rows.")
    return table


def _code(code: object, where: str) -> object:
    try:
        AFFECTNET_CODES[int(float(str(code)))]
    except (KeyError, ValueError, OverflowError):
        raise DataError(
            f"{where}: expression {code!r} is unknown. AffectNet's codes are 0 to 10."
        ) from None
    return code


def _text(code: object) -> str:
    return str(int(float(str(code))))


def _number(tree: FileTree, name: str) -> float:
    """Reads an array of one number, which some copies store as text."""
    if name not in tree.names:
        raise DataError(f"{name} is missing. Unpack the annotations completely.")
    try:
        with tree.open(name) as file:
            return float(np.load(io.BytesIO(file.read(2**16)), allow_pickle=False).item())
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{name} holds no number ({error}). Get the file again.") from error


def _affect(valence: float | None, arousal: float | None) -> dict[str, float]:
    """Returns valence and arousal that are in -1 to 1."""
    values = {"valence": valence, "arousal": arousal}
    return {name: float(v) for name, v in values.items() if v is not None and -1 <= float(v) <= 1}


def _box(row: Mapping[str, object]) -> Box | None:
    """Returns the face's box of a csv row; None if it has none."""
    try:
        left, top, width, height = (
            int(float(str(row[name]))) for name in ("face_x", "face_y", "face_width", "face_height")
        )
    except (KeyError, ValueError):
        return None
    if width <= 0 or height <= 0:
        return None
    side = max(width, height)  # a square, so that the face is neither stretched nor cut off
    left, top = left - (side - width) // 2, top - (side - height) // 2
    return (left, top, left + side, top + side)
