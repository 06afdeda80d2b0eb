"""NumPy files of a tree: their shapes, and which of them hold images and which hold labels."""

import io
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from fer_core.data.imaging import MIN_SIDE
from fer_core.data.sources.base import Split
from fer_core.data.sources.split_names import split_of, split_of_path
from fer_core.data.sources.tree import FileTree, nested_zip
from fer_core.errors import DataError

MOST_FILES = 100
"""A folder with more `.npy` files holds one per image, which is another format."""

MOST_CLASSES = 100
"""An array with more columns has no column per class."""

_MOST_BYTES = 8 * 2**30
_LABEL_WORDS = frozenset(
    {"y", "label", "labels", "lbl", "lbls", "emotion", "emotions", "emo", "expression"}
    | {"expressions", "target", "targets", "class", "classes", "category", "categories"}
    | {"annotation", "annotations", "fy", "mody", "flabel", "flabels"}
)
_OTHER_WORDS = frozenset(
    {"pred", "preds", "predicted", "prediction", "predictions", "prob", "probs", "probability"}
    | {"score", "scores", "hat", "age", "ages", "gender", "genders", "sex", "race", "ethnicity"}
    | {"intensity", "valence", "arousal", "landmark", "landmarks", "keypoints", "box", "boxes"}
    | {"bbox", "quality", "confidence", "weight", "weights", "id", "ids", "index", "indices"}
    | {"identity", "person", "persons", "subject", "subjects", "name", "names", "file", "files"}
    | {"filename", "filenames", "path", "paths", "mean", "std", "mask", "masks", "feature"}
    | {"features", "feat", "feats", "embedding", "embeddings", "encoding", "encodings"}
)
"""Words in names of arrays that hold neither images nor labels."""

_ROLE = r"(?:mod|f)?(?:x|y|images?|imgs?|labels?|data|faces?|emotions?|targets?|pixels?)?"
_GLUED = re.compile(
    rf"({_ROLE})(training|train|validation|valid|val|testing|test|dev|tr|va|te)(?:set)?({_ROLE})"
)
_SHORT: dict[str, Split] = {"tr": "train", "va": "validation", "te": "test"}
_DEFAULT_NAME = re.compile(r"arr_\d+")


@dataclass(frozen=True)
class ArrayFile:
    """An array that was not read yet.

    Attributes:
        tree: The folder, archive or `.npz` file.
        name: The file in it.
        shape: Shape of the array.
        dtype: Type of its values.
        path: Name for messages; that of a `.npz` file comes first.
    """

    tree: FileTree
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    path: str

    @property
    def stem(self) -> str:
        """Name without folder and suffix."""
        return PurePosixPath(self.name).stem

    @cached_property
    def split(self) -> Split | None:
        """The split that the array's name, its `.npz` file or its folder names, in this order."""
        packed = PurePosixPath(self.path).parent
        stems = [self.stem, packed.stem if packed.suffix.lower() == ".npz" else ""]
        splits = [_parsed(stem)[0] for stem in stems]
        return next(filter(None, splits), None) or split_of_path(self.path)

    @property
    def is_named_label(self) -> bool:
        """Whether the name says that the array holds labels: `y_train`, `emotions`."""
        words = _parsed(self.stem)[1]
        return bool(words & _LABEL_WORDS) and not words & _OTHER_WORDS

    @property
    def has_default_name(self) -> bool:
        """Whether the array was saved without a name, as `arr_0`."""
        return _DEFAULT_NAME.fullmatch(self.stem) is not None

    @property
    def may_be_images(self) -> bool:
        """Whether shape and name allow images: (N, H, W), with channels, or (N, pixels)."""
        if self.dtype.kind not in "uif" or not self.shape or not self.shape[0]:
            return False
        if self.is_named_label or _parsed(self.stem)[1] & _OTHER_WORDS:
            return False
        sides = [side for side in self.shape[1:] if side not in (1, 3, 4)]
        if len(self.shape) == 2:
            sides = [math.isqrt(count) for count in sides if math.isqrt(count) ** 2 == count] * 2
        return len(self.shape) in (2, 3, 4) and len(sides) == 2 and min(sides) >= MIN_SIDE

    @property
    def may_be_labels(self) -> bool:
        """Whether the shape is that of labels: (N,), (N, 1), or one column per class."""
        columns = self.shape[1:]
        return len(self.shape) == 1 or (len(columns) == 1 and columns[0] <= MOST_CLASSES)

    def load(self) -> NDArray[Any]:
        """Reads the array.

        Raises:
            DataError: If it is too large or damaged, or holds Python objects.
        """
        if self.dtype.hasobject:
            raise DataError(
                f"{self.path} holds pickled Python objects, which are not read. Save it as numbers "
                f"or text: np.save({self.stem!r}, array.astype(str))."
            )
        if math.prod(self.shape) * self.dtype.itemsize > _MOST_BYTES:
            raise DataError(
                f"{self.path} is larger than {_MOST_BYTES >> 30} GiB. Give a part of it."
            )
        try:
            if self.tree.root is not None:
                return np.asarray(np.load(self.tree.root / self.name, mmap_mode="r"))
            with self.tree.open(self.name) as file:
                return npy.read_array(io.BytesIO(file.read()), allow_pickle=False)
        except Exception as error:  # numpy and the archive modules raise several types
            raise DataError(
                f"{self.path} cannot be read as an array ({error}). Save it again with numpy.save, "
                "or remove it."
            ) from error


