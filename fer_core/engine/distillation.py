"""Knowledge distillation: soft targets from finished networks."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fer_core.config import AugmentConfig
from fer_core.data.constants import constant
from fer_core.data.transforms import Augmentation
from fer_core.engine.batches import step_seed
from fer_core.engine.hints import HintTeacher
from fer_core.engine.networks import Network
from fer_core.engine.onnx_network import OnnxNetwork

SoftTargets = Callable[[Tensor], Tensor]
"""Maps images in [0, 1], shape (N, C, H, W), to class distributions, shape (N, K)."""


@dataclass(frozen=True)
class Distillation:
    """Teachers of a training; by default there are none.

    Attributes:
        teacher: Gives soft targets for each batch; None if there are none or if they were mixed
            into the training targets beforehand.
        hint_teacher: Gives the feature map of the hint loss; None without one.
    """

    teacher: SoftTargets | None = None
    hint_teacher: HintTeacher | None = None


@dataclass(frozen=True)
class Teacher:
    """One network, or an ensemble's networks, whose mean prediction is the soft target.

    Attributes:
        networks: Networks in evaluation mode, on the student's device, with its classes. On a
            CPU they may be ONNX copies, which take about a fifth of the time.
        temperature: Softmax temperature; above 1 it softens the predictions.
        weights: Each network's weight, summing to 1; equal if empty.
        shift: An ensemble's logit shift, one value per class; empty for none.
    """

    networks: Sequence[Network | OnnxNetwork]
    temperature: float = 1.0
    weights: Sequence[float] = ()
    shift: Sequence[float] = ()

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Returns soft targets for a batch of the student.

        Args:
            images: Augmented and mixed, float in 0 to 1, shape (N, C, S, S); resized to each
                network's input size.

        Returns:
            Shape (N, K), rows sum to 1.
        """
        predictions = torch.stack(
            [
                torch.softmax(_logits(network, images) / self.temperature, dim=1)
                for network in self.networks
            ]
        )
        weights = self.weights or [1 / len(predictions)] * len(predictions)
        # no matrix product, which autocast would compute in bfloat16
        share = constant(tuple(weights), predictions)[:, None, None]
        mean = (share * predictions).sum(dim=0)
        if not len(self.shift):
            return mean
        return torch.softmax(
            mean.log() + constant(tuple(self.shift), mean) / self.temperature, dim=1
        )


@dataclass(frozen=True)
class Teachers:
    """Several teachers of equal weight."""

    all: Sequence[Teacher]

    def __call__(self, images: Tensor) -> Tensor:
        """Returns the mean of the teachers' soft targets, shape (N, K)."""
        return torch.stack([teacher(images) for teacher in self.all]).mean(dim=0)


@dataclass(frozen=True)
class AugmentedViews:
    """Augmented copies of an image whose predictions are averaged.

    Attributes:
        count: Copies per image.
        temperature: Softmax temperature; above 1 it softens the predictions.
        seed: Seed of the augmentations.
    """

    count: int
    temperature: float = 1.0
    seed: int = 0


@torch.no_grad()
def mean_predictions(
    network: Network | OnnxNetwork,
    images: NDArray[np.uint8],
    rows: NDArray[np.int64],
    views: AugmentedViews,
    batch_size: int = 128,
) -> Iterator[NDArray[np.float32]]:
    """Predicts augmented copies of each image and averages them, batch by batch.

    Augmentations are those of `AugmentConfig()`, not the student's, so that several students can
    share the cached predictions.

    Args:
        network: A network in evaluation mode.
        images: All stored images, uint8, shape (N, H, W) or (N, H, W, 3).
        rows: Rows to predict.
        views: Options of the augmentation and of the softening.
        batch_size: Images per step.

    Yields:
        Class distributions, shape (n, K), rows sum to 1.
    """
    device = torch.device("cpu")
    if isinstance(network, Network):
        device = next(network.model.parameters()).device
    for start in range(0, len(rows), batch_size):
        stored = torch.from_numpy(np.asarray(images[rows[start : start + batch_size]])).to(device)
        predictions = []
        for view in range(views.count):
            generator = torch.Generator().manual_seed(step_seed(views.seed, view, start))
            augmentation = Augmentation.draw(len(stored), AugmentConfig(), generator)
            augmentation = augmentation.share(slice(None), device)
            augmented = network.preprocessing.augmented(stored, augmentation)
            logits = _logits(network, augmented)
            predictions.append(torch.softmax(logits / views.temperature, dim=1))
        yield torch.stack(predictions).mean(dim=0).float().cpu().numpy()


def _logits(network: Network | OnnxNetwork, images: Tensor) -> Tensor:
    inputs = network.preprocessing.normalise(network.preprocessing.to_size(images))
    if isinstance(network, OnnxNetwork):
        return network.logits(inputs, len(inputs)).to(images.device)
    logits: Tensor = network.model(inputs)
    return logits
