"""Reads sources into one image file and one table of samples, part by part."""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice, repeat
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from fer_core.artifacts import PICTURES, VOTE_PREFIX
from fer_core.data import quality
from fer_core.data.cleaning import Cleaner
from fer_core.data.faces import whole_picture
from fer_core.data.imaging import SampleFormat
from fer_core.data.plan import PrepareOptions
from fer_core.data.progress import Progress
from fer_core.data.reading_parts import (
    WEBP,
    PartCounts,
    PartRange,
    PartsWriter,
    ReadingParts,
    ReadPart,
)
from fer_core.data.selection import BEYOND_LIMIT, ClassFilter, SelectedSource, within_limit
from fer_core.data.sources.base import Sample, Skipped, items_of
from fer_core.data.storage import PictureWriter, decode, encode, image_blocks
from fer_core.errors import DataError

_TEXTS = ("id", "source", "source_split", "label", "second_label", "excluded", "group", "sha1")
_SIZES = ("width", "height")
_MEASURES = ("brightness", "contrast", "sharpness")


@dataclass
class Reading:
    """The samples that were read.

    Attributes:
        samples: One row per image, in the order of the array.
        thumbnails: Shape (N, 16, 16).
        skipped: Unreadable files and why, by key.
        left_out: Number of images that are not in the array, by source and reason.
    """

    samples: pd.DataFrame
    thumbnails: NDArray[np.float32]
    skipped: dict[str, str]
    left_out: dict[str, Counter[str]]


def read(
    sources: Sequence[SelectedSource],
    options: PrepareOptions,
    parts: ReadingParts,
    folder: Path,
    progress: Progress,
) -> Reading:
    """Reads all sources in parts, except those that are done, and joins the parts.

    Args:
        sources: The sources and which of their samples are used.
        options: Options of the preparation.
        parts: The parts of these sources.
        folder: Folder for the images to publish, if there are any.
        progress: Shows progress over the items of each source.

    Raises:
        DataError: If a source is faulty or has no readable image, or two sources share ids.
        ArtifactError: If there is not enough disk space.
    """
    with PartsWriter(parts) as writer:
        for number, selected in enumerate(sources):
            missing = [r for r in parts.ranges[writer.count :] if r.source == number]
            if missing:
                title = f"reading {selected.title}" if len(sources) > 1 else "reading"
                reader = RangeReader(selected, parts.sample_format, options)
                items = _shown_items(selected, missing[0].start, progress, title)
                for wanted in missing:
                    writer.append(reader.read(_items_in(items, wanted), wanted.start))
            check_source(selected, _counts(parts, number))
    return _joined(sources, parts, folder)


def check_source(selected: SelectedSource, counts: PartCounts) -> None:
    """Checks what can be known only once a source was read to its end.

    Raises:
        DataError: If no image of some class could be read, or a class to rename or
            to select was not met.
    """
    if (check := getattr(selected.reader, "check_readable", None)) is not None:
        check(counts.readable)
    names = ClassFilter(selected)
    names.seen |= counts.seen
    names.check()


def _shown_items(
    selected: SelectedSource, start: int, progress: Progress, title: str
) -> Iterator[Any]:
    """Yields the items of a source from a position on; progress counts those before it."""
    earlier: Iterable[Any] = repeat(None, start)
    items = chain(earlier, items_of(selected.reader, start))
    shown = iter(progress(items, len(selected.reader), title))
    deque(islice(shown, start), maxlen=0)
    return shown


def _items_in(items: Iterator[Any], wanted: PartRange) -> Iterator[Any]:
    """Yields the items of a part; the last one ends the iterator, which may raise errors."""
    return items if wanted.is_last else islice(items, wanted.stop - wanted.start)


class RangeReader:
    """Samples, maps and cleans items of a source, and computes their statistics.

    Args:
        selected: The source and which of its samples are used.
        sample_format: Format of the stored images.
        options: Options of the preparation.
    """

    def __init__(
        self, selected: SelectedSource, sample_format: SampleFormat, options: PrepareOptions
    ) -> None:
        self._selected = selected
        self._format = sample_format
        self._cleaner = Cleaner(options.clean)
        self._inside = within_limit(selected, options.split.seed)
        self._ships_pictures = options.ship_pictures

    def read(self, items: Iterable[Sample | Skipped], start: int) -> ReadPart:
        """Reads a part.

        Args:
            items: Items of the source.
            start: Position of the first of them.
        """
        names, counts = ClassFilter(self._selected), PartCounts()
        rows: list[dict[str, Any]] = []
        images: list[NDArray[np.uint8]] = []
        for index, item in enumerate(items, start):
            if isinstance(item, Skipped):
                if self._inside[index]:
                    counts.skipped[item.key] = item.reason
                else:
                    counts.left_out[BEYOND_LIMIT] += 1
                continue
            counts.readable.add((item.split, item.label))
            if reason := self._refusal(index, item.label, names):
                counts.left_out[reason] += 1
            else:
                row, image = self._stored(names.mapped(item))
                rows.append(row)
                images.append(image)
        counts.seen = names.seen
        stored = np.stack(images) if images else np.empty((0, *self._format.shape), np.uint8)
        return ReadPart(_table(rows) if rows else pd.DataFrame(), stored, counts)

    def _refusal(self, index: int, label: str | None, names: ClassFilter) -> str:
        """Returns why an image is not stored; empty if it is."""
        if self._selected.classes and (reason := names.refusal(label)):
            return reason
        return names.refusal(label) if self._inside[index] else BEYOND_LIMIT

    def _stored(self, sample: Sample) -> tuple[dict[str, Any], NDArray[np.uint8]]:
        """Returns the table row and the stored image of a sample."""
        cleaned = self._cleaner.clean(sample)
        # like a cropped upload: a face must not be stretched
        square = whole_picture(Image.fromarray(cleaned.image)).crop
        image = self._format.convert(square)
        row = _row(self._selected, cleaned)
        if self._ships_pictures:
            row[WEBP] = encode(image)
            image = decode(row[WEBP], self._format.colour)  # training uses the published pixels
        return row | quality.statistics(image) | {"sha1": quality.digest(image)}, image


