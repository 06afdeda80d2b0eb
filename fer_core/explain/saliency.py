"""Saliency maps and the questions that they answer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from fer_core.config import ModelConfig
from fer_core.errors import FerscopeError
from fer_core.models import ModelSpec, spec_of

LogitsFunction = Callable[[Tensor], Tensor]
"""Anything that maps inputs (N, 3, S, S) to logits (N, K): a network, an ensemble, an ONNX file."""


class ExplainError(FerscopeError):
    """A model does not support the requested explanation."""


@dataclass(frozen=True)
class Target:
    """What is explained: the logit of a class, or how far it lies above another's.

    Attributes:
        of: Index of the class.
        against: Index of the class to contrast it with ("why happy and not surprise").
    """

    of: int
    against: int | None = None

    def score(self, logits: Tensor) -> Tensor:
        """Returns the explained number for logits of shape (..., K); shape (...)."""
        own = logits[..., self.of]
        return own if self.against is None else own - logits[..., self.against]

    def confidence(self, logits: Tensor) -> Tensor:
        """Returns the probability of the class, among the two if contrasted; shape (...)."""
        if self.against is None:
            return logits.softmax(dim=-1)[..., self.of]
        return torch.sigmoid(self.score(logits))


PREDICTED = None
"""Stands for the class that the model itself predicts."""


@dataclass(frozen=True)
class SaliencyMap:
    """Evidence for and against a target at each position.

    Attributes:
        values: float32, shape (S, S), the input's size; signed and unscaled: positive values
            are evidence for the target. Maps of attention methods have no negative part.
        target: What is explained.
        method: Key of the method.
        logits: The model's answer, float32, shape (K,).
        members: Of an ensemble's mean map: how many members it stands on, and of how many.
    """

    values: NDArray[np.float32]
    target: Target
    method: str
    logits: NDArray[np.float32]
    members: tuple[int, int] | None = None

    @property
    def blank(self) -> bool:
        """Whether there is no evidence for the target, or the map is not finite."""
        return not (np.isfinite(self.values).all() and (self.values > 0).any())


@dataclass(frozen=True)
class Detail:
    """Where inside the network a method reads; each method's own choice by default.

    Attributes:
        module: Path of the module whose output a CAM reads.
        block: Attention block, from 0; negative ones count from the last.
        head: One head of that block; their mean by default.
    """

    module: str | None = None
    block: int | None = None
    head: int | None = None


@dataclass(frozen=True)
class Question:
    """Everything that a method needs.

    Attributes:
        model: A network in evaluation mode, or any function to logits.
        config: How the network was built; None if `model` is no network of the registry.
        inputs: Network input, shape (N, 3, S, S).
        targets: One an input; `PREDICTED` for the model's own answer.
        detail: Where to read.
    """

    model: LogitsFunction
    config: ModelConfig | None
    inputs: Tensor
    targets: Sequence[Target | None]
    detail: Detail = field(default_factory=Detail)

    @property
    def network(self) -> nn.Module:
        """The network.

        Raises:
            ExplainError: If there is only a function to logits.
        """
        if not isinstance(self.model, nn.Module) or self.config is None:
            raise ExplainError(
                "This method looks inside a network, and only answers are known of this model. "
                "Take occlusion, which needs no more than answers."
            )
        return self.model

    @property
    def spec(self) -> ModelSpec:
        """The network's architecture."""
        if self.config is None:
            raise ExplainError("Only answers are known of this model, not its architecture.")
        return spec_of(self.config.architecture)

    @property
    def mean_pooled(self) -> bool:
        """Whether a ViT's classifier reads the patches' mean and not the class token."""
        return self.config is not None and self.config.pool == "mean"

    def resolve(self, logits: Tensor) -> list[Target]:
        """Returns the targets, with the predicted class where none was named."""
        return [
            target or Target(int(own.argmax()))
            for target, own in zip(self.targets, logits.detach(), strict=True)
        ]

    def target_values(self, logits: Tensor) -> Tensor:
        """Returns the value of each target, shape (N,), with its graph."""
        targets = self.resolve(logits)
        return torch.stack([target.score(own) for target, own in zip(targets, logits, strict=True)])


@torch.no_grad()
def answer(model: LogitsFunction, inputs: Tensor, batch_size: int = 64) -> Tensor:
    """Returns logits without a graph, a batch at a time; shape (N, K)."""
    parts = [
        model(inputs[start : start + batch_size]) for start in range(0, len(inputs), batch_size)
    ]
    return torch.cat(parts)


def to_side(maps: Tensor, side: int) -> Tensor:
    """Scales maps (N, h, w) to (N, side, side), bilinearly."""
    if maps.shape[-2:] == (side, side):
        return maps
    return F.interpolate(maps[:, None].float(), (side, side), mode="bilinear")[:, 0]
