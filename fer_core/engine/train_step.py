"""A network under training: one step, and all that a checkpoint keeps of it."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

import torch
from accelerate import Accelerator
from timm.layers import convert_sync_batchnorm
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from fer_core.config import Recipe
from fer_core.data.transforms import Preprocessing
from fer_core.engine.batches import Batch
from fer_core.engine.cpu_kernels import training_kernels
from fer_core.engine.hints import HintTeacher, reading
from fer_core.engine.loss import SoftCrossEntropy
from fer_core.engine.optim import (
    load_named_state,
    make_optimizer,
    named_state,
    set_learning_rate,
)
from fer_core.models import spec_of
from fer_core.models.regression_head import score_head

SoftTargets = Callable[[Tensor], Tensor]
"""A teacher: answers images in [0, 1], shape (N, C, H, W), with class distributions, (N, K)."""

_Weights = tuple[Tensor, ...] | list[Tensor]


class TrainStep:
    """A network with its optimiser, its averaged weights and what wraps it for many devices.

    Args:
        model: The network, with its initial weights.
        recipe: The resolved recipe.
        class_counts: Training samples by class, shape (K,).
        accelerator: Device, precision and processes.
        teacher: Gives soft targets beside the labels for images that the network is about to
            see; only if the recipe distils.
        guide: Its feature map is followed while `set_phase` says so.
    """

    def __init__(
        self,
        model: nn.Module,
        recipe: Recipe,
        class_counts: Tensor,
        accelerator: Accelerator,
        teacher: SoftTargets | None = None,
        guide: HintTeacher | None = None,
    ) -> None:
        self.recipe, self.accelerator = recipe, accelerator
        self.teacher, self.guide = teacher, guide
        self.spec = spec_of(recipe.model.architecture)
        self.loss = SoftCrossEntropy(recipe.loss, class_counts)
        if recipe.train.channels_last:
            model = model.to(memory_format=torch.channels_last)
        self.model = synchronised(model, accelerator).to(accelerator.device)
        # under an adapter most weights never train, whatever is frozen or not
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
        self.optimizer = make_optimizer(self.model, self.spec.head, recipe.optim)
        self.prepared_optimizer = accelerator.prepare_optimizer(self.optimizer)
        self.wrapped: nn.Module = self.model
        self.forward: Callable[[Tensor], Tensor] = self.model
        self.frozen: bool | None = None
        self.guided = False

    @property
    def evaluated(self) -> nn.Module:
        """The network that validation sees: averaged weights where there are any."""
        return self.model if self.average is None else self.average.module

    def set_phase(self, *, frozen: bool, guided: bool) -> None:
        """Sets training mode.

        A change of `frozen` wraps the network anew: DistributedDataParallel and the compiler look
        once at what needs a gradient.

        Args:
            frozen: The backbone neither learns nor updates its batch statistics.
            guided: The guide's feature map is followed, if there is a guide.
        """
        self.guided = guided and not frozen and self.guide is not None
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

    def step(self, batch: Batch, preprocessing: Preprocessing, rate: float) -> Tensor:
        """Learns from one batch.

        Args:
            batch: This process's share.
            preprocessing: The input pipeline at this step's image size.
            rate: The classifier's learning rate.

        Returns:
            This process's sum of losses, right answers and images, on its device, shape (3,): not
            read here, so that a GPU is not waited for once more.
        """
        device = self.accelerator.device
        set_learning_rate(self.optimizer, rate)

        random = batch.augmentation.share(slice(None), device)
        images = preprocessing.augmented(batch.images.to(device), random)
        targets = batch.targets.to(device)
        if batch.augmentation.mixes:  # asked on the CPU: a GPU would be waited for
            images, targets = random.mix(images, targets)
        if self.teacher is not None and self.recipe.distill is not None:
            targets = torch.lerp(targets, self.teacher(images), self.recipe.distill.weight)
        inputs = preprocessing.normalise(images)
        if self.recipe.train.channels_last:
            inputs = inputs.contiguous(memory_format=torch.channels_last)

        logits, hint = self._pass(inputs, images)
        loss = self.loss(logits, targets)
        if hint is not None:
            loss = loss + hint
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
        count = torch.full_like(right, len(targets))
        return torch.stack([loss.detach() * count, right, count])

    def _pass(self, inputs: Tensor, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Returns logits, and the loss against the guide's feature map where it is followed."""
        device = inputs.device
        if not self.guided or self.guide is None:
            kernels = nullcontext() if self.recipe.train.compile else training_kernels(device)
            with self.accelerator.autocast(), kernels:
                return self.forward(inputs).float(), None
        # a compiled graph would see neither that layers are read nor other kernels
        with (
            self.accelerator.autocast(),
            training_kernels(device),
            reading(self.model, self.spec) as seen,
        ):
            logits = self.wrapped(inputs).float()
            wanted = self.guide.features(images)
        return logits, self.guide.loss(seen[0], wanted)

    def tensors(self) -> dict[str, Tensor]:
        """Returns weights, averaged weights and the optimiser's moments by name."""
        tensors = {f"model.{key}": value for key, value in self.model.state_dict().items()}
        if self.average is not None:
            tensors |= {f"ema.{key}": value for key, value in self.average.state_dict().items()}
        moments = named_state(self.model, self.optimizer)
        return tensors | {f"optimizer.{key}": value for key, value in moments.items()}

    def scaler_state(self) -> dict[str, Any] | None:
        """Returns the state of the loss scaler; None where the precision needs none."""
        scaler = self.accelerator.scaler
        return None if scaler is None else scaler.state_dict()

    def load(self, tensors: Mapping[str, Tensor], scaler: Mapping[str, Any] | None) -> None:
        """Puts back what `tensors` and `scaler_state` gave.

        Raises:
            KeyError: If a moment belongs to no weight of this network.
            RuntimeError: If the weights are those of another network.
        """

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
        if self.accelerator.scaler is not None and scaler:
            self.accelerator.scaler.load_state_dict(dict(scaler))


def synchronised(model: nn.Module, accelerator: Accelerator) -> nn.Module:
    """Lets batch norm see the global batch, as one process would; torch can on CUDA alone."""
    if accelerator.num_processes == 1 or accelerator.device.type != "cuda":
        return model
    # torch's own conversion would drop the activations that timm's layers hold
    shared: nn.Module = convert_sync_batchnorm(model)
    return shared


def warming_average(decay: float) -> Callable[[_Weights, _Weights, Tensor | int], None]:
    """Returns an exponential moving average that forgets faster while it is young.

    With n steps behind it, it spans about n / 9 of them at most: a fixed decay would keep the
    random start for hundreds of steps, which is a whole training on a small set.
    """

    def update(averaged: _Weights, current: _Weights, steps: Tensor | int) -> None:
        count = int(steps)
        get_ema_multi_avg_fn(min(decay, (1 + count) / (10 + count)))(averaged, current, steps)

    return update
