"""Recognises the format of a dataset, and gives the reason."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fer_core.data.sources.affectnet import find_affectnet_arrays, find_affectnet_lists
from fer_core.data.sources.annotated import (
    ask_for_labels,
    compare_tables,
    find_tables,
    is_affectnet_table,
    table_counts,
    unused_tables,
)
from fer_core.data.sources.arrays import find_arrays, has_arrays
from fer_core.data.sources.base import SYNTHETIC
from fer_core.data.sources.ckplus import find_ckplus_labels
from fer_core.data.sources.class_folders import find_class_folders, several
from fer_core.data.sources.class_names import code_of, emotion_of
from fer_core.data.sources.expw import find_expw_lists
from fer_core.data.sources.fer2013_folder import is_fer2013_name
from fer_core.data.sources.ferplus_folder import find_vote_lists
from fer_core.data.sources.files import is_image
from fer_core.data.sources.named_files import NAMED
from fer_core.data.sources.parquet_files import SUFFIXES, Content, content_of, data_files
from fer_core.data.sources.pixels import find_pixel_tables, split_files
from fer_core.data.sources.rafdb import find_rafdb_lists, is_rafdb_name
from fer_core.data.sources.shards import with_shards
from fer_core.data.sources.subjects import naming_of
from fer_core.data.sources.tables import AnnotationTable, Columns, is_table_name
from fer_core.data.sources.tree import FileTree, file_tree, is_archive, open_tree
from fer_core.data.sources.unread import unread_kind
from fer_core.data.sources.yolo import face_boxes, find_labelled_pictures
from fer_core.errors import DataError

_MOST_NAMED = 0.9
"""Minimum share of images whose names match a dataset's naming."""


@dataclass(frozen=True)
class Location:
    """The target of a path.

    Attributes:
        tree: The files; for a single file its folder.
        file: The file in the tree, if the path is a file.
    """

    tree: FileTree
    file: str | None = None


@dataclass(frozen=True)
class Recognition:
    """Recognised format of a path.

    Attributes:
        form: One of `FORMATS`.
        reason: Why it has this format, as a clause.
        notes: Further findings, as sentences for the user.
    """

    form: str
    reason: str
    notes: tuple[str, ...] = ()


def locate(path: str) -> Location:
    """Opens a folder, an archive, a file, or a folder or file in an archive.

    Raises:
        DataError: If it does not exist or cannot be read.
    """
    location = Path(path)
    if location.is_dir():
        return Location(with_shards(open_tree(location)))
    if location.is_file():
        return (
            Location(open_tree(location))
            if is_archive(location)
            else Location(file_tree(location), location.name)
        )
    for parent in location.parents:
        if parent.is_file() and is_archive(parent):
            return _inside(open_tree(parent), location.relative_to(parent).as_posix(), path)
    # Never treated as `owner/name` of a hub dataset: a mistyped path must not cause a network
    # request.
    raise DataError(
        f"{path} does not exist. Give a file, a folder, or `{SYNTHETIC}`; for a dataset of the "
        "Hugging Face hub, pass --format huggingface as well."
    )


def _inside(tree: FileTree, name: str, path: str) -> Location:
    if name in tree.names:
        folder, _, file = name.rpartition("/")
        return Location(tree.below(folder), file)
    below = tree.below(name)
    if not below.files:
        raise DataError(f"{path} does not exist: {tree.shown} holds no {name}.")
    return Location(below)


def recognise(path: str) -> str:
    """Returns the format of a path; `folder` if it is not a known dataset.

    Raises:
        DataError: If the path does not exist or is ambiguous.
    """
    return SYNTHETIC if path == SYNTHETIC else recognise_location(locate(path)).form


def recognise_location(
    location: Location, columns: Columns | None = None, annotation: str | None = None
) -> Recognition:
    """Returns the format of a location.

    Args:
        location: The target of the path.
        columns: Columns named by the user.
        annotation: `table` or `folder`, if the user chose between them.

    Raises:
        DataError: If there are several datasets, or table and folders contradict each other.
    """
    if location.file is not None:
        return _recognise_file(location.tree, location.file)
    tree = location.tree
    if published := _one_of(tree, {form: find(tree) for form, (find, _) in _PUBLISHED.items()}):
        form, name = published
        return Recognition(form, f"{name} is {_PUBLISHED[form][1]}")
    if tables := _recognise_tables(tree):
        return tables
    pairs = find_labelled_pictures(tree)
    if pairs and not (face_boxes(tree) and _has_labels(tree, columns or Columns())):
        return Recognition("yolo", f"{len(pairs):,} images have label files in YOLO's form")
    if not any(map(is_image, tree.files)) and (other := _recognise_unread(tree)):
        return other
    return _recognise_pictures(tree, columns or Columns(), annotation)


