"""Metrics: pure functions of true classes and probabilities. No torch.

Conventions: `truth` holds class indices, shape (N,); `probabilities` has shape
(N, K), rows sum to 1; matrices have the true class in rows. Every metric is over
samples, never a mean of batches. A class without samples has recall NaN and is
left out of macro averages.
"""

import numpy as np
from numpy.typing import NDArray

from fer_core.evaluation.columns import chunks

Indices = NDArray[np.int64]
Probabilities = NDArray[np.float64]
Stored = NDArray[np.float32] | NDArray[np.float64]
"""Probabilities in the precision of a file; metrics add them up in double precision."""

_SMALLEST = 1e-12


def confusion_matrix(truth: Indices, predicted: Indices, classes: int) -> NDArray[np.int64]:
    """Counts samples by true (row) and predicted (column) class; shape (K, K), sums to N."""
    flat = np.bincount(truth * classes + predicted, minlength=classes * classes)
    return flat.reshape(classes, classes).astype(np.int64)


def accuracy(matrix: NDArray[np.int64]) -> float:
    """Share of samples on the diagonal; NaN without samples."""
    total = matrix.sum()
    return float(np.trace(matrix) / total) if total else float("nan")


def recall(matrix: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of each true class predicted correctly, shape (K,); NaN for absent classes."""
    return _ratio(np.diag(matrix), matrix.sum(axis=1))


def precision(matrix: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of each predicted class that is correct, shape (K,); NaN if never predicted."""
    return _ratio(np.diag(matrix), matrix.sum(axis=0))


def f1(matrix: NDArray[np.int64]) -> NDArray[np.float64]:
    """Harmonic mean of precision and recall; shape (K,), NaN where the class is absent."""
    correct = np.diag(matrix)
    score = _ratio(2 * correct, matrix.sum(axis=0) + matrix.sum(axis=1))
    return np.where(matrix.sum(axis=1) > 0, score, np.nan)


def macro_recall(matrix: NDArray[np.int64]) -> float:
    """Mean recall of the classes that have samples (balanced accuracy)."""
    present = recall(matrix)[matrix.sum(axis=1) > 0]
    return float(present.mean()) if len(present) else float("nan")


def standardised_accuracy(matrix: NDArray[np.int64], counts: NDArray[np.int64]) -> float:
    """Accuracy if the true classes had other frequencies (direct standardisation).

    Args:
        matrix: Confusion matrix, shape (K, K).
        counts: Samples by class in the set whose frequencies are used, shape (K,).

    Returns:
        NaN if a class of that set has no samples in the matrix.
    """
    present = counts > 0
    return float(recall(matrix)[present] @ counts[present] / counts.sum())


def log_loss(truth: Indices, probabilities: Stored) -> float:
    """Mean negative log probability of the true class, in nats."""
    total = 0.0
    for rows in chunks(len(truth)):
        part = probabilities[rows]
        of_truth = part[np.arange(len(part)), truth[rows]].astype(np.float64)
        total -= float(np.log(np.clip(of_truth, _SMALLEST, 1)).sum())
    return total / len(truth) if len(truth) else float("nan")


def ece(truth: Indices, probabilities: Probabilities, bins: int = 15) -> float:
    """Mean gap between confidence and accuracy over bins of equal width (Guo et al. 2017).

    Args:
        truth: Class indices, shape (N,).
        probabilities: Shape (N, K).
        bins: Number of bins over confidence 0 to 1; upper edges belong to their bin.
    """
    right = probabilities.argmax(axis=1) == truth
    return confidence_ece(probabilities.max(axis=1), right, bins)


def confidence_ece(
    confidence: NDArray[np.float64], right: NDArray[np.bool_], bins: int = 15
) -> float:
    """Mean gap between confidence and accuracy over bins of equal width; see `ece`.

    Args:
        confidence: Confidence of each prediction, shape (N,).
        right: Whether each prediction is right, shape (N,).
        bins: Number of bins over confidence 0 to 1; upper edges belong to their bin.
    """
    gaps = np.zeros(bins)
    for rows in chunks(len(right)):
        part = confidence[rows]
        bin_index = np.clip(np.ceil(part * bins).astype(np.int64) - 1, 0, bins - 1)
        gaps += np.bincount(bin_index, weights=right[rows] - part, minlength=bins)
    return float(np.abs(gaps).sum() / len(right))


def _ratio(numerator: NDArray[np.int64], denominator: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.divide(
        numerator,
        denominator,
        out=np.full(len(denominator), np.nan, dtype=np.float64),
        where=denominator > 0,
    )
