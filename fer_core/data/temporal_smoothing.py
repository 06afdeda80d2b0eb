"""Temporal smoothing of predictions in videos."""

import numpy as np
from numpy.typing import NDArray


def smoothed(
    seconds: NDArray[np.float64], probabilities: NDArray[np.float64], span: float
) -> NDArray[np.float64]:
    """Returns an exponentially weighted mean of probabilities; causal.

    `span` is the time constant: weights decay to 1/e (37%) after `span` seconds, independent of the
    frame rate, so gaps and variable frame rates are handled. The mean is that of
    `pandas.DataFrame.ewm` with `times` and `adjust=True`: the first frame has no larger weight than
    the others.

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
    result[0], weight = probabilities[0], 1.0
    decay = np.exp(-np.diff(seconds) / span)
    for row, share in enumerate(decay, start=1):
        weight = share * weight + 1
        result[row] = result[row - 1] + (probabilities[row] - result[row - 1]) / weight
    return result
