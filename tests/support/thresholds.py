"""Predictions of two classes with given confidences."""

from collections.abc import Sequence

import numpy as np

from fer_core.evaluation.predictions import SplitPredictions
from fer_core.labels import LabelSet

LABELS = LabelSet.of(["angry", "happy"])


def answers(rows: Sequence[tuple[int, int, float]]) -> SplitPredictions:
    """Returns predictions from truth, predicted class and confidence."""
    truth, predicted, confidence = (np.array(column) for column in zip(*rows, strict=True))
    probabilities = np.stack([1 - confidence, confidence], axis=1)
    probabilities[predicted == 0] = probabilities[predicted == 0][:, ::-1]
    ids = np.array([f"s/{index}" for index in range(len(rows))], dtype=object)
    return SplitPredictions(LABELS, ids, truth.astype(np.int64), probabilities)


FIVE = answers([(0, 0, 0.95), (1, 1, 0.9), (0, 1, 0.8), (1, 1, 0.7), (1, 0, 0.6)])
"""By confidence: right, right, wrong, right, wrong."""
