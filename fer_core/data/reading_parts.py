"""The parts in which sources are read; those that are done are kept, so that reading continues.

Parts lie in a hidden folder beside the data set: all images in one file, and for each part a table
of its samples and its counts. A part is done once its counts are written.
"""

import hashlib
import json
import math
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pandas as pd
import PIL
from numpy.typing import NDArray

from fer_core import __version__
from fer_core.data import quality
from fer_core.data.atomic_dir import partial_path
from fer_core.data.imaging import SampleFormat
from fer_core.data.picture_files import readable_formats
from fer_core.data.plan import PrepareOptions, PreparePlan
from fer_core.data.selection import SelectedSource
from fer_core.data.storage import ImageWriter, written_images
from fer_core.errors import ArtifactError, DataError
from fer_core.files import atomic_path, read_json, write_json

PART_ITEMS = 4096
"""Largest number of items in a part."""

PART_BYTES = 64 * 2**20
"""Largest size of a part's images, which are in memory until the part is done."""

WEBP = "webp"
"""Column of the published images in a part's table; not in the samples table."""

CONTINUES = "Run the same command again: it continues where it stopped."

_IMAGES = "images.npy"


@dataclass(frozen=True)
class PartRange:
    """Items of one source that are read together.

    Attributes:
        source: Index of the source.
        start: Position of the first item.
        stop: Position after the last item.
        is_last: Whether it is the last part of its source.
    """

    source: int
    start: int
    stop: int
    is_last: bool


