"""One optimisation step of a network, and the state that a checkpoint saves."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Self

import torch
from accelerate import Accelerator
from timm.layers import convert_sync_batchnorm
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from fer_core.config import Recipe
from fer_core.data.transforms import Preprocessing
from fer_core.engine.batches import Batch
from fer_core.engine.cpu_kernels import training_kernels
from fer_core.engine.distillation import Distillation
from fer_core.engine.hints import captured
from fer_core.engine.loss import SoftCrossEntropy
from fer_core.engine.optim import (
    load_named_state,
    make_optimizer,
    named_state,
    set_learning_rate,
)
from fer_core.models import spec_of
from fer_core.models.regression_head import regression_head_of

_Weights = tuple[Tensor, ...] | list[Tensor]


class TrainStep:
    """A network with its optimizer, its moving average and its wrappers for several devices.

    Args:
        model: The network, with its initial weights.
        recipe: The resolved recipe.
        class_counts: Training samples per class, shape (K,).
        accelerator: Device, precision and processes.
        distillation: Teachers; none by default.
    """

    def __init__(
        self,
        model: nn.Module,
        recipe: Recipe,
        class_counts: Tensor,
        accelerator: Accelerator,
        distillation: Distillation | None = None,
    ) -> None:
        self.recipe, self.accelerator = recipe, accelerator
        self.distillation = distillation or Distillation()
        self.spec = spec_of(recipe.model)
        self.loss = SoftCrossEntropy(recipe.loss, class_counts)
        if recipe.train.channels_last:
            model = model.to(memory_format=torch.channels_last)
        self.model = synchronised(model, accelerator).to(accelerator.device)
        # with an adapter, most weights never train, in any phase
        self.trainable = [weight for weight in self.model.parameters() if weight.requires_grad]
        self.average = (
            AveragedModel(
                self.model,
                multi_avg_fn=warming_average(recipe.train.ema_decay),
                use_buffers=True,
            )
            if recipe.train.ema_decay
            else None
        )
        self.averaged = None if self.average is None else AveragePairs.of(self.average, self.model)
        self.optimizer = make_optimizer(self.model, self.spec.heads, recipe.optim)
        self.prepared_optimizer = accelerator.prepare_optimizer(self.optimizer)
        self.wrapped: nn.Module = self.model
        self.forward: Callable[[Tensor], Tensor] = self.model
        self.frozen: bool | None = None
        self.hints = False

    @property
    def evaluated(self) -> nn.Module:
        """The network that validation evaluates: the moving average if there is one."""
        return self.model if self.average is None else self.average.module

    def set_phase(self, *, frozen: bool, hints: bool) -> None:
        """Sets training mode.

        A change of `frozen` wraps the network again, because DistributedDataParallel and the
        compiler read `requires_grad` only once.

        Args:
            frozen: Train the classifier only; batch statistics of the backbone stay fixed.
            hints: Add the hint loss, if there is a hint teacher.
        """
        self.hints = hints and not frozen
        heads = [self.model.get_submodule(path) for path in self.spec.heads]
        if frozen != self.frozen:
            self.frozen = frozen
            for weight in self.trainable:
                weight.requires_grad_(not frozen)
            for head in heads:
                head.requires_grad_(True)
            self.wrapped = self.accelerator.prepare_model(self.model)
            # Each step asks for mixed precision itself. With accelerate's wrapper the network
            # would round its predictions after the training, too.
            self.accelerator.unwrap_model(self.wrapped, keep_fp32_wrapper=False)
            # one graph per size: symbolic sizes take minutes to compile and run slower
            compiled = self.recipe.train.compile
            self.forward = torch.compile(self.wrapped, dynamic=False) if compiled else self.wrapped
        self.wrapped.train()
        if self.recipe.model.lora is not None:
            self._fix_statistics()
        if frozen:
            self.model.eval()
            for head in heads:
                head.train()

    def _fix_statistics(self) -> None:
        """Keeps running statistics of an adapter's base, which is not saved with it."""
        for name, module in self.model.named_modules():
            statistics = getattr(module, "running_mean", None)
            if statistics is not None and not self.spec.is_head(f"{name}."):
                module.eval()

    def step(self, batch: Batch, preprocessing: Preprocessing, rate: float) -> Tensor:
        """Trains on one batch.

        Args:
            batch: This process's share.
            preprocessing: The input pipeline at this step's image size.
            rate: The classifier's learning rate.

        Returns:
            This process's sums of loss, correct predictions and images, shape (3,), still on the
            device: reading them here would wait for the GPU.
        """
        set_learning_rate(self.optimizer, rate)
        images, targets = self._inputs(batch, preprocessing)
        inputs = preprocessing.normalise(images)
        if self.recipe.train.channels_last:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        logits, hint_loss = self._forward(inputs, images)
        loss = self.loss(logits, targets)
        if hint_loss is not None:
            loss = loss + hint_loss
        if batch.regression_targets is not None and self.recipe.regression is not None:
            head = regression_head_of(self.model, self.spec)
            regression_targets = batch.regression_targets.to(logits.device)
            loss = loss + self.recipe.regression.weight * head.loss(head.take(), regression_targets)
        self._update(loss)
        correct = (logits.detach().argmax(dim=1) == targets.argmax(dim=1)).sum()
        count = torch.full_like(correct, len(targets))
        return torch.stack([loss.detach() * count, correct, count])

    def _inputs(self, batch: Batch, preprocessing: Preprocessing) -> tuple[Tensor, Tensor]:
        """Returns augmented, mixed images in [0, 1] and their targets, on the device."""
        device = self.accelerator.device
        augmentation = batch.augmentation.share(slice(None), device)
        images = preprocessing.augmented(batch.images.to(device), augmentation)
        targets = batch.targets.to(device)
        if batch.mixes:
            images, targets = augmentation.mix(images, targets)
        teacher, distill = self.distillation.teacher, self.recipe.distill
        if teacher is not None and distill is not None:
            # on a CPU teachers predict in float32, as their runs did
            with self.accelerator.autocast() if device.type != "cpu" else nullcontext():
                soft_targets = teacher(images).float()
            targets = torch.lerp(targets, soft_targets, distill.weight)
        return images, targets

    def _update(self, loss: Tensor) -> None:
        self.accelerator.backward(loss)
        self.accelerator.clip_grad_norm_(self.trainable, self.recipe.optim.clip_norm)
        self.prepared_optimizer.step()
        self.prepared_optimizer.zero_grad()
        if self.average is None or self.averaged is None:
            return
        if self.accelerator.device.type == "cpu":
            self.average.update_parameters(self.model)
        else:
            update_average(self.average, self.averaged, self.recipe.train.ema_decay)

    def _forward(self, inputs: Tensor, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Returns the logits, and the hint loss in epochs that have one."""
        device = inputs.device
        hint_teacher = self.distillation.hint_teacher if self.hints else None
        if hint_teacher is None:
            kernels = nullcontext() if self.recipe.train.compile else training_kernels(device)
            with self.accelerator.autocast(), kernels:
                return self.forward(inputs).float(), None
        # not compiled: a compiled graph ignores forward hooks and replaced kernels
        with (
            self.accelerator.autocast(),
            training_kernels(device),
            captured(self.model, self.spec) as feature_maps,
        ):
            logits = self.wrapped(inputs).float()
            teacher_map = hint_teacher.features(images)
        return logits, hint_teacher.loss(feature_maps[0], teacher_map)

    def tensors(self) -> dict[str, Tensor]:
        """Returns weights, averaged weights and the optimizer's moments by name."""
        tensors = {f"model.{key}": value for key, value in self.model.state_dict().items()}
        if self.average is not None:
            tensors |= {f"ema.{key}": value for key, value in self.average.state_dict().items()}
        moments = named_state(self.model, self.optimizer)
        return tensors | {f"optimizer.{key}": value for key, value in moments.items()}

    def scaler_state(self) -> dict[str, Any] | None:
        """Returns the state of the loss scaler; None if the precision needs none."""
        scaler = self.accelerator.scaler
        return None if scaler is None else scaler.state_dict()

    def load(self, tensors: Mapping[str, Tensor], scaler: Mapping[str, Any] | None) -> None:
        """Restores the results of `tensors` and `scaler_state`.

        Raises:
            KeyError: If a moment belongs to no weight of this network.
            RuntimeError: If the weights belong to another network.
        """

        def section(prefix: str) -> dict[str, Tensor]:
            return {
                key.removeprefix(prefix): value
                for key, value in tensors.items()
                if key.startswith(prefix)
            }

        self.model.load_state_dict(section("model."))
        if self.average is not None:
            self.average.load_state_dict(section("ema."))
        load_named_state(self.model, self.optimizer, section("optimizer."))
        if self.accelerator.scaler is not None and scaler:
            self.accelerator.scaler.load_state_dict(dict(scaler))


def synchronised(model: nn.Module, accelerator: Accelerator) -> nn.Module:
    """Converts batch norm to statistics of the global batch; torch supports this on CUDA only."""
    if accelerator.num_processes == 1 or accelerator.device.type != "cuda":
        return model
    # torch's own conversion drops the activations inside timm's layers
    shared: nn.Module = convert_sync_batchnorm(model)
    return shared


def warming_average(decay: float) -> Callable[[_Weights, _Weights, Tensor | int], None]:
    """Returns an exponential moving average whose decay grows in the first steps.

    After n steps the decay is at most (1 + n) / (10 + n). A fixed decay would keep the initial
    weights in the average for hundreds of steps, which is a whole training on a small dataset.
    """

    def update(averaged: _Weights, current: _Weights, steps: Tensor | int) -> None:
        count = int(steps)
        get_ema_multi_avg_fn(_warm(decay, count))(averaged, current, steps)

    return update


@dataclass(frozen=True)
class AveragePairs:
    """Tensors of a moving average and of its network, in the same order.

    They are listed once: to visit all modules takes as long as the steps of a small network. Later
    changes of the weights are in place, so the tensors stay the same.

    Attributes:
        averaged: Tensors of the average, floating point.
        current: Tensors of the network, floating point.
        counters: Counters of batches of the average.
        current_counters: Those of the network.
    """

    averaged: list[Tensor]
    current: list[Tensor]
    counters: list[Tensor]
    current_counters: list[Tensor]

    @classmethod
    def of(cls, average: AveragedModel, model: nn.Module) -> Self:
        """Lists the parameters and buffers of both."""
        pairs = cls([], [], [], [])
        old, new = ((*module.parameters(), *module.buffers()) for module in (average.module, model))
        for averaged, current in zip(old, new, strict=True):
            if averaged.is_floating_point():
                pairs.averaged.append(averaged.detach())
                pairs.current.append(current.detach())
            else:
                pairs.counters.append(averaged)
                pairs.current_counters.append(current)
        return pairs


@torch.no_grad()
def update_average(average: AveragedModel, pairs: AveragePairs, decay: float) -> None:
    """Does what `AveragedModel.update_parameters` does, without waiting for a GPU.

    torch's own copies the number of steps to the GPU, and `warming_average` reads it back: both
    wait for all work before. Counters of batches are copied instead of averaged.
    """
    count = int(average.n_averaged)  # on the CPU
    share = 1 - _warm(decay, count) if count else 1.0
    torch._foreach_lerp_(pairs.averaged, pairs.current, share)
    if pairs.counters:
        torch._foreach_copy_(pairs.counters, pairs.current_counters)
    average.n_averaged += 1


def _warm(decay: float, count: int) -> float:
    return min(decay, (1 + count) / (10 + count))