def _has_labels(tree: FileTree, columns: Columns) -> bool:
    """Whether a table or class folders give emotions."""
    folders = [name for folders in find_class_folders(tree) for name in folders.counts]
    return any(map(emotion_of, folders)) or bool(find_tables(tree, columns))


def _recognise_unread(tree: FileTree) -> Recognition | None:
    """Recognises files without pictures, so that their reader names what is missing.

    Raises:
        DataError: If a parquet file names pictures that are not there.
    """
    if lists := _parquet(tree, "list"):
        raise DataError(
            f"{lists[0]} names picture files, but {tree.shown} holds none. Put the pictures beside "
            "it, or give the folder that holds both."
        )
    if parquet := _parquet(tree, "other"):
        return Recognition("huggingface", _counted(parquet))
    return Recognition("arrays", "there are NumPy files") if has_arrays(tree) else None


def _recognise_tables(tree: FileTree) -> Recognition | None:
    """Recognises files that hold many images each: parquet, csv of pixels, arrays.

    Raises:
        DataError: If there are several datasets.
    """
    readings: dict[str, tuple[str, Recognition]] = {}
    tables = find_pixel_tables(tree)
    for name in tables[:1] if split_files(tables) else tables:
        reading = Recognition("fer2013", f"{name} has a column of pixels")
        readings[name] = ("csv of pixels", reading)
    for pair in find_arrays(tree)[:1]:
        reason = f"{pair.images.path} and {pair.labels[0].path} are arrays"
        readings[pair.images.path] = ("arrays of images", Recognition("arrays", reason))
    if parquet := _parquet(tree, "pictures"):
        reading = Recognition("huggingface", _counted(parquet))
        folder = parquet[0].rpartition("/")[0] or parquet[0]  # class folders may be in the root
        readings[folder] = (f"{len(parquet)} parquet files", reading)
    if not readings:
        return None
    candidates = {name: kind for name, (kind, _) in readings.items()}
    for folders in find_class_folders(tree):
        if folders.says_classes:
            candidates[folders.root] = f"{folders.images:,} images in class folders"
    candidates |= dict.fromkeys(_archives(tree), "an archive; unpack it first")
    if len(candidates) > 1:
        raise DataError(several(tree, candidates))
    return next(reading for _, reading in readings.values())


def _recognise_file(tree: FileTree, name: str) -> Recognition:
    if name.lower().endswith(SUFFIXES) and content_of(tree, name) != "list":
        return Recognition("huggingface", "it is a parquet or Arrow file")
    if name.lower().endswith(".npz"):
        return Recognition("arrays", "it is a .npz file")
    if name.lower().endswith(".npy"):
        raise DataError(
            f"{name} is one array. Give the folder that holds images and labels; if it holds other "
            "datasets too, with --format arrays."
        )
    if find_affectnet_lists(tree):
        return Recognition("affectnet", f"{name} has the header of AffectNet's lists")
    if find_rafdb_lists(FileTree(tree.shown, tree.title, tree.store, (name,))):
        return Recognition("rafdb", f"{name} is RAF-DB's list")
    if find_pixel_tables(FileTree(tree.shown, tree.title, tree.store, (name,), prefix=tree.prefix)):
        return Recognition("fer2013", f"{name} has a column of pixels")
    if is_image(name):
        raise DataError(f"{name} is a single picture. Give the folder of the pictures.")
    is_xml = name.lower().endswith(".xml")
    if (unread := unread_kind(name)) and not is_xml:
        kind, remedy = unread
        raise DataError(f"{name} is not read: {kind} are not supported. {remedy}.")
    if is_xml or (is_table_name(name) and not _may_be_pixels(tree, name)):
        return Recognition("list", f"{name} is a table or list")
    return Recognition("fer2013", f"{name} is a csv")


def _parquet(tree: FileTree, content: Content) -> list[str]:
    """Returns the parquet files of a tree that have a content."""
    return [name for name in data_files(tree) if content_of(tree, name) == content]


def _counted(files: list[str]) -> str:
    return f"there are {len(files)} parquet or Arrow files"


def _may_be_pixels(tree: FileTree, name: str) -> bool:
    """Whether a table has no image column, so that a message about pixels is more useful."""
    if name.lower().endswith(".parquet"):
        return False
    first = tree.text(name, 4096).partition("\n")[0].lower()
    return "pixels" in first or ("emotion" in first and "usage" in first)


def _archives(tree: FileTree) -> list[str]:
    return [name for name in tree.files if name.lower().endswith((".zip", ".tar", ".gz", ".tgz"))
            and not name.lower().endswith((".csv.gz", ".tsv.gz", ".txt.gz"))]  # fmt: skip