@dataclass
class PartCounts:
    """What was met in a part, apart from its samples.

    Attributes:
        skipped: Unreadable files and why, by key.
        left_out: Number of images that are not stored, by reason.
        seen: Class names that were met, as the reader calls them.
        readable: (split, label) of the images that could be read.
    """

    skipped: dict[str, str] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    seen: set[str] = field(default_factory=set)
    readable: set[tuple[str | None, str | None]] = field(default_factory=set)

    def update(self, other: "PartCounts") -> None:
        """Adds the counts of the next part."""
        self.skipped.update(other.skipped)
        self.left_out.update(other.left_out)
        self.seen |= other.seen
        self.readable |= other.readable

    def as_mapping(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        return {
            "skipped": self.skipped,
            "left_out": self.left_out,
            "seen": sorted(self.seen),
            "readable": sorted(self.readable, key=repr),
        }

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Self:
        """Returns the counts of plain values; raises a KeyError if one is missing."""
        return cls(
            skipped=dict(content["skipped"]),
            left_out=Counter(content["left_out"]),
            seen=set(content["seen"]),
            readable={(split, label) for split, label in content["readable"]},
        )


@dataclass(frozen=True)
class ReadPart:
    """A part that was read.

    Attributes:
        table: One row per stored image; without columns if there is none.
        images: The stored images, uint8, shape (rows, ...).
    """

    table: pd.DataFrame
    images: NDArray[np.uint8]
    counts: PartCounts


@dataclass(frozen=True)
class ReadingParts:
    """The parts of a preparation on the disk.

    Attributes:
        path: Folder of the parts.
        key: Hash of all that reading depends on; None if an earlier reading is never continued.
        sample_format: Format of the stored images.
        ranges: The parts, in the order of the sources and their items.
        most: Largest number of stored images.
    """

    path: Path
    key: str | None
    sample_format: SampleFormat
    ranges: tuple[PartRange, ...]
    most: int

    @property
    def images_path(self) -> Path:
        """File of the stored images of all parts."""
        return self.path / _IMAGES

    @property
    def items(self) -> int:
        """Number of items of all parts."""
        return sum(wanted.stop - wanted.start for wanted in self.ranges)

    def items_done(self) -> int:
        """Returns how many items an earlier preparation with this key has read."""
        done = 0
        for number, wanted in enumerate(self.ranges if self._belongs() else ()):
            if not self._counts_path(number).is_file():
                break
            done += wanted.stop - wanted.start
        return done

    def start(self) -> tuple[int, int]:
        """Makes the folder, and removes what is not kept: damaged parts, or those of another key.

        Returns:
            Number of parts that are kept, from the first one on, and of their images.
        """
        if not self._belongs():
            shutil.rmtree(self.path, ignore_errors=True)
            write_json(self.path / "key.json", {"key": self.key})
        kept, images = 0, 0
        while kept < len(self.ranges) and (rows := self._undamaged(kept, images)) is not None:
            kept, images = kept + 1, images + rows
        for number in range(kept, len(self.ranges)):
            self._counts_path(number).unlink(missing_ok=True)
        return kept, images

    def write(self, number: int, subset: ReadPart) -> None:
        """Writes the table and then the counts of a part, whose images must be on the disk."""
        with atomic_path(self._table_path(number)) as temporary:
            subset.table.to_parquet(temporary, index=False)
        write_json(self._counts_path(number), subset.counts.as_mapping())

    def table(self, number: int) -> pd.DataFrame:
        """Returns the table of a part that is done."""
        return pd.read_parquet(self._table_path(number))

    def counts(self, number: int) -> PartCounts:
        """Returns the counts of a part that is done.

        Raises:
            ArtifactError: If it is not done or damaged.
        """
        return PartCounts.of(read_json(self._counts_path(number)))

    def images(self) -> NDArray[np.uint8]:
        """Returns the images of all parts as a memory map."""
        images: NDArray[np.uint8] = np.load(self.images_path, mmap_mode="r", allow_pickle=False)
        return images

    def move_images(self, folder: Path) -> None:
        """Moves the images to the prepared data set, and removes the parts."""
        self.images_path.replace(folder / _IMAGES)
        shutil.rmtree(self.path, ignore_errors=True)

    def _belongs(self) -> bool:
        try:
            return self.key is not None and read_json(self.path / "key.json")["key"] == self.key
        except (ArtifactError, KeyError):
            return False

    def _undamaged(self, number: int, first: int) -> int | None:
        """Returns the number of a part's images; None if it is not done or damaged.

        Args:
            number: Number of the part.
            first: Position of its first image.
        """
        try:
            self.counts(number)
            table = self.table(number)
            rows = range(first, first + len(table))
            images = written_images(self.images_path, self.most, self.sample_format, rows)
            hashes = [quality.digest(image) for image in images]
        except (ArtifactError, OSError, ValueError, KeyError, TypeError):
            return None
        return len(table) if hashes == table.get("sha1", pd.Series()).tolist() else None

    def _table_path(self, number: int) -> Path:
        return self.path / f"part-{number:06d}.parquet"

    def _counts_path(self, number: int) -> Path:
        return self.path / f"part-{number:06d}.json"


class PartsWriter:
    """Writes parts in their order, after those that are kept of an earlier preparation.

    Attributes:
        count: Number of parts that are done.

    Raises:
        ArtifactError: If there is not enough disk space, or the folder cannot be written.
    """

    def __init__(self, parts: ReadingParts) -> None:
        self._parts = parts
        self.count, kept = parts.start()
        with self._continuable():
            self._images = ImageWriter(parts.images_path, parts.most, parts.sample_format, kept)

    def append(self, subset: ReadPart) -> None:
        """Writes the next part; once this returns, it is done."""
        with self._continuable():
            for image in subset.images:
                self._images.append(image)
            self._images.flush()
            self._parts.write(self.count, subset)
        self.count += 1

    def __enter__(self) -> Self:
        self._images.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Writes the number of images into the file's header; not after an error."""
        self._images.__exit__(kind, error, trace)
        if kind is not None:
            self._remove_empty()

    def _remove_empty(self) -> None:
        """Frees the reserved space if no part is done."""
        if not self.count:
            shutil.rmtree(self._parts.path, ignore_errors=True)

    @contextmanager
    def _continuable(self) -> Iterator[None]:
        """Says in errors of the disk that the preparation can be continued."""
        hint = f" {CONTINUES}" if self._parts.key is not None and self.count else ""
        try:
            yield
        except ArtifactError as error:
            self._remove_empty()
            raise ArtifactError(f"{error}{hint}") from error
        except OSError as error:
            self._remove_empty()
            raise ArtifactError(
                f"{self._parts.path} cannot be written ({error.strerror or error}). Free some "
                f"space, and check that the folder is writable.{hint}"
            ) from error


def open_parts(
    sources: Sequence[SelectedSource], options: PrepareOptions, folder: Path
) -> ReadingParts:
    """Divides sources into parts, and says where they are kept.

    Only the preparation of a plan continues where it stopped: the plan says how its sources were
    opened.

    Args:
        sources: The sources and which of their samples are used.
        options: Options of the preparation.
        folder: Folder of the prepared data set.

    Raises:
        DataError: If several sources have the same name.
    """
    titles = sorted(selected.title for selected in sources)
    if len(set(titles)) < len(titles):
        raise DataError(
            f"Several sources are called {', '.join(titles)}. Give each a `name` of its own."
        )
    colour = {"grey": False, "rgb": True}.get(
        options.colour, any(selected.reader.colour for selected in sources)
    )
    sample_format = SampleFormat(options.side, colour)
    lengths = [len(selected.reader) for selected in sources]
    ranges = tuple(_ranges(lengths, sample_format))
    key = _key(sources, options, [sample_format.colour, ranges])
    path = partial_path(folder) / "parts"  # which is removed on any error
    if key is not None:
        path = folder.with_name(f".{folder.name}.parts")
    most = sum(
        min(length, selected.limit or length)
        for selected, length in zip(sources, lengths, strict=True)
    )
    return ReadingParts(path, key, sample_format, ranges, most)


def _ranges(lengths: Sequence[int], sample_format: SampleFormat) -> Iterator[PartRange]:
    size = max(1, min(PART_ITEMS, PART_BYTES // math.prod(sample_format.shape)))
    for source, length in enumerate(lengths):
        for start in range(0, length, size):
            yield PartRange(source, start, min(start + size, length), start + size >= length)


def _key(
    sources: Sequence[SelectedSource], options: PrepareOptions, facts: Sequence[object]
) -> str | None:
    """Returns a hash of all that reading depends on; None if that is not known."""
    versions = [selected.version for selected in sources]
    if not isinstance(options, PreparePlan) or None in versions:
        return None
    content = [
        options.model_dump(mode="json"),
        versions,
        [__version__, PIL.__version__, readable_formats()],
        repr(facts),
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
