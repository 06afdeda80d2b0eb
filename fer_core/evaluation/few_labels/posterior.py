"""Posterior of the runs' accuracies after some labels.

The consensus of the runs is the prior of an image's class. A Bayesian logistic regression corrects
it by the labels: each run has a weight, how much more it can be trusted than the consensus says,
and the consensus has a temperature. The weights' posterior is normal (Laplace). From it and from
the labels follows a joint normal distribution of all accuracies; runs that predict nearly alike
have nearly the same accuracy, so a difference that lies in few images is found with few labels.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

from fer_core.evaluation.few_labels.pool import (
    Floats,
    Labelled,
    LabelPool,
    Rows,
    summed_covariance,
)

WEIGHT_SCALE = 0.3
"""Prior standard deviation of a run's weight, in nats."""

TEMPERATURE_SCALE = 0.5
"""Prior standard deviation of the consensus's inverse temperature around 1."""

DRAWS = 2000

_STEPS = 30
_TOLERANCE = 1e-6
_SMALLEST = 1e-12


@dataclass(frozen=True)
class Posterior:
    """Joint normal distribution of the accuracies.

    Attributes:
        mean: Shape (R,), 0 to 1.
        covariance: Shape (R, R).
        weights: Most probable weights of the logistic regression, shape (R + 1,).
        curvature: Inverse covariance of the weights, shape (R + 1, R + 1).
        unlabelled: Covariance of the features, summed over unlabelled images, same shape.
        images: Number of images whose accuracy it is.
    """

    mean: Floats
    covariance: Floats
    weights: Floats
    curvature: Floats
    unlabelled: Floats
    images: int

    @property
    def leader(self) -> int:
        """Position of the run with the highest expected accuracy."""
        return int(self.mean.argmax())

    def draws(self, count: int, seed: int | list[int] = 0) -> Floats:
        """Draws accuracies, shape (count, R)."""
        return normal_draws(self.mean, self.covariance, count, seed)

    def after(self, added: Floats) -> Floats:
        """Returns the covariance that further labels will leave, shape (R, R).

        Args:
            added: Covariance of the features, summed over the images to label.
        """
        return _covariance(self.unlabelled - added, self.curvature + added, self.images)


def normal_draws(mean: Floats, covariance: Floats, count: int, seed: int | list[int]) -> Floats:
    """Draws from a normal distribution whose covariance may be singular, shape (count, R)."""
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 0))
    normal = np.random.default_rng(seed).standard_normal((count, len(mean)))
    drawn: Floats = mean + normal @ root.T
    return drawn


def posterior(
    pool: LabelPool,
    labelled: Labelled,
    start: Floats | None = None,
    scale: float = WEIGHT_SCALE,
) -> Posterior:
    """Returns the distribution of the accuracies on the pool and on the images with known labels.

    Unclear images are left out.

    Args:
        pool: The images.
        labelled: Labels so far.
        start: Weights at which the search starts; it changes the time, not the result.
        scale: Prior standard deviation of a run's weight, in nats.
    """
    weights, curvature = _fit(pool, labelled, start, scale)
    unlabelled = pool.covariance - pool.feature_covariance(labelled.rows)
    runs = pool.runs
    expected = pool.expected.sum(axis=1, dtype=np.float64) - pool.expected[:, labelled.rows].sum(
        axis=1, dtype=np.float64
    )
    count = max(len(pool) - int((~labelled.clear).sum()) + pool.known_images, 1)
    right = labelled.right(pool).sum(axis=0) + pool.known_right
    mean = right + expected + (unlabelled @ weights)[:runs]
    covariance = _covariance(unlabelled, curvature, count)
    mean = np.clip(mean / count, 0, 1)
    return Posterior(mean, covariance, weights, curvature, unlabelled, count)


def _covariance(unlabelled: Floats, curvature: Floats, images: int) -> Floats:
    """Returns the covariance of accuracies: of the unlabelled classes, and of the weights."""
    uncertainty = unlabelled @ np.linalg.solve(curvature, unlabelled)
    covariance: Floats = (unlabelled + uncertainty)[:-1, :-1] / images**2
    return covariance


def _fit(
    pool: LabelPool, labelled: Labelled, start: Floats | None, scale: float
) -> tuple[Floats, Floats]:
    """Returns the most probable weights and the curvature of the log posterior there."""
    scales = np.append(np.full(pool.runs, scale), TEMPERATURE_SCALE)
    precision = 1 / scales**2
    weights = np.zeros(pool.runs + 1) if start is None else start
    rows = labelled.rows[labelled.clear]
    if not len(rows):
        return np.zeros(pool.runs + 1), np.diag(precision)
    features, logs = pool.features(rows), _log_consensus(pool, rows)
    observed = np.einsum("mk,mkf->f", labelled.shares[labelled.clear], features)
    for _ in range(_STEPS):  # Newton's method; the log posterior is concave
        probabilities = softmax(logs + features @ weights, axis=-1)
        gradient = observed - np.einsum("mk,mkf->f", probabilities, features) - precision * weights
        curvature = summed_covariance(features, probabilities) + np.diag(precision)
        step = np.linalg.solve(curvature, gradient)
        weights = weights + np.clip(step, -1, 1)
        if np.abs(step).max() < _TOLERANCE:
            break
    return weights, curvature


def _log_consensus(pool: LabelPool, rows: Rows) -> Floats:
    return np.log(np.maximum(pool.consensus[rows].astype(np.float64), _SMALLEST))
