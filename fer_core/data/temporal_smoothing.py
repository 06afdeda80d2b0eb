"""Temporal smoothing of predictions in videos."""

import numpy as np
from numpy.typing import NDArray


def smoothed(
    seconds: NDArray[np.float64], probabilities: NDArray[np.float64], span: float
) -> NDArray[np.float64]:
    """Returns an exponential moving average of probabilities; causal.

    `span` is the time constant: weights decay to 1/e (37%) after `span` seconds, independent of the
    frame rate, so gaps and variable frame rates are handled.

    Args:
        seconds: Non-decreasing timestamps, shape (N,).
        probabilities: Shape (N, K), rows sum to 1.
        span: Time constant in seconds; 0 disables smoothing.

    Returns:
        Shape (N, K), rows sum to 1.
    """
    if span <= 0 or len(probabilities) == 0:
        return probabilities.copy()
    result = np.empty_like(probabilities)
    result[0] = probabilities[0]
    decay = np.exp(-np.diff(seconds) / span)
    for row, share in enumerate(decay, start=1):
        result[row] = share * result[row - 1] + (1 - share) * probabilities[row]
    return result
