"""A descriptor of images that augmentation hardly changes, fitted to the data set itself.

Features are histograms of oriented gradients (Dalal & Triggs 2005) with soft cells, at two scales,
normalised by the local contrast. Linear discriminant analysis (Fisher 1936) then keeps the
directions in which images differ much and changed copies of one image little: each of some images
is a class, and its members are random changes of it. No trained network is needed, and the
descriptor fits photographs, scans and drawings alike. A mirrored image's features are a
permutation of the image's features, so the mirrored view costs one matrix product.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import eigh
from torch import Tensor

from fer_core.data.transformed_copies.changes import augment
from fer_core.data.transformed_copies.resampling import (
    SIDE,
    apply_separable,
    gaussian,
    pooling,
    resampling,
)

DIMENSIONS = 64
"""Dimensions of the descriptor, chosen on changed copies of FER2013's images."""

FITTED_IMAGES, FITTED_CHANGES = 1000, 6
"""Images that the discriminant analysis is fitted on, and changed copies of each."""

_SIDE, _ORIENTATIONS, _CELLS = 24, 8, 5
_SCALES = (0.8, 1.6)  # blur before gradients, in pixels of 24
_CONTRAST = 6.0  # spread of the window of local contrast
_FLOOR = 0.02  # of the local contrast, in logarithms of grey levels
_SOFTEN = 8.0  # grey levels below which the logarithm is linear
_RIDGE = 0.05  # share of the mean within-class variance that is added to each direction
_BLOCK = 512


@dataclass(frozen=True)
class Descriptor:
    """A fitted projection of gradient features.

    Attributes:
        mean: Mean features, shape (F,).
        projection: Shape (F, dimensions).
    """

    mean: NDArray[np.float32]
    projection: NDArray[np.float32]

    @classmethod
    def fit(cls, images: NDArray[np.uint8], seed: int = 0) -> Self:
        """Fits the projection on some of the images.

        Args:
            images: Shape (N, 48, 48), at least 2.
            seed: Seed of the images and their changes.
        """
        random = np.random.default_rng([seed, len(images)])
        sampled = np.sort(
            random.choice(len(images), min(FITTED_IMAGES, len(images)), replace=False)
        )
        changed = np.stack(
            [augment(images[row], random) for row in sampled for _ in range(FITTED_CHANGES)]
        )
        original = np.concatenate(_features(images[sampled]))
        moved = np.concatenate(_features(changed))
        differences = moved - np.repeat(original, FITTED_CHANGES, axis=0)
        within = differences.T @ differences / len(differences)
        mean = original.mean(axis=0)
        between = (original - mean).T @ (original - mean) / len(original)
        ridge = np.eye(len(within)) * max(_RIDGE * np.trace(within) / len(within), 1e-6)
        last = len(between) - 1
        _, directions = eigh(between, within + ridge, subset_by_index=(last - DIMENSIONS + 1, last))
        return cls(mean, np.ascontiguousarray(directions, dtype=np.float32))

    def embed(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Returns unit descriptors of images and of the mirrored images.

        Args:
            images: Shape (N, 48, 48).

        Returns:
            Two float32 arrays, shape (N, 64); their products are cosine similarities.
        """
        plain, mirrored = _features(images)
        return self._projected(plain), self._projected(mirrored)

    def _projected(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        projected = (features - self.mean) @ self.projection
        length = np.linalg.norm(projected, axis=1, keepdims=True)
        return np.asarray(projected / np.maximum(length, 1e-6), dtype=np.float32)


def _features(images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Returns the features of images and of the mirrored images, each of shape (N, 400)."""
    blocks = [
        _block_features(torch.from_numpy(images[start : start + _BLOCK]).float())
        for start in range(0, len(images), _BLOCK)
    ]
    plain, mirrored = (torch.cat(parts).numpy() for parts in zip(*blocks, strict=True))
    return plain, mirrored


def _block_features(images: Tensor) -> tuple[Tensor, Tensor]:
    grey = torch.log1p(apply_separable(images, resampling(SIDE, _SIDE)) / _SOFTEN)
    cells = pooling(_SIDE, _CELLS, 0.6 * _SIDE / _CELLS)
    histograms = torch.stack(
        [
            torch.stack([apply_separable(part, cells) for part in _oriented(grey, sigma)], dim=1)
            for sigma in _SCALES
        ],
        dim=1,
    ).sqrt()
    # Mirroring turns a gradient of angle a into one of pi - a and reverses the columns of cells.
    angles = [(_ORIENTATIONS // 2 - index) % _ORIENTATIONS for index in range(_ORIENTATIONS)]
    return histograms.flatten(1), histograms[:, :, angles].flip(4).flatten(1)


def _oriented(grey: Tensor, sigma: float) -> Iterator[Tensor]:
    """Yields the gradient energy of each orientation, relative to the local contrast."""
    smooth = apply_separable(grey, gaussian(_SIDE, sigma))
    right, down = torch.zeros_like(smooth), torch.zeros_like(smooth)
    right[:, :, 1:-1] = smooth[:, :, 2:] - smooth[:, :, :-2]
    down[:, 1:-1] = smooth[:, 2:] - smooth[:, :-2]
    size = torch.hypot(right, down)
    energy = (size / (apply_separable(size, gaussian(_SIDE, _CONTRAST)) + _FLOOR)).clamp(max=4)
    right, down = right / (size + 1e-6), down / (size + 1e-6)
    for index in range(_ORIENTATIONS):
        angle = 2 * math.pi * index / _ORIENTATIONS
        along = (right * math.cos(angle) + down * math.sin(angle)).clamp(min=0)
        yield along.square() * energy
