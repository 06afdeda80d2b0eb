"""Transformed copies in large sets: time, memory and what is found, by number of images.

The images are blends of three faces, so that they are many, different, and alike as faces are. A
hundredth of them are changed copies of others, so what must be found is known, and so is every
false pair.
"""

import resource
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.result import Result
from fer_core.data.quality import group_pairs
from fer_core.data.transformed_copies.changes import CHANGES
from fer_core.data.transformed_copies.search import find_transformed_copies
from fer_core.data.transformed_copies.table import COPY

SIZES = (37_500, 75_000, 150_000, 300_000)
COPIES = 100
"""One image in so many is a changed copy of another one, with two changes."""

LEAST_SHARE, MOST_FALSE = 0.95, 1e-4
"""Share of copies to find, and pairs of different images per image."""

_BLENDED = 3
_CONTRAST = 1.7  # a mean of three images has about 1 / sqrt(3) of the contrast
_BLOCK = 4096
_SEED = 7


@dataclass(frozen=True)
class Search:
    """One search.

    Attributes:
        images: Number of images.
        wall: Seconds.
        cpu: Seconds of CPU time.
        steps: Seconds of CPU time by step, with what follows until the next one.
        memory: Peak of the process in GiB, with the images.
        share: Share of the copies that are found.
        false: Pairs of different images that are called copies.
    """

    images: int
    wall: float
    cpu: float
    steps: dict[str, float]
    memory: float
    share: float
    false: int


class _Clock:
    """Progress that notes the CPU time at which each step begins."""

    def __init__(self) -> None:
        self.marks: list[tuple[str, float]] = []

    def __call__(self, items: Iterable[Any], length: int, title: str) -> Iterable[Any]:
        self.marks.append((title, time.process_time()))
        return items

    def steps(self) -> dict[str, float]:
        """Returns the CPU time of each step so far."""
        ends = [start for _, start in self.marks[1:]] + [time.process_time()]
        return {title: end - start for (title, start), end in zip(self.marks, ends, strict=True)}


def measure(name: str, faces: NDArray[np.uint8], sizes: Sequence[int] = SIZES) -> Iterator[Result]:
    """Searches sets of several sizes, each in its own process.

    Args:
        name: Name of the faces.
        faces: Different images, shape (N, S, S) or (N, S, S, 3).
        sizes: Numbers of images.
    """
    earlier: Search | None = None
    for size in sizes:
        context = get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as process:
            result = process.submit(search, faces, size).result()
        yield from _rows(name, result, earlier)
        earlier = result


def _rows(name: str, result: Search, earlier: Search | None) -> Iterator[Result]:
    slowest = sorted(result.steps.items(), key=lambda step: -step[1])[:3]
    growth = "" if earlier is None else f"{result.cpu / earlier.cpu:.1f} times as long as before; "
    yield Result(
        f"blends of {name}: search among {result.images:,} images",
        f"{result.cpu / 60:.1f} min of CPU time ({result.wall / 60:.1f} min), "
        f"{result.memory:.2f} GiB",
        growth + ", ".join(f"{title} {seconds:.0f} s" for title, seconds in slowest),
    )
    yield Result(
        f"blends of {name}: copies with two changes found among {result.images:,} images",
        f"{result.share:.1%}",
        "",
        f"{LEAST_SHARE:.0%}",
        result.share >= LEAST_SHARE,
    )
    most = MOST_FALSE * result.images
    yield Result(
        f"blends of {name}: pairs of different images called copies, among {result.images:,}",
        f"{result.false:,}",
        "",
        f"under {most:.0f}",
        result.false < most,
    )


def search(faces: NDArray[np.uint8], count: int) -> Search:
    """Builds a set and searches it.

    Args:
        faces: Different images.
        count: Number of images of the set.
    """
    images, originals = blends_with_copies(faces, count)
    clock = _Clock()
    started, cpu = time.perf_counter(), time.process_time()
    pairs = find_transformed_copies(images, progress=clock).of_kind(COPY)
    wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    group = group_pairs(pairs, count)
    copies = np.flatnonzero(originals != np.arange(count))
    joined = (group[copies] >= 0) & (group[copies] == group[originals[copies]])
    return Search(
        images=count,
        wall=wall,
        cpu=cpu,
        steps=clock.steps(),
        memory=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        share=float(joined.mean()),
        false=int((originals[pairs[:, 0]] != originals[pairs[:, 1]]).sum()),
    )


def blends_with_copies(
    faces: NDArray[np.uint8], count: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Returns blends of faces, the last ones replaced by changed copies of others.

    Args:
        faces: Different images.
        count: Number of images to return, at least `COPIES`.

    Returns:
        The images, and for each the row of the image that it shows (its own, if it is no copy).
    """
    random = np.random.default_rng(_SEED)
    images = np.empty((count, *faces.shape[1:]), dtype=np.uint8)
    for start in range(0, count, _BLOCK):
        images[start : start + _BLOCK] = _blends(faces, min(_BLOCK, count - start), random)
    originals = np.arange(count)
    copies = count // COPIES
    originals[-copies:] = random.choice(count - copies, copies, replace=False)
    names = [name for name in CHANGES if faces.ndim == 4 or name != "grey"]
    for row in range(count - copies, count):
        image = images[originals[row]]
        for name in random.choice(names, 2, replace=False):
            image = CHANGES[str(name)](image, random)
        images[row] = image
    return images, originals


def _blends(faces: NDArray[np.uint8], count: int, random: np.random.Generator) -> NDArray[np.uint8]:
    total = np.zeros((count, *faces.shape[1:]), dtype=np.float32)
    for _ in range(_BLENDED):
        part = faces[random.integers(len(faces), size=count)].astype(np.float32)
        mirrored = random.random(count) < 0.5
        part[mirrored] = part[mirrored, :, ::-1]
        total += part / _BLENDED
    axes = tuple(range(1, total.ndim))
    centre = total.mean(axis=axes, keepdims=True)
    light = centre + _CONTRAST * (total - centre)
    return np.asarray(light.clip(0, 255).round(), dtype=np.uint8)
