"""Teachers: finished networks whose answers a student learns from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fer_core.config import AugmentConfig
from fer_core.data.transforms import Augmentation
from fer_core.engine.batches import step_seed
from fer_core.engine.networks import Network
from fer_core.engine.onnx import OnnxNetwork


@dataclass(frozen=True)
class Teacher:
    """One or several networks; their mean answer is the soft target.

    Attributes:
        networks: In evaluation mode, on the student's device, with the student's classes. Where
            students learn on a CPU, ONNX copies may stand in: a teacher can cost as much as its
            student, and they cost a fifth of it.
        temperature: Above 1, answers are softened.
        weights: How much each network's answer counts, summing to 1; alike if empty.
        shift: Added to the mean's logits, one value a class, as an ensemble has it; empty for none.
    """

    networks: Sequence[Network | OnnxNetwork]
    temperature: float = 1.0
    weights: Sequence[float] = ()
    shift: Sequence[float] = ()

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Returns class distributions for images that the student is about to see.

        Args:
            images: Augmented and mixed, float in 0 to 1, shape (N, C, S, S); brought to each
                teacher's own size.

        Returns:
            Shape (N, K), rows sum to 1.
        """
        answers = [
            torch.softmax(_logits(network, images) / self.temperature, dim=1)
            for network in self.networks
        ]
        weights = self.weights or [1 / len(answers)] * len(answers)
        mean = torch.einsum("m,mnk->nk", answers[0].new_tensor(weights), torch.stack(answers))
        if not len(self.shift):
            return mean
        return torch.softmax(mean.log() + mean.new_tensor(self.shift) / self.temperature, dim=1)


@dataclass(frozen=True)
class Teachers:
    """Several teachers; each counts alike."""

    all: Sequence[Teacher]

    def __call__(self, images: Tensor) -> Tensor:
        """Returns the mean of their answers, as `Teacher` does."""
        return torch.stack([teacher(images) for teacher in self.all]).mean(dim=0)


@torch.no_grad()
def mean_answers(
    network: Network | OnnxNetwork,
    images: NDArray[np.uint8],
    rows: NDArray[np.int64],
    *,
    views: int,
    temperature: float = 1.0,
    seed: int = 0,
    batch_size: int = 128,
) -> Iterator[NDArray[np.float32]]:
    """Asks a teacher about changed copies of each image; gives its mean answers batch by batch.

    The changes are those of `AugmentConfig()`, whatever the student's: students share answers.

    Args:
        network: In evaluation mode.
        images: All stored images, uint8, shape (N, H, W) or (N, H, W, 3).
        rows: Which of them.
        views: Copies of each image.
        temperature: Above 1, answers are softened.
        seed: Of the changes.
        batch_size: Images a step.

    Yields:
        Class distributions, shape (n, K), rows sum to 1.
    """
    device = torch.device("cpu")
    if isinstance(network, Network):
        device = next(network.model.parameters()).device
    for start in range(0, len(rows), batch_size):
        stored = torch.from_numpy(np.asarray(images[rows[start : start + batch_size]])).to(device)
        answers = []
        for view in range(views):
            generator = torch.Generator().manual_seed(step_seed(seed, view, start))
            drawn = Augmentation.draw(len(stored), AugmentConfig(), generator)
            changed = network.preprocessing.augmented(stored, drawn.share(slice(None), device))
            answers.append(torch.softmax(_logits(network, changed) / temperature, dim=1))
        yield torch.stack(answers).mean(dim=0).float().cpu().numpy()


def _logits(network: Network | OnnxNetwork, images: Tensor) -> Tensor:
    inputs = network.preprocessing.normalise(network.preprocessing.to_size(images))
    if isinstance(network, OnnxNetwork):
        return network.logits(inputs, len(inputs)).to(images.device)
    logits: Tensor = network.model(inputs)
    return logits