def _row(selected: SelectedSource, sample: Sample) -> dict[str, Any]:
    height, width = sample.image.shape[:2]
    return {
        "id": f"{selected.title}/{sample.key}",
        "source": selected.title,
        "source_split": sample.split,
        "label": sample.label,
        "second_label": sample.second_label,
        "excluded": sample.excluded,
        "group": None if sample.group is None else f"{selected.title}/{sample.group}",
        **{f"{VOTE_PREFIX}{name}": count for name, count in sample.votes.items()},
        **sample.extras,
        "width": width,
        "height": height,
    }


def _table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    table = pd.DataFrame(rows)
    texts = dict.fromkeys(_TEXTS, "str")
    return table.astype({**texts, **dict.fromkeys(_SIZES, np.int32)})


def _counts(parts: ReadingParts, source: int) -> PartCounts:
    """Returns the counts of a source's parts together."""
    counts = PartCounts()
    for number, wanted in enumerate(parts.ranges):
        if wanted.source == source:
            counts.update(parts.counts(number))
    return counts


def _joined(sources: Sequence[SelectedSource], parts: ReadingParts, folder: Path) -> Reading:
    skipped: dict[str, str] = {}
    left_out: dict[str, Counter[str]] = {}
    for number, selected in enumerate(sources):
        counts = _counts(parts, number)
        prefix = f"{selected.title}/" if len(sources) > 1 else ""
        skipped |= {f"{prefix}{key}": reason for key, reason in counts.skipped.items()}
        counts.left_out.update(getattr(selected.reader, "left_out", {}))
        left_out[selected.title] = counts.left_out
    samples = _samples(parts, folder)
    if samples is None:
        read_from = ", ".join(selected.reader.origin.title for selected in sources)
        raise DataError(
            f"{read_from} gave no readable image ({len(skipped)} were skipped). Check the path."
        )
    if samples["id"].duplicated().any():
        twice = samples.loc[samples["id"].duplicated(), "id"].iloc[0]
        raise DataError(f"The sample {twice} comes twice. Remove one of the two files.")
    return Reading(samples, _thumbnails(parts.images()), skipped, left_out)


def _samples(parts: ReadingParts, folder: Path) -> pd.DataFrame | None:
    """Joins the tables, and writes the images to publish; None if no image was stored."""
    pictures: PictureWriter | None = None
    tables = []
    for number in range(len(parts.ranges)):
        table = parts.table(number)
        if WEBP in table.columns:
            pictures = pictures or PictureWriter(folder / PICTURES)
            for sample_id, data in zip(table["id"], table.pop(WEBP), strict=True):
                pictures.append(sample_id, data)
        if len(table):
            tables.append(table)
    if pictures is not None:
        pictures.close()
    return _in_order(pd.concat(tables, ignore_index=True)) if tables else None


def _in_order(samples: pd.DataFrame) -> pd.DataFrame:
    """Returns the samples with whole votes and columns in their order."""
    votes = [name for name in samples.columns if name.startswith(VOTE_PREFIX)]
    samples[votes] = samples[votes].fillna(0).astype(np.int16)
    if samples["group"].isna().all():
        samples = samples.drop(columns="group")
    extras = [
        name for name in samples.columns if name not in (*_TEXTS, *_SIZES, *_MEASURES, *votes)
    ]
    order = [name for name in samples.columns if name not in (*_SIZES, *_MEASURES, "sha1", *extras)]
    return samples[[*order, *_MEASURES, "sha1", *_SIZES, *extras]]


def _thumbnails(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    side = quality.THUMBNAIL_SIDE
    thumbnails = np.empty((len(images), side, side), np.float32)
    for start, block in image_blocks(images):
        for row, image in enumerate(block, start):
            thumbnails[row] = quality.thumbnail(image)
    return thumbnails
