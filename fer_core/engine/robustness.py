"""Images of the measurement of robustness."""

import numpy as np
from numpy.typing import NDArray

from fer_core.data.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from fer_core.evaluation.robustness import CLEAN

CONDITIONS: tuple[tuple[str, int], ...] = (
    (CLEAN, 0),
    *((name, severity) for name in CORRUPTIONS for severity in SEVERITIES),
)
"""(corruption, severity) of every measurement, the clean images first."""


def corrupted(
    images: NDArray[np.uint8], condition: tuple[str, int], keys: NDArray[np.int64], seed: int = 0
) -> NDArray[np.uint8]:
    """Returns images under one of `CONDITIONS`.

    Args:
        images: uint8, shape (N, H, W) or (N, H, W, 3).
        condition: Corruption and severity.
        keys: Shape (N,); seeds each image's corruption.
        seed: Seed of the corruptions.
    """
    name, severity = condition
    if name == CLEAN:
        return images
    return corrupt(images, name, severity, seed=seed, keys=keys.tolist())
