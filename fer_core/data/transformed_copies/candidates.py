"""Pairs of images with similar descriptors: matrix products in blocks, exact and without an index.

For N images the products take about 128 N^2 operations (64 dimensions, plain and mirrored), 13
GFLOP for 10,000 images, so an approximate index is not worth a dependency.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_core.data.progress import Progress

SIMILARITY = 0.55
"""Smallest cosine similarity of a candidate, chosen on changed copies of FER2013's images."""

NEIGHBOURS = 4
"""Most candidates of an image; a pair counts if it is among those of either image."""

_ROWS, _COLUMNS = 512, 8192
_BUFFER = 2_000_000


@dataclass(frozen=True)
class CandidatePairs:
    """Pairs to be registered; each array has shape (P,).

    Attributes:
        first: Row of the first image; less than `second`.
        second: Row of the second image.
        mirrored: Whether the first image is mirrored.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    mirrored: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.first)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> "CandidatePairs":
        """Returns some of the pairs."""
        return CandidatePairs(self.first[rows], self.second[rows], self.mirrored[rows])


@dataclass(frozen=True)
class _Links:
    """Directed links with their similarities, each array of shape (L,)."""

    row: NDArray[np.int64]
    other: NDArray[np.int64]
    mirrored: NDArray[np.bool_]
    similarity: NDArray[np.float32]

    def strongest(self, count: int) -> "_Links":
        """Returns the `count` strongest links of each row."""
        order = np.lexsort((self.other, -self.similarity, self.row))
        rows = self.row[order]
        starts = np.flatnonzero(np.diff(rows, prepend=-1))
        rank = np.arange(len(rows)) - np.repeat(starts, np.diff(starts, append=len(rows)))
        return self._take(order[rank < count])

    def _take(self, rows: NDArray[np.int64]) -> "_Links":
        return _Links(self.row[rows], self.other[rows], self.mirrored[rows], self.similarity[rows])

    @classmethod
    def joined(cls, parts: list["_Links"]) -> "_Links":
        return cls(
            np.concatenate([part.row for part in parts]),
            np.concatenate([part.other for part in parts]),
            np.concatenate([part.mirrored for part in parts]),
            np.concatenate([part.similarity for part in parts]),
        )


def find_candidates(
    plain: NDArray[np.float32], mirrored: NDArray[np.float32], progress: Progress
) -> CandidatePairs:
    """Returns the nearest neighbours among images and mirrored images.

    Args:
        plain: Unit descriptors, shape (N, D).
        mirrored: Unit descriptors of the mirrored images, shape (N, D).
        progress: Shows progress.

    Returns:
        Pairs of rows, each once.
    """
    kept: list[_Links] = [_links(np.empty((0, 2), np.int64), np.empty(0, np.float32), False)]
    starts = range(0, len(plain), _ROWS)
    for start in progress(starts, len(starts), "finding candidates"):
        kept += _block(plain, plain, start, mirrored=False)
        kept += _block(mirrored, plain, start, mirrored=True)
        if sum(len(links.row) for links in kept[1:]) > _BUFFER:
            kept = [_Links.joined(kept).strongest(NEIGHBOURS)]
    links = _Links.joined(kept).strongest(NEIGHBOURS)
    pairs = np.stack(
        [
            np.minimum(links.row, links.other),
            np.maximum(links.row, links.other),
            links.mirrored.astype(np.int64),
        ],
        axis=1,
    )
    pairs = np.unique(pairs, axis=0)
    return CandidatePairs(pairs[:, 0], pairs[:, 1], pairs[:, 2] == 1)


def _block(
    left: NDArray[np.float32], right: NDArray[np.float32], start: int, *, mirrored: bool
) -> list[_Links]:
    """Returns the links, both ways, between some rows and all later ones."""
    parts = []
    for other in range(start, len(right), _COLUMNS):
        similarity = left[start : start + _ROWS] @ right[other : other + _COLUMNS].T
        hits = np.flatnonzero(similarity > SIMILARITY)
        row, column = np.divmod(hits, similarity.shape[1])
        pairs = np.stack([row + start, column + other], axis=1)
        later = pairs[:, 1] > pairs[:, 0]
        parts.append(_links(pairs[later], similarity.ravel()[hits[later]], mirrored))
    return parts


def _links(pairs: NDArray[np.int64], similarity: NDArray[np.float32], mirrored: bool) -> _Links:
    return _Links(
        np.concatenate([pairs[:, 0], pairs[:, 1]]),
        np.concatenate([pairs[:, 1], pairs[:, 0]]),
        np.full(2 * len(pairs), mirrored),
        np.concatenate([similarity, similarity]),
    )
