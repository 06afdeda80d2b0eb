"""Measuring a recipe's speed on this machine, with the loop that trains it."""

import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import torch

from fer_core.config import Recipe
from fer_core.data.prepared import PreparedDataset
from fer_core.data.progress import Progress
from fer_core.engine.callbacks import EpochRecord, StepMetrics
from fer_core.engine.predict import predict_probabilities
from fer_core.engine.train_step import TrainStep
from fer_core.engine.trainer import Trainer
from fer_core.models import build_model
from fer_core.models.adapters import add_adapter
from fer_core.models.checkpoint import CheckpointFolder
from training.jobs.accelerator import (
    is_compiled,
    make_accelerator,
    peak_memory,
    reset_peak_memory,
)
from training.jobs.time_plan import MeasuredSpeed
from training.jobs.train import train_data

WARM_UP, STEPS = 10, 20
"""Steps before and in the measurement; a GPU reports every ten."""

_PREDICTED = 1024
"""Validation images that are predicted."""

Clock = Callable[[], float]


class EnoughStepsError(Exception):
    """A measurement is over."""


class Stopwatch:
    """Ends a training after enough steps.

    Attributes:
        seconds_per_step: Mean over the steps after the warm-up; over all steps in a shorter epoch.
        warm: Time when the first steps were done.
    """

    def __init__(self, clock: Clock, warm_up: int, steps: int) -> None:
        self.clock, self.warm_up, self.steps = clock, warm_up, steps
        self.started = self.warm = clock()
        self.seconds_per_step = 0.0
        self._first: tuple[int, float] | None = None

    def on_step(self, metrics: StepMetrics) -> None:
        """Reads the clock.

        Raises:
            EnoughStepsError: After the last step that is measured.
        """
        now = self.clock()
        if self._first is None:
            self.seconds_per_step, self.warm = (now - self.started) / metrics.step, now
            if metrics.step >= self.warm_up:
                self._first = (metrics.step, now)
            return
        step, since = self._first
        self.seconds_per_step = (now - since) / (metrics.step - step)
        if metrics.step >= step + self.steps:
            raise EnoughStepsError

    def on_epoch(self, record: EpochRecord) -> None:
        """Ends the measurement in an epoch that is shorter.

        Raises:
            EnoughStepsError: Always.
        """
        raise EnoughStepsError


def measure_speed(
    recipe: Recipe,
    dataset: PreparedDataset,
    device: str | None = None,
    clock: Clock = time.perf_counter,
) -> MeasuredSpeed:
    """Trains a few steps at the recipe's full size and predicts some validation images.

    Weights are random and teachers are left out, as they change no speed of the steps: teachers
    that predict at every step (`distill.views: 0`) are not measured. Nothing is kept.

    Args:
        recipe: The resolved recipe.
        dataset: The prepared dataset.
        device: `cpu`, or None for a GPU if there is one.
        clock: Seconds.
    """
    started = clock()
    accelerator = make_accelerator(recipe.train.precision, device)
    reset_peak_memory(accelerator)
    torch.backends.cudnn.benchmark = not recipe.train.deterministic
    compiled = is_compiled(recipe.train.compile, accelerator.device)
    recipe = _full_size(recipe, compiled=compiled)
    model = build_model(recipe.model, len(dataset.labels))
    add_adapter(model, recipe.model)
    data = train_data(recipe, dataset)
    step = TrainStep(model, recipe, torch.from_numpy(data.train_counts), accelerator)
    watch = Stopwatch(clock, WARM_UP, STEPS)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(step, data, CheckpointFolder(Path(folder)), watch)
        with suppress(EnoughStepsError):
            trainer.fit()
    prediction = _prediction_speed(trainer, clock)
    return MeasuredSpeed(
        training=trainer.batches.batch_size / max(watch.seconds_per_step, 1e-9),
        prediction=prediction,
        start_seconds=watch.warm - started,
        peak_memory=peak_memory(accelerator),
    )


def measure_speeds(
    recipes: Sequence[Recipe], dataset: PreparedDataset, device: str | None, progress: Progress
) -> tuple[dict[str, MeasuredSpeed], dict[str, str]]:
    """Measures recipes one after the other.

    Returns:
        Speeds, and the reason for each that cannot be measured, by recipe name.
    """
    speeds: dict[str, MeasuredSpeed] = {}
    failures: dict[str, str] = {}
    for recipe in progress(recipes, len(recipes), "speed of each network"):
        try:
            speeds[recipe.shown_name] = measure_speed(recipe, dataset, device)
        except Exception as error:  # any failure of one recipe must not stop the others
            failures[recipe.shown_name] = f"{type(error).__name__}: {error}"
    return speeds, failures


def _full_size(recipe: Recipe, *, compiled: bool) -> Recipe:
    """Returns the recipe without phases that are faster than the rest."""
    train = recipe.train.model_copy(
        update={
            "compile": compiled,
            "progressive_size": 0,
            "progressive_epochs": 0,
            "freeze_epochs": 0,
        }
    )
    return recipe.model_copy(update={"train": train, "distill": None, "regression": None})


def _prediction_speed(trainer: Trainer, clock: Clock) -> float:
    """Returns images per second of validation."""
    data = trainer.data
    rows = data.validation_rows[:_PREDICTED]
    seconds = 0.0
    for _ in range(2):  # the first pass chooses kernels
        started = clock()
        predict_probabilities(
            trainer.train_step.evaluated,
            trainer.images,
            rows,
            data.preprocessing,
            trainer.accelerator,
        )
        seconds = clock() - started
    return len(rows) / max(seconds, 1e-9)
