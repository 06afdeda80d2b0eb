"""What a training writes beside its run while it goes on; the page Training monitor shows it."""

import math
import time
from collections.abc import Hashable
from contextlib import suppress
from dataclasses import asdict

import pandas as pd

from fer_core.artifacts import RunDir, write_table
from fer_core.engine.callbacks import Callback, EpochRecord, StepMetrics
from fer_core.errors import ArtifactError
from fer_core.records import TrainingState

POINTS = 20
"""Points of the trace in an epoch."""

SECONDS = 3.0
"""Shortest time between two writes."""


class ProgressWriter:
    """Keeps `progress.json`, `trace.parquet` and `history.parquet` of a training under way.

    A resumed training goes on in the earlier tables; what lies behind its checkpoint is dropped.
    A table that cannot be written is left out: a full disk ends a training at its next
    checkpoint, with a message, and not here.

    Args:
        inner: Gets all news as well.
        run: The run that is trained.
    """

    def __init__(self, inner: Callback, run: RunDir) -> None:
        self._inner, self._run = inner, run
        self._points: list[dict[Hashable, float]] | None = None
        self._epoch, self._step = 0, 0  # where the last point of the trace stands
        self._loss = self._right = 0.0  # sums over the epoch's steps up to there
        self._written = -math.inf

    def on_step(self, news: StepMetrics) -> None:
        """Notes the step, and writes if the last time was long enough ago."""
        self._inner.on_step(news)
        if self._points is None:
            self._begin(news)
        self._note(news)
        due = time.monotonic() - self._written >= SECONDS
        if due or (news.epoch == news.epochs and news.step == news.steps):
            self._write(news)

    def on_epoch(self, record: EpochRecord) -> None:
        """Adds the epoch to the history."""
        earlier = pd.DataFrame()
        with suppress(ArtifactError):
            if record.epoch > 1:
                earlier = self._run.history().query("epoch < @record.epoch")
        with suppress(ArtifactError):
            row = pd.DataFrame([asdict(record)])
            write_table(self._run.history_path, pd.concat([earlier, row], ignore_index=True))
        self._inner.on_epoch(record)

    def close(self) -> None:
        """Says that the training is over: what was written here now stands with the run."""
        for path in (self._run.progress_path, self._run.trace_path, self._run.history_path):
            path.unlink(missing_ok=True)

    def _begin(self, news: StepMetrics) -> None:
        """Takes up what stood there before the first step of this sitting."""
        before = news.epoch - 1 + (news.step - 1) / news.steps
        self._points = []
        if before > 0:
            with suppress(ArtifactError):
                earlier = self._run.trace()
                self._points = earlier[earlier["epoch"] <= before].to_dict("records")
        if news.step > 1:  # the means of this epoch hold steps of an earlier sitting
            self._stand(news)

    def _stand(self, news: StepMetrics) -> None:
        self._epoch, self._step = news.epoch, news.step
        self._loss, self._right = news.loss * news.step, news.accuracy * news.step

    def _note(self, news: StepMetrics) -> None:
        """Adds a point of the trace: the mean over the steps since the one before."""
        if news.epoch != self._epoch:
            self._epoch, self._step, self._loss, self._right = news.epoch, 0, 0.0, 0.0
        steps = news.step - self._step
        if steps < math.ceil(news.steps / POINTS) and (news.step < news.steps or not steps):
            return
        point: dict[Hashable, float] = {
            "epoch": news.epoch - 1 + news.step / news.steps,
            "loss": (news.loss * news.step - self._loss) / steps,
            "accuracy": (news.accuracy * news.step - self._right) / steps,
        }
        self._points = [*(self._points or []), point]
        self._stand(news)

    def _write(self, news: StepMetrics) -> None:
        self._written = time.monotonic()
        facts = asdict(news) | {"loss": news.loss if math.isfinite(news.loss) else None}
        with suppress(ArtifactError):
            TrainingState(**facts, updated=time.time()).write(self._run.progress_path)
            if self._points:
                write_table(self._run.trace_path, pd.DataFrame(self._points))
