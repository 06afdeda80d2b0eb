"""How far class frequencies speak in a model's answers.

Logit adjustment and class weights make a network name rare classes more often. How much of that
is worth its price in accuracy depends on the network; a shift of its logits by a multiple of the
logarithm of the class frequencies gives some of it back (Menon et al. 2021, arXiv:2007.07314,
section 4.1, either way).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fer_core.evaluation.metrics import Indices, Probabilities

STRENGTHS = tuple(float(value) for value in np.linspace(-0.5, 1, 31).round(2))
"""Below 0 for the rare classes, above for the frequent ones."""

SLACK = 0.2
"""Standard errors of the accuracy that are not worth a larger shift: as little is noise."""


def log_frequencies(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Returns the logarithm of class frequencies; a class without samples counts as one sample.

    Args:
        counts: Training samples by class, shape (K,).
    """
    present = np.maximum(counts, 1)
    frequencies: NDArray[np.float64] = np.log(present / present.sum())
    return frequencies


def choose_prior_shift(
    probabilities: Probabilities, truth: Indices, logarithms: NDArray[np.float64]
) -> float:
    """Returns the smallest shift that comes within `SLACK` of the best accuracy on validation.

    Args:
        probabilities: Of validation images, shape (N, K).
        truth: Their classes, shape (N,).
        logarithms: From `log_frequencies`, shape (K,).

    Returns:
        One of `STRENGTHS`: what the logits have to be shifted by, in units of `logarithms`.
    """
    logits = np.log(np.maximum(probabilities, np.finfo(np.float64).tiny))
    accuracies = [
        float(np.mean((logits + strength * logarithms).argmax(axis=1) == truth))
        for strength in STRENGTHS
    ]
    best = max(accuracies)
    enough = best - SLACK * float(np.sqrt(best * (1 - best) / len(truth)))
    good = [one for one, got in zip(STRENGTHS, accuracies, strict=True) if got >= enough]
    return min(good, key=abs)


def shift_logits(probabilities: Probabilities, shift: Sequence[float]) -> Probabilities:
    """Returns probabilities whose logits were shifted.

    Args:
        probabilities: Shape (..., K), sums to 1.
        shift: Shape (K,); an empty one changes nothing.
    """
    if not len(shift):
        return probabilities
    weighted = probabilities * np.exp(np.asarray(shift) - np.max(shift))
    found: Probabilities = weighted / weighted.sum(axis=-1, keepdims=True)
    return found
