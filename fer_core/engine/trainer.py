"""Training: epochs, checkpoints, resuming and early stopping.

No prints and no paths here: checkpoints go through a `CheckpointFolder`, news
through an `Callback`.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast
from numpy.typing import NDArray
from torch import Tensor, nn

from fer_core.config import Recipe, parse_recipe
from fer_core.data.transforms import Preprocessing
from fer_core.engine.batches import TrainBatches, divisible, step_seed
from fer_core.engine.callbacks import Callback, EpochRecord, FitResult, StepMetrics, TrainState
from fer_core.engine.hints import HintTeacher
from fer_core.engine.optim import learning_rate
from fer_core.engine.predict import predict_probabilities, predict_scores
from fer_core.engine.train_step import SoftTargets, TrainStep
from fer_core.errors import WeightsError
from fer_core.evaluation import metrics
from fer_core.models.checkpoint import CheckpointFolder

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
            as `fer_core.engine.distillation` does; only if the recipe distils.
        guide: Its feature map is followed in the first epochs, as many as the recipe says.
        grounds: What else the training stands on, by name, such as the split and each teacher: a
            checkpoint made on other grounds is not resumed.
    """

    def __init__(
        self,
        model: nn.Module,
        recipe: Recipe,
        data: TrainData,
        preprocessing: Preprocessing,
        accelerator: Accelerator,
        checkpoints: CheckpointFolder,
        observer: Callback,
        teacher: SoftTargets | None = None,
        guide: HintTeacher | None = None,
        grounds: Mapping[str, str] | None = None,
    ) -> None:
        config = recipe.train
        self.recipe, self.data, self.preprocessing = recipe, data, preprocessing
        self.accelerator, self.checkpoints, self.observer = accelerator, checkpoints, observer
        counts = torch.from_numpy(data.train_counts)
        self.learner = TrainStep(model, recipe, counts, accelerator, teacher, guide)
        batch_size = min(config.batch_size, len(data.train_rows))
        self.batches = TrainBatches(
            data.images,
            data.train_rows,
            data.train_targets,
            recipe.augment,
            divisible(batch_size, accelerator.num_processes),
            config.seed,
            accelerator.process_index,
            accelerator.num_processes,
            data.train_scores,
        )
        self.grounds = {
            **(grounds or {}),
            "preparation of images": preprocessing.hash,
            # steps of an epoch are counted in batches; processes may have to cut one
            "batch of all processes": str(self.batches.batch_size),
        }
        self.standing = TrainState()
        # loss sum, right answers, images: of the epoch under way, on this process
        self.totals = torch.zeros(3, dtype=torch.float64)

    def fit(self, *, resume: bool = False, deadline: float = math.inf) -> FitResult:
        """Trains to the end, to early stopping or to the deadline.

        Args:
            resume: Go on from the last checkpoint, if there is one.
            deadline: `time.monotonic()` value after which to save and return unfinished.

        Raises:
            WeightsError: If the checkpoint to resume from belongs to another recipe, split or
                teacher, or is damaged.
            ArtifactError: If a checkpoint cannot be saved; earlier ones stay.
        """
        if resume and self.checkpoints.has("last"):
            self._load()
        while self.standing.epoch < self.recipe.train.epochs and not self._out_of_patience():
            if not self._train_epoch(deadline):
                self._save()
                return self._result(finished=False)
            self._close_epoch()
        return self._result(finished=True)

    def _train_epoch(self, deadline: float) -> bool:
        """Trains from the current step to the epoch's end; False if the time ran out."""
        epoch = self.standing.epoch
        preprocessing = replace(self.preprocessing, image_size=self.recipe.size_at(epoch))
        distill = self.recipe.distill
        self.learner.set_phase(
            frozen=epoch < self.recipe.train.freeze_epochs,
            guided=distill is not None and epoch < distill.hint_epochs,
        )
        started, earlier = time.monotonic(), self.standing.epoch_seconds
        began_at = self.standing.step
        for batch in self.batches.epoch(epoch, first=began_at):
            self._seed_step()
            rate = self.learning_rate(epoch * self.batches.steps + self.standing.step)
            self.totals += self.learner.step(batch, preprocessing, rate).cpu()
            self.standing.step += 1
            step = self.standing.step
            elapsed = time.monotonic() - started
            self.standing.epoch_seconds = earlier + elapsed
            self._tell(step - began_at, elapsed)
            look = step % DEADLINE_STEPS == 0 or step == self.batches.steps
            if look and self._time_is_up(deadline):
                return False
            if step % CHECKPOINT_STEPS == 0 and step < self.batches.steps:
                self._save()
        return True

    def _seed_step(self) -> None:
        """Seeds dropout and stochastic depth, which draw from the global generators.

        Seeded by step, a resumed training repeats what an uninterrupted one would have drawn.
        """
        seed, process = self.recipe.train.seed, self.accelerator.process_index
        torch.manual_seed(step_seed(seed, self.standing.epoch, self.standing.step, process))

    def learning_rate(self, step: int) -> float:
        """Returns the classifier's rate at a global step."""
        optim, steps = self.recipe.optim, self.batches.steps
        warmup = round(optim.warmup_epochs * steps)
        return learning_rate(step, optim, warmup, self.recipe.train.epochs * steps)

    def _tell(self, done: int, elapsed: float) -> None:
        loss, right, count = self.totals.tolist()
        speed = done * self.batches.batch_size / max(elapsed, 1e-9)
        steps, epochs = self.batches.steps, self.recipe.train.epochs
        left = (epochs - self.standing.epoch) * steps - self.standing.step
        self.observer.on_step(
            StepMetrics(
                epoch=self.standing.epoch + 1,
                epochs=epochs,
                step=self.standing.step,
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
        standing, config = self.standing, self.recipe.train
        size = self.recipe.size_at(standing.epoch)
        probabilities = predict_probabilities(
            self.learner.evaluated,
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
            epoch=standing.epoch + 1,
            train_loss=loss / count,
            train_accuracy=right / count,
            log_loss=metrics.log_loss(truth, probabilities),
            accuracy=metrics.accuracy(matrix),
            macro_recall=metrics.macro_recall(matrix),
            learning_rate=self.learning_rate(
                standing.epoch * self.batches.steps + standing.step - 1
            ),
            images_per_second=count / max(standing.epoch_seconds, 1e-9),
            seconds=standing.epoch_seconds,
            image_size=size,
            score_error=self._score_error(size),
        )
        value = getattr(record, config.monitor)
        score = -value if config.monitor in ("log_loss", "score_error") else value
        # epochs on small images are no candidates: the run answers at the full size
        better = size == self.preprocessing.image_size and score > standing.best_score
        standing.history.append(asdict(record))
        standing.seconds += standing.epoch_seconds
        standing.epoch, standing.step, standing.epoch_seconds = standing.epoch + 1, 0, 0.0
        self.totals.zero_()
        if better:
            standing.best_score, standing.best_epoch = score, standing.epoch
            if self.accelerator.is_main_process:
                self.checkpoints.save(
                    self._best,
                    self.learner.evaluated.state_dict(),
                    {"epoch": standing.epoch, "score": score},
                )
        self._save()
        if better and self.accelerator.is_main_process:
            # not before: a training that is killed here goes on from the earlier best
            self.checkpoints.keep_only("last", self._best)
        self.observer.on_epoch(record)

    @property
    def _best(self) -> str:
        return f"best-{self.standing.best_epoch}"

    def _score_error(self, size: int) -> float | None:
        truth = self.data.validation_scores
        if truth is None:
            return None
        estimated = predict_scores(
            self.learner.evaluated,
            self.learner.spec,
            self.data.images,
            self.data.validation_rows,
            replace(self.preprocessing, image_size=size),
        )
        error = torch.tensor([np.nanmean(np.abs(estimated - truth))], dtype=torch.float32)
        # the first process's network decides for all: running statistics may differ by process
        return float(broadcast(error.to(self.accelerator.device)).item())

    def _out_of_patience(self) -> bool:
        config = self.recipe.train
        since = max(self.standing.best_epoch, config.small_epochs)
        return bool(config.patience) and self.standing.epoch - since >= config.patience

    def _require_finite(self) -> Tensor:
        """Returns the epoch's sums over all processes.

        Raises:
            WeightsError: If the loss is no number; the last checkpoint stays.
        """
        totals = self.totals
        if self.accelerator.num_processes > 1:  # a device on its own may know no float64
            shared = self.accelerator.reduce(totals.to(self.accelerator.device), reduction="sum")
            totals = shared.cpu()
        if not math.isfinite(float(totals[0])):
            raise WeightsError(
                f"The training of {self.recipe.run_id} diverged in epoch "
                f"{self.standing.epoch + 1}: its loss is no number any more. Try a lower rate, "
                f"such as --set optim.lr={self.recipe.optim.lr / 3:.1g}."
            )
        return totals

    def _save(self) -> None:
        totals = self._require_finite()
        if self.accelerator.is_main_process:
            facts = {
                "recipe": self.recipe.model_dump(mode="json"),
                "grounds": self.grounds,
                "progress": asdict(self.standing)
                | {"best_score": _finite(self.standing.best_score)},
                "totals": totals.tolist(),
                "scaler": self.learner.scaler_state(),
            }
            self.checkpoints.save("last", self.learner.tensors(), facts)
        self.accelerator.wait_for_everyone()

    def _load(self) -> None:
        try:
            tensors, facts = self.checkpoints.load("last")
        except WeightsError as error:
            raise WeightsError(f"{error} Or {self._anew}.") from error
        if parse_recipe(facts.get("recipe", {})) != self.recipe:
            raise WeightsError(
                f"The checkpoint of {self.recipe.name!r} was made with another recipe. Resume with "
                f"the recipe and options that it was started with, or {self._anew}."
            )
        self._require_grounds(facts.get("grounds", {}))
        try:
            self.learner.load(tensors, facts["scaler"])
        except (KeyError, RuntimeError) as error:
            raise WeightsError(
                f"The checkpoint of {self.recipe.name!r} does not fit its network any more: "
                f"{self._anew}."
            ) from error
        saved = dict(facts["progress"])
        if saved["best_score"] is None:
            saved["best_score"] = -math.inf
        self.standing = TrainState(**saved)
        # equal shares: each process goes on with what it reports of its own
        totals = torch.tensor(facts["totals"], dtype=torch.float64)
        self.totals = totals / self.accelerator.num_processes

    @property
    def _anew(self) -> str:
        return f"start anew: leave out --resume, or remove the folder {self.checkpoints.folder}"

    def _require_grounds(self, earlier: Mapping[str, str]) -> None:
        """Raises WeightsError if the checkpoint stands on something else, naming the first."""
        for name in dict.fromkeys([*self.grounds, *earlier]):
            if earlier.get(name) != self.grounds.get(name):
                raise WeightsError(
                    f"The checkpoint of {self.recipe.name!r} was made with another {name} "
                    f"({earlier.get(name, 'none')}, now {self.grounds.get(name, 'none')}); what it "
                    f"learned may not be mixed: {self._anew}."
                )

    def _result(self, finished: bool) -> FitResult:
        standing = self.standing
        weights = self.checkpoints.load(self._best)[0] if standing.best_epoch else {}
        return FitResult(
            finished=finished,
            history=tuple(EpochRecord(**record) for record in standing.history),
            best_epoch=standing.best_epoch,
            weights=weights,
            seconds=standing.seconds + standing.epoch_seconds,
        )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
