"""Progress files of a running training; the Training monitor page reads them."""

import math
import time
from collections.abc import Hashable
from contextlib import suppress
from dataclasses import asdict

import pandas as pd

from fer_core.artifacts import RunDir
from fer_core.config import Recipe
from fer_core.engine.callbacks import Callback, EpochRecord, StepMetrics
from fer_core.errors import ArtifactError
from fer_core.records import TrainingState
from fer_core.tables import write_table

POINTS = 20
"""Points per epoch in the trace."""

SECONDS = 3.0
"""Shortest time between two writes, in seconds."""


class ProgressWriter:
    """Writes `progress.json`, `trace.parquet` and `history.parquet` during a training.

    A resumed training appends to the earlier tables, without the rows after its checkpoint. A file
    that cannot be written is skipped: on a full disk, the next checkpoint ends the training with a
    message.

    Args:
        inner: A callback that is called as well.
        run: Folder of the run, which gets the files.
        recipe: The trained recipe, for which the Training monitor shows the command to resume.
    """

    def __init__(self, inner: Callback, run: RunDir, recipe: Recipe | None = None) -> None:
        self._inner, self._run = inner, run
        self._names = (recipe.name, recipe.run_name) if recipe else ("", "")
        self._points: list[dict[Hashable, float]] | None = None
        self._epoch, self._step = 0, 0  # of the last point of the trace
        self._loss = self._right = 0.0  # sums over the epoch's steps up to that point
        self._written = -math.inf

    def on_step(self, metrics: StepMetrics) -> None:
        """Records the step, and writes if the last write was long enough ago."""
        self._inner.on_step(metrics)
        if self._points is None:
            self._begin(metrics)
        self._add_point(metrics)
        due = time.monotonic() - self._written >= SECONDS
        if due or (metrics.epoch == metrics.epochs and metrics.step == metrics.steps):
            self._write(metrics)

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
        """Removes the files after the training, whose results are now in the run."""
        for path in (self._run.progress_path, self._run.trace_path, self._run.history_path):
            path.unlink(missing_ok=True)

    def _begin(self, metrics: StepMetrics) -> None:
        """Reads the earlier trace of a resumed training."""
        before = metrics.epoch - 1 + (metrics.step - 1) / metrics.steps
        self._points = []
        if before > 0:
            with suppress(ArtifactError):
                earlier = self._run.trace()
                self._points = earlier[earlier["epoch"] <= before].to_dict("records")
        if metrics.step > 1:  # the epoch's means include steps before the resume
            self._mark(metrics)

    def _mark(self, metrics: StepMetrics) -> None:
        self._epoch, self._step = metrics.epoch, metrics.step
        self._loss, self._right = metrics.loss * metrics.step, metrics.accuracy * metrics.step

    def _add_point(self, metrics: StepMetrics) -> None:
        """Adds a point to the trace: means over the steps since the last point."""
        if metrics.epoch != self._epoch:
            self._epoch, self._step, self._loss, self._right = metrics.epoch, 0, 0.0, 0.0
        steps = metrics.step - self._step
        if steps < math.ceil(metrics.steps / POINTS) and (
            metrics.step < metrics.steps or not steps
        ):
            return
        point: dict[Hashable, float] = {
            "epoch": metrics.epoch - 1 + metrics.step / metrics.steps,
            "loss": (metrics.loss * metrics.step - self._loss) / steps,
            "accuracy": (metrics.accuracy * metrics.step - self._right) / steps,
        }
        self._points = [*(self._points or []), point]
        self._mark(metrics)

    def _write(self, metrics: StepMetrics) -> None:
        self._written = time.monotonic()
        facts = asdict(metrics) | {"loss": metrics.loss if math.isfinite(metrics.loss) else None}
        facts |= dict(zip(("recipe", "run_name"), self._names, strict=True))
        with suppress(ArtifactError):
            TrainingState(**facts, updated=time.time()).write(self._run.progress_path)
            if self._points:
                write_table(self._run.trace_path, pd.DataFrame(self._points))
