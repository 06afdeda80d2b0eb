"""Shared parts of readers of image files: a list of files, read one at a time."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice, pairwise
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from fer_core.data.imaging import open_picture
from fer_core.data.picture_files import looks_like_picture
from fer_core.data.sources.base import FileStat, Sample, SampleEntry, Skipped, Split
from fer_core.data.sources.tree import FileTree, is_archive, open_tree, printable
from fer_core.errors import DataError, ImageError

COLOUR_SAMPLE = 50
GREY_TOLERANCE = 8
"""Maximum difference of channels of a grey image; JPEG adds a few levels, tints more."""

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels; right and bottom are exclusive."""

ShareBox = tuple[float, float, float, float]
"""Left, top, right, bottom as shares of the image."""


@dataclass(frozen=True)
class ImageFile:
    """A file to read and its metadata; further attributes as in `Sample`.

    Attributes:
        name: Path of the file in the tree.
        box: Region to crop; by default the whole image.
        share_box: Region as shares of the image; extended to a square around its centre.
    """

    name: str
    key: str
    label: str | None
    split: Split | None
    excluded: str = ""
    second_label: str | None = None
    votes: Mapping[str, int] = field(default_factory=dict)
    group: str | None = None
    extras: Mapping[str, float | str] = field(default_factory=dict)
    box: Box | None = None
    share_box: ShareBox | None = None

    def cut(self, picture: Image.Image) -> Image.Image:
        """Returns the region of the image, or all of it without a box."""
        return cut(picture, self.box, self.share_box)


class ImageFiles:
    """Image files and skipped items, in the order of their keys.

    Args:
        tree: The tree that contains the files.
        items: Files, and skipped items with the reason.

    Attributes:
        left_out: Number of images that are left out unread, by reason.
        notes: Assumptions of the reader, as sentences for the user.
    """

    maps_names = True
    """Whether the reader applies the user's mapping of class names itself."""

    def __init__(self, tree: FileTree, items: Iterable[ImageFile | Skipped]) -> None:
        self._tree = tree
        self._items: Sequence[ImageFile | Skipped] = sorted(items, key=lambda item: item.key)
        if not hasattr(self, "left_out"):
            self.left_out: Counter[str] = Counter()
        if not hasattr(self, "notes"):
            self.notes: list[str] = []

    @cached_property
    def colour(self) -> bool:
        """Whether any of 50 readable images, evenly spaced over the list, is not grey."""
        files = [item for item in self._items if isinstance(item, ImageFile)]
        count = min(COLOUR_SAMPLE, len(files))
        bounds = np.linspace(0, len(files), count + 1).astype(int).tolist()
        return any(
            _first_is_coloured(self._tree, files[start:end]) for start, end in pairwise(bounds)
        )

    @property
    def tree(self) -> FileTree:
        """The folder or archive."""
        return self._tree

    def listed(self) -> Sequence[ImageFile | Skipped]:
        """Returns the files and skipped items, in the order of their keys."""
        return self._items

    def replace_files(self, files: Iterable[ImageFile]) -> None:
        """Replaces the files, such as by files with persons; skipped items stay."""
        skipped = [item for item in self._items if isinstance(item, Skipped)]
        self._items = sorted([*files, *skipped], key=lambda item: item.key)

    def entries(self) -> Iterator[SampleEntry | Skipped]:
        """Yields the metadata of the images without reading them."""
        for item in self._items:
            if isinstance(item, Skipped):
                yield item
            else:
                yield SampleEntry(item.key, item.label, item.split, item.excluded, item.group)

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Sample | Skipped]:
        """Yields the images in the order of their keys, one in memory at a time.

        Raises:
            DataError: At the end, if no image of some class and split could be read.
        """
        readable: set[tuple[Split | None, str | None]] = set()
        for item in self.items():
            if isinstance(item, Sample):
                readable.add((item.split, item.label))
            yield item
        self.check_readable(readable)

    def items(self, start: int = 0) -> Iterator[Sample | Skipped]:
        """Yields the images from a position on, without the check at the end."""
        for item in islice(self._items, start, None):
            yield item if isinstance(item, Skipped) else self._read(item)

    def stats(self) -> Iterator[FileStat]:
        """Yields size and modification time of each file, or of the archive."""
        return self._tree.stats()

    def check_readable(self, readable: Collection[tuple[Split | None, str | None]]) -> None:
        """Checks that an image of each class and split could be read.

        Args:
            readable: Split and label of the images that could be read.

        Raises:
            DataError: If there is none of some class and split.
        """
        for item in self._items:
            if (
                isinstance(item, ImageFile)
                and not item.excluded
                and (item.split, item.label) not in readable
            ):
                where = f" of the {item.split} split" if item.split else ""
                where = f"{item.label!r}{where} in {self._tree.shown}"
                raise DataError(
                    f"None of the images of the class {where} could be read, such as {item.key}. "
                    f"Get the files again, or leave the class out: --map-class {item.label}= ."
                )

    def _read(self, file: ImageFile) -> Sample | Skipped:
        try:
            picture = decode(self._tree, file.name)
        except ImageError as error:
            return Skipped(file.key, str(error))
        picture = file.cut(picture)
        image = np.asarray(picture if self.colour else picture.convert("L"), dtype=np.uint8)
        return Sample(
            key=file.key,
            image=image,
            label=file.label,
            split=file.split,
            excluded=file.excluded,
            second_label=file.second_label,
            votes=file.votes,
            group=file.group,
            extras=file.extras,
        )


