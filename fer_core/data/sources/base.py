"""Interface of dataset readers: a stream of samples and the origin of the dataset."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal, NamedTuple, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

Split = str
"""`train`, `validation` or `test`."""

SPLITS = ("train", "validation", "test")


Format = Literal[
    "fer2013",
    "ferplus",
    "affectnet",
    "rafdb",
    "expw",
    "ckplus",
    "kdef",
    "jaffe",
    "named",
    "human-emotions",
    "folder",
    "list",
    "yolo",
    "huggingface",
    "arrays",
    "synthetic",
]
FORMATS: tuple[str, ...] = get_args(Format)

Annotation = Literal["table", "folder"]
"""Source of the labels if an annotation table and class folders differ."""

NO_MAJORITY = "annotators disagree"
"""Exclusion reason of samples whose votes have no majority."""

SYNTHETIC = "synthetic"
"""Name that replaces a path for drawn faces."""


@dataclass(frozen=True)
class Sample:
    """One labelled image of a source.

    Attributes:
        key: Name of the sample, unique within the source.
        image: uint8, H x W (grey) or H x W x 3 (RGB), any size.
        label: Class name; None if it has no class.
        split: Split of the source; None if it has none.
        excluded: Why the sample is excluded; empty if it is used.
        second_label: Class name by another annotation of the same image, if any.
        votes: Annotators' votes by class name, if any.
        group: Group of samples that must stay in one split: the person shown, or the original of an
            augmented copy.
        extras: Further values by column name, such as `valence` or `age`; they become slices.
    """

    key: str
    image: NDArray[np.uint8]
    label: str | None
    split: Split | None
    excluded: str = ""
    second_label: str | None = None
    votes: Mapping[str, int] = field(default_factory=dict)
    group: str | None = None
    extras: Mapping[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True)
class SampleEntry:
    """Metadata of a sample before its image is read; attributes as in `Sample`."""

    key: str
    label: str | None
    split: Split | None
    excluded: str = ""
    group: str | None = None


@dataclass(frozen=True)
class Skipped:
    """A file that cannot be read; preparation lists and skips it."""

    key: str
    reason: str


class FileStat(NamedTuple):
    """What the file system says of a file that is read; another value means another content.

    Attributes:
        name: Name of the file, unique within the source.
        size: Size in bytes; -1 if the file is gone.
        modified: Time of the last change in nanoseconds.
    """

    name: str
    size: int
    modified: int


@dataclass(frozen=True)
class Origin:
    """Origin of a source, as recorded in the benchmark."""

    name: str
    title: str
    licence: str
    reference: str


class Source(Protocol):
    """Reader of a dataset format.

    The whole dataset is checked before the first sample is read. A reader may have more attributes:

    - `notes`: its assumptions as sentences for the user.
    - `left_out`: the number of images that it leaves out, by reason; known once it is opened.
    - `entries()`: yields a `SampleEntry` or `Skipped` for each item without reading images.
    - `items(start)`: yields the items from this position on without reading those before it.
    - `check_readable(readable)`: gets the (split, label) pairs of all images that could be read,
      and raises a `DataError` if some are missing.
    - `stats()`: yields the `FileStat` of each file that is read. Without it a stopped preparation
      does not continue where it stopped.
    """

    @property
    def origin(self) -> Origin:
        """Name, licence and reference of the dataset."""

    @property
    def colour(self) -> bool:
        """Whether its images are RGB; otherwise they are grey."""

    def __len__(self) -> int:
        """Number of items, including skipped ones."""

    def __iter__(self) -> Iterator[Sample | Skipped]:
        """Yields each sample, or why it is skipped, in a fixed order."""


def entries_of(source: Source) -> list[SampleEntry | Skipped]:
    """Returns the metadata of a source's items; if it has no `entries()`, it is read."""
    listing = getattr(source, "entries", None)
    if listing is not None:
        return list(listing())
    return [
        item
        if isinstance(item, Skipped)
        else SampleEntry(item.key, item.label, item.split, item.excluded, item.group)
        for item in source
    ]


def items_of(source: Source, start: int = 0) -> Iterator[Sample | Skipped]:
    """Yields a source's items from a position on; if it has no `items()`, all are read."""
    listing = getattr(source, "items", None)
    return iter(listing(start)) if callable(listing) else islice(source, start, None)
