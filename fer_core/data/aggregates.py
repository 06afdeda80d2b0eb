"""Aggregates of images that may be published: mean faces and their deviation."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fer_core.data.prepared import PreparedDataset
from fer_core.data.sources.base import SPLITS
from fer_core.data.storage import image_blocks

MIN_AVERAGED = 10
"""Smallest number of images in a mean face, so that no single image can be recognised."""

BATCHES = 8
"""Number of batches per class; the spread of their means shows how stable a mean face is."""

MIN_BATCH = 25
"""Smallest number of images in a batch."""

EXTREME_SHARE = 0.02
"""Share of the images that are averaged at each end of a map axis."""

AXES = ("x", "y")


def mean_faces(dataset: PreparedDataset) -> dict[str, NDArray[np.float32]]:
    """Returns the mean and standard deviation of the images by split and class.

    Returns:
        Keys `<split>/<label>/mean` and `.../std`; values float32 in 0 to 255, of an image's
        shape. Classes with fewer than `MIN_AVERAGED` images in a split are left out.
    """
    names = [f"{split}/{label}" for split in SPLITS for label in dataset.labels.names]
    groups = np.full(len(dataset.samples), -1)
    for index, name in enumerate(names):
        groups[_rows(dataset, *name.split("/", 1))] = index
    faces: dict[str, NDArray[np.float32]] = {}
    for index, mean, deviation in _moments(dataset.images, groups, len(names), MIN_AVERAGED):
        faces[f"{names[index]}/mean"] = mean
        faces[f"{names[index]}/std"] = deviation
    return faces


def batch_faces(dataset: PreparedDataset) -> dict[str, NDArray[np.uint8]]:
    """Returns mean faces of batches of each class's training images.

    Returns:
        Keys `batch/<label>`; values uint8, shape (up to 8, *image shape), each the mean of
        at least `MIN_BATCH` images.
    """
    groups = np.full(len(dataset.samples), -1)
    batch_labels: list[str] = []
    for label in dataset.labels.names:
        rows = _rows(dataset, "train", label)
        parts = min(BATCHES, len(rows) // MIN_BATCH)
        for part in np.array_split(rows, parts) if parts else []:
            groups[part] = len(batch_labels)
            batch_labels.append(label)
    batches: dict[str, list[NDArray[np.uint8]]] = {}
    for index, mean, _ in _moments(dataset.images, groups, len(batch_labels), MIN_BATCH):
        batches.setdefault(f"batch/{batch_labels[index]}", []).append(mean.round().astype(np.uint8))
    return {name: np.stack(means) for name, means in batches.items()}


def axis_faces(dataset: PreparedDataset) -> dict[str, NDArray[np.uint8]]:
    """Returns the mean face at each end of the map's axes.

    Returns:
        Keys `axis/<x|y>/<low|high>`; values uint8, of an image's shape.
    """
    faces: dict[str, NDArray[np.uint8]] = {}
    for axis in AXES:
        order = np.argsort(dataset.samples[axis].to_numpy(), kind="stable")
        order = order[np.isfinite(dataset.samples[axis].to_numpy()[order])]
        count = max(MIN_BATCH, round(EXTREME_SHARE * len(order)))
        if len(order) < 2 * count:
            continue
        groups = np.full(len(dataset.samples), -1)
        groups[order[:count]], groups[order[-count:]] = 0, 1
        for index, mean, _ in _moments(dataset.images, groups, 2, count):
            faces[f"axis/{axis}/{('low', 'high')[index]}"] = mean.round().astype(np.uint8)
    return faces


def _rows(dataset: PreparedDataset, split: str, label: str) -> NDArray[np.int64]:
    samples = dataset.samples
    return np.flatnonzero(((samples["split"] == split) & (samples["label"] == label)).to_numpy())


def _moments(
    images: NDArray[np.uint8], groups: NDArray[np.int64], count: int, min_size: int
) -> Iterator[tuple[int, NDArray[np.float32], NDArray[np.float32]]]:
    """Yields (group, mean, deviation) of groups of at least `min_size` images, in one pass."""
    shape = images.shape[1:]
    total = np.zeros((count, *shape))
    squares = np.zeros((count, *shape))
    for start, block in image_blocks(images):
        block_groups = groups[start : start + len(block)]
        for group in np.unique(block_groups[block_groups >= 0]):
            members = block[block_groups == group].astype(np.float64)
            total[group] += members.sum(axis=0)
            squares[group] += (members**2).sum(axis=0)
    sizes = np.bincount(groups[groups >= 0], minlength=count)
    for group in np.flatnonzero(sizes >= min_size):
        mean = total[group] / sizes[group]
        variance = (squares[group] / sizes[group] - mean**2).clip(0)
        yield int(group), mean.astype(np.float32), np.sqrt(variance).astype(np.float32)
