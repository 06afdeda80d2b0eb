"""Steadies answers along time."""

import numpy as np
from numpy.typing import NDArray


def smoothed(
    seconds: NDArray[np.float64], probabilities: NDArray[np.float64], span: float
) -> NDArray[np.float64]:
    """Averages probabilities with an exponentially fading memory; the future is not looked at.

    What was seen `span` seconds ago keeps a share of 1/e (37%) of its weight, whatever the
    frame rate, so gaps and variable rates need no care.

    Args:
        seconds: Time stamps that never fall, shape (N,).
        probabilities: Shape (N, K), rows sum to 1.
        span: In seconds; 0 changes nothing.

    Returns:
        Shape (N, K), rows sum to 1.
    """
    if span <= 0 or len(probabilities) == 0:
        return probabilities.copy()
    result = np.empty_like(probabilities)
    result[0] = probabilities[0]
    kept = np.exp(-np.diff(seconds) / span)
    for row, share in enumerate(kept, start=1):
        result[row] = share * result[row - 1] + (1 - share) * probabilities[row]
    return result
