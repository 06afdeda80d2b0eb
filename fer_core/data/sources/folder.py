"""A folder of images by class: `<class>/<image>`, or `<split>/<class>/<image>`."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image

from fer_core.data.imaging import MAX_BYTES, open_picture
from fer_core.data.sources.base import Origin, Sample, Skipped, Split
from fer_core.errors import DataError, ImageError
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

SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpe", ".jpeg", ".jpg", ".mpo", ".pbm", ".pgm", ".png", ".pnm", ".ppm"}
    | {".tif", ".tiff", ".webp"}
)
"""Endings of the files that are taken for images, lower case; other files are ignored."""

COLOUR_SAMPLE = 50
GREY_TOLERANCE = 8
"""Channels of a grey picture saved as colour JPEG differ by a few levels; tints by more."""

_LAYOUT = "Give a folder that holds one folder of images for each class, or train and test folders"


@dataclass(frozen=True)
class _File:
    path: Path
    key: str
    label: str
    split: Split | None


class FolderSource:
    """Images in class folders, with or without split folders above them.

    Class names are made canonical (`Anger` is `angry`) and then mapped; folders that come to the
    same name are one class. Names beginning with a dot or two underscores (`__MACOSX`) are
    ignored, and so are images outside of class folders. Links that lead out of the folder are
    not followed but listed as skipped. A sample's key is its path below the folder.

    Args:
        path: The folder.
        mapping: Class names by the folder's class names, both in any case; a class that is
            mapped to an empty string is left out.

    Raises:
        DataError: If the folder does not hold this layout, a class folder has no image file,
            there are fewer than two classes, train or test is missing where there are split
            folders, the splits differ in their classes, or the mapping names no class of the
            folder. Names the folder.
    """

    def __init__(self, path: Path, *, mapping: Mapping[str, str] | None = None) -> None:
        if not path.is_dir():
            problem = "is not a folder" if path.exists() else "does not exist"
            raise DataError(f"{path} {problem}. {_LAYOUT}.")
        self._root = path
        # Not Path.resolve: it raises on a link that leads to itself.
        self._real_root = Path(os.path.realpath(path))
        self._mapping = {
            canonical_name(old): canonical_name(new) for old, new in (mapping or {}).items()
        }
        self._folder_classes: set[str] = set()
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
        self._items: list[_File | Skipped] = sorted(
            [*files, *self._skipped], key=lambda item: item.key
        )

    @property
    def origin(self) -> Origin:
        """The folder's name stands for the dataset's; its licence is not known."""
        return Origin(
            name="folder",
            title=_printable(self._real_root.name) or "Folder",
            licence="Not known to FERscope: see where the images come from.",
            reference="",
        )

    @cached_property
    def colour(self) -> bool:
        """Whether any of 50 readable images, evenly spaced over the folder, is not grey."""
        files = [item for item in self._items if isinstance(item, _File)]
        parts = min(COLOUR_SAMPLE, len(files))
        bounds = np.linspace(0, len(files), parts + 1).astype(int).tolist()
        return any(_first_is_coloured(files[start:end]) for start, end in pairwise(bounds))

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Sample | Skipped]:
        """Gives the images in the order of their keys, one in memory at a time.

        Raises:
            DataError: At the end, if no image of some class and split could be read: a class
                must not vanish without a word.
        """
        readable: set[tuple[Split | None, str]] = set()
        for item in self._items:
            yield item if isinstance(item, Skipped) else self._read(item, readable)
        for item in self._items:
            if isinstance(item, _File) and (item.split, item.label) not in readable:
                where = f" of the {item.split} split" if item.split else ""
                raise DataError(
                    f"None of the images of the class {item.label!r}{where} in {self._root} could "
                    f"be read, {item.key} for one. Get the files again, or leave the class out."
                )

    def _read(self, file: _File, readable: set[tuple[Split | None, str]]) -> Sample | Skipped:
        try:
            picture = _decode(file.path)
        except ImageError as error:
            return Skipped(file.key, str(error))
        readable.add((file.split, file.label))
        image = np.asarray(picture if self.colour else picture.convert("L"), dtype=np.uint8)
        return Sample(key=file.key, image=image, label=file.label, split=file.split)

    def _scan(self) -> Iterator[_File]:
        folders = list(self._subfolders(self._root))
        by_split = [(folder, SPLIT_NAMES.get(folder.name.lower())) for folder in folders]
        if not any(split for _, split in by_split):
            yield from self._scan_classes(self._root, folders, None)
            return
        for folder, split in by_split:
            if split is not None:
                yield from self._scan_classes(folder, list(self._subfolders(folder)), split)
            elif _holds_images(folder):
                raise DataError(
                    f"{folder} stands beside split folders and holds images, but is no split "
                    "itself. Move it into a split folder or away, or remove the split folders so "
                    "that FERscope splits the set."
                )

    def _scan_classes(
        self, parent: Path, folders: list[Path], split: Split | None
    ) -> Iterator[_File]:
        if not folders:
            raise DataError(f"{parent} holds no class folders. {_LAYOUT}.")
        for folder in folders:
            name = canonical_name(_printable(folder.name))
            self._folder_classes.add(name)
            label = self._mapping.get(name, name)
            if label:
                yield from self._scan_class(folder, label, split)

    def _scan_class(self, folder: Path, label: str, split: Split | None) -> Iterator[_File]:
        files = [path for path in _visible(folder) if path.suffix.lower() in SUFFIXES]
        count = 0
        for path in files:
            if self._is_usable(path):
                count += 1
                yield _File(path, self._key(path), label, split)
        for nested in self._subfolders(folder):
            if _holds_images(nested):
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
        for path in _visible(folder):
            if path.is_dir() and not self._leads_out(path):
                yield path

    def _is_usable(self, path: Path) -> bool:
        """Whether a path is a file to read; lists it as skipped if it only looks like one."""
        if path.is_dir() or self._leads_out(path):
            return False
        if not path.is_file():
            # Reading a pipe would wait for ever.
            self._skipped.append(
                Skipped(self._key(path), f"{_printable(path.name)} is no regular file.")
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
                f"{_printable(path.name)} is a link that leads out of the folder. "
                "Copy what it points to into the folder.",
            )
        )
        return True

    def _key(self, path: Path) -> str:
        return _printable(path.relative_to(self._root).as_posix())

    def _check_mapping(self) -> None:
        if unknown := sorted(set(self._mapping) - self._folder_classes):
            raise DataError(
                f"The mapping names {', '.join(unknown)}, but the classes in {self._root} are "
                f"{', '.join(sorted(self._folder_classes))}. Correct the names."
            )


def _check_splits(root: Path, files: Iterable[_File]) -> None:
    classes: dict[Split | None, set[str]] = {}
    for file in files:
        classes.setdefault(file.split, set()).add(file.label)
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


def _visible(folder: Path) -> list[Path]:
    """Returns a folder's entries by name, without hidden ones and `__MACOSX`."""
    return [path for path in sorted(folder.iterdir()) if not path.name.startswith((".", "__"))]


