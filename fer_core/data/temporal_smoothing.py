"""Temporal smoothing of predictions in videos."""

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def smoothed(
    seconds: NDArray[np.float64], probabilities: NDArray[np.float64], span: float
) -> NDArray[np.float64]:
    """Returns an exponentially weighted mean of probabilities; causal.

    `span` is the time constant: weights decay to 1/e (37%) after `span` seconds, independent of the
    frame rate, so gaps and variable frame rates are handled. The first frame has no larger weight
    than the others.

    Args:
        seconds: Non-decreasing timestamps, shape (N,).
        probabilities: Shape (N, K), rows sum to 1.
        span: Time constant in seconds; 0 disables smoothing.

    Returns:
        Shape (N, K), rows sum to 1.
    """
    if span <= 0 or len(probabilities) == 0:
        return probabilities.copy()
    weighted = pd.DataFrame(probabilities).ewm(
        halflife=pd.Timedelta(seconds=span * math.log(2)),
        times=np.rint(seconds * 1e9).astype("datetime64[ns]"),
    )
    return weighted.mean().to_numpy()
