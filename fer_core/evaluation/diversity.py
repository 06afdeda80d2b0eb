"""Agreement and complementarity of models."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_core.evaluation.aligned import AlignedPredictions
from fer_core.evaluation.metrics import Indices


def kappa(first: Indices, second: Indices, classes: int) -> float:
    """Returns Cohen's kappa of two models' predictions (Cohen 1960).

    1 means equal predictions on every sample, 0 the agreement that chance explains given each
    model's class frequencies. NaN if both models predict one and the same class throughout.

    Args:
        first: Predictions of the first model, shape (N,), at least one.
        second: Predictions of the second model, shape (N,).
        classes: Number of classes.
    """
    shares = [np.bincount(values, minlength=classes) / len(values) for values in (first, second)]
    return _kappa(first, second, float(shares[0] @ shares[1]))


def _kappa(first: Indices, second: Indices, expected: float) -> float:
    if expected >= 1:
        return float("nan")
    observed = np.count_nonzero(first == second) / len(first)
    return float((observed - expected) / (1 - expected))


def oracle_accuracy(right: NDArray[np.bool_]) -> float:
    """Returns the share of samples that at least one model has right.

    This bounds the accuracy of every method that selects one of the predictions (Kuncheva 2004).

    Args:
        right: Whether each prediction is right, shape (R, N).
    """
    return float(right.any(axis=0).mean())


def complementarity(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Returns the share of the first model's errors that the second gets right; NaN without errors.

    Complementarity after Brodley and Lane (1996).
    """
    errors = len(first) - np.count_nonzero(first)
    return float(np.count_nonzero(second & ~first) / errors) if errors else float("nan")


def effective_members(wrong: NDArray[np.bool_]) -> float:
    """Returns the effective number of independent members of an ensemble.

    This is the participation ratio `(sum of l)^2 / (sum of l^2)` of the eigenvalues `l` of the
    correlation matrix of the members' errors (effective degrees of freedom of Bretherton et al.
    1999). It is R if errors are uncorrelated and 1 if all members err on the same samples. All
    members count equally, whatever their weights.

    Args:
        wrong: Whether each member errs on each sample, shape (R, N), at least one member.

    Returns:
        1 to R; NaN if a member is right, or wrong, on every sample.
    """
    if np.any(wrong.all(axis=1) | ~wrong.any(axis=1)):
        return float("nan")
    correlation = np.atleast_2d(np.corrcoef(wrong))
    # the trace is the sum of the eigenvalues, the squared Frobenius norm that of their squares
    return float(np.trace(correlation) ** 2 / np.square(correlation).sum())


@dataclass(frozen=True)
class Agreement:
    """Agreement of all pairs of runs.

    Attributes:
        runs: Run ids of the rows and columns.
        kappa: Cohen's kappa, symmetric, shape (R, R).
        complementarity: Row `i`, column `j`: share of run i's errors that run j gets right.
        oracle_accuracy: Share of samples that at least one run gets right.
        all_wrong: Share of samples that no run gets right.
    """

    runs: tuple[str, ...]
    kappa: NDArray[np.float64]
    complementarity: NDArray[np.float64]
    oracle_accuracy: float
    all_wrong: float


def agreement(aligned: AlignedPredictions) -> Agreement:
    """Compares all pairs of runs."""
    count, right = len(aligned.runs), aligned.right
    classes = len(aligned.labels)
    shares = np.stack([np.bincount(row, minlength=classes) for row in aligned.predicted])
    expected = (shares / len(aligned)) @ (shares / len(aligned)).T
    predicted = aligned.predicted.astype(np.int16)  # pairs are compared many times
    kappa_matrix = np.eye(count)
    complementarities = np.zeros((count, count))
    for first in range(count):
        for second in range(count):
            complementarities[first, second] = complementarity(right[first], right[second])
            if second > first:
                value = _kappa(predicted[first], predicted[second], float(expected[first, second]))
                kappa_matrix[first, second] = kappa_matrix[second, first] = value
    oracle = oracle_accuracy(right)
    return Agreement(aligned.runs, kappa_matrix, complementarities, oracle, 1 - oracle)
