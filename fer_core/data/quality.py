"""Image statistics, perceptual hashes and duplicates."""

import hashlib
import math
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_core.data.progress import Progress, silent
from fer_core.luma import LUMA

THUMBNAIL_SIDE = 16
NEAR_DUPLICATE_CORRELATION = 0.99
FLAT_DEVIATION = 1.0
"""Standard deviation in grey levels below which an image is flat and correlation meaningless."""

HASH_DISTANCE = 14
"""Largest Hamming distance of near duplicates' hashes. Of FER2013's 2,982 pairs with a correlation
of at least 0.99, 85% have equal hashes and none differs in more than 12 bits; only 0.06% of all
pairs are within 14 bits, so the correlation is computed for few."""

_ROWS = 4096  # pairs per batch
_HASH_ROWS, _HASH_COLUMNS = 64, 8192  # a block of distances fits the CPU cache
_MOST_LINKS = 2**22  # pairs in memory before they are joined into groups


def to_grey(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Returns luma (ITU-R BT.601), float32 in 0 to 255, shape (H, W), of a grey or RGB image."""
    if image.ndim == 2:
        return image.astype(np.float32)
    grey: NDArray[np.float32] = image.astype(np.float32) @ np.array(LUMA, dtype=np.float32)
    return grey


def statistics(image: NDArray[np.uint8]) -> dict[str, float]:
    """Returns statistics of one image.

    Returns:
        brightness: mean grey level, 0 to 255. contrast: standard deviation of grey levels.
        sharpness: variance of the Laplacian; low for blurred images.
    """
    from scipy import ndimage  # slow to import, and pages need only the rest of this module

    grey = to_grey(image)
    return {
        "brightness": float(grey.mean()),
        "contrast": float(grey.std()),
        "sharpness": float(ndimage.laplace(grey).var()),
    }


def digest(image: NDArray[np.uint8]) -> str:
    """Returns the SHA-1 of an image's shape and pixels, as hex."""
    hasher = hashlib.sha1(str(image.shape).encode(), usedforsecurity=False)
    hasher.update(np.ascontiguousarray(image).tobytes())
    return hasher.hexdigest()


def thumbnail(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Returns block means of the grey image, float32, shape (16, 16)."""
    grey = to_grey(image)
    (rows, heights), (columns, widths) = _blocks(grey.shape[0]), _blocks(grey.shape[1])
    sums = np.add.reduceat(np.add.reduceat(grey, rows, axis=0), columns, axis=1)
    means: NDArray[np.float32] = (sums / np.outer(heights, widths)).astype(np.float32)
    return means


@lru_cache(maxsize=64)
def _blocks(length: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns start and length of the 16 blocks along a side."""
    bounds = np.linspace(0, length, THUMBNAIL_SIDE + 1).astype(int)
    return bounds[:-1], np.diff(bounds)


def perceptual_hashes(thumbnails: NDArray[np.float32]) -> NDArray[np.uint64]:
    """Hashes images so that similar ones differ in few bits (pHash; Zauner 2010).

    Each bit tells whether one of the 63 lowest DCT frequencies (without the mean) is above their
    median. Brightness and contrast do not change the hash.

    Args:
        thumbnails: Shape (N, 16, 16).

    Returns:
        Shape (N,); the highest bit is never set.
    """
    from scipy.fft import dctn

    hashes = np.zeros(len(thumbnails), dtype=np.uint64)
    for start in range(0, len(thumbnails), _ROWS):
        block = thumbnails[start : start + _ROWS].astype(np.float64)
        low = dctn(block, axes=(1, 2), norm="ortho")[:, :8, :8].reshape(-1, 64)
        # Rounding keeps floating-point noise from changing a bit.
        low = low.round(3)
        bits = low > np.median(low[:, 1:], axis=1, keepdims=True)
        bits[:, 0] = False
        packed = np.packbits(bits, axis=1).view(">u8").ravel()
        hashes[start : start + _ROWS] = packed
    return hashes


def near_pairs(
    thumbnails: NDArray[np.float32],
    threshold: float = NEAR_DUPLICATE_CORRELATION,
    progress: Progress = silent,
) -> NDArray[np.int64]:
    """Finds all pairs of images with similar hashes and correlated thumbnails.

    Args:
        thumbnails: Shape (N, 16, 16).
        threshold: Smallest Pearson correlation of a pair.
        progress: Reports progress.

    Returns:
        Index pairs (i < j), ascending, shape (P, 2). Flat images are in no pair.
    """
    blocks = list(_near_blocks(thumbnails, threshold, progress))
    return np.concatenate([np.empty((0, 2), dtype=np.int64), *blocks])


def near_groups(
    thumbnails: NDArray[np.float32], equal: NDArray[np.int64], progress: Progress = silent
) -> NDArray[np.int64]:
    """Joins exact and near duplicates into groups.

    Of equal images only the first is compared with the others, and pairs are joined block by
    block: the pairs of many equal or similar images do not fit the memory.

    Args:
        thumbnails: Shape (N, 16, 16).
        equal: Equal images, each linked to the first one (see `linked_pairs`); shape (P, 2).
        progress: Reports progress.

    Returns:
        As `group_pairs` of `equal` and of `near_pairs`.
    """
    count = len(thumbnails)
    rows = np.setdiff1d(np.arange(count), equal[:, 1])
    compared = thumbnails if len(rows) == count else thumbnails[rows]
    links = equal
    for block in _near_blocks(compared, NEAR_DUPLICATE_CORRELATION, progress):
        links = np.concatenate([links, rows[block]])
        if len(links) > count + _MOST_LINKS:
            links = _group_links(group_pairs(links, count))
    return group_pairs(links, count)


def _group_links(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Links the members of each group to its first one, shape (members, 2)."""
    members = np.flatnonzero(groups >= 0)
    _, first = np.unique(groups[members], return_index=True)
    return np.stack([members[first][groups[members]], members], axis=1)


def _near_blocks(
    thumbnails: NDArray[np.float32], threshold: float, progress: Progress
) -> Iterator[NDArray[np.int64]]:
    """Yields the pairs of `near_pairs` in blocks of their first images."""
    pixels = math.prod(thumbnails.shape[1:])  # reshape cannot infer it without images
    flat = thumbnails.reshape(len(thumbnails), pixels)
    deviation = np.array([row.std() for row in flat], dtype=np.float32)
    usable = np.flatnonzero(deviation >= FLAT_DEVIATION)
    hashes = perceptual_hashes(thumbnails)[usable]
    blocks = -(-len(hashes) // _HASH_ROWS)
    for candidates in progress(_hash_neighbours(hashes), blocks, "comparing"):
        pairs, matches = usable[candidates], [np.empty((0, 2), dtype=np.int64)]
        for start in range(0, len(pairs), _ROWS):
            part = pairs[start : start + _ROWS]
            left, right = (_unit(flat[part[:, side]]) for side in (0, 1))
            matches.append(part[np.einsum("ij,ij->i", left, right) >= threshold])
        yield np.concatenate(matches).astype(np.int64)


def _hash_neighbours(hashes: NDArray[np.uint64]) -> Iterator[NDArray[np.int64]]:
    """Yields index pairs (i < j) whose hashes differ in at most `HASH_DISTANCE` bits."""
    for start in range(0, len(hashes), _HASH_ROWS):
        row_hashes = hashes[start : start + _HASH_ROWS, None]
        pairs = []
        for other in range(start, len(hashes), _HASH_COLUMNS):
            column_hashes = hashes[None, other : other + _HASH_COLUMNS]
            near = np.bitwise_count(row_hashes ^ column_hashes) <= HASH_DISTANCE
            row, column = np.divmod(np.flatnonzero(near), near.shape[1])
            pairs.append(np.stack([row + start, column + other], axis=1))
        block = np.concatenate(pairs)
        block = block[block[:, 1] > block[:, 0]]
        yield block[np.lexsort((block[:, 1], block[:, 0]))]


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    centred = rows - rows.mean(axis=1, keepdims=True)
    unit: NDArray[np.float32] = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    return unit


def linked_pairs(names: Sequence[str | None]) -> NDArray[np.int64]:
    """Links each sample to the first one with the same name, shape (P, 2); None has no links."""
    first: dict[str, int] = {}
    pairs = [
        (first[name], index)
        for index, name in enumerate(names)
        if isinstance(name, str) and first.setdefault(name, index) != index
    ]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def conflicting(groups: NDArray[np.int64], labels: pd.Series) -> NDArray[np.bool_]:
    """Marks samples whose group has more than one label.

    Args:
        groups: Group of each sample, -1 for none; shape (N,).
        labels: Class names; missing labels do not conflict.
    """
    grouped = pd.Series(labels.to_numpy(), index=groups)
    kinds = grouped[groups >= 0].groupby(level=0).nunique()
    mark: NDArray[np.bool_] = np.isin(groups, kinds.index[kinds > 1].to_numpy())
    return mark


def group_pairs(pairs: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Joins linked samples into groups.

    Args:
        pairs: Linked indices, shape (P, 2).
        count: Number of samples.

    Returns:
        Shape (count,): the group of each sample, numbered from 0 in order of first appearance,
        or -1 for a sample without links.
    """
    from scipy.sparse import coo_array  # slow to import, and only needed here
    from scipy.sparse.csgraph import connected_components

    links = coo_array(
        (np.ones(len(pairs), dtype=bool), (pairs[:, 0], pairs[:, 1])), shape=(count, count)
    )
    _, component = connected_components(links, directed=False)
    sizes = np.bincount(component, minlength=1)
    groups = np.full(count, -1, dtype=np.int64)
    linked = np.flatnonzero(sizes[component] > 1)
    _, first, inverse = np.unique(component[linked], return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    groups[linked] = rank[inverse]
    return groups


def joined_groups(groups: NDArray[np.int64], pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns groups of samples that share a group or are linked by a pair.

    Args:
        groups: Group of each sample, -1 for none; shape (N,).
        pairs: Linked samples, shape (P, 2).
    """
    named = linked_pairs([str(group) if group >= 0 else None for group in groups])
    return group_pairs(np.concatenate([named, pairs]), len(groups))
