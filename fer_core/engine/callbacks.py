"""How a training goes: what its observers are told, what its checkpoints note, what it gives."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor


@dataclass(frozen=True)
class EpochRecord:
    """One row of `history.parquet`.

    Attributes:
        epoch: From 1.
        train_loss: Mean training loss, with augmentation; a score head's loss and, in the epochs
            with hints, that of the feature map stand in it.
        train_accuracy: Share of training images whose largest target was predicted.
        log_loss, accuracy, macro_recall: On the validation split at this image size, with averaged
            weights if any.
        learning_rate: At the epoch's end.
        images_per_second: Training speed over all processes.
        seconds: Wall time of the epoch's training part.
        image_size: Input side in pixels.
        score_error: Mean absolute error of the score head on validation; None without one.
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
    score_error: float | None = None


@dataclass(frozen=True)
class StepMetrics:
    """What an observer is told after a step; means are over the epoch so far."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    accuracy: float
    images_per_second: float
    seconds_left: float


class Callback(Protocol):
    """Is told how a training goes."""

    def on_step(self, news: StepMetrics) -> None:
        """After each step."""

    def on_epoch(self, record: EpochRecord) -> None:
        """After each epoch's validation."""


@dataclass(frozen=True)
class FitResult:
    """How a training ended.

    Attributes:
        finished: False if the time was up; resume it then.
        history: One record an epoch.
        best_epoch: The epoch whose weights validation chose; 0 before the first.
        weights: State dict of the best epoch, on the CPU; empty if there is none yet.
        seconds: Training time over all sittings.
    """

    finished: bool
    history: tuple[EpochRecord, ...]
    best_epoch: int
    weights: Mapping[str, Tensor]
    seconds: float


@dataclass
class TrainState:
    """Where a training stands; saved with each checkpoint."""

    epoch: int = 0
    step: int = 0
    best_epoch: int = 0
    best_score: float = -math.inf
    seconds: float = 0.0
    epoch_seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)