def need_tree(location: Path | FileTree, layout: str) -> FileTree:
    """Returns the files of a folder or archive.

    Raises:
        DataError: If it is neither; names the expected layout.
    """
    if isinstance(location, FileTree):
        return location
    if not location.exists():
        raise DataError(f"{location} does not exist. {layout}.")
    if location.is_file() and not is_archive(location):
        raise DataError(f"{location} is not a folder. {layout}.")
    return open_tree(location)


def is_image(name: str) -> bool:
    """Whether a file has the suffix of an image. Unreadable ones are later listed as skipped."""
    return looks_like_picture(PurePosixPath(name))


def decode(tree: FileTree, name: str) -> Image.Image:
    """Reads an image as RGB.

    Raises:
        ImageError: If it cannot be read or decoded, or is too large.
    """
    return open_picture(tree.read_picture(name), printable(PurePosixPath(name).name))


def square_box(left: float, top: float, right: float, bottom: float) -> Box:
    """Extends a box in pixels to a square, so that the face is neither stretched nor cut."""
    side = max(right - left, bottom - top)
    x, y = (left + right - side) / 2, (top + bottom - side) / 2
    return (round(x), round(y), round(x + side), round(y + side))


def cut(picture: Image.Image, box: Box | None, share_box: ShareBox | None) -> Image.Image:
    """Returns the region of an image, or all of it without a box; shares go before pixels."""
    box = box if share_box is None else _in_pixels(share_box, picture)
    return picture if box is None else _cut(picture, box)


def _in_pixels(shares: ShareBox, picture: Image.Image) -> Box:
    left, right = (share * picture.width for share in shares[::2])
    top, bottom = (share * picture.height for share in shares[1::2])
    return square_box(left, top, right, bottom)


def _cut(picture: Image.Image, box: Box) -> Image.Image:
    """Crops an image to a box; returns the whole image if the box is outside."""
    left, top = max(0, box[0]), max(0, box[1])
    right, bottom = min(picture.width, box[2]), min(picture.height, box[3])
    return picture.crop((left, top, right, bottom)) if left < right and top < bottom else picture


def is_coloured(picture: Image.Image) -> bool:
    """Whether an RGB image has colours, beyond the tolerance of a grey image saved as RGB."""
    pixels = np.asarray(picture)
    return int((pixels.max(axis=2) - pixels.min(axis=2)).max()) > GREY_TOLERANCE


def _first_is_coloured(tree: FileTree, files: Iterable[ImageFile]) -> bool:
    """Whether the first readable image has colours; False if none is readable."""
    for file in files:
        try:
            picture = decode(tree, file.name)
        except ImageError:
            continue
        return is_coloured(picture)
    return False
