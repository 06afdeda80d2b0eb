"""What readers of image files share: a list of files, read one at a time."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image

from fer_core.data.imaging import MAX_BYTES, open_picture
from fer_core.data.sources.base import Sample, Skipped, Split
from fer_core.errors import DataError, ImageError

SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpe", ".jpeg", ".jpg", ".mpo", ".pbm", ".pgm", ".png", ".pnm", ".ppm"}
    | {".tif", ".tiff", ".webp"}
)
"""Endings of the files that are taken for images, lower case; other files are ignored."""

COLOUR_SAMPLE = 50
GREY_TOLERANCE = 8
"""Channels of a grey picture saved as colour JPEG differ by a few levels; tints by more."""

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels; right and bottom are exclusive."""


@dataclass(frozen=True)
class ImageFile:
    """A file to read and what is known of it; the attributes are those of `Sample`.

    Attributes:
        box: The part of the picture to take; all of it by default.
    """

    path: Path
    key: str
    label: str | None
    split: Split | None
    excluded: str = ""
    group: str | None = None
    extras: Mapping[str, float] = field(default_factory=dict)
    box: Box | None = None


class ImageFiles:
    """Image files and what could not be taken for one, in the order of their keys.

    Args:
        root: The folder that errors name.
        items: Its files, and what is skipped with the reason.
    """

    def __init__(self, root: Path, items: Iterable[ImageFile | Skipped]) -> None:
        self._root = root
        self._items: Sequence[ImageFile | Skipped] = sorted(items, key=lambda item: item.key)

    @cached_property
    def colour(self) -> bool:
        """Whether any of 50 readable images, evenly spaced over the list, is not grey."""
        files = [item for item in self._items if isinstance(item, ImageFile)]
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
        readable: set[tuple[Split | None, str | None]] = set()
        for item in self._items:
            yield item if isinstance(item, Skipped) else self._read(item, readable)
        for item in self._items:
            if (
                isinstance(item, ImageFile)
                and not item.excluded
                and (item.split, item.label) not in readable
            ):
                where = f" of the {item.split} split" if item.split else ""
                raise DataError(
                    f"None of the images of the class {item.label!r}{where} in {self._root} could "
                    f"be read, {item.key} for one. Get the files again, or leave the class out."
                )

    def _read(
        self, file: ImageFile, readable: set[tuple[Split | None, str | None]]
    ) -> Sample | Skipped:
        try:
            picture = decode(file.path)
        except ImageError as error:
            return Skipped(file.key, str(error))
        readable.add((file.split, file.label))
        if file.box is not None:
            picture = _cut(picture, file.box)
        image = np.asarray(picture if self.colour else picture.convert("L"), dtype=np.uint8)
        return Sample(
            key=file.key,
            image=image,
            label=file.label,
            split=file.split,
            excluded=file.excluded,
            group=file.group,
            extras=file.extras,
        )


def need_folder(path: Path, layout: str) -> None:
    """Checks that a path is a folder.

    Raises:
        DataError: If it is not; says what layout is expected.
    """
    if not path.is_dir():
        problem = "is not a folder" if path.exists() else "does not exist"
        raise DataError(f"{path} {problem}. {layout}.")


def visible(folder: Path) -> list[Path]:
    """Returns a folder's entries by name, without hidden ones and `__MACOSX`."""
    return [path for path in sorted(folder.iterdir()) if not path.name.startswith((".", "__"))]


def first_image(folder: Path) -> Path | None:
    """Returns the first visible image file of a folder of class folders, if there is one."""
    classes = [path for path in visible(folder) if path.is_dir()] if folder.is_dir() else []
    files = (file for place in classes for file in visible(place))
    return next((file for file in files if file.suffix.lower() in SUFFIXES), None)


def holds_images(folder: Path) -> bool:
    """Whether an image file stands anywhere below a folder; links to folders are not followed."""
    return any(
        Path(name).suffix.lower() in SUFFIXES and not name.startswith(".")
        for _, _, names in os.walk(folder)
        for name in names
    )


def printable(name: str) -> str:
    """Returns a file's name as text that can be saved, even if its bytes are not UTF-8."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def decode(path: Path) -> Image.Image:
    """Reads one picture as RGB.

    Raises:
        ImageError: If it cannot be read or decoded, or is too large.
    """
    name = printable(path.name)
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


def _cut(picture: Image.Image, box: Box) -> Image.Image:
    """Returns the part of a picture in a box; all of it where they share nothing."""
    left, top = max(0, box[0]), max(0, box[1])
    right, bottom = min(picture.width, box[2]), min(picture.height, box[3])
    return picture.crop((left, top, right, bottom)) if left < right and top < bottom else picture


def is_coloured(picture: Image.Image) -> bool:
    """Whether an RGB picture is more than a grey one saved in colour."""
    pixels = np.asarray(picture)
    return int((pixels.max(axis=2) - pixels.min(axis=2)).max()) > GREY_TOLERANCE


def _first_is_coloured(files: Iterable[ImageFile]) -> bool:
    """Whether the first readable picture among files is not grey; False if none is readable."""
    for file in files:
        try:
            picture = decode(file.path)
        except ImageError:
            continue
        return is_coloured(picture)
    return False
