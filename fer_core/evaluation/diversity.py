"""How alike models are, and what they could reach together."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_core.evaluation.aligned import AlignedPredictions
from fer_core.evaluation.metrics import Indices, confusion_matrix


def kappa(first: Indices, second: Indices, classes: int) -> float:
    """Returns Cohen's kappa of two models' answers (Cohen 1960).

    1 is the same answer on every sample, 0 what two models that answer by chance with their own
    frequencies would share. NaN where both give one and the same answer throughout: then chance
    explains everything.

    Args:
        first: Class indices, shape (N,), at least one.
        second: The same of the other model.
        classes: Number of classes.
    """
    shares = confusion_matrix(first, second, classes) / len(first)
    expected = float(shares.sum(axis=0) @ shares.sum(axis=1))
    if expected >= 1:
        return float("nan")
    return float((np.trace(shares) - expected) / (1 - expected))


def oracle_accuracy(right: NDArray[np.bool_]) -> float:
    """Returns the share of samples that at least one model has right.

    No way of choosing among the models' answers can do better (Kuncheva 2004).

    Args:
        right: Where each model is right, shape (R, N).
    """
    return float(right.any(axis=0).mean())


def complementarity(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Returns the share of the first model's errors that the second has right; NaN without errors.

    This is Brodley and Lane's (1996) complementarity of the second to the first.
    """
    errors = int((~first).sum())
    return float((second & ~first).sum() / errors) if errors else float("nan")


@dataclass(frozen=True)
class Agreement:
    """All pairs of a panel's runs.

    Attributes:
        runs: Run ids, naming rows and columns.
        kappa: Symmetric, shape (R, R).
        complementarity: Row `i`, column `j`: share of run i's errors that run j has right.
        oracle: Share of samples that at least one run has right.
        all_wrong: Share of samples that no run has right.
    """

    runs: tuple[str, ...]
    kappa: NDArray[np.float64]
    complementarity: NDArray[np.float64]
    oracle: float
    all_wrong: float


def agreement(panel: AlignedPredictions) -> Agreement:
    """Compares all pairs of a panel's runs."""
    count, right = len(panel.runs), panel.right
    kappas = np.eye(count)
    rescues = np.zeros((count, count))
    for one in range(count):
        for other in range(count):
            rescues[one, other] = complementarity(right[one], right[other])
            if other > one:
                value = kappa(panel.predicted[one], panel.predicted[other], len(panel.labels))
                kappas[one, other] = kappas[other, one] = value
    oracle = oracle_accuracy(right)
    return Agreement(panel.runs, kappas, rescues, oracle, 1 - oracle)
