"""Values that a training reports: to its callbacks, in its checkpoints, and when it ends."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor


@dataclass(frozen=True)
class EpochRecord:
    """One row of `history.parquet`.

    Attributes:
        epoch: Number of the epoch, from 1.
        train_loss: Mean training loss under augmentation, including the hint and regression
            losses where the recipe has them.
        train_accuracy: Share of training images whose largest target was predicted.
        log_loss, accuracy, macro_recall: Validation metrics at this image size, of the averaged
            weights if the recipe keeps a moving average.
        learning_rate: Learning rate at the end of the epoch.
        images_per_second: Training speed over all processes.
        seconds: Wall time of training, without validation.
        image_size: Input side in pixels.
        regression_error: Validation mean absolute error of the regression head; with several
            targets, the mean of their errors, each divided by its standard deviation in training.
            None without such a head.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    log_loss: float
    accuracy: float
    macro_recall: float
    learning_rate: float
    images_per_second: float
    seconds: float
    image_size: int
    regression_error: float | None = None

    def criterion(self, monitor: str) -> float:
        """Returns a monitored metric with the sign under which larger is better."""
        value: float = getattr(self, monitor)
        return -value if monitor in ("log_loss", "regression_error") else value


@dataclass(frozen=True)
class StepMetrics:
    """Training metrics after a step; `loss` and `accuracy` are means over the epoch so far."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    accuracy: float
    images_per_second: float
    seconds_left: float


class Callback(Protocol):
    """Receives the progress of a training."""

    def on_step(self, metrics: StepMetrics) -> None:
        """Is called after each step."""

    def on_epoch(self, record: EpochRecord) -> None:
        """Is called after each epoch's validation."""


@dataclass(frozen=True)
class FitResult:
    """Result of a training.

    Attributes:
        finished: False if the deadline stopped the training; it can be resumed.
        history: One record per epoch.
        best_epoch: The epoch that validation selected; 0 before the first.
        weights: State dict of the best epoch, on the CPU; empty if there is none yet.
        seconds: Training time, including that before resuming.
    """

    finished: bool
    history: tuple[EpochRecord, ...]
    best_epoch: int
    weights: Mapping[str, Tensor]
    seconds: float


@dataclass
class TrainState:
    """Progress of a training, saved with each checkpoint.

    Attributes:
        epoch, step: Finished epochs, and finished steps of the current epoch.
        best_epoch: The best epoch so far, from 1; 0 before the first.
        best_criterion: Monitored metric of the best epoch; larger is better.
        seconds: Training time of finished epochs.
        epoch_seconds: Training time of the current epoch.
        history: `EpochRecord`s as plain values.
    """

    epoch: int = 0
    step: int = 0
    best_epoch: int = 0
    best_criterion: float = -math.inf
    seconds: float = 0.0
    epoch_seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)

    def close_epoch(self, record: EpochRecord) -> None:
        """Records a finished epoch and moves on to the next one."""
        self.history.append({**vars(record)})
        self.seconds += self.epoch_seconds
        self.epoch, self.step, self.epoch_seconds = self.epoch + 1, 0, 0.0
