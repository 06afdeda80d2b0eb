"""Transformed copies: shares found by kind of change, false pairs, time and memory.

With a prepared FER2013 (`FERSCOPE_DATA`) its images are used; without it drawn faces.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from benchmarks import copies_at_scale
from benchmarks.result import Result
from fer_core.data.copy_search import one_of_each
from fer_core.data.prepared import PreparedDataset
from fer_core.data.quality import group_pairs, near_pairs, thumbnail
from fer_core.data.sources.synthetic import SyntheticSource
from fer_core.data.transformed_copies.changes import CHANGES
from fer_core.data.transformed_copies.registration import (
    LEVELS,
    identity,
    normalised,
    register,
)
from fer_core.data.transformed_copies.search import find_transformed_copies
from fer_core.data.transformed_copies.table import COPY
from fer_core.errors import DataError
from fer_core.project import data_root

LEAST_SHARE, MOST_MINUTES = 0.95, 4.0
COPIES_EACH = 60
"""Changed copies of each combination of changes; each of another image."""

DRAWN = 3000
THUMBNAILS = 2000
"""Images among which copies are searched as near duplicates are."""

_SEED = 3


def measure() -> Iterator[Result]:
    """Measures shares by kind of change, then time on the whole set."""
    name, images = _images()
    detected = shares(images)
    for changes, share in detected.items():
        if len(changes) == 1:
            yield _share(f"{name}: {changes[0]}", share)
    pairs = {changes: share for changes, share in detected.items() if len(changes) == 2}
    for changes, share in sorted(pairs.items(), key=lambda item: item[1])[:3]:
        yield _share(f"{name}: {' and '.join(changes)}, among the hardest of {len(pairs)}", share)
    yield _share(f"{name}: any two changes, mean", float(np.mean(list(pairs.values()))))
    yield Result(
        f"{name}: found as near duplicates, among {THUMBNAILS:,} images, mean of two changes",
        f"{_share_by_thumbnails(images):.0%}",
    )
    yield from _times(name, images)
    yield from copies_at_scale.measure(name, images)


def _share(what: str, share: float) -> Result:
    return Result(what, f"{share:.1%}", "", f"{LEAST_SHARE:.0%}", share >= LEAST_SHARE)


def shares(images: NDArray[np.uint8], each: int = COPIES_EACH) -> Mapping[tuple[str, ...], float]:
    """Adds changed copies to images and searches for them.

    Args:
        images: The originals, without known duplicates.
        each: Copies of each combination of at most two changes.

    Returns:
        Share of copies that are joined with their original, by names of changes.
    """
    mixed, planted = with_copies(images, each)
    pairs = find_transformed_copies(mixed).of_kind(COPY)
    group = group_pairs(pairs, len(mixed))
    return {
        changes: float(np.mean([a == b >= 0 for a, b in group[rows].tolist()]))
        for changes, rows in planted.items()
    }


def with_copies(
    images: NDArray[np.uint8], each: int
) -> tuple[NDArray[np.uint8], Mapping[tuple[str, ...], NDArray[np.int64]]]:
    """Returns images with changed copies behind them, and (original, copy) rows by changes."""
    random = np.random.default_rng(_SEED)
    parts, planted, count = [images], {}, len(images)
    for changes in combinations_of(images.ndim == 4):
        originals = random.choice(len(images), min(each, len(images)), replace=False)
        copies = np.stack([_changed(images[row], changes, random) for row in originals])
        planted[changes] = np.stack([originals, np.arange(count, count + len(copies))], axis=1)
        parts.append(copies)
        count += len(copies)
    return np.concatenate(parts), planted


def combinations_of(colour: bool) -> list[tuple[str, ...]]:
    """Returns all single changes and pairs of changes; grey only of colour images."""
    names = [name for name in CHANGES if colour or name != "grey"]
    return [(name,) for name in names] + list(combinations(names, 2))


def _changed(
    image: NDArray[np.uint8], changes: Sequence[str], random: np.random.Generator
) -> NDArray[np.uint8]:
    for name in changes:
        image = CHANGES[name](image, random)
    return image


def _images() -> tuple[str, NDArray[np.uint8]]:
    try:
        dataset = PreparedDataset.open(data_root() / "ferplus")
    except DataError:
        return "drawn faces", np.stack([face.image for face in SyntheticSource(DRAWN, 0, 64)])
    rows = one_of_each(dataset.samples["duplicate_group"].to_numpy())
    return "FER2013", np.asarray(dataset.images[rows])


def _share_by_thumbnails(images: NDArray[np.uint8]) -> float:
    mixed, planted = with_copies(images[:THUMBNAILS], COPIES_EACH)
    pairs = near_pairs(np.stack([thumbnail(image) for image in mixed]))
    detected = set(map(tuple, pairs.tolist()))
    return float(
        np.mean(
            [tuple(row) in detected for changes, rows in planted.items() if len(changes) == 2
             for row in rows.tolist()]
        )
    )  # fmt: skip


def _times(name: str, images: NDArray[np.uint8]) -> Iterator[Result]:
    """Times the search on the whole set, and registration of all pairs as the alternative."""
    started, cpu = time.perf_counter(), time.process_time()
    find_transformed_copies(images)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    all_pairs = _seconds_per_pair(images) * len(images) * (len(images) - 1)
    yield Result(
        f"{name}: search among {len(images):,} images",
        f"{seconds:.0f} s ({cpu:.0f} s of CPU time)",
        f"registering all pairs, both views: {all_pairs / 3600:,.0f} h",
        f"{MOST_MINUTES:.0f} min",
        seconds < 60 * MOST_MINUTES,
    )


def _seconds_per_pair(images: NDArray[np.uint8]) -> float:
    import torch

    grey = images[:512].mean(axis=-1) if images.ndim == 4 else images[:512]
    small = torch.from_numpy(np.asarray(grey, dtype=np.float32))[:, :48, :48]
    level = LEVELS[0]
    ready = normalised(small, level)
    started = time.perf_counter()
    register(ready, ready.roll(1, 0), identity(len(ready)), level.steps)
    return (time.perf_counter() - started) / len(ready)
