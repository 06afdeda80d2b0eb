"""Reads sources into one image file and one table of samples."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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
from fer_core.data.selection import BEYOND_LIMIT, ClassFilter, SelectedSource, within_limit
from fer_core.data.sources.base import Sample, Skipped
from fer_core.data.storage import ImageWriter, PictureWriter
from fer_core.errors import DataError

_CHUNK = 4096
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
    folder: Path,
    sample_format: SampleFormat,
    options: PrepareOptions,
    progress: Progress,
) -> Reading:
    """Reads all sources, one image in memory at a time, and writes `images.npy`.

    Raises:
        DataError: If a source is faulty or has no readable image, or two sources share ids.
        ArtifactError: If there is not enough disk space.
    """
    titles = sorted(selected.title for selected in sources)
    if len(set(titles)) < len(titles):
        raise DataError(
            f"Several sources are called {', '.join(titles)}. Give each a `name` of its own."
        )
    total = sum(
        min(len(selected.reader), selected.limit or len(selected.reader)) for selected in sources
    )
    thumbnails = np.empty((total, quality.THUMBNAIL_SIDE, quality.THUMBNAIL_SIDE), np.float32)
    reader = _Reader(sample_format, Cleaner(options.clean), options.split.seed, progress)
    pictures = PictureWriter(folder / PICTURES) if options.ship_pictures else None
    chunks: list[pd.DataFrame] = []
    rows: list[dict[str, Any]] = []
    try:
        with ImageWriter(folder / "images.npy", total, sample_format) as writer:
            for row, image in reader.rows(sources):
                if pictures is not None:
                    image = pictures.append(row["id"], image)
                thumbnails[writer.count] = quality.thumbnail(image)
                writer.append(image)
                rows.append(row | quality.statistics(image) | {"sha1": quality.digest(image)})
                if len(rows) == _CHUNK:
                    chunks.append(_table(rows))
                    rows = []
    finally:
        if pictures is not None:
            pictures.close()
    if rows:
        chunks.append(_table(rows))
    if not chunks:
        read_from = ", ".join(selected.reader.origin.title for selected in sources)
        raise DataError(
            f"{read_from} gave no readable image ({len(reader.skipped)} were skipped). "
            "Check the path."
        )
    samples = _joined(chunks)
    if samples["id"].duplicated().any():
        twice = samples.loc[samples["id"].duplicated(), "id"].iloc[0]
        raise DataError(f"The sample {twice} comes twice. Remove one of the two files.")
    return Reading(samples, thumbnails[: len(samples)], reader.skipped, reader.left_out)


class _Reader:
    """Samples, maps and cleans the sources' samples, and computes their statistics."""

    def __init__(
        self, sample_format: SampleFormat, cleaner: Cleaner, seed: int, progress: Progress
    ) -> None:
        self._format = sample_format
        self._cleaner = cleaner
        self._seed = seed
        self._progress = progress
        self.skipped: dict[str, str] = {}
        self.left_out: dict[str, Counter[str]] = {}

    def rows(
        self, sources: Sequence[SelectedSource]
    ) -> Iterator[tuple[dict[str, Any], NDArray[np.uint8]]]:
        """Yields the table row and the stored image of each sample."""
        for selected in sources:
            left_out = self.left_out.setdefault(selected.title, Counter())
            for sample in self._taken(selected, left_out, several=len(sources) > 1):
                cleaned = self._cleaner.clean(sample)
                # like a cropped upload: a face must not be stretched
                square = whole_picture(Image.fromarray(cleaned.image)).crop
                yield _row(selected, cleaned), self._format.convert(square)
            # Readers have counted the images that they left out only at the end.
            left_out.update(getattr(selected.reader, "left_out", {}))

    def _taken(
        self, selected: SelectedSource, left_out: Counter[str], *, several: bool
    ) -> Iterator[Sample]:
        reader, names = selected.reader, ClassFilter(selected)
        inside = within_limit(selected, self._seed)
        title = f"reading {selected.title}" if several else "reading"
        for index, item in enumerate(self._progress(reader, len(reader), title)):
            if isinstance(item, Skipped):
                if inside[index]:
                    key = f"{selected.title}/{item.key}" if several else item.key
                    self.skipped[key] = item.reason
                else:
                    left_out[BEYOND_LIMIT] += 1
            elif selected.classes and (reason := names.refusal(item.label)):
                left_out[reason] += 1
            elif not inside[index]:
                left_out[BEYOND_LIMIT] += 1
            elif reason := names.refusal(item.label):
                left_out[reason] += 1
            else:
                yield names.mapped(item)
        names.check()


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


def _joined(chunks: list[pd.DataFrame]) -> pd.DataFrame:
    samples = pd.concat(chunks, ignore_index=True)
    votes = [name for name in samples.columns if name.startswith(VOTE_PREFIX)]
    samples[votes] = samples[votes].fillna(0).astype(np.int16)
    if samples["group"].isna().all():
        samples = samples.drop(columns="group")
    extras = [
        name for name in samples.columns if name not in (*_TEXTS, *_SIZES, *_MEASURES, *votes)
    ]
    order = [name for name in samples.columns if name not in (*_SIZES, *_MEASURES, "sha1", *extras)]
    return samples[[*order, *_MEASURES, "sha1", *_SIZES, *extras]]
