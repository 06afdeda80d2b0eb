"""What every dataset reader gives: a stream of samples and the facts about its origin."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, get_args

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
    "human-emotions",
    "folder",
    "list",
    "yolo",
    "huggingface",
    "synthetic",
]
FORMATS: tuple[str, ...] = get_args(Format)

Annotation = Literal["table", "folder"]
"""What counts where an annotation table and class folders differ."""

NO_MAJORITY = "annotators disagree"
"""Why a sample has no label although it has votes."""

SYNTHETIC = "synthetic"
"""Stands for a path: the drawn faces need none."""


@dataclass(frozen=True)
class Sample:
    """One labelled image as its source holds it.

    Attributes:
        key: The source's own name of the sample, unique within the source.
        image: uint8, H x W (grey) or H x W x 3 (RGB), any size.
        label: Class name, or None where no class can be given.
        split: The source's own split, or None where it has none.
        excluded: Why the sample takes no part in training and scores, or empty.
        second_label: Class name by another annotation of the same image, if any.
        votes: Annotators' votes by class name, if any.
        group: Name, within the source, of what this sample shares with others that must stay on
            one side of a split: the person shown, or the picture that it is an altered copy of.
        extras: Further values that the source knows, by column name, such as `valence` or `age`;
            they become slices.
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
    """What is known of a sample before its picture is read; attributes are those of `Sample`."""

    key: str
    label: str | None
    split: Split | None
    excluded: str = ""
    group: str | None = None


@dataclass(frozen=True)
class Skipped:
    """A file that could not be read; preparation lists it and goes on."""

    key: str
    reason: str


@dataclass(frozen=True)
class Origin:
    """Where a source comes from, for the benchmark's record."""

    name: str
    title: str
    licence: str
    reference: str


class Source(Protocol):
    """A dataset format. Reading checks the whole set before the first sample is given.

    A reader may have three more attributes: `notes`, what it assumed, as sentences for the user;
    `left_out`, the number of images that it does not give, by reason; and `entries()`, which gives
    an `SampleEntry` or `Skipped` for each item without reading a picture.
    """

    @property
    def origin(self) -> Origin:
        """Name, licence and reference of the dataset."""

    @property
    def colour(self) -> bool:
        """Whether its images are RGB; grey otherwise."""

    def __len__(self) -> int:
        """Number of items that iteration gives, skipped ones included."""

    def __iter__(self) -> Iterator[Sample | Skipped]:
        """Gives each sample, or why it had to be skipped, in a fixed order."""


def entries_of(source: Source) -> list[SampleEntry | Skipped]:
    """Returns what is known of a source's items; a source that cannot tell is read for it."""
    listing = getattr(source, "entries", None)
    if listing is not None:
        return list(listing())
    return [
        item
        if isinstance(item, Skipped)
        else SampleEntry(item.key, item.label, item.split, item.excluded, item.group)
        for item in source
    ]
