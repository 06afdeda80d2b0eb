"""A folder of images by class: `<class>/<image>`, or `<split>/<class>/<image>`."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from fer_core.data.sources.base import Origin, Skipped, Split
from fer_core.data.sources.files import (
    SUFFIXES,
    ImageFile,
    ImageFiles,
    holds_images,
    need_folder,
    printable,
    visible,
)
from fer_core.errors import DataError
from fer_core.labels import canonical_name

SPLIT_NAMES: Mapping[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "publictest": "validation",
    "test": "test",
    "testing": "test",
    "privatetest": "test",
}
"""Names of split folders, lower case. FER2013 calls its validation split PublicTest."""

_LAYOUT = "Give a folder that holds one folder of images for each class, or train and test folders"


class FolderSource(ImageFiles):
    """Images in class folders, with or without split folders above them.

    Class names are made canonical (`Anger` is `angry`) and then mapped; folders that come to the
    same name are one class. Names beginning with a dot or two underscores (`__MACOSX`) are
    ignored, and so are images outside of class folders. Links that lead out of the folder are
    not followed but listed as skipped. A sample's key is its path below the folder.

    Args:
        path: The folder.
        mapping: Class names by the folder's class names, both in any case; a class that is
            mapped to an empty string is left out.

    Attributes:
        left_out: Number of images that were left out without being read, by reason.

    Raises:
        DataError: If the folder does not hold this layout, a class folder has no image file,
            there are fewer than two classes, train or test is missing where there are split
            folders, the splits differ in their classes, or the mapping names no class of the
            folder. Names the folder.
    """

    def __init__(self, path: Path, *, mapping: Mapping[str, str] | None = None) -> None:
        need_folder(path, _LAYOUT)
        self._root = path
        # Not Path.resolve: it raises on a link that leads to itself.
        self._real_root = Path(os.path.realpath(path))
        self._mapping = {
            canonical_name(old): canonical_name(new) for old, new in (mapping or {}).items()
        }
        self._folder_classes: set[str] = set()
        self.left_out: Counter[str] = Counter()
        self._skipped: list[Skipped] = []
        try:
            files = list(self._scan())
        except OSError as error:
            raise DataError(
                f"{error.filename or path} cannot be read ({error.strerror}). "
                "Check the rights on the folder and its files."
            ) from error
        _check_splits(path, files)
        self._check_mapping()
        super().__init__(path, [*self._describe(files), *self._skipped])

    @property
    def origin(self) -> Origin:
        """The folder's name stands for the dataset's; its licence is not known."""
        return Origin(
            name="folder",
            title=printable(self._real_root.name) or "Folder",
            licence="Not known to FERscope: see where the images come from.",
            reference="",
        )

    def _native_name(self, folder: str) -> str:
        """Returns the class that a folder's name means, by the dataset's own codes."""
        return canonical_name(folder)

    def _is_foreign(self, label: str) -> bool:
        """Whether a class that the mapping does not name is none of the dataset's emotions."""
        return False

    def _split_of(self, folder: Path, folders: list[Path]) -> Split | None:
        """Returns the split that a folder beside others is, or None if it is none."""
        return SPLIT_NAMES.get(folder.name.lower())

    def _describe(self, files: list[ImageFile]) -> Iterable[ImageFile]:
        """Completes what the layout says of the files with what the dataset's names say."""
        return files

    def _scan(self) -> Iterator[ImageFile]:
        folders = list(self._subfolders(self._root))
        by_split = [(folder, self._split_of(folder, folders)) for folder in folders]
        if not any(split for _, split in by_split):
            yield from self._scan_classes(self._root, folders, None)
            return
        for folder, split in by_split:
            if split is not None:
                yield from self._scan_classes(folder, list(self._subfolders(folder)), split)
            elif holds_images(folder):
                raise DataError(
                    f"{folder} stands beside split folders and holds images, but is no split "
                    "itself. Move it into a split folder or away, or remove the split folders so "
                    "that FERscope splits the set."
                )

    def _scan_classes(
        self, parent: Path, folders: list[Path], split: Split | None
    ) -> Iterator[ImageFile]:
        if not folders:
            raise DataError(f"{parent} holds no class folders. {_LAYOUT}.")
        for folder in folders:
            name = self._native_name(printable(folder.name))
            self._folder_classes.add(name)
            label = self._mapping.get(name, "" if self._is_foreign(name) else name)
            if label:
                yield from self._scan_class(folder, label, split)
            else:
                images = sum(path.suffix.lower() in SUFFIXES for path in visible(folder))
                self.left_out[f"the class {name} is left out"] += images

    def _scan_class(self, folder: Path, label: str, split: Split | None) -> Iterator[ImageFile]:
        files = [path for path in visible(folder) if path.suffix.lower() in SUFFIXES]
        count = 0
        for path in files:
            if self._is_usable(path):
                count += 1
                yield ImageFile(path, self._key(path), label, split)
        for nested in self._subfolders(folder):
            if holds_images(nested):
                raise DataError(
                    f"{nested} is a folder of images inside a class folder. Move its images into "
                    f"{folder.name}, or give the folder in which the class folders stand."
                )
        if count == 0:
            raise DataError(
                f"The class folder {folder} has no image file ({', '.join(sorted(SUFFIXES))}; "
                "links that lead out of the folder do not count). Add images or remove the folder."
            )

    def _subfolders(self, folder: Path) -> Iterator[Path]:
        for path in visible(folder):
            if path.is_dir() and not self._leads_out(path):
                yield path

    def _is_usable(self, path: Path) -> bool:
        """Whether a path is a file to read; lists it as skipped if it only looks like one."""
        if path.is_dir() or self._leads_out(path):
            return False
        if not path.is_file():
            # Reading a pipe would wait for ever.
            self._skipped.append(
                Skipped(self._key(path), f"{printable(path.name)} is no regular file.")
            )
            return False
        return True

    def _leads_out(self, path: Path) -> bool:
        """Whether a path is a link out of the folder; if so, lists it as skipped."""
        if not path.is_symlink():
            return False
        if Path(os.path.realpath(path)).is_relative_to(self._real_root):
            return False
        self._skipped.append(
            Skipped(
                self._key(path),
                f"{printable(path.name)} is a link that leads out of the folder. "
                "Copy what it points to into the folder.",
            )
        )
        return True

    def _key(self, path: Path) -> str:
        return printable(path.relative_to(self._root).as_posix())

    def _check_mapping(self) -> None:
        if unknown := sorted(set(self._mapping) - self._folder_classes):
            raise DataError(
                f"The mapping names {', '.join(unknown)}, but the classes in {self._root} are "
                f"{', '.join(sorted(self._folder_classes))}. Correct the names."
            )


def _check_splits(root: Path, files: Iterable[ImageFile]) -> None:
    classes: dict[Split | None, set[str]] = {}
    for file in files:
        classes.setdefault(file.split, set()).add(str(file.label))
    known = set().union(*classes.values())
    if len(known) < 2:
        raise DataError(
            f"{root} has too few classes ({', '.join(sorted(known)) or 'none'}): at least two are "
            "needed. Give the folder in which the class folders or split folders stand, and look "
            "at the mapping if there is one."
        )
    if None in classes:
        return
    for needed in ("train", "test"):
        if needed not in classes:
            raise DataError(
                f"{root} has split folders but none for {needed}. Add a {needed} folder, or put "
                "the class folders right into it so that FERscope splits the set."
            )
    for split, held in classes.items():
        if missing := sorted(known - held):
            raise DataError(
                f"The class {missing[0]!r} has a folder in another split of {root}, but none in "
                f"{split}. Add images of it to {split}, or leave the class out."
            )
