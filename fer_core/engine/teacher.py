"""Teachers: finished networks whose answers a student learns from."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

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
    """

    networks: Sequence[Network | OnnxNetwork]
    temperature: float = 1.0

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
        return torch.stack(answers).mean(dim=0)


def _logits(network: Network | OnnxNetwork, images: Tensor) -> Tensor:
    inputs = network.preprocessing.normalise(network.preprocessing.to_size(images))
    if isinstance(network, OnnxNetwork):
        return network.logits(inputs, len(inputs)).to(images.device)
    logits: Tensor = network.model(inputs)
    return logits
