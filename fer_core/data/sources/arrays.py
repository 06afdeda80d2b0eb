"""NumPy arrays of images and labels: a `.npz` file, or several `.npy` files.

Arrays are known by their shapes, not by their names: `X_train` and `y_train`, `images` and `labels`
or `fdataX` and `flabels` are read alike. Only the split comes from a name.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray
from PIL import Image

from fer_core.data.imaging import MIN_SIDE
from fer_core.data.sources.base import FileStat, Origin, Sample, SampleEntry, Skipped, Split
from fer_core.data.sources.class_names import ClassNames, emotion_of
from fer_core.data.sources.files import COLOUR_SAMPLE, is_coloured, need_tree
from fer_core.data.sources.split_names import split_in, split_of_path
from fer_core.data.sources.tables import NO_LABEL, is_unlabelled, text_of
from fer_core.data.sources.tree import FileTree, nested_zip
from fer_core.errors import DataError

MOST_FILES = 100
"""A folder with more `.npy` files holds one per image, which is another format."""

_MOST_BYTES = 8 * 2**30
_MOST_CLASSES = 100
_SPLIT = re.compile(r"train|valid|val|test", re.IGNORECASE)
_LABEL = re.compile(
    r"(?i:label|emotion|expression|target)|^y|[_a-z0-9]Y$|_y$|y_?(?=train|val|test)"
)
_LAYOUT = "Give a .npz file, or a folder of .npy files, with one array of images and one of labels"


@dataclass(frozen=True)
class ArrayFile:
    """An array that was not read yet.

    Attributes:
        tree: The folder, archive or `.npz` file.
        name: The file in it.
        shape: Shape of the array.
        dtype: Type of its values.
        path: Name for messages and splits: that of a `.npz` file comes first.
    """

    tree: FileTree
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    path: str

    @property
    def split(self) -> Split | None:
        """The split that the array's name, its file or its folder names, in this order."""
        parts = [PurePosixPath(part).stem for part in reversed(PurePosixPath(self.path).parts[-2:])]
        for part in parts:
            if (split := split_in(part)) is not None:
                return split
            if len(words := set(map(str.lower, _SPLIT.findall(part)))) == 1:  # modXtest, xtrain
                return split_in(words.pop())
        return split_of_path(self.path)

    @property
    def may_be_images(self) -> bool:
        """Whether the array has the shape of images: (N, H, W), with channels, or (N, pixels)."""
        if self.dtype.kind not in "uif" or not self.shape or not self.shape[0]:
            return False
        sides = [side for side in self.shape[1:] if side not in (1, 3, 4)]
        if len(self.shape) == 2:
            sides = [math.isqrt(count) for count in sides if math.isqrt(count) ** 2 == count] * 2
        return len(self.shape) in (2, 3, 4) and len(sides) == 2 and min(sides) >= MIN_SIDE

    @property
    def may_be_labels(self) -> bool:
        """Whether the array has a label for each row: (N,), (N, 1), or one column per class."""
        if self.dtype.kind not in "uifbSU" or len(self.shape) not in (1, 2):
            return False
        return len(self.shape) == 1 or self.shape[1] <= _MOST_CLASSES

    def load(self) -> NDArray[Any]:
        """Reads the array.

        Raises:
            DataError: If it is too large or damaged.
        """
        if math.prod(self.shape) * self.dtype.itemsize > _MOST_BYTES:
            raise DataError(
                f"{self.path} is larger than {_MOST_BYTES >> 30} GiB. Give a part of it."
            )
        try:
            if self.tree.root is not None:
                return np.asarray(np.load(self.tree.root / self.name, mmap_mode="r"))
            with self.tree.open(self.name) as file:
                return npy.read_array(file, allow_pickle=False)
        except Exception as error:  # numpy and zipfile raise several exception types
            raise DataError(f"{self.path} cannot be read as an array ({error}).") from error


@dataclass(frozen=True)
class Pair:
    """Images and labels of one split."""

    images: ArrayFile
    labels: ArrayFile
    split: Split | None


