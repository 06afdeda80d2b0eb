"""Finds the exact, near and transformed copies of a set, and says how they are treated."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_core.data.assignment import Duplicates, find_duplicates, with_transformed
from fer_core.data.plan import SplitPlan
from fer_core.data.progress import Progress
from fer_core.data.reading import Reading
from fer_core.data.selection import SelectedSource
from fer_core.data.sources.base import SYNTHETIC
from fer_core.data.transformed_copies.search import find_transformed_copies
from fer_core.data.transformed_copies.table import COPY, SAME_SCENE, TransformedCopies

PUBLISHED_SPLITS = frozenset({"fer2013", "ferplus"})
"""Sources whose split is published and compared with: transformed copies are only reported."""

DRAWN = frozenset({SYNTHETIC})
"""Sources whose faces share a few head shapes and whose copies are known: nothing is searched."""


@dataclass(frozen=True)
class FoundCopies:
    """The copies of a set.

    Attributes:
        duplicates: Groups of samples that must stay in one split.
        pairs: Transformed copies; None if none were searched for.
        removed: Whether they are treated as duplicates.
    """

    duplicates: Duplicates
    pairs: TransformedCopies | None = None
    removed: bool = False


def find_copies(
    reading: Reading,
    images: NDArray[np.uint8],
    sources: Sequence[SelectedSource],
    plan: SplitPlan,
    progress: Progress,
) -> FoundCopies:
    """Finds exact and near duplicates, and transformed copies if the plan asks for them.

    Args:
        reading: The samples.
        images: Images of the samples; may be a memory map.
        sources: The sources of the samples.
        plan: Treatment of transformed copies.
        progress: Shows progress.
    """
    duplicates = find_duplicates(reading.samples, reading.thumbnails, progress)
    mode = plan.transformed_copies
    if mode == "auto":
        names = {source.reader.origin.name for source in sources}
        keep = plan.by == "source" and names <= PUBLISHED_SPLITS
        mode = "off" if names <= DRAWN else "report" if keep else "remove"
    if mode == "off":
        return FoundCopies(duplicates)
    remove = mode == "remove"
    pairs = find_transformed_copies(images, one_of_each(duplicates.near), progress=progress)
    scenes = pairs.of_kind(SAME_SCENE)[: None if plan.same_scene == "group" else 0]
    joined = with_transformed(duplicates, pairs.of_kind(COPY), scenes, remove=remove)
    return FoundCopies(joined, pairs, remove)


def one_of_each(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns the first row of each group and all rows without one, ascending.

    Args:
        groups: Group of each sample, -1 for none; shape (N,).
    """
    _, first = np.unique(groups, return_index=True)
    return np.union1d(first[groups[first] >= 0], np.flatnonzero(groups < 0))
