"""Saliency maps, their targets, and the input of explanation methods."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from fer_core.config import ModelConfig
from fer_core.errors import FerscopeError
from fer_core.explain.evidence import NOT_MEASURED, MapEvidence
from fer_core.models import ModelSpec, spec_of

LogitsFunction = Callable[[Tensor], Tensor]
"""Function from inputs (N, 3, S, S) to logits (N, K): a network, an ensemble or an ONNX model."""


class ExplainError(FerscopeError):
    """A model does not support the requested explanation."""


@dataclass(frozen=True)
class Target:
    """Target of an explanation: the logit of a class, or its difference from another's.

    Attributes:
        of: Index of the class.
        against: Index of the class to contrast with ("why happy and not surprise").
    """

    of: int
    against: int | None = None

    def score(self, logits: Tensor) -> Tensor:
        """Returns the target's value for logits of shape (..., K); shape (...)."""
        value = logits[..., self.of]
        return value if self.against is None else value - logits[..., self.against]

    def confidence(self, logits: Tensor) -> Tensor:
        """Returns the class probability (of the two classes if contrasted), shape (...)."""
        if self.against is None:
            return logits.softmax(dim=-1)[..., self.of]
        return torch.sigmoid(self.score(logits))


PREDICTED = None
"""Target that stands for the predicted class."""


@dataclass(frozen=True)
class SaliencyMap:
    """Evidence for and against a target at each position.

    Attributes:
        values: float32, shape (S, S), at the input size, signed and unscaled; positive values are
            evidence for the target. Attention methods have no negative values.
        target: Explained target.
        method: Key of the method.
        logits: Logits of the model, float32, shape (K,).
        members: For an ensemble's mean map: number of explained members, and of all members.
        evidence: Measured faithfulness of such maps on this run; whoever shows the map shows it.
    """

    values: NDArray[np.float32]
    target: Target
    method: str
    logits: NDArray[np.float32]
    members: tuple[int, int] | None = None
    evidence: MapEvidence = NOT_MEASURED

    @property
    def blank(self) -> bool:
        """Whether there is no evidence for the target, or the map is not finite."""
        return not (np.isfinite(self.values).all() and (self.values > 0).any())


@dataclass(frozen=True)
class Detail:
    """Position in the network that a method reads; by default the method's choice.

    Attributes:
        module: Path of the module whose output a CAM reads.
        block: Index of the attention block; negative indices count from the end.
        head: Index of the head; None for the mean over heads.
    """

    module: str | None = None
    block: int | None = None
    head: int | None = None


@dataclass(frozen=True)
class Question:
    """Input of an explanation method.

    Attributes:
        model: A network in evaluation mode, or any function to logits.
        config: Configuration of the network; None if `model` is only a function.
        inputs: Network input, shape (N, 3, S, S).
        targets: One target per input; `PREDICTED` for the predicted class.
        detail: Position in the network to read.
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
                "This method needs access to the network, which this model does not provide. "
                "Use occlusion, which needs predictions only."
            )
        return self.model

    @property
    def spec(self) -> ModelSpec:
        """The network's architecture."""
        if self.config is None:
            raise ExplainError(
                "The architecture of this model is unknown. Use occlusion, which needs predictions "
                "only."
            )
        return spec_of(self.config)

    @property
    def mean_pooled(self) -> bool:
        """Whether a ViT's classifier reads the mean of the patches rather than the class token."""
        if self.config is None:
            return False
        stated = self.spec.mean_pooled
        return self.config.pool == "mean" if stated is None else stated

    def resolve(self, logits: Tensor) -> list[Target]:
        """Returns the targets, replacing `PREDICTED` by the predicted class."""
        return [
            target or Target(int(row.argmax()))
            for target, row in zip(self.targets, logits.detach(), strict=True)
        ]

    def target_values(self, logits: Tensor) -> Tensor:
        """Returns the value of each target, shape (N,), with its autograd graph."""
        targets = self.resolve(logits)
        return torch.stack([target.score(row) for target, row in zip(targets, logits, strict=True)])


@torch.no_grad()
def batched_logits(model: LogitsFunction, inputs: Tensor, batch_size: int = 64) -> Tensor:
    """Returns logits in batches without gradients, shape (N, K)."""
    parts = [
        model(inputs[start : start + batch_size]) for start in range(0, len(inputs), batch_size)
    ]
    return torch.cat(parts)


def to_side(maps: Tensor, side: int) -> Tensor:
    """Resizes maps (N, h, w) to (N, side, side) bilinearly."""
    if maps.shape[-2:] == (side, side):
        return maps
    return F.interpolate(maps[:, None].float(), (side, side), mode="bilinear")[:, 0]
