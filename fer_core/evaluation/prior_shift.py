"""Prior shift: post-hoc logit adjustment by class frequencies.

Training with logit adjustment or class weights favours rare classes, which can cost accuracy.
Adding a multiple of the log class frequencies to the logits trades one for the other (Menon et al.
2021, arXiv:2007.07314, section 4.1). The multiple, the strength, is selected on validation.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fer_core.evaluation.metrics import Indices, Probabilities

STRENGTHS = tuple(float(value) for value in np.linspace(-0.5, 1, 31).round(2))
"""Candidate strengths: negative values favour rare classes, positive ones frequent classes."""

SLACK = 0.2
"""Tolerance in standard errors of the accuracy within which a smaller shift is preferred."""


def log_frequencies(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Returns the log class frequencies; an absent class counts as having one sample.

    Args:
        counts: Training samples by class, shape (K,).
    """
    present = np.maximum(counts, 1)
    frequencies: NDArray[np.float64] = np.log(present / present.sum())
    return frequencies


def choose_prior_shift(
    probabilities: Probabilities, truth: Indices, logarithms: NDArray[np.float64]
) -> float:
    """Returns the smallest strength with a validation accuracy within `SLACK` of the best.

    Args:
        probabilities: Probabilities of the validation images, shape (N, K).
        truth: True class indices, shape (N,).
        logarithms: Log class frequencies, shape (K,).

    Returns:
        One of `STRENGTHS`: the multiple of `logarithms` to add to the logits.
    """
    logits = np.log(np.maximum(probabilities, np.finfo(np.float64).tiny))
    accuracies = [
        float(np.mean((logits + strength * logarithms).argmax(axis=1) == truth))
        for strength in STRENGTHS
    ]
    best = max(accuracies)
    threshold = best - SLACK * float(np.sqrt(best * (1 - best) / len(truth)))
    good = [s for s, accuracy in zip(STRENGTHS, accuracies, strict=True) if accuracy >= threshold]
    return min(good, key=abs)


def shift_logits(probabilities: Probabilities, shift: Sequence[float]) -> Probabilities:
    """Adds a shift to the logits of probabilities.

    Args:
        probabilities: Probabilities, shape (..., K); sum to 1.
        shift: One value per class, shape (K,); empty for no shift.
    """
    if not len(shift):
        return probabilities
    weighted = probabilities * np.exp(np.asarray(shift) - np.max(shift))
    shifted: Probabilities = weighted / weighted.sum(axis=-1, keepdims=True)
    return shifted
