"""Image statistics and duplicates."""

import hashlib
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse.csgraph import connected_components

THUMBNAIL_SIDE = 16
NEAR_DUPLICATE_CORRELATION = 0.99
FLAT_DEVIATION = 1.0
"""Under this deviation (grey levels) an image is flat, and correlation says nothing of it."""

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def to_grey(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Returns luma (ITU-R BT.601), float32 in 0 to 255, shape (H, W), of a grey or RGB image."""
    if image.ndim == 2:
        return image.astype(np.float32)
    grey: NDArray[np.float32] = image.astype(np.float32) @ _LUMA
    return grey


def statistics(image: NDArray[np.uint8]) -> dict[str, float]:
    """Measures one image.

    Returns:
        brightness: mean grey level, 0 to 255. contrast: standard deviation of grey levels.
        sharpness: variance of the Laplacian; low values are blurred.
    """
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
    rows = np.linspace(0, grey.shape[0], THUMBNAIL_SIDE + 1).astype(int)[:-1]
    columns = np.linspace(0, grey.shape[1], THUMBNAIL_SIDE + 1).astype(int)[:-1]
    sums = np.add.reduceat(np.add.reduceat(grey, rows, axis=0), columns, axis=1)
    heights = np.diff(np.append(rows, grey.shape[0]))
    widths = np.diff(np.append(columns, grey.shape[1]))
    means: NDArray[np.float32] = (sums / np.outer(heights, widths)).astype(np.float32)
    return means


def near_pairs(
    thumbnails: NDArray[np.float32], threshold: float = NEAR_DUPLICATE_CORRELATION
) -> NDArray[np.int64]:
    """Finds all pairs of images whose thumbnails correlate.

    Args:
        thumbnails: Shape (N, 16, 16).
        threshold: Least Pearson correlation of a pair.

    Returns:
        Index pairs (i < j), shape (P, 2). Flat images are in none.
    """
    pixels = math.prod(thumbnails.shape[1:])  # reshape cannot infer it where there is no image
    flat = thumbnails.reshape(len(thumbnails), pixels).astype(np.float32)
    centred = flat - flat.mean(axis=1, keepdims=True)
    deviation = centred.std(axis=1)
    usable = np.flatnonzero(deviation >= FLAT_DEVIATION)
    if len(usable) < 2:
        return np.empty((0, 2), dtype=np.int64)
    unit = centred[usable] / np.linalg.norm(centred[usable], axis=1, keepdims=True)
    found = []
    block = 2048
    for start in range(0, len(unit), block):
        rows, columns = np.nonzero(unit[start : start + block] @ unit[start:].T >= threshold)
        later = columns > rows
        found.append(np.stack([rows[later], columns[later]], axis=1) + start)
    return usable[np.concatenate(found)].astype(np.int64)


def exact_pairs(digests: Sequence[str]) -> NDArray[np.int64]:
    """Links each image to the first one with the same digest; pairs of shape (P, 2)."""
    first: dict[str, int] = {}
    pairs = [
        (first[value], index)
        for index, value in enumerate(digests)
        if first.setdefault(value, index) != index
    ]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def group_pairs(pairs: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Joins linked samples into groups.

    Args:
        pairs: Linked indices, shape (P, 2).
        count: Number of samples.

    Returns:
        Shape (count,): the group of each sample, numbered from 0 in order of first appearance,
        or -1 for a sample that is linked to none.
    """
    links = sparse.coo_matrix(
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
