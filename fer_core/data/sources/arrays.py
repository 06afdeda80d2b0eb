"""Datasets of NumPy arrays: a `.npz` file, or several `.npy` files."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fer_core.data.sources.array_files import (
    MOST_CLASSES,
    MOST_FILES,
    ArrayFile,
    Pair,
    array_files,
    check_pairs,
    find_pairs,
)
from fer_core.data.sources.base import FileStat, Origin, Sample, SampleEntry, Skipped
from fer_core.data.sources.class_names import ClassNames, code_of, emotion_of
from fer_core.data.sources.files import COLOUR_SAMPLE, is_coloured, need_tree
from fer_core.data.sources.tables import NO_LABEL, is_unlabelled, text_of
from fer_core.data.sources.tree import FileTree
from fer_core.errors import DataError

_LAYOUT = "Give a .npz file, or a folder of .npy files, with one array of images and one of labels"
_TOLERANCE = 1e-3
"""Resizing and conversion move values beyond 0, 1 and 255 by rounding errors."""

_Labels = list[str | None]


class ArraysSource:
    """Images and labels in NumPy arrays.

    Arrays of images are known by their shape, arrays of labels by their name: `y_train`, `labels`,
    `emotions`. Images are uint8, or numbers in 0 to 1 or 0 to 255, of shape (N, H, W),
    (N, H, W, C), (N, C, H, W) or (N, pixels) of squares; three channels are red, green and blue.
    Labels are names, numbers, or one column per class with a single 1. An array of the classes'
    names, if there is one, names the numbers.

    Args:
        location: A `.npz` file, or a folder or archive of `.npy` or `.npz` files.
        names: Interpretation of class names.
        label: Name of the array of labels; by default it is searched for.

    Attributes:
        left_out: Number of images that are left out unread, by reason.
        notes: Assumptions of the reader.

    Raises:
        DataError: If the arrays do not fit together, or their values are not known to be images.
    """

    maps_names = True

    def __init__(
        self,
        location: Path | FileTree,
        names: ClassNames | None = None,
        label: str | None = None,
    ) -> None:
        self._tree = need_tree(location, _LAYOUT)
        arrays = array_files(self._tree, damaged_too=True)
        self._pairs = find_pairs(arrays, label)
        if not self._pairs:
            raise DataError(_no_pair(self._tree, arrays))
        notes = check_pairs(self._pairs, arrays)
        labels = [_agreed(pair) for pair in self._pairs]
        paths = {array.path for pair in self._pairs for array in pair.labels}
        others = [array for array in arrays if array.path not in paths]
        self._labels, more = _named(labels, _class_names(others))
        counts = Counter(label for part in self._labels for label in part if label is not None)
        shown_labels = ", ".join(pair.labels[0].path for pair in self._pairs)
        reading = (names or ClassNames()).read(counts, f"{shown_labels} in {self._tree.shown}")
        self._meanings = reading.labels
        self.left_out = Counter(reading.left_out(counts))
        images = ", ".join(pair.images.path for pair in self._pairs)
        first = f"Images are read from {images}; labels from {shown_labels}."
        self.notes = [first, *notes, *more, *reading.notes]

    @property
    def origin(self) -> Origin:
        """Named after the file or folder; the licence is unknown."""
        return Origin(
            name="arrays",
            title=self._tree.title,
            licence="Not known to FERscope: see where the images come from.",
            reference="",
        )

    @cached_property
    def colour(self) -> bool:
        """Whether one of 50 images of a split, evenly spaced, is not grey."""
        return any(
            is_coloured(part.picture(row).convert("RGB"))
            for part in self._images
            for row in np.linspace(0, len(part.values) - 1, COLOUR_SAMPLE, dtype=int)
        )

    def __len__(self) -> int:
        return sum(1 for _ in self.entries())

    def entries(self) -> Iterator[SampleEntry | Skipped]:
        """Yields the metadata of the images without reading them."""
        for _, _, entry in self._entries():
            yield entry

    def __iter__(self) -> Iterator[Sample | Skipped]:
        """Yields the images in the order of the arrays."""
        return self.items()

    def items(self, start: int = 0) -> Iterator[Sample | Skipped]:
        """Yields the images from a position on."""
        for part, row, entry in islice(self._entries(), start, None):
            if isinstance(entry, Skipped):
                yield entry
                continue
            picture = self._images[part].picture(row)
            yield Sample(
                key=entry.key,
                image=np.asarray(picture.convert("RGB" if self.colour else "L")),
                label=entry.label,
                split=entry.split,
            )

    def stats(self) -> Iterator[FileStat]:
        """Yields size and modification time of the files, or of their archive."""
        yield from self._tree.stats()

    def _entries(self) -> Iterator[tuple[int, int, SampleEntry | Skipped]]:
        """Yields the split's position, the row, and the metadata."""
        for part, (pair, labels) in enumerate(zip(self._pairs, self._labels, strict=True)):
            for row, label in enumerate(labels):
                key = f"{pair.split or 'all'}/{row:06d}"
                if label is None:
                    yield part, row, Skipped(key, NO_LABEL)
                elif self._meanings[label]:
                    yield part, row, SampleEntry(key, self._meanings[label], pair.split)

    @cached_property
    def _images(self) -> list["_Images"]:
        return [_Images.read(pair.images) for pair in self._pairs]


