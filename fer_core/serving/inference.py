"""Batched inference with several models; a damaged model does not affect the others."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fer_core.errors import FerscopeError
from fer_core.predictor import Prediction, Predictor

log = logging.getLogger(__name__)

RETRY_SECONDS = 60.0
"""Seconds after which a failed run is retried, so that a repair needs no restart."""

CANNOT = "This model cannot predict: its files are damaged or missing. See the server's log."


@dataclass(frozen=True)
class FaceResult:
    """Predictions of the requested runs for one face.

    Attributes:
        predictions: One prediction per run, in the order of the request.
        problems: Message by id of each run that failed.
    """

    predictions: tuple[Prediction, ...]
    problems: Mapping[str, str]


class BatchPredictor:
    """Runs a predictor, skipping runs that failed recently.

    Args:
        predictor: Predictor of the benchmark.
        clock: Monotonic clock in seconds.
    """

    def __init__(self, predictor: Predictor, clock: Callable[[], float] = time.monotonic) -> None:
        self._predictor, self._clock = predictor, clock
        self._failed: dict[str, float] = {}

    def __call__(
        self, faces: Sequence[NDArray[np.uint8]], run_ids: Sequence[str]
    ) -> list[FaceResult]:
        """Returns the predictions of each face.

        Args:
            faces: At least one image in the stored format.
            run_ids: Ids of the requested runs.
        """
        now = self._clock()
        healthy = [
            name for name in run_ids if self._failed.get(name, -np.inf) < now - RETRY_SECONDS
        ]
        results = self._predictor.try_predict(faces, healthy) if healthy else {}
        predictions = [result for result in results.values() if isinstance(result, Prediction)]
        for name, result in results.items():
            if isinstance(result, FerscopeError):
                log.error("%s cannot predict: %s", name, result)
                self._failed[name] = now
        predicted = {prediction.run_id for prediction in predictions}
        problems = {name: CANNOT for name in run_ids if name not in predicted}
        return [
            FaceResult(tuple(_only(prediction, row) for prediction in predictions), problems)
            for row in range(len(faces))
        ]


def _only(prediction: Prediction, row: int) -> Prediction:
    estimates = {
        name: replace(item, values=item.values[row : row + 1])
        for name, item in prediction.estimates.items()
    }
    probabilities = prediction.probabilities[row : row + 1]
    return replace(prediction, probabilities=probabilities, estimates=estimates)
