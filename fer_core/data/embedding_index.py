"""Nearest neighbours of an image in the embedding of a network.

The embedding is the mean over positions of the network's last feature map, projected on its first
principal components. Two images are near if the angle between their centred embeddings is small:
the network then sees much the same in them, whatever their light and framing.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fer_core.arrays import read_arrays, write_arrays
from fer_core.errors import ArtifactError

COMPONENTS = 128
"""Largest number of principal components that are kept."""

_BLOCK = 16384
_ARRAYS = ("ids", "vectors", "mean", "axes", "made_of")


@dataclass(frozen=True)
class EmbeddingIndex:
    """Embeddings of a benchmark's images by one network.

    Attributes:
        ids: Sample ids, shape (N,).
        vectors: Projected embeddings of norm 1, float16, shape (N, K).
        mean: Mean embedding, shape (D,).
        axes: Principal components, shape (D, K).
        made_of: Hashes of the weights and the split.
    """

    ids: NDArray[np.str_]
    vectors: NDArray[np.float16]
    mean: NDArray[np.float32]
    axes: NDArray[np.float32]
    made_of: str

    @classmethod
    def fit(cls, ids: NDArray[np.str_], features: NDArray[np.float32], made_of: str) -> Self:
        """Builds the index.

        Args:
            ids: Sample ids, shape (N,).
            features: Embeddings, shape (N, D).
            made_of: Hashes of the weights and the split.
        """
        mean = features.mean(axis=0, dtype=np.float64)
        centred = features - mean
        _, vectors = np.linalg.eigh(centred.T @ centred)
        axes = vectors[:, ::-1][:, :COMPONENTS].astype(np.float32)
        index = cls(ids, np.empty((0, 0), np.float16), mean.astype(np.float32), axes, made_of)
        return cls(ids, index.project(features).astype(np.float16), index.mean, axes, made_of)

    def project(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns embeddings in the index's space, of norm 1; shape (N, D) to (N, K)."""
        projected = (features - self.mean) @ self.axes
        length = np.linalg.norm(projected, axis=1, keepdims=True)
        unit: NDArray[np.float32] = projected / np.maximum(length, np.finfo(np.float32).tiny)
        return unit

    def nearest(
        self, vector: NDArray[np.floating], count: int, among: NDArray[np.bool_]
    ) -> list[tuple[str, float]]:
        """Returns the images with the largest cosine similarity to a vector of the index's space.

        Args:
            vector: Norm 1, shape (K,).
            count: Largest number of results.
            among: Images that may be returned, shape (N,).

        Returns:
            (id, cosine similarity) pairs, most similar first.
        """
        rows = np.flatnonzero(among)
        if not len(rows):
            return []
        query = vector.astype(np.float32)
        similarity = np.concatenate(
            [
                self.vectors[rows[start : start + _BLOCK]].astype(np.float32) @ query
                for start in range(0, len(rows), _BLOCK)
            ]
        )
        best = np.argsort(-similarity, kind="stable")[:count]
        return [(str(self.ids[rows[index]]), float(similarity[index])) for index in best]

    def write(self, path: Path) -> None:
        """Writes the index atomically.

        Raises:
            ArtifactError: If it cannot be written.
        """
        write_arrays(path, {name: getattr(self, name) for name in _ARRAYS})

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads an index.

        Raises:
            ArtifactError: If it is missing or damaged.
        """
        arrays = read_arrays(path, _ARRAYS)
        ids, vectors, mean, axes, made_of = (arrays[name] for name in _ARRAYS)
        index = cls(ids, vectors, mean, axes, str(made_of))
        if index.vectors.shape != (len(index.ids), *index.axes.shape[1:]):
            raise ArtifactError(f"{path.name} is damaged.")
        return index
