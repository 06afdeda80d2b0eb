"""Predicting corrupted images."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fer_core.data.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from fer_core.engine.classifiers import Classifier
from fer_core.evaluation.robustness import CLEAN

CONDITIONS: tuple[tuple[str, int], ...] = (
    (CLEAN, 0),
    *((name, severity) for name in CORRUPTIONS for severity in SEVERITIES),
)
"""(corruption, severity) of every measurement, the clean images first."""


def corrupted_probabilities(
    model: Classifier,
    images: NDArray[np.uint8],
    keys: NDArray[np.int64],
    *,
    seed: int = 0,
    batch_size: int = 128,
) -> Iterator[NDArray[np.float32]]:
    """Predicts images under each of `CONDITIONS`, in their order.

    Args:
        model: A network on the device to use, or an ONNX network.
        images: uint8, shape (N, H, W) or (N, H, W, 3).
        keys: Shape (N,); seeds each image's corruption.
        seed: Seed of the corruptions.
        batch_size: Images per step.

    Yields:
        Probabilities, float32, shape (N, K).
    """
    for name, severity in CONDITIONS:
        changed = images
        if name != CLEAN:
            changed = corrupt(images, name, severity, seed=seed, keys=keys.tolist())
        rows = np.arange(len(changed))
        yield model.probabilities(changed, rows, batch_size).astype(np.float32)
