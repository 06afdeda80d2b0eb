"""A folder of images by class: `<class>/<image>`, or `<split>/<class>/<image>`."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import ClassVar

from fer_core.data.picture_files import readable_suffixes
from fer_core.data.sources.base import Origin
from fer_core.data.sources.class_folders import ClassFolders, choose_class_folders, pattern_hint
from fer_core.data.sources.class_names import ClassNames, Listed, code_of, emotion_of
from fer_core.data.sources.files import ImageFile, ImageFiles, is_image, need_tree
from fer_core.data.sources.split_names import split_of_folder
from fer_core.data.sources.tree import FileTree, printable
from fer_core.data.sources.unread import unread_files
from fer_core.errors import DataError

_NO_PICTURES = (
    ".txt", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".md", ".html", ".db",
    ".ini", ".npy", ".npz", ".mat", ".pts", ".pkl", ".zip", ".lnk",
)  # fmt: skip
"""Suffixes of files that often stand beside pictures."""

LAYOUT = "Give a folder that holds one folder of images for each class, or train and test folders"


class FolderSource(ImageFiles):
    """Images in class folders, with or without split folders above them, at any depth.

    Class names are made canonical (`Anger` is `angry`) and mapped; folders with the same resulting
    name are merged. Names beginning with a dot or two underscores (`__MACOSX`) are ignored. Links
    that point outside the folder are listed as skipped. A sample's key is its path below the parent
    of the class or split folders.

    Args:
        location: The folder or archive, or a parent of it.
        mapping: Class names by the folder's class names, both in any case; a class that is
            mapped to an empty string is left out.
        codes: Meaning of class numbers; a key of `CODE_TABLES`.
        any_classes: Whether classes that are not emotions are accepted.
        listed: The dataset's list of class names, for class numbers.

    Attributes:
        left_out: Number of images that were left out without being read, by reason.
        notes: Assumptions of the reader.

    Raises:
        DataError: If there are no class folders or several sets of them, a class folder is empty,
            the meaning of a number is unknown, no class is an emotion, there are fewer than two
            classes, or the mapping names an unknown class.
    """

    default_codes: ClassVar[str | None] = None
    """Key of `CODE_TABLES` for the class numbers of this dataset; None if they have no meaning."""
    foreign: ClassVar[frozenset[str]] = frozenset()
    """Classes that are left out unless they are mapped."""

    def __init__(
        self,
        location: Path | FileTree,
        *,
        mapping: Mapping[str, str] | None = None,
        codes: str | None = None,
        any_classes: bool = False,
        listed: Listed | None = None,
    ) -> None:
        tree = need_tree(location, LAYOUT)
        self._title = tree.title
        classes, notes = choose_class_folders(tree, LAYOUT)
        _check_folders(tree, classes, mapping or {})
        notes += _note_other_files(tree, classes)
        whole, tree = tree, tree.below(classes.root)
        if classes.root:
            notes.insert(0, f"The class folders were found in {classes.root}.")
            self._title = tree.title
        names = ClassNames(
            mapping=_of_classes(mapping or {}, tree, classes),
            codes=codes or self.default_codes,
            left_out=self.foreign,
            any_classes=any_classes,
            formats=True,
            listed=listed,
        )
        counts = classes.counts
        try:
            reading = names.read(counts, tree.shown)
        except DataError as error:
            more = f"{pattern_hint(whole)} {unread_files(whole)}".strip()
            raise DataError(f"{error} {more}".strip()) from error
        self.left_out: Counter[str] = Counter(reading.left_out(counts))
        self.notes = [*notes, *reading.notes]
        files = _files(classes, reading.labels)
        _check_classes(tree.shown, files)
        self._note_persons(files)
        super().__init__(tree, [*self._describe(files), *tree.skipped])

    @property
    def origin(self) -> Origin:
        """Named after the folder; the licence is unknown."""
        return Origin(
            name="folder",
            title=self._title,
            licence="Not known to FERscope: see where the images come from.",
            reference="",
        )

    def _note_persons(self, files: list[ImageFile]) -> None:
        """Notes the persons in folder names."""
        if folders := {file.group for file in files if file.group}:
            shown = ", ".join(sorted(folders)[:3])
            self.notes.append(
                f"The {len(folders)} folders inside or above the class folders ({shown}, ...) are "
                "read as persons; each stays in one split."
            )

    def _describe(self, files: list[ImageFile]) -> Iterable[ImageFile]:
        """Completes the metadata of the files with that of the dataset's file names."""
        return files


def _note_other_files(tree: FileTree, classes: ClassFolders) -> list[str]:
    """Names files of the class folders that may be pictures, but have no picture's suffix."""
    others = [
        name
        for folder in classes.folders
        for name in tree.by_folder[folder.folder]
        if not is_image(name) and not name.lower().endswith(_NO_PICTURES)
    ]
    if not others:
        return []
    return [
        f"Not read: {len(others):,} files of the class folders without the suffix of a picture, "
        f"such as {printable(others[0])}. Rename them if they are pictures."
    ]


def _files(classes: ClassFolders, labels: Mapping[str, str]) -> list[ImageFile]:
    start = len(classes.root) + 1 if classes.root else 0
    return [
        ImageFile(
            name[start:],
            printable(name[start:]),
            labels[folder.name],
            folder.split,
            group=folder.group,
        )
        for folder in classes.folders
        if labels[folder.name]
        for name in folder.images
    ]


def _check_folders(tree: FileTree, classes: ClassFolders, mapping: Mapping[str, str]) -> None:
    """Refuses images beside split folders, and class or split folders without images."""
    if len({folder.split is None for folder in classes.folders}) > 1:
        beside = next(folder for folder in classes.folders if folder.split is None)
        raise DataError(
            f"{tree.shown}/{beside.folder} stands beside split folders and holds images, but is no "
            "split itself. Move it into a split folder or away, or remove the split folders so "
            "that FERscope splits the set."
        )
    read = {folder.folder for folder in classes.folders} | set(classes.unsorted)
    parents = {folder.folder.rpartition("/")[0] for folder in classes.folders}
    ignored = {name.lower() for name, label in mapping.items() if not label}
    for folder in tree.folders:
        parent, _, name = folder.rpartition("/")
        if folder in read or any(other.startswith(f"{folder}/") for other in read):
            continue
        if parent in parents and (emotion_of(name) or code_of(name) is not None):
            if name.lower() not in ignored:
                raise DataError(
                    f"The class folder {tree.shown}/{folder} has no image file "
                    f"({', '.join(sorted(readable_suffixes())[:6])} ...; links that lead out "
                    "of it do not count). Add images or remove the folder, or pass "
                    f"`--map-class {name}=`."
                )
        elif parent == classes.root and split_of_folder(name) and classes.folders[0].split:
            raise DataError(f"{tree.shown}/{folder} holds no class folders. {LAYOUT}.")


def _of_classes(
    mapping: Mapping[str, str], tree: FileTree, classes: ClassFolders
) -> Mapping[str, str]:
    """Returns the mapping without class folders that are empty and left out."""
    names = {PurePosixPath(folder).name.lower() for folder in tree.folders}
    empty = names - {name.lower() for name in classes.counts}
    return {key: label for key, label in mapping.items() if label or key.lower() not in empty}


def _check_classes(where: str, files: list[ImageFile]) -> None:
    classes = sorted({str(file.label) for file in files})
    if len(classes) < 2:
        raise DataError(
            f"{where} has too few classes ({', '.join(classes) or 'none'}): at least two are "
            "needed. Give the folder in which the class folders or split folders stand, and look "
            "at --map-class if it is used."
        )
