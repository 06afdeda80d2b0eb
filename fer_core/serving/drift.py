"""A log of how predictions change over time: one line per hour and run, without pictures."""

import json
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_core.errors import FerscopeError

log = logging.getLogger(__name__)

_HOUR = 3600


class DriftLog:
    """Sums label shares and confidence by hour, and appends them to a file of JSON lines.

    An hour is written when the next one begins and when the log is closed. If that fails, the hour
    is lost and the next one is tried again: predictions do not depend on the log.

    Args:
        path: File of JSON lines; created if it is missing.
        clock: Seconds since 1970.

    Raises:
        FerscopeError: If the file cannot be opened for appending.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._path, self._clock = path, clock
        self._lock = threading.Lock()
        self._hour = 0
        self._counts: dict[tuple[str, tuple[str, ...]], NDArray[np.int64]] = {}
        self._confidence: defaultdict[str, float] = defaultdict(float)
        self._check_writable()

    def _check_writable(self) -> None:
        try:
            self._path.open("a", encoding="utf-8").close()
        except OSError as error:
            raise FerscopeError(
                f"The drift log {self._path} cannot be opened for appending: {error.strerror}. "
                "Set FERSCOPE_DRIFT_LOG to a file in a folder that the service may write to."
            ) from error

    def add(self, run_id: str, labels: Sequence[str], probabilities: NDArray[np.float64]) -> None:
        """Counts a run's predictions for some faces.

        Args:
            run_id: The run.
            labels: Classes of the run.
            probabilities: Calibrated, shape (N, K).
        """
        with self._lock:
            hour = int(self._clock() // _HOUR)
            if hour != self._hour:
                self._flush()
                self._hour = hour
            key = (run_id, tuple(labels))
            counts = self._counts.setdefault(key, np.zeros(len(labels), dtype=np.int64))
            counts += np.bincount(probabilities.argmax(axis=1), minlength=len(labels))
            self._confidence[run_id] += float(probabilities.max(axis=1).sum())

    def close(self) -> None:
        """Writes the current hour."""
        with self._lock:
            self._flush()

    def _flush(self) -> None:
        if not self._counts:
            return
        text = "".join(f"{line}\n" for line in self._lines())
        self._counts, self._confidence = {}, defaultdict(float)
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            log.error(
                "the drift log %s cannot be written (%s): one hour is lost. Free the disk, or set "
                "FERSCOPE_DRIFT_LOG to another file and restart.",
                self._path,
                error,
            )

    def _lines(self) -> Iterator[str]:
        hour = datetime.fromtimestamp(self._hour * _HOUR, UTC).isoformat()
        for (run_id, labels), counts in self._counts.items():
            faces = int(counts.sum())
            yield json.dumps(
                {
                    "hour": hour,
                    "run": run_id,
                    "faces": faces,
                    "mean_confidence": round(self._confidence[run_id] / faces, 6),
                    "label_shares": {
                        name: round(int(count) / faces, 6)
                        for name, count in zip(labels, counts, strict=True)
                    },
                }
            )
