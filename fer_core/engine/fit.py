"""Training: epochs, checkpoints, resuming and early stopping.

No prints and no paths here: checkpoints go through a `CheckpointFolder`, news
through an `Observer`.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from fer_core.config import Recipe, parse_recipe
from fer_core.data.transforms import Preprocessing
from fer_core.engine.batches import Batch, TrainBatches, step_seed
from fer_core.engine.loss import SoftCrossEntropy
from fer_core.engine.optim import (
    learning_rate,
    load_named_state,
    make_optimizer,
    named_state,
    set_learning_rate,
)
from fer_core.engine.predict import predict_probabilities, predict_scores
from fer_core.errors import WeightsError
from fer_core.evaluation import metrics
from fer_core.models import spec_of
from fer_core.models.checkpoint import CheckpointFolder
from fer_core.models.score_head import score_head

_Weights = tuple[Tensor, ...] | list[Tensor]

CHECKPOINT_STEPS = 200
"""Steps between checkpoints inside an epoch."""

DEADLINE_STEPS = 10
"""Steps between looks at the clock; all processes look together."""


@dataclass(frozen=True)
class TrainData:
    """What a training reads.

    Attributes:
        images: All stored images, uint8, shape (N, H, W) or (N, H, W, 3).
        train_rows: Shape (n,). train_targets: class distributions, shape (n, K).
        train_counts: Training samples by class, shape (K,).
        validation_rows: Shape (m,). validation_targets: class indices, shape (m,).
        train_scores, validation_scores: For a score head, shapes (n,) and (m,), NaN where an image
            has none; None without such a head.
    """

    images: NDArray[np.uint8]
    train_rows: NDArray[np.int64]
    train_targets: NDArray[np.float32]
    train_counts: NDArray[np.int64]
    validation_rows: NDArray[np.int64]
    validation_targets: NDArray[np.int64]
    train_scores: NDArray[np.float32] | None = None
    validation_scores: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class EpochRecord:
    """One row of `history.parquet`.

    Attributes:
        epoch: From 1.
        train_loss: Mean training loss, with augmentation.
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
class StepNews:
    """What an observer is told after a step; means are over the epoch so far."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    accuracy: float
    images_per_second: float
    seconds_left: float


class Observer(Protocol):
    """Is told how a training goes."""

    def on_step(self, news: StepNews) -> None:
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
class _Progress:
    """Where a training stands; saved with each checkpoint."""

    epoch: int = 0
    step: int = 0
    best_epoch: int = 0
    best_score: float = -math.inf
    seconds: float = 0.0
    epoch_seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)


class Trainer:
    """One training of one network.

    Args:
        model: The network, with its initial weights.
        recipe: The resolved recipe.
        data: Images, rows and targets.
        preprocessing: The input pipeline at the recipe's image size.
        accelerator: Device, precision and processes.
        checkpoints: Where to save and resume from.
        observer: Is told about progress.
        teacher: Gives soft targets beside the labels for images that the student is about to see,
            as `fer_core.engine.teacher` does; only if the recipe distils.
    """

    def __init__(
        self,
        model: nn.Module,
        recipe: Recipe,
        data: TrainData,
        preprocessing: Preprocessing,
        accelerator: Accelerator,
        checkpoints: CheckpointFolder,
        observer: Observer,
        teacher: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        config = recipe.train
        self.recipe, self.data, self.preprocessing = recipe, data, preprocessing
        self.accelerator, self.checkpoints, self.observer = accelerator, checkpoints, observer
        self.teacher = teacher
        self.spec = spec_of(recipe.model.architecture)
        self.loss = SoftCrossEntropy(recipe.loss, torch.from_numpy(data.train_counts))
        batch_size = min(config.batch_size, len(data.train_rows))
        self.batches = TrainBatches(
            data.images,
            data.train_rows,
            data.train_targets,
            recipe.augment,
            batch_size - batch_size % accelerator.num_processes,
            config.seed,
            accelerator.process_index,
            accelerator.num_processes,
            data.train_scores,
        )
        if config.channels_last:
            model = model.to(memory_format=torch.channels_last)
        self.model = model.to(accelerator.device)
        # under an adapter most weights never train, whatever is frozen or not
        self.trainable = [weight for weight in self.model.parameters() if weight.requires_grad]
        self.average = (
            AveragedModel(
                self.model,
                multi_avg_fn=_warming_average(config.ema_decay),
                use_buffers=True,
            )
            if config.ema_decay
            else None
        )
        self.optimizer = make_optimizer(self.model, self.spec.head, recipe.optim)
        self.prepared_optimizer = accelerator.prepare_optimizer(self.optimizer)
        self.wrapped: nn.Module = self.model
        self.forward: Callable[[Tensor], Tensor] = self.model
        self.frozen: bool | None = None
        self.progress = _Progress()
        # loss sum, right answers, images: of the epoch under way, on this process
        self.totals = torch.zeros(3, dtype=torch.float64)

    def fit(self, *, resume: bool = False, deadline: float = math.inf) -> FitResult:
        """Trains to the end, to early stopping or to the deadline.

        Args:
            resume: Go on from the last checkpoint, if there is one.
            deadline: `time.monotonic()` value after which to save and return unfinished.

        Raises:
            WeightsError: If the checkpoint to resume from belongs to another recipe or is damaged.
            ArtifactError: If a checkpoint cannot be saved; earlier ones stay.
        """
        if resume and self.checkpoints.has("last"):
            self._load()
        while self.progress.epoch < self.recipe.train.epochs and not self._out_of_patience():
            if not self._train_epoch(deadline):
                self._save()
                return self._result(finished=False)
            self._close_epoch()
        return self._result(finished=True)

    def _train_epoch(self, deadline: float) -> bool:
        """Trains from the current step to the epoch's end; False if the time ran out."""
        epoch = self.progress.epoch
        preprocessing = replace(self.preprocessing, image_size=self.recipe.size_at(epoch))
        self._set_frozen(epoch < self.recipe.train.freeze_epochs)
        started, earlier = time.monotonic(), self.progress.epoch_seconds
        began_at = self.progress.step
        for batch in self.batches.epoch(epoch, first=began_at):
            self._train_step(batch, preprocessing)
            self.progress.step += 1
            step = self.progress.step
            elapsed = time.monotonic() - started
            self.progress.epoch_seconds = earlier + elapsed
            self._tell(step - began_at, elapsed)
            look = step % DEADLINE_STEPS == 0 or step == self.batches.steps
            if look and self._time_is_up(deadline):
                return False
            if step % CHECKPOINT_STEPS == 0 and step < self.batches.steps:
                self._save()
        return True

    def _set_frozen(self, frozen: bool) -> None:
        """Sets training mode; a frozen backbone neither learns nor updates its batch statistics.

        A change wraps the network anew: DistributedDataParallel and the compiler look once at
        what needs a gradient.
        """
        head = self.model.get_submodule(self.spec.head)
        if frozen != self.frozen:
            self.frozen = frozen
            for weight in self.trainable:
                weight.requires_grad_(not frozen)
            head.requires_grad_(True)
            self.wrapped = self.accelerator.prepare_model(self.model)
            # Mixed precision is asked for at each step; the network itself stays as it is, or
            # its answers after the training would be rounded too.
            self.accelerator.unwrap_model(self.wrapped, keep_fp32_wrapper=False)
            # one graph a size: symbolic sizes compile for minutes and run slower
            compiled = self.recipe.train.compile
            self.forward = torch.compile(self.wrapped, dynamic=False) if compiled else self.wrapped
        self.wrapped.train()
        if frozen:
            self.model.eval()
            head.train()

    def _train_step(self, batch: Batch, preprocessing: Preprocessing) -> None:
        progress, device = self.progress, self.accelerator.device
        # Dropout and stochastic depth draw from the global generators: seeded by step, a resumed
        # training repeats what an uninterrupted one would have drawn.
        torch.manual_seed(
            step_seed(
                self.recipe.train.seed,
                progress.epoch,
                progress.step,
                self.accelerator.process_index,
            )
        )
        rate = self.learning_rate(progress.epoch * self.batches.steps + progress.step)
        set_learning_rate(self.optimizer, rate)

        random = batch.augmentation.share(slice(None), device)
        images = preprocessing.augmented(batch.images.to(device), random)
        images, targets = random.mix(images, batch.targets.to(device))
        if self.teacher is not None and self.recipe.distill is not None:
            targets = torch.lerp(targets, self.teacher(images), self.recipe.distill.weight)
        inputs = preprocessing.normalise(images)
        if self.recipe.train.channels_last:
            inputs = inputs.contiguous(memory_format=torch.channels_last)

        with self.accelerator.autocast():
            logits = self.forward(inputs).float()
        loss = self.loss(logits, targets)
        if batch.scores is not None and self.recipe.score is not None:
            head = score_head(self.model, self.spec)
            loss = loss + self.recipe.score.weight * head.loss(head.take(), batch.scores.to(device))
        self.accelerator.backward(loss)
        self.accelerator.clip_grad_norm_(self.wrapped.parameters(), self.recipe.optim.clip_norm)
        self.prepared_optimizer.step()
        self.prepared_optimizer.zero_grad()
        if self.average is not None:
            self.average.update_parameters(self.model)

        right = (logits.detach().argmax(dim=1) == targets.argmax(dim=1)).sum()
        count = len(targets)
        self.totals += torch.tensor([float(loss.detach()) * count, float(right), count]).double()

    def learning_rate(self, step: int) -> float:
        """Returns the classifier's rate at a global step."""
        optim, steps = self.recipe.optim, self.batches.steps
        warmup = round(optim.warmup_epochs * steps)
        return learning_rate(step, optim, warmup, self.recipe.train.epochs * steps)

    def _tell(self, done: int, elapsed: float) -> None:
        loss, right, count = self.totals.tolist()
        speed = done * self.batches.batch_size / max(elapsed, 1e-9)
        steps, epochs = self.batches.steps, self.recipe.train.epochs
        left = (epochs - self.progress.epoch) * steps - self.progress.step
        self.observer.on_step(
            StepNews(
                epoch=self.progress.epoch + 1,
                epochs=epochs,
                step=self.progress.step,
                steps=steps,
                loss=loss / max(count, 1),
                accuracy=right / max(count, 1),
                images_per_second=speed,
                seconds_left=left * self.batches.batch_size / max(speed, 1e-9),
            )
        )

    def _time_is_up(self, deadline: float) -> bool:
        late = torch.tensor([float(time.monotonic() > deadline)], device=self.accelerator.device)
        return bool(broadcast(late).item())  # the first process's clock decides for all

    def _close_epoch(self) -> None:
        """Validates at the epoch's image size, keeps the best weights, and saves."""
        progress, config = self.progress, self.recipe.train
        size = self.recipe.size_at(progress.epoch)
        probabilities = predict_probabilities(
            self.evaluated,
            self.data.images,
            self.data.validation_rows,
            replace(self.preprocessing, image_size=size),
            self.accelerator,
        )
        truth = self.data.validation_targets
        matrix = metrics.confusion_matrix(
            truth, probabilities.argmax(axis=1), probabilities.shape[1]
        )
        loss, right, count = self._require_finite().tolist()
        record = EpochRecord(
            epoch=progress.epoch + 1,
            train_loss=loss / count,
            train_accuracy=right / count,
            log_loss=metrics.log_loss(truth, probabilities),
            accuracy=metrics.accuracy(matrix),
            macro_recall=metrics.macro_recall(matrix),
            learning_rate=self.learning_rate(
                progress.epoch * self.batches.steps + progress.step - 1
            ),
            images_per_second=count / max(progress.epoch_seconds, 1e-9),
            seconds=progress.epoch_seconds,
            image_size=size,
            score_error=self._score_error(size),
        )
        value = getattr(record, config.monitor)
        score = -value if config.monitor in ("log_loss", "score_error") else value
        # epochs on small images are no candidates: the run answers at the full size
        better = size == self.preprocessing.image_size and score > progress.best_score
        progress.history.append(asdict(record))
        progress.seconds += progress.epoch_seconds
        progress.epoch, progress.step, progress.epoch_seconds = progress.epoch + 1, 0, 0.0
        self.totals.zero_()
        if better:
            progress.best_score, progress.best_epoch = score, progress.epoch
            if self.accelerator.is_main_process:
                self.checkpoints.save(
                    "best", self.evaluated.state_dict(), {"epoch": progress.epoch, "score": score}
                )
        self._save()
        self.observer.on_epoch(record)

    def _score_error(self, size: int) -> float | None:
        truth = self.data.validation_scores
        if truth is None:
            return None
        estimated = predict_scores(
            self.evaluated,
            self.spec,
            self.data.images,
            self.data.validation_rows,
            replace(self.preprocessing, image_size=size),
        )
        return float(np.nanmean(np.abs(estimated - truth)))

    @property
    def evaluated(self) -> nn.Module:
        """The network that validation sees: averaged weights where there are any."""
        return self.model if self.average is None else self.average.module

    def _out_of_patience(self) -> bool:
        config = self.recipe.train
        since = max(self.progress.best_epoch, config.small_epochs)
        return bool(config.patience) and self.progress.epoch - since >= config.patience

    def _global_totals(self) -> Tensor:
        device = self.accelerator.device
        reduced = self.accelerator.reduce(self.totals.to(device), reduction="sum")
        return reduced.cpu()  # type: ignore[no-any-return]

    def _require_finite(self) -> Tensor:
        """Returns the epoch's sums over all processes.

        Raises:
            WeightsError: If the loss is no number; the last checkpoint stays.
        """
        totals = self._global_totals()
        if not math.isfinite(float(totals[0])):
            raise WeightsError(
                f"The training of {self.recipe.run_id} diverged in epoch "
                f"{self.progress.epoch + 1}: its loss is no number any more. Try a lower rate, "
                f"such as --set optim.lr={self.recipe.optim.lr / 3:.1g}."
            )
        return totals

    def _save(self) -> None:
        totals = self._require_finite()
        if self.accelerator.is_main_process:
            scaler = self.accelerator.scaler
            facts = {
                "recipe": self.recipe.model_dump(mode="json"),
                "progress": asdict(self.progress)
                | {"best_score": _finite(self.progress.best_score)},
                "totals": totals.tolist(),
                "scaler": scaler.state_dict() if scaler is not None else None,
            }
            self.checkpoints.save("last", self._tensors(), facts)
        self.accelerator.wait_for_everyone()

    def _tensors(self) -> dict[str, Tensor]:
        tensors = {f"model.{key}": value for key, value in self.model.state_dict().items()}
        if self.average is not None:
            tensors |= {f"ema.{key}": value for key, value in self.average.state_dict().items()}
        moments = named_state(self.model, self.optimizer)
        return tensors | {f"optimizer.{key}": value for key, value in moments.items()}

    def _load(self) -> None:
        tensors, facts = self.checkpoints.load("last")
        if parse_recipe(facts.get("recipe", {})) != self.recipe:
            raise WeightsError(
                f"The checkpoint of {self.recipe.name!r} was made with another recipe. Resume with "
                "the recipe and options that it was started with, or start anew without --resume."
            )

        def part(prefix: str) -> dict[str, Tensor]:
            return {
                key.removeprefix(prefix): value
                for key, value in tensors.items()
                if key.startswith(prefix)
            }

        self.model.load_state_dict(part("model."))
        if self.average is not None:
            self.average.load_state_dict(part("ema."))
        load_named_state(self.model, self.optimizer, part("optimizer."))
        if self.accelerator.scaler is not None and facts["scaler"]:
            self.accelerator.scaler.load_state_dict(facts["scaler"])
        saved = dict(facts["progress"])
        if saved["best_score"] is None:
            saved["best_score"] = -math.inf
        self.progress = _Progress(**saved)
        if self.accelerator.is_main_process:  # the sums of all processes go on in one
            self.totals = torch.tensor(facts["totals"], dtype=torch.float64)

    def _result(self, finished: bool) -> FitResult:
        progress = self.progress
        weights = self.checkpoints.load("best")[0] if progress.best_epoch else {}
        return FitResult(
            finished=finished,
            history=tuple(EpochRecord(**record) for record in progress.history),
            best_epoch=progress.best_epoch,
            weights=weights,
            seconds=progress.seconds + progress.epoch_seconds,
        )


def _warming_average(
    decay: float,
) -> Callable[[_Weights, _Weights, Tensor | int], None]:
    """Returns an exponential moving average that forgets faster while it is young.

    With n steps behind it, it spans about n / 9 of them at most: a fixed decay would keep the
    random start for hundreds of steps, which is a whole training on a small set.
    """

    def update(averaged: _Weights, current: _Weights, steps: Tensor | int) -> None:
        count = int(steps)
        get_ema_multi_avg_fn(min(decay, (1 + count) / (10 + count)))(averaged, current, steps)

    return update


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
