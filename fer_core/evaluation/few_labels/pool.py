"""The images to label, with what all runs predict for them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fer_core.errors import DataError

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

_CHUNK = 4096
_SMALLEST = 1e-6


@dataclass(frozen=True)
class LabelPool:
    """Predictions of several runs for the same images; R runs, N images, K classes.

    The consensus is the mean of the runs' probabilities. Per image and class there are R + 1
    features: whether each run predicts the class, and the log probability of the consensus. The
    posterior is a logistic regression on these features.

    Attributes:
        predicted: Class indices, shape (R, N).
        consensus: Mean probabilities, shape (N, K); rows sum to 1.
        expected: Probability that each run is right according to the consensus, shape (R, N).
        covariance: Sum over images of the features' covariance under the consensus, shape
            (R + 1, R + 1).
        known_images: Number of further images, whose labels are known. They are part of each run's
            accuracy and say nothing about the others, as nothing says how they were drawn.
        known_right: How many of these each run predicts right, shape (R,).
    """

    predicted: NDArray[np.int8]
    consensus: NDArray[np.float32]
    expected: NDArray[np.float32]
    covariance: Floats
    known_images: int
    known_right: Rows

    @classmethod
    def of(
        cls,
        probabilities: Sequence[NDArray[np.floating]],
        known: NDArray[np.bool_] | None = None,
    ) -> Self:
        """Builds a pool.

        Args:
            probabilities: One array per run, at least two, of shape (N, K), N at least 1.
            known: Whether each run is right on each image whose label is known, shape (R, L).

        Raises:
            DataError: If there are fewer than two runs, no image, or shapes differ.
        """
        if len(probabilities) < 2:
            raise DataError("Choosing a run needs at least two runs. Train or import another one.")
        shapes = {part.shape for part in probabilities}
        if len(shapes) != 1 or not len(probabilities[0]):
            raise DataError(
                "The runs have no predictions for the same images. Evaluate them again."
            )
        total = np.zeros(probabilities[0].shape)
        for part in probabilities:  # one after the other: all together may not fit in memory
            total += part
        consensus = np.asarray(total / total.sum(axis=1, keepdims=True), dtype=np.float32)
        predicted = np.stack([part.argmax(axis=1) for part in probabilities]).astype(np.int8)
        rows = np.arange(len(consensus))
        expected = np.stack([consensus[rows, row] for row in predicted])
        if known is None:
            known = np.zeros((len(predicted), 0), dtype=bool)
        right = known.sum(axis=1).astype(np.int64)
        pool = cls(predicted, consensus, expected, np.zeros((0, 0)), known.shape[1], right)
        return replace(pool, covariance=pool._total_covariance())

    def __len__(self) -> int:
        return len(self.consensus)

    @property
    def runs(self) -> int:
        """Number of runs."""
        return len(self.predicted)

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(self.consensus.shape[1])

    @property
    def disagreement(self) -> NDArray[np.bool_]:
        """Whether runs predict different classes, shape (N,)."""
        differs: NDArray[np.bool_] = (self.predicted != self.predicted[0]).any(axis=0)
        return differs

    def features(self, rows: Rows) -> Floats:
        """Returns the features of images, shape (len(rows), K, R + 1)."""
        consensus = self.consensus[rows].astype(np.float64)
        logs = np.log(np.maximum(consensus, _SMALLEST))
        logs -= (consensus * logs).sum(axis=1, keepdims=True)
        classes = np.arange(self.classes)[None, :, None]
        hits = self.predicted[:, rows].T[:, None, :] == classes
        return np.concatenate([hits, logs[:, :, None]], axis=2)

    def feature_covariance(self, rows: Rows) -> Floats:
        """Returns the sum of the features' covariances under the consensus over some images."""
        return summed_covariance(self.features(rows), self.consensus[rows].astype(np.float64))

    def _total_covariance(self) -> Floats:
        total = np.zeros((self.runs + 1, self.runs + 1))
        for start in range(0, len(self), _CHUNK):
            total += self.feature_covariance(np.arange(start, min(start + _CHUNK, len(self))))
        return total


@dataclass(frozen=True)
class Labelled:
    """Labelled images of a pool in the order in which they were labelled; M images.

    Attributes:
        rows: Positions of the images in the pool, shape (M,).
        shares: Share of each class in the annotators' labels, shape (M, K): rows sum to 1, or to 0
            where an image is unclear.
        probability: Probability with which each was sampled, given those before it, shape (M,).
    """

    rows: Rows
    shares: Floats
    probability: Floats

    @classmethod
    def none(cls, classes: int) -> Self:
        """Returns the start: no image is labelled."""
        return cls(np.zeros(0, np.int64), np.zeros((0, classes)), np.zeros(0))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def clear(self) -> NDArray[np.bool_]:
        """Whether each has a label, shape (M,)."""
        labelled: NDArray[np.bool_] = self.shares.sum(axis=1) > 0
        return labelled

    def add(self, row: int, share: Floats, probability: float) -> Self:
        """Returns the labels with one more.

        Args:
            row: Position in the pool.
            share: Share of each class, shape (K,).
            probability: Probability with which it was sampled.
        """
        return type(self)(
            np.append(self.rows, row),
            np.concatenate([self.shares, share[None]]),
            np.append(self.probability, probability),
        )

    def first(self, count: int) -> Self:
        """Returns the first labels."""
        return type(self)(self.rows[:count], self.shares[:count], self.probability[:count])

    def right(self, pool: LabelPool) -> Floats:
        """Returns the share of labels that agree with each run, shape (M, R)."""
        predicted = pool.predicted[:, self.rows].T
        return np.take_along_axis(self.shares, predicted.astype(np.int64), axis=1)


def summed_covariance(features: Floats, probabilities: Floats) -> Floats:
    """Returns the sum over images of the covariance of features under class probabilities.

    Args:
        features: Shape (M, K, F).
        probabilities: Shape (M, K).
    """
    means = np.einsum("mk,mkf->mf", probabilities, features)
    weighted = (features * np.sqrt(probabilities)[:, :, None]).reshape(-1, features.shape[2])
    total: Floats = weighted.T @ weighted - means.T @ means
    return total