def _holds_images(folder: Path) -> bool:
    """Whether an image file stands anywhere below a folder; links to folders are not followed."""
    return any(
        Path(name).suffix.lower() in SUFFIXES and not name.startswith(".")
        for _, _, names in os.walk(folder)
        for name in names
    )


def _printable(name: str) -> str:
    """Returns a file's name as text that can be saved, even if its bytes are not UTF-8."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _decode(path: Path) -> Image.Image:
    """Reads one picture as RGB.

    Raises:
        ImageError: If it cannot be read or decoded, or is too large.
    """
    name = _printable(path.name)
    try:
        size = path.stat().st_size
        # Checked before reading: a video with a wrong ending must not fill the memory.
        if size > MAX_BYTES:
            raise ImageError(
                f"{name} is {size / 2**20:.0f} MiB large; the limit is {MAX_BYTES // 2**20} MiB."
            )
        data = path.read_bytes()
    except OSError as error:
        raise ImageError(f"{name} cannot be read ({error.strerror}).") from error
    return open_picture(data, name)


def _first_is_coloured(files: Iterable[_File]) -> bool:
    """Whether the first readable picture among files is not grey; False if none is readable."""
    for file in files:
        try:
            pixels = np.asarray(_decode(file.path))
        except ImageError:
            continue
        return int((pixels.max(axis=2) - pixels.min(axis=2)).max()) > GREY_TOLERANCE
    return False
