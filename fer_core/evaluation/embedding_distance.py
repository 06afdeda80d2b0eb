"""Distance of faces from a benchmark's, in the features of one of its networks.

The Mahalanobis distance after PCA (as in Lee et al. 2018, arXiv:1807.03888, without classes). Faces
farther out than 99% of the benchmark's held-out faces are unlike those that the runs learned from.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

AXES = 64
"""Largest number of principal components."""

OUTER = 0.99
"""Share of the benchmark's held-out faces that lie within the limit."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class FeatureSpace:
    """Distribution of a benchmark's faces in an embedding.

    Attributes:
        mean: Mean of the features, shape (D,).
        axes: Principal components divided by their standard deviation, shape (D, A).
        quantiles: Quantiles 0, 0.01, ... 1 of the distance of held-out faces, shape (101,).
    """

    mean: Floats
    axes: Floats
    quantiles: Floats

    @classmethod
    def fit(cls, features: Floats, held_out: Floats) -> Self:
        """Fits the space to training faces and its quantiles to held-out faces.

        Args:
            features: Features of training faces, shape (N, D), more than one.
            held_out: Features of held-out faces, shape (M, D), at least one.
        """
        mean = features.mean(axis=0)
        _, scale, components = np.linalg.svd(features - mean, full_matrices=False)
        deviation = scale / np.sqrt(max(1, len(features) - 1))
        kept = deviation[:AXES] > 1e-6 * max(float(deviation[0]), 1e-12)
        count = int(kept.sum())
        axes = components[:count].T / deviation[:count]
        plain = cls(mean, axes, np.zeros(101))
        return cls(mean, axes, np.quantile(plain.distances(held_out), np.linspace(0, 1, 101)))

    @property
    def limit(self) -> float:
        """Distance within which 99% of the benchmark's held-out faces lie."""
        return float(self.quantiles[round(100 * OUTER)])

    def distances(self, features: Floats) -> Floats:
        """Returns the distance of faces from the centre, shape (N,); about 1 for usual faces."""
        scores = (features - self.mean) @ self.axes
        distance: Floats = np.sqrt((scores**2).mean(axis=1))
        return distance

    def share_outside(self, distances: Floats) -> float:
        """Returns the share of faces beyond the limit; 0.01 is expected of the benchmark's own."""
        return float((distances > self.limit).mean()) if len(distances) else float("nan")