def _vote_lists(tree: FileTree) -> list[str]:
    return find_vote_lists(tree)[:1]  # one per split


def _affectnet_lists(tree: FileTree) -> list[str]:
    folders = {name.rpartition("/")[0] for name in find_affectnet_lists(tree)}
    return sorted(folder or "the folder" for folder in folders)


def _affectnet_arrays(tree: FileTree) -> list[str]:
    root = find_affectnet_arrays(tree)
    return [] if root is None else [root or "the folder"]


_PUBLISHED: dict[str, tuple[Callable[[FileTree], list[str]], str]] = {
    "rafdb": (find_rafdb_lists, "RAF-DB's list of labels"),
    "affectnet": (
        lambda tree: _affectnet_lists(tree) or _affectnet_arrays(tree),
        "an annotation of AffectNet",
    ),
    "ferplus": (_vote_lists, "a list of FER+ votes"),
    "expw": (find_expw_lists, "a list in ExpW's form"),
    "ckplus": (lambda tree: find_ckplus_labels(tree)[:1], "a label of CK+"),
}
"""By format: returns its files in a tree, one for each data set, and what such a file is."""


def _one_of(tree: FileTree, matches: dict[str, list[str]]) -> tuple[str, str] | None:
    pairs = [(form, name) for form, names in matches.items() for name in names]
    if len(pairs) > 1:
        raise DataError(several(tree, {name: _PUBLISHED[form][1] for form, name in pairs}))
    return pairs[0] if pairs else None


def _recognise_pictures(tree: FileTree, columns: Columns, annotation: str | None) -> Recognition:
    """Recognises image datasets by tables, file names and class folders."""
    pictures = [name for name in tree.files if is_image(name)]
    folders = [folders for folders in find_class_folders(tree) if folders.says_classes]
    tables = [] if annotation == "folder" else find_tables(tree, columns)
    named = {
        "rafdb": _mostly(pictures, is_rafdb_name) and bool(folders),
        "fer2013": _mostly(pictures, is_fer2013_name) and bool(folders),
    }
    form = next((form for form, holds in named.items() if holds), None)
    notes: tuple[str, ...] = ()
    if tables and annotation != "table":
        decided = _table_or_folders(tree, tables, columns, form)
        if decided is not None:
            return decided
        shown = ", ".join(table.name for table in tables[:4])
        notes = (f"{shown} agrees with the class folders.",)
    elif tables:
        return Recognition("list", f"{tables[0].name} lists the pictures")
    else:
        notes = tuple(unused_tables(tree))
    if form is not None:
        example = PurePosixPath(pictures[0]).name
        return Recognition(form, f"the files are named as in {form}, such as {example}", notes)
    naming = naming_of([PurePosixPath(name).stem for name in pictures])
    emotions = any(emotion_of(name) for matches in folders for name in matches.counts)
    if naming in NAMED and not emotions:
        own = naming.lower() if naming in ("KDEF", "JAFFE") else "named"
        return Recognition(own, f"the files are named as in {naming}", notes)
    if not folders and not tables:
        ask_for_labels(tree, columns)
    return Recognition("folder", "there are folders of images", notes)


def _mostly(pictures: list[str], test: Callable[[str], bool]) -> bool:
    return bool(pictures) and sum(map(test, pictures)) >= _MOST_NAMED * len(pictures)


def _table_or_folders(
    tree: FileTree, tables: list[AnnotationTable], columns: Columns, form: str | None
) -> Recognition | None:
    """Returns the recognition by tables beside folders; None if the folders agree."""
    reason = f"{tables[0].name} lists the pictures"
    if is_affectnet_table(tables[0]):
        return Recognition("affectnet", f"{tables[0].name} is AffectNet's table on Kaggle")
    if tables[0].clips:  # the numbers of the clips' folders are no classes
        return Recognition("list", reason)
    compared = compare_tables(tree, tables, columns)
    if compared.same + compared.different == 0:
        return Recognition("list", reason)
    if compared.different == 0 and (compared.unlisted == 0 or form is not None):
        codes = [code_of(name) for f in find_class_folders(tree) for name in f.counts]
        return None if form is not None or None not in codes else Recognition("list", reason)
    by_folder = ", ".join(
        f"{name} {count:,}"
        for folders in find_class_folders(tree)
        for name, count in sorted(folders.counts.items())[:12]
    )
    raise DataError(
        f"{tree.shown} holds class folders and {tables[0].name}, and they differ: for "
        f"{compared.different:,} of {compared.same + compared.different:,} pictures they name "
        f"different classes, and {compared.unlisted:,} pictures are not in the table.\n"
        f"  --annotation table   {table_counts(tree, tables, columns)}\n"
        f"  --annotation folder  {by_folder}\n"
        "Choose the labels with one of these options."
    )
