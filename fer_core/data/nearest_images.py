"""Nearest neighbours of an image among the training images, by pixel correlation."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

_SIDE = 16
_CANDIDATES = 256
_BLOCK = 4096


@dataclass(frozen=True)
class NeighbourIndex:
    """Search index of images.

    Attributes:
        images: uint8, shape (N, H, W) or (N, H, W, 3); may be a memory map.
        small: Block means with mean 0 and norm 1, float16, shape (N, 256): 512 bytes per image.
    """

    images: NDArray[np.uint8]
    small: NDArray[np.float16]

    @classmethod
    def of(cls, images: NDArray[np.uint8]) -> Self:
        """Builds the index; images need at least 16 x 16 pixels."""
        small = np.empty((len(images), _SIDE * _SIDE), dtype=np.float16)
        for start in range(0, len(images), _BLOCK):
            small[start : start + _BLOCK] = _unit(_reduced(images[start : start + _BLOCK]))
        return cls(images, small)

    def nearest(
        self, picture: NDArray[np.uint8], count: int, among: NDArray[np.int64]
    ) -> list[tuple[int, float]]:
        """Returns the images with the highest correlation with an image.

        Thumbnails select candidates, which are then ranked by the Pearson correlation of all
        pixels.

        Args:
            picture: uint8, of the shape of an indexed image.
            count: Largest number of results.
            among: Rows that may be returned.

        Returns:
            (row, correlation) pairs, highest correlation first.
        """
        if not len(among):
            return []
        query = _unit(_reduced(picture[None]))[0]
        correlations = np.concatenate(
            [
                self.small[among[start : start + _BLOCK]].astype(np.float32) @ query
                for start in range(0, len(among), _BLOCK)
            ]
        )
        candidate_count = min(_CANDIDATES, len(among))
        candidates = np.sort(
            among[np.argpartition(-correlations, candidate_count - 1)[:candidate_count]]
        )
        full = _unit(_grey(self.images[candidates]).reshape(candidate_count, -1))
        exact = full @ _unit(_grey(picture[None]).reshape(1, -1))[0]
        order = np.argsort(-exact, kind="stable")[:count]
        return [(int(candidates[index]), float(exact[index])) for index in order]


def _grey(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    values = np.asarray(images, dtype=np.float32)
    grey: NDArray[np.float32] = values.mean(axis=-1) if values.ndim == 4 else values
    return grey


def _reduced(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    grey = _grey(images)
    rows, columns = (np.linspace(0, side, _SIDE + 1).astype(int) for side in grey.shape[1:])
    sums = np.add.reduceat(np.add.reduceat(grey, rows[:-1], axis=1), columns[:-1], axis=2)
    means: NDArray[np.float32] = sums / np.outer(np.diff(rows), np.diff(columns))
    return means.reshape(len(images), -1).astype(np.float32)


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns rows with mean 0 and norm 1; flat rows become zero."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    unit: NDArray[np.float32] = np.divide(
        centred, length, out=np.zeros_like(centred), where=length > 1e-6
    )
    return unit