def _parsed(stem: str) -> tuple[Split | None, frozenset[str]]:
    """Returns the split in a name, and its other words: `X_publicTest` is validation and `x`."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", stem)
    words = re.findall(r"[a-z]+", apart.lower())
    if "test" in words and (kinds := {"public", "private"} & set(words)):
        rest = frozenset(words) - kinds - {"test"}
        return split_of(f"{min(kinds)}test"), rest
    splits: set[Split | None] = set()
    rest_words: set[str] = set()
    for word in words:
        if match := _GLUED.fullmatch(word):
            splits.add(_SHORT.get(match[2]) or split_of(match[2]))
            rest_words |= {match[1], match[3]} - {""}
        else:
            rest_words.add(word)
    return (splits.pop() if len(splits) == 1 else None), frozenset(rest_words)


@dataclass(frozen=True)
class Pair:
    """Images of one split, and the arrays that hold their labels; several must agree."""

    images: ArrayFile
    labels: tuple[ArrayFile, ...]
    split: Split | None


def array_files(tree: FileTree, *, damaged_too: bool = False) -> list[ArrayFile]:
    """Returns the arrays of a tree, and those of its `.npz` files, by their headers.

    Args:
        tree: The folder, archive or `.npz` file.
        damaged_too: Whether a damaged `.npz` file is an error; otherwise it is passed over.

    Raises:
        DataError: If a `.npz` file is damaged.
    """
    return list(_arrays(tree, damaged_too))


def _arrays(tree: FileTree, damaged_too: bool) -> Iterator[ArrayFile]:
    for name in tree.files:
        if array := _array(tree, name, name):
            yield array
        if not name.lower().endswith(".npz"):
            continue
        try:
            inner = nested_zip(tree, name)
        except DataError:
            if damaged_too:
                raise
            continue
        for member in inner.files:
            if array := _array(inner, member, f"{name}/{member}"):
                yield array


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


def find_pairs(arrays: Sequence[ArrayFile], label: str | None = None) -> list[Pair]:
    """Returns the images and labels of each split; empty if there are none.

    Args:
        arrays: Result of `array_files`.
        label: Name of the array of labels, if the user gave one.
    """
    pairs = [
        Pair(images, labels, images.split)
        for images in arrays
        if images.may_be_images and (labels := _labels_of(images, arrays, label))
    ]
    order = ("train", "validation", "test", None)
    return sorted(pairs, key=lambda pair: order.index(pair.split))


def _labels_of(
    images: ArrayFile, arrays: Sequence[ArrayFile], label: str | None
) -> tuple[ArrayFile, ...]:
    others = [
        array
        for array in arrays
        if array is not images
        and array.split == images.split
        and array.may_be_labels
        and not array.may_be_images
        and array.shape[0] == images.shape[0]
    ]
    if label is not None:
        return tuple(array for array in others if label in (array.stem, array.path))
    named = tuple(array for array in others if array.is_named_label)
    if named or not images.has_default_name:
        return named
    return tuple(array for array in others if array.has_default_name)


def check_pairs(pairs: Sequence[Pair], arrays: Sequence[ArrayFile]) -> list[str]:
    """Checks that each split has one array of images, and that none lost its labels.

    Returns:
        Sentences on images that are not read because they have no labels.

    Raises:
        DataError: If a split has two arrays of images, or labels of another number.
    """
    by_split: dict[Split | None, Pair] = {}
    for pair in pairs:
        other = by_split.get(pair.split) or by_split.get(None)
        if other is not None or (pair.split is None and by_split):
            other = other or next(iter(by_split.values()))
            raise DataError(
                f"{other.images.path} and {pair.images.path} are both images with labels, and "
                "their names do not say which is train, validation and test. Rename them, or keep "
                "one."
            )
        by_split[pair.split] = pair
    read, sides = {pair.images.path for pair in pairs}, {p.images.shape[1:] for p in pairs}
    notes = []
    for images in arrays:
        if images.path in read or not images.may_be_images or images.shape[1:] not in sides:
            continue
        labels = [a for a in arrays if a.split == images.split and a.is_named_label]
        if labels and images.split not in by_split:
            raise DataError(
                f"{images.path} has {images.shape[0]:,} images, but {labels[0].path} has the shape "
                f"{labels[0].shape}. Correct or remove them."
            )
        notes.append(f"Not read: {images.path}, {images.shape[0]:,} images without labels.")
    return notes
