"""Asks all models about a batch of faces; one that is damaged does not silence the others."""

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
"""After this time a run that could not answer is tried again: a repair needs no restart."""

CANNOT = "This model cannot answer: its files are damaged or missing. The server's log says more."


@dataclass(frozen=True)
class Answers:
    """What the asked runs say of one face.

    Attributes:
        predictions: Each of one face, in the order in which the runs were asked.
        problems: Runs that could not answer, with what the client is told.
    """

    predictions: tuple[Prediction, ...]
    problems: Mapping[str, str]


class Asker:
    """Asks a predictor, and leaves out the runs that lately failed.

    Args:
        predictor: Who is asked.
        clock: Seconds on any scale that only grows.
    """

    def __init__(self, predictor: Predictor, clock: Callable[[], float] = time.monotonic) -> None:
        self._predictor, self._clock = predictor, clock
        self._failed: dict[str, float] = {}

    def __call__(self, faces: Sequence[NDArray[np.uint8]], run_ids: Sequence[str]) -> list[Answers]:
        """Returns one set of answers a face.

        Args:
            faces: At least one stored image.
            run_ids: Runs of the benchmark.
        """
        now = self._clock()
        sound = [name for name in run_ids if self._failed.get(name, -np.inf) < now - RETRY_SECONDS]
        given = self._predictor.try_predict(faces, sound) if sound else {}
        predictions = [said for said in given.values() if isinstance(said, Prediction)]
        for name, said in given.items():
            if isinstance(said, FerscopeError):
                log.error("%s cannot answer: %s", name, said)
                self._failed[name] = now
        answered = {prediction.run_id for prediction in predictions}
        problems = {name: CANNOT for name in run_ids if name not in answered}
        return [
            Answers(tuple(_only(prediction, row) for prediction in predictions), problems)
            for row in range(len(faces))
        ]


def _only(prediction: Prediction, row: int) -> Prediction:
    return replace(prediction, probabilities=prediction.probabilities[row : row + 1])
