"""The training loop: epochs, validation, checkpoints, early stopping and resuming."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from accelerate.utils import broadcast
from numpy.typing import NDArray
from torch import Tensor, nn

from fer_core.data.transforms import Preprocessing
from fer_core.engine.batches import (
    ResidentBatches,
    TrainBatches,
    divisible,
    resident,
    step_seed,
)
from fer_core.engine.callbacks import Callback, EpochRecord, FitResult, StepMetrics, TrainState
from fer_core.engine.checkpoints import TrainCheckpoints
from fer_core.engine.optim import learning_rate
from fer_core.engine.predict import predict_probabilities, predict_regression
from fer_core.engine.train_step import TrainStep
from fer_core.errors import WeightsError
from fer_core.evaluation import metrics
from fer_core.models.checkpoint import CheckpointFolder
from fer_core.models.regression_head import regression_head_of

CHECKPOINT_STEPS = 200
"""Steps between checkpoints within an epoch."""

DEADLINE_STEPS = 10
"""Steps between checks of the deadline, which all processes make together.

A GPU reports as often: to read the loss waits until it has done all work before.
"""

SAVE_SECONDS = 20.0
"""Least time between checkpoints at the end of epochs on a GPU, where an epoch takes a second."""


@dataclass(frozen=True)
class TrainData:
    """Images and targets of a training.

    Attributes:
        images: All stored images, uint8, shape (N, H, W) or (N, H, W, 3).
        preprocessing: The input pipeline at the recipe's image size.
        train_rows: Rows of the training images, shape (n,).
        train_targets: Class distributions of the training images, shape (n, K).
        train_counts: Training samples per class, shape (K,).
        validation_rows: Rows of the validation images, shape (m,).
        validation_targets: Class indices of the validation images, shape (m,).
        train_regression, validation_regression: Targets of a regression head, shapes (n,) and
            (m,), NaN for images without one; None without a head.
    """

    images: NDArray[np.uint8]
    preprocessing: Preprocessing
    train_rows: NDArray[np.int64]
    train_targets: NDArray[np.float32]
    train_counts: NDArray[np.int64]
    validation_rows: NDArray[np.int64]
    validation_targets: NDArray[np.int64]
    train_regression: NDArray[np.float32] | None = field(default=None, kw_only=True)
    validation_regression: NDArray[np.float32] | None = field(default=None, kw_only=True)


class Trainer:
    """Trains one network.

    Args:
        train_step: The network with its recipe, optimizer and device.
        data: Images and targets.
        folder: Folder of the checkpoints.
        callback: Receives the progress.
        fingerprint: Further inputs of the training besides its recipe, by name; see
            `TrainCheckpoints`.
    """

    def __init__(
        self,
        train_step: TrainStep,
        data: TrainData,
        folder: CheckpointFolder,
        callback: Callback,
        fingerprint: Mapping[str, str] | None = None,
    ) -> None:
        self.train_step, self.data, self.callback = train_step, data, callback
        self.recipe, self.accelerator = train_step.recipe, train_step.accelerator
        # On a GPU the images are copied once; they are None on a CPU or if they are too many.
        self.on_device = resident(data.images, self.accelerator.device)
        self.batches = self._batches()
        self.checkpoints = TrainCheckpoints(folder, fingerprint or {}).including(
            {
                "preprocessing": data.preprocessing.hash,
                # an epoch's steps are counted in batches, which several processes may shorten
                "global batch size": str(self.batches.batch_size),
                **self._hardware(),
            }
        )
        self.state = TrainState()
        # sums of loss, correct predictions and images in the current epoch, on this process
        self.totals = torch.zeros(3, dtype=torch.float64, device=self.accelerator.device)
        self._unsaved_best: dict[str, Tensor] = {}
        self._last_save = time.monotonic()

    @property
    def images(self) -> NDArray[np.uint8] | Tensor:
        """All stored images, on the device if they are resident there."""
        return self.data.images if self.on_device is None else self.on_device

    def _hardware(self) -> dict[str, str]:
        """Returns what rounding and the order of random numbers depend on."""
        precision = self.accelerator.mixed_precision
        return {
            "device": self.accelerator.device.type,
            "precision": "fp32" if precision == "no" else precision,
            "images on the GPU": "no" if self.on_device is None else "yes",
        }

    def _batches(self) -> TrainBatches | ResidentBatches:
        config, data, processes = self.recipe.train, self.data, self.accelerator.num_processes
        batches = TrainBatches(
            data.images,
            data.train_rows,
            data.train_targets,
            self.recipe.augment,
            divisible(min(config.batch_size, len(data.train_rows)), processes),
            config.seed,
            self.accelerator.process_index,
            processes,
            data.train_regression,
        )
        return batches if self.on_device is None else ResidentBatches(batches, self.on_device)

    def fit(self, *, resume: bool = False, deadline: float = math.inf) -> FitResult:
        """Trains until the last epoch, early stopping or the deadline.

        Args:
            resume: Continue from the last checkpoint, if there is one.
            deadline: `time.monotonic()` value after which to save and return unfinished.

        Raises:
            WeightsError: If the loss diverges, or if the checkpoint to resume from is damaged or
                belongs to another recipe or fingerprint.
            ArtifactError: If a checkpoint cannot be saved; earlier ones stay.
        """
        if resume and self.checkpoints.resumable:
            self.state, totals = self.checkpoints.load(self.train_step)
            # equal shares: each process goes on to add its own batches
            self.totals = (totals / self.accelerator.num_processes).to(self.totals.device)
        while self.state.epoch < self.recipe.train.epochs and not self._out_of_patience():
            if not self._train_epoch(deadline):
                self._save()
                return self._result(finished=False)
            self._close_epoch()
        return self._result(finished=True)

    def _train_epoch(self, deadline: float) -> bool:
        """Trains from the current step to the end of the epoch; False if the deadline passed."""
        epoch = self.state.epoch
        distill = self.recipe.distill
        self.train_step.set_phase(
            frozen=epoch < self.recipe.train.freeze_epochs,
            hints=distill is not None and epoch < distill.hint_epochs,
        )
        preprocessing = self._preprocessing(epoch)
        started, seconds_before = time.monotonic(), self.state.epoch_seconds
        first = self.state.step
        for batch in self.batches.epoch(epoch, first=first):
            self._seed_step()
            rate = self.learning_rate(epoch * self.batches.steps + self.state.step)
            self.totals += self.train_step.step(batch, preprocessing, rate)
            self.state.step += 1
            step = self.state.step
            due = step % DEADLINE_STEPS == 0 or step == self.batches.steps
            if due or self.accelerator.device.type == "cpu":
                totals = self.totals.tolist()  # waits for a GPU, so it comes before the clock
                elapsed = time.monotonic() - started
                self.state.epoch_seconds = seconds_before + elapsed
                self._report_step(totals, step - first, elapsed)
            if due and self._time_is_up(deadline):
                return False
            if step % CHECKPOINT_STEPS == 0 and step < self.batches.steps:
                self._save()
        return True

    def _preprocessing(self, epoch: int) -> Preprocessing:
        return replace(self.data.preprocessing, image_size=self.recipe.size_at(epoch))

    def _seed_step(self) -> None:
        """Seeds dropout and stochastic depth, which use the global generators.

        Seeding every step makes a resumed training draw what an uninterrupted one would have.
        """
        process = self.accelerator.process_index
        seed = step_seed(self.recipe.train.seed, self.state.epoch, self.state.step, process)
        kind = self.accelerator.device.type
        if kind not in ("cpu", "cuda"):
            torch.manual_seed(seed)
            return
        # torch.manual_seed formats stack traces for each kind of device that is absent
        torch.default_generator.manual_seed(seed)
        if kind == "cuda":
            torch.cuda.manual_seed(seed)

    def learning_rate(self, step: int) -> float:
        """Returns the classifier's learning rate at a global step."""
        optim, steps = self.recipe.optim, self.batches.steps
        warmup = round(optim.warmup_epochs * steps)
        return learning_rate(step, optim, warmup, self.recipe.train.epochs * steps)

    def _report_step(self, totals: list[float], done: int, elapsed: float) -> None:
        loss, correct, count = totals
        speed = done * self.batches.batch_size / max(elapsed, 1e-9)
        steps, epochs = self.batches.steps, self.recipe.train.epochs
        steps_left = (epochs - self.state.epoch) * steps - self.state.step
        self.callback.on_step(
            StepMetrics(
                epoch=self.state.epoch + 1,
                epochs=epochs,
                step=self.state.step,
                steps=steps,
                loss=loss / max(count, 1),
                accuracy=correct / max(count, 1),
                images_per_second=speed,
                seconds_left=steps_left * self.batches.batch_size / max(speed, 1e-9),
            )
        )

    def _time_is_up(self, deadline: float) -> bool:
        if self.accelerator.num_processes == 1:
            return time.monotonic() > deadline
        late = torch.tensor([float(time.monotonic() > deadline)], device=self.accelerator.device)
        return bool(broadcast(late).item())  # the first process's clock decides for all

    def _close_epoch(self) -> None:
        """Validates, keeps the weights if they are the best, and saves."""
        state = self.state
        record = self._validate()
        criterion = record.criterion(self.recipe.train.monitor)
        # epochs at a smaller size cannot be selected: the run predicts at the full size
        full_size = record.image_size == self.data.preprocessing.image_size
        improved = full_size and criterion > state.best_criterion
        state.close_epoch(record)
        self.totals.zero_()
        if improved:
            state.best_criterion, state.best_epoch = criterion, state.epoch
            self._unsaved_best = _copy(self.train_step.evaluated)
        if self._save_is_due():
            self._save()
        self.callback.on_epoch(record)

    def _save_is_due(self) -> bool:
        """Whether an epoch ends with a checkpoint; always, except in short epochs on a GPU."""
        if self.accelerator.device.type == "cpu" or self.accelerator.num_processes > 1:
            return True
        ended = self.state.epoch == self.recipe.train.epochs or self._out_of_patience()
        return ended or time.monotonic() - self._last_save >= SAVE_SECONDS

    def _validate(self) -> EpochRecord:
        """Returns the epoch's record: training means and validation metrics at its image size.

        Raises:
            WeightsError: If the loss is not finite.
        """
        state, data = self.state, self.data
        preprocessing = self._preprocessing(state.epoch)
        probabilities = predict_probabilities(
            self.train_step.evaluated,
            self.images,
            data.validation_rows,
            preprocessing,
            self.accelerator,
        )
        targets, classes = data.validation_targets, probabilities.shape[1]
        matrix = metrics.confusion_matrix(targets, probabilities.argmax(axis=1), classes)
        loss, correct, count = self._finite_totals().tolist()
        return EpochRecord(
            epoch=state.epoch + 1,
            train_loss=loss / count,
            train_accuracy=correct / count,
            log_loss=metrics.log_loss(targets, probabilities),
            accuracy=metrics.accuracy(matrix),
            macro_recall=metrics.macro_recall(matrix),
            learning_rate=self.learning_rate(state.epoch * self.batches.steps + state.step - 1),
            images_per_second=count / max(state.epoch_seconds, 1e-9),
            seconds=state.epoch_seconds,
            image_size=preprocessing.image_size,
            regression_error=self._regression_error(preprocessing),
        )

    def _regression_error(self, preprocessing: Preprocessing) -> float | None:
        targets = self.data.validation_regression
        if targets is None:
            return None
        predicted = predict_regression(
            self.train_step.evaluated,
            self.train_step.spec,
            self.images,
            self.data.validation_rows,
            preprocessing,
        )
        errors = np.nanmean(np.abs(predicted - targets), axis=0)
        if len(errors) > 1:  # targets of several units
            head = regression_head_of(self.train_step.evaluated, self.train_step.spec)
            errors = errors / head.std.cpu().numpy()
        error = torch.tensor([errors.mean()], dtype=torch.float32)
        # the first process's network decides: running statistics may differ between processes
        return float(broadcast(error.to(self.accelerator.device)).item())

    def _out_of_patience(self) -> bool:
        config = self.recipe.train
        since = max(self.state.best_epoch, config.progressive_epochs)
        return bool(config.patience) and self.state.epoch - since >= config.patience

    def _finite_totals(self) -> Tensor:
        """Returns the epoch's sums over all processes, shape (3,).

        Raises:
            WeightsError: If the loss is not finite; the last checkpoint stays.
        """
        totals = self.totals
        if self.accelerator.num_processes > 1:
            totals = self.accelerator.reduce(totals, reduction="sum")
        totals = totals.cpu()
        if not math.isfinite(float(totals[0])):
            raise WeightsError(
                f"The training of {self.recipe.run_id} diverged in epoch {self.state.epoch + 1}: "
                "its loss is not finite. Lower the learning rate, for example with "
                f"--set optim.lr={self.recipe.optim.lr / 3:.1g}."
            )
        return totals

    def _save(self) -> None:
        totals = self._finite_totals()
        if self.accelerator.is_main_process:
            improved = bool(self._unsaved_best)
            if improved:
                self.checkpoints.save_best(self._unsaved_best, self.state)
            self.checkpoints.save(self.train_step, self.state, totals)
            if improved:
                # only now: a training that is killed before this line resumes with the earlier best
                self.checkpoints.drop_earlier(self.state)
        self._unsaved_best = {}
        self._last_save = time.monotonic()
        self.accelerator.wait_for_everyone()

    def _result(self, finished: bool) -> FitResult:
        state = self.state
        return FitResult(
            finished=finished,
            history=tuple(EpochRecord(**record) for record in state.history),
            best_epoch=state.best_epoch,
            weights=self.checkpoints.best_weights(state),
            seconds=state.seconds + state.epoch_seconds,
        )


def _copy(model: nn.Module) -> dict[str, Tensor]:
    """Returns a copy of the weights: those of the network go on changing until it is saved."""
    return {key: value.detach().clone() for key, value in model.state_dict().items()}
