"""A second head: one number beside the classes, from the same features."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fer_core.models.registry import ModelSpec


class TwoHeads(nn.Module):
    """A network's classifier, and a linear unit that estimates a score from its input.

    Takes the classifier's place, so that the network goes on giving logits to everything that
    asks for them; whoever wants the score takes it after the pass.

    Args:
        classifier: The network's own last layer.
        mean: Mean of the training scores.
        std: Their deviation.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, classifier: nn.Linear, mean: float = 0.0, std: float = 1.0) -> None:
        super().__init__()
        self.classifier = classifier
        self.estimate = nn.Linear(classifier.in_features, 1)
        self.register_buffer("mean", torch.tensor(float(mean)))
        self.register_buffer("std", torch.tensor(float(std)))
        self._latest: Tensor | None = None

    def forward(self, features: Tensor) -> Tensor:
        """Maps features (N, D) to logits (N, K)."""
        self._latest = self.estimate(features).squeeze(1)
        logits: Tensor = self.classifier(features)
        return logits

    def __getstate__(self) -> dict[str, Any]:
        """Leaves the last pass out: a copy has seen none, and its graph cannot be copied."""
        return {**self.__dict__, "_latest": None}

    def take(self) -> Tensor:
        """Returns the last pass's estimates, standardised, shape (N,); once a pass.

        Raises:
            RuntimeError: If there was no pass since the last time.
        """
        if self._latest is None:
            raise RuntimeError("The score is taken after a forward pass, and once.")
        latest, self._latest = self._latest, None
        return latest

    def in_units(self, standardised: Tensor) -> Tensor:
        """Returns estimates in the scores' own units."""
        return standardised.float() * self.std + self.mean

    def loss(self, standardised: Tensor, scores: Tensor) -> Tensor:
        """Mean squared error in units of the scores' deviation, over images that have a score.

        Args:
            standardised: As from `take`, shape (N,).
            scores: In their own units, shape (N,); NaN where there is none.
        """
        known = ~torch.isnan(scores)
        target = torch.where(known, (scores - self.mean) / self.std, 0.0)
        errors = F.mse_loss(standardised.float(), target, reduction="none") * known
        # over the batch, not over the scored: then a mean per process is the mean over all
        return errors.sum() / len(scores)


def add_regression_head(
    model: nn.Module, spec: ModelSpec, mean: float = 0.0, std: float = 1.0
) -> None:
    """Puts a score head beside a network's classifier, in place."""
    model.set_submodule(spec.head, TwoHeads(classifier_of(model, spec), mean, std))


def without_regression_head(tensors: Mapping[str, Tensor], spec: ModelSpec) -> dict[str, Tensor]:
    """Returns a network's tensors as they are named without a score head beside the classifier."""
    head, inner = f"{spec.head}.", f"{spec.head}.classifier."
    if not any(key.startswith(inner) for key in tensors):
        return dict(tensors)
    return {
        (head + key.removeprefix(inner) if key.startswith(inner) else key): value
        for key, value in tensors.items()
        if not key.startswith(head) or key.startswith(inner)
    }


def classifier_of(model: nn.Module, spec: ModelSpec) -> nn.Linear:
    """Returns the layer that gives the logits, with a score head beside it or not.

    Raises:
        TypeError: If it is no linear layer.
    """
    head = model.get_submodule(spec.head)
    found = head.classifier if isinstance(head, TwoHeads) else head
    if not isinstance(found, nn.Linear):
        raise TypeError(f"the classifier of {spec.key} is no linear layer")
    return found


def regression_head_of(model: nn.Module, spec: ModelSpec) -> TwoHeads:
    """Returns a network's score head.

    Raises:
        TypeError: If it has none.
    """
    head = model.get_submodule(spec.head)
    if not isinstance(head, TwoHeads):
        raise TypeError(f"this {spec.key} has no score head")
    return head
