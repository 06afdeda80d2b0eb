"""What ships of the pictures: means and deviations of many, never a single one."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fer_core.data.prepared import PreparedDataset
from fer_core.data.sources.base import SPLITS
from fer_core.data.storage import image_blocks

MIN_AVERAGED = 10
"""Fewest images in a published mean face: the mean of one image would be that picture."""

BATCHES = 8
"""Means of successive parts of a class, which show how much its mean face can be trusted."""

MIN_BATCH = 25
"""Fewest images in such a part."""

EXTREME_SHARE = 0.02
"""Share of the images that are averaged at each end of an axis of the map."""

AXES = ("x", "y")


def mean_faces(dataset: PreparedDataset) -> dict[str, NDArray[np.float32]]:
    """Returns mean and deviation of the images by split and class.

    Returns:
        Keys `<split>/<label>/mean` and `.../std`; values float32 in 0 to 255, one image's shape.
        A class with fewer than `MIN_AVERAGED` images in a split has none there.
    """
    names = [f"{split}/{label}" for split in SPLITS for label in dataset.labels.names]
    groups = np.full(len(dataset.samples), -1)
    for place, name in enumerate(names):
        groups[_rows(dataset, *name.split("/", 1))] = place
    faces: dict[str, NDArray[np.float32]] = {}
    for place, mean, deviation in _moments(dataset.images, groups, len(names), MIN_AVERAGED):
        faces[f"{names[place]}/mean"] = mean
        faces[f"{names[place]}/std"] = deviation
    return faces


def batch_faces(dataset: PreparedDataset) -> dict[str, NDArray[np.uint8]]:
    """Returns the mean faces of successive parts of each class's training images.

    Returns:
        Keys `batch/<label>`; values uint8, shape (up to 8, *one image's shape), each a mean of
        `MIN_BATCH` images or more.
    """
    groups = np.full(len(dataset.samples), -1)
    owners: list[str] = []
    for label in dataset.labels.names:
        rows = _rows(dataset, "train", label)
        parts = min(BATCHES, len(rows) // MIN_BATCH)
        for part in np.array_split(rows, parts) if parts else []:
            groups[part] = len(owners)
            owners.append(label)
    found: dict[str, list[NDArray[np.uint8]]] = {}
    for place, mean, _ in _moments(dataset.images, groups, len(owners), MIN_BATCH):
        found.setdefault(f"batch/{owners[place]}", []).append(mean.round().astype(np.uint8))
    return {name: np.stack(means) for name, means in found.items()}


def axis_faces(dataset: PreparedDataset) -> dict[str, NDArray[np.uint8]]:
    """Returns what the ends of the map's axes look like: means of the outermost images.

    Returns:
        Keys `axis/<x|y>/<low|high>`; values uint8, one image's shape.
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
        for place, mean, _ in _moments(dataset.images, groups, 2, count):
            faces[f"axis/{axis}/{('low', 'high')[place]}"] = mean.round().astype(np.uint8)
    return faces


def _rows(dataset: PreparedDataset, split: str, label: str) -> NDArray[np.int64]:
    samples = dataset.samples
    return np.flatnonzero(((samples["split"] == split) & (samples["label"] == label)).to_numpy())


def _moments(
    images: NDArray[np.uint8], groups: NDArray[np.int64], count: int, least: int
) -> Iterator[tuple[int, NDArray[np.float32], NDArray[np.float32]]]:
    """Gives (group, mean, deviation) of groups of at least `least` images, in one pass."""
    shape = images.shape[1:]
    total = np.zeros((count, *shape))
    squares = np.zeros((count, *shape))
    for start, block in image_blocks(images):
        mine = groups[start : start + len(block)]
        for group in np.unique(mine[mine >= 0]):
            chosen = block[mine == group].astype(np.float64)
            total[group] += chosen.sum(axis=0)
            squares[group] += (chosen**2).sum(axis=0)
    sizes = np.bincount(groups[groups >= 0], minlength=count)
    for group in np.flatnonzero(sizes >= least):
        mean = total[group] / sizes[group]
        variance = (squares[group] / sizes[group] - mean**2).clip(0)
        yield int(group), mean.astype(np.float32), np.sqrt(variance).astype(np.float32)
