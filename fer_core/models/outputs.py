"""Selecting a benchmark's classes from the outputs of a network that was trained elsewhere."""

import torch
from torch import Tensor, nn

from fer_core.labels import ABSENT, OutputClasses


def select_columns(logits: Tensor, columns: tuple[int, ...]) -> Tensor:
    """Returns the logits of a benchmark's classes.

    Args:
        logits: Shape (N, outputs).
        columns: Output of each class; -1 for a class that the model does not have.

    Returns:
        Shape (N, K); the softmax over them renormalises the probabilities.
    """
    padded = torch.cat([logits, torch.full_like(logits[:, :1], ABSENT)], dim=1)
    index = [padded.shape[1] - 1 if column < 0 else column for column in columns]
    return padded[:, index]


class _Selection:
    """A forward hook that selects columns of the logits; copied with its network."""

    def __init__(self, columns: tuple[int, ...]) -> None:
        self.columns = columns

    def __call__(self, _module: nn.Module, _inputs: object, logits: Tensor) -> Tensor:
        return select_columns(logits, self.columns)


def select_outputs(model: nn.Module, classes: OutputClasses) -> None:
    """Makes a network return the logits of a benchmark's classes, in their order.

    The weights and the paths of the layers stay as they are.
    """
    if classes.names != classes.labels.names:
        model.register_forward_hook(_Selection(classes.columns))