class ArraysSource:
    """Images and labels in NumPy arrays.

    Images are uint8, or numbers in 0 to 1 or 0 to 255, of shape (N, H, W), (N, H, W, C),
    (N, C, H, W) or (N, pixels) of squares. Labels are names, numbers, or one column per class with
    a single 1. An array of the classes' names, if there is one, names the numbers.

    Args:
        location: A `.npz` file, or a folder or archive of `.npy` files.
        names: Interpretation of class names.

    Attributes:
        left_out: Number of images that are left out unread, by reason.
        notes: Assumptions of the reader.

    Raises:
        DataError: If the arrays do not fit together, or their values are not known to be images.
    """

    maps_names = True

    def __init__(self, location: Path | FileTree, names: ClassNames | None = None) -> None:
        self._tree = need_tree(location, _LAYOUT)
        arrays = array_files(self._tree)
        self._pairs = find_pairs(arrays)
        if not self._pairs:
            listed = ", ".join(f"{a.path} {a.shape}" for a in arrays[:8]) or "no array"
            raise DataError(f"{self._tree.shown} holds {listed}. {_LAYOUT}.")
        classes = _class_names(arrays)
        self._labels = [_labels(pair.labels, classes) for pair in self._pairs]
        self._starts = np.cumsum([0, *map(len, self._labels)])
        counts = Counter(label for part in self._labels for label in part if label is not None)
        reading = (names or ClassNames()).read(counts, self._tree.shown)
        self._meanings = reading.labels
        self.left_out = Counter(reading.left_out(counts))
        images = ", ".join(pair.images.path for pair in self._pairs)
        labels = ", ".join(pair.labels.path for pair in self._pairs)
        self.notes = [f"Images are read from {images}; labels from {labels}.", *reading.notes]

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
        """Whether one of the first 50 images of any split is not grey."""
        return any(
            is_coloured(Image.fromarray(image).convert("RGB"))
            for part in self._images
            for image in part.rows(range(min(COLOUR_SAMPLE, len(part))))
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
            image = Image.fromarray(next(self._images[part].rows([row])))
            yield Sample(
                key=entry.key,
                image=np.asarray(image.convert("RGB" if self.colour else "L")),
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
            DataError: If its values are outside 0 to 255.
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
        if not (0 <= low <= high <= 255):  # also NaN
            raise DataError(
                f"{file.path} holds values from {low:.4g} to {high:.4g}, so it is not known how "
                "they become pixels. Save the images before they are normalised: 0 to 255, or 0 "
                "to 1."
            )
        return cls(values, 255.0 if values.dtype.kind == "f" and high <= 1 else 1.0)

    def __len__(self) -> int:
        return len(self.values)

    def rows(self, rows: Iterable[int]) -> Iterator[NDArray[np.uint8]]:
        """Yields images, uint8."""
        for row in rows:
            image = self.values[row]
            if self.values.dtype == np.uint8 and self.scale == 1:
                yield np.ascontiguousarray(image)
            else:
                yield np.rint(image.astype(np.float64) * self.scale).astype(np.uint8)


def array_files(tree: FileTree) -> list[ArrayFile]:
    """Returns the arrays of a tree, and those of its `.npz` files, by their headers.

    Raises:
        DataError: If a `.npz` file is damaged.
    """
    arrays = [array for name in tree.files if (array := _array(tree, name, name)) is not None]
    for packed in tree.files:
        if packed.lower().endswith(".npz"):
            inner = nested_zip(tree, packed)
            members = [(name, f"{packed}/{name}") for name in inner.files]
            arrays += [a for name, path in members if (a := _array(inner, name, path)) is not None]
    return arrays


def find_arrays(tree: FileTree) -> list[Pair]:
    """Returns the images and labels of each split of a tree; empty if it has none.

    Raises:
        DataError: As `find_pairs`; or if a `.npz` file is damaged.
    """
    names = [name for name in tree.files if name.lower().endswith((".npy", ".npz"))]
    return find_pairs(array_files(tree)) if len(names) <= MOST_FILES else []


def _array(tree: FileTree, name: str, path: str) -> ArrayFile | None:
    if not name.lower().endswith(".npy"):
        return None
    try:
        with tree.open(name) as file:
            version = npy.read_magic(file)
            read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, _, dtype = read(file)
    except (OSError, ValueError, DataError):
        return None
    return ArrayFile(tree, name, shape, dtype, path)


def find_pairs(arrays: Sequence[ArrayFile]) -> list[Pair]:
    """Returns the images and labels of each split; empty if there are none.

    Raises:
        DataError: If a split has several arrays of images, or several that may be its labels.
    """
    pairs: list[Pair] = []
    for images in filter(lambda array: array.may_be_images, arrays):
        others = [a for a in arrays if a.split == images.split and a is not images]
        labels = [
            a for a in others
            if a.may_be_labels and not a.may_be_images and a.shape[0] == images.shape[0]
        ]  # fmt: skip
        named = [a for a in labels if _LABEL.search(PurePosixPath(a.name).stem)]
        labels = named or labels
        if not labels:
            continue
        if len(labels) > 1:
            raise DataError(
                f"{', '.join(a.path for a in labels)} may all be the labels of {images.path}. Keep "
                "one of them."
            )
        if twin := next((pair for pair in pairs if pair.split == images.split), None):
            raise DataError(
                f"{twin.images.path} and {images.path} are both images of the same split. Keep one "
                "of them, or name train, validation and test in their names."
            )
        pairs.append(Pair(images, labels[0], images.split))
    return pairs


def _class_names(arrays: Sequence[ArrayFile]) -> list[str]:
    """Returns the classes' names, in the order of their numbers; empty if no array has them."""
    for array in arrays:
        if array.dtype.kind in "SU" and len(array.shape) == 1 and array.shape[0] <= _MOST_CLASSES:
            names = [_decoded(value) for value in array.load()]
            if len(set(names)) == len(names) and any(map(emotion_of, names)):
                return names
    return []


def _labels(file: ArrayFile, classes: Sequence[str]) -> list[str | None]:
    """Returns the class name or number of each row; None without a label.

    Raises:
        DataError: If an array with a column per class is not one-hot.
    """
    values = file.load()
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 2:
        if not (np.isin(values, (0, 1)).all() and (values.sum(axis=1) == 1).all()):
            raise DataError(
                f"{file.path} has {values.shape[1]} columns, but not a single 1 in each row. Save "
                "one label per image: values.argmax(axis=1)."
            )
        values = values.argmax(axis=1)
    texts = [text_of(_decoded(value)) for value in values.tolist()]
    named = {str(number): name for number, name in enumerate(classes)}
    return [None if is_unlabelled(text) else named.get(text, text) for text in texts]


def _decoded(value: Any) -> Any:  # noqa: ANN401 (a cell of any type)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
