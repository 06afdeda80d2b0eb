"""Teachers: finished networks whose answers a student learns from."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fer_core.engine.networks import Network


@dataclass(frozen=True)
class Teacher:
    """One or several networks; their mean answer is the soft target.

    Attributes:
        networks: In evaluation mode, on the student's device, with the student's classes.
        temperature: Above 1, answers are softened.
    """

    networks: Sequence[Network]
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
            torch.softmax(
                network.model(
                    network.preprocessing.normalise(network.preprocessing.to_size(images))
                )
                / self.temperature,
                dim=1,
            )
            for network in self.networks
        ]
        return torch.stack(answers).mean(dim=0)
