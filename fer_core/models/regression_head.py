"""A regression head beside the classifier, on the same features."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fer_core.errors import RecipeError
from fer_core.models.registry import ModelSpec


class TwoHeads(nn.Module):
    """A classifier and a linear regression head for T targets on the same features.

    It replaces the classifier and still returns logits, so that all other code works unchanged. The
    regression head's output is taken with `take` after a forward pass.

    Args:
        classifier: The network's last layer.
        mean: Mean of the training targets, one number per target.
        std: Standard deviations of the targets.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, classifier: nn.Linear, mean: Sequence[float] = (0.0,), std: Sequence[float] = (1.0,)
    ) -> None:
        super().__init__()
        self.classifier = classifier
        self.estimate = nn.Linear(classifier.in_features, len(mean))
        # scalars for one target, as in the weight files of earlier versions
        shape = (len(mean),) if len(mean) > 1 else ()
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).reshape(shape))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).reshape(shape))
        self._latest: Tensor | None = None

    def forward(self, features: Tensor) -> Tensor:
        """Maps features (N, D) to logits (N, K)."""
        self._latest = self.estimate(features)
        logits: Tensor = self.classifier(features)
        return logits

    def __getstate__(self) -> dict[str, Any]:
        """Drops the last output, whose autograd graph cannot be copied."""
        return {**self.__dict__, "_latest": None}

    def take(self) -> Tensor:
        """Returns the standardised output of the last forward pass, shape (N, T), once.

        Raises:
            RuntimeError: If there was no forward pass since the last call.
        """
        if self._latest is None:
            raise RuntimeError("Call take once after each forward pass.")
        latest, self._latest = self._latest, None
        return latest

    def in_units(self, standardised: Tensor) -> Tensor:
        """Converts standardised outputs to the units of the targets."""
        return standardised.float() * self.std + self.mean

    def loss(self, standardised: Tensor, targets: Tensor) -> Tensor:
        """Returns the mean squared error of standardised outputs; missing targets add 0.

        Args:
            standardised: Result of `take`, shape (N, T).
            targets: Targets in their own units, shape (N, T); NaN where an image has none.
        """
        known = ~torch.isnan(targets)
        target = torch.where(known, (targets - self.mean) / self.std, 0.0)
        errors = F.mse_loss(standardised.float(), target, reduction="none") * known
        # the mean over the batch, not over known targets: means of processes can then be averaged
        return errors.sum() / targets.numel()


def add_regression_head(
    model: nn.Module, spec: ModelSpec, mean: Sequence[float] = (0.0,), std: Sequence[float] = (1.0,)
) -> None:
    """Adds a regression head with one output per number in `mean` to a network, in place.

    Raises:
        RecipeError: If its classifier is a convolution.
    """
    classifier = classifier_of(model, spec)
    if not isinstance(classifier, nn.Linear):
        raise RecipeError(
            f"{spec.title} has a convolution as classifier, beside which there can be no "
            "regression head. Set regression=null, or choose another architecture."
        )
    model.set_submodule(spec.head, TwoHeads(classifier, mean, std))


def without_regression_head(tensors: Mapping[str, Tensor], spec: ModelSpec) -> dict[str, Tensor]:
    """Returns a network's tensors without the regression head and with their usual names."""
    head, inner = f"{spec.head}.", f"{spec.head}.classifier."
    if not any(key.startswith(inner) for key in tensors):
        return dict(tensors)
    return {
        (head + key.removeprefix(inner) if key.startswith(inner) else key): value
        for key, value in tensors.items()
        if not key.startswith(head) or key.startswith(inner)
    }


def classifier_of(model: nn.Module, spec: ModelSpec) -> nn.Linear | nn.Conv2d:
    """Returns the layer that computes the logits, the first if there are several.

    Raises:
        TypeError: If it is neither a linear layer nor a convolution.
    """
    return classifiers_of(model, spec)[0]


def classifiers_of(model: nn.Module, spec: ModelSpec) -> tuple[nn.Linear | nn.Conv2d, ...]:
    """Returns the layers that compute the logits, with or without a regression head.

    Raises:
        TypeError: If one is neither a linear layer nor a convolution.
    """
    return tuple(_classifier_at(model, path) for path in spec.heads)


def _classifier_at(model: nn.Module, path: str) -> nn.Linear | nn.Conv2d:
    head = model.get_submodule(path)
    classifier = head.classifier if isinstance(head, TwoHeads) else head
    if not isinstance(classifier, nn.Linear | nn.Conv2d):
        raise TypeError(f"the classifier {path} is neither a linear layer nor a convolution")
    return classifier


def regression_head_of(model: nn.Module, spec: ModelSpec) -> TwoHeads:
    """Returns a network's two heads.

    Raises:
        TypeError: If it has no regression head.
    """
    head = model.get_submodule(spec.head)
    if not isinstance(head, TwoHeads):
        raise TypeError(f"this {spec.key} has no regression head")
    return head