def find_arrays(tree: FileTree) -> list[Pair]:
    """Returns the images and labels of each split of a tree; empty if it has none."""
    return find_pairs(_arrays_of(tree))


def has_arrays(tree: FileTree) -> bool:
    """Whether a tree has NumPy files, also such that are not images with labels."""
    return bool(_arrays_of(tree))


def _arrays_of(tree: FileTree) -> list[ArrayFile]:
    names = [name for name in tree.files if name.lower().endswith((".npy", ".npz"))]
    return array_files(tree) if 0 < len(names) <= MOST_FILES else []


def _no_pair(tree: FileTree, arrays: Sequence[ArrayFile]) -> str:
    """Returns the message on arrays that are not images with labels; lists them."""
    listed = ", ".join(f"{array.path} {array.shape}" for array in arrays[:8]) or "no array"
    return (
        f"{tree.shown} holds {listed}, and none of them are images with labels of the same number. "
        f"{_LAYOUT}, named y or labels, or name it with --label."
    )


@dataclass(frozen=True)
class _Images:
    """The images of an array.

    Attributes:
        values: Shape (N, H, W) or (N, H, W, C).
        scale: Factor to 0 to 255.
    """

    values: NDArray[Any]
    scale: float

    @classmethod
    def read(cls, file: ArrayFile) -> "_Images":
        """Reads an array.

        Raises:
            DataError: If its values are neither in 0 to 1 nor in 0 to 255.
        """
        values = file.load()
        if values.ndim == 2:
            side = math.isqrt(values.shape[1])
            values = values.reshape(len(values), side, side)
        if values.ndim == 4 and values.shape[3] not in (1, 3, 4):
            values = values.transpose(0, 2, 3, 1)
        if values.ndim == 4 and values.shape[3] == 1:
            values = values[..., 0]
        low, high = float(values.min()), float(values.max())
        is_share = values.dtype.kind == "f" and high <= 1 + _TOLERANCE
        scale = 255.0 if is_share else 1.0
        # nothing between: numbers up to 2 are neither shares nor the values of a photograph
        if not (-_TOLERANCE * 255 / scale <= low and (is_share or 2 < high <= 255 + _TOLERANCE)):
            raise DataError(
                f"{file.path} holds values from {low:.4g} to {high:.4g}, so it is not known how "
                "they become pixels. Save the images before they are normalised: 0 to 255, or 0 "
                "to 1 as floats."
            )
        return cls(values, scale)

    def picture(self, row: int) -> Image.Image:
        """Returns an image."""
        values = self.values[row]
        if values.dtype != np.uint8:
            values = np.rint(values.astype(np.float64) * self.scale).clip(0, 255)
        return Image.fromarray(np.ascontiguousarray(values, dtype=np.uint8))


def _agreed(pair: Pair) -> _Labels:
    """Returns the labels of a split.

    Raises:
        DataError: If several arrays may hold them and differ.
    """
    first, *others = map(_labels, pair.labels)
    if any(other != first for other in others):
        raise DataError(
            f"{', '.join(array.path for array in pair.labels)} may all be the labels of "
            f"{pair.images.path}, and they differ. Name one with --label."
        )
    return first


def _labels(file: ArrayFile) -> _Labels:
    """Returns the class name or number of each row; None without a label.

    Raises:
        DataError: If an array with a column per class has several in a row.
    """
    values = file.load()
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 2:
        chosen = values.astype(np.float64)
        if not (np.isin(chosen, (0, 1)).all() and (chosen.sum(axis=1) <= 1).all()):
            raise DataError(
                f"{file.path} has {values.shape[1]} columns, but not a single 1 in each row. Save "
                "one label per image."
            )
        values = np.where(chosen.any(axis=1), chosen.argmax(axis=1), -1)
    texts = [text_of(_decoded(value)) for value in values.tolist()]
    return [None if is_unlabelled(text) else text for text in texts]


def _class_names(arrays: Sequence[ArrayFile]) -> list[str]:
    """Returns the classes' names, in the order of their numbers; empty if no array has them."""
    for array in arrays:
        if array.dtype.kind in "SU" and len(array.shape) == 1 and array.shape[0] <= MOST_CLASSES:
            names = [str(_decoded(value)) for value in array.load()]
            emotions = {emotion_of(name) for name in names}
            if None not in emotions and len(emotions) == len(names):
                return names
    return []


def _named(parts: Sequence[_Labels], classes: Sequence[str]) -> tuple[list[_Labels], list[str]]:
    """Returns the labels with the classes' names in place of numbers, and notes.

    Numbers that start at 1 or exceed the names are kept: the names may belong to other numbers.
    """
    codes = {code_of(label) for part in parts for label in part if label is not None}
    numbers = {code for code in codes if code is not None}
    if not classes or None in codes:
        return list(parts), []
    if 0 not in numbers or max(numbers) >= len(classes):
        return list(parts), [
            f"The names {', '.join(classes)} are not used: the labels are the numbers "
            f"{', '.join(map(str, sorted(numbers)))}, not 0 to {len(classes) - 1}."
        ]
    named = {str(number): name for number, name in enumerate(classes)}
    return [[label and named[str(code_of(label))] for label in part] for part in parts], []


def _decoded(value: Any) -> Any:  # noqa: ANN401 (a cell of any type)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
