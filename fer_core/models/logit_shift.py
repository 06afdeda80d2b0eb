"""Adding a value per class to a network's logits, in the bias of its classifiers."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from fer_core.errors import RecipeError
from fer_core.models.registry import ModelSpec
from fer_core.models.regression_head import classifiers_of

_PROBED = 100.0
"""Shift that is tried; large, so that an activation behind the classifier changes it."""

_TOLERANCE = 0.01


def shift_logits(model: nn.Module, spec: ModelSpec, shift: Tensor) -> None:
    """Adds a value per class, shape (K,), to the logits of every image, in place.

    The logits of a network with several classifiers are their mean, so each bias gets the value.
    """
    with torch.no_grad():
        for bias in _biases(model, spec):
            bias.add_(shift.to(bias))


def require_shiftable(model: nn.Module, spec: ModelSpec, image_size: int) -> None:
    """Checks on one image that `shift_logits` has its effect; the weights stay as they are.

    Args:
        model: The network.
        spec: Its architecture.
        image_size: Input side in pixels.

    Raises:
        RecipeError: If a classifier has no bias, or the network changes its outputs afterwards.
    """
    weight = next(model.parameters())
    image = torch.zeros(1, 3, image_size, image_size, device=weight.device)
    with _evaluating(model), torch.no_grad():
        biases = _biases(model, spec)
        kept = [bias.clone() for bias in biases]
        shift = torch.linspace(-_PROBED, _PROBED, len(biases[0]), device=weight.device)
        before = model(image)[0]
        shift_logits(model, spec, shift)
        moved = model(image)[0] - before
        for bias, value in zip(biases, kept, strict=True):
            bias.copy_(value)
    # weights that are not finite are reported by the training itself
    if before.isfinite().all() and ((moved - shift).abs() > _TOLERANCE).any():
        raise RecipeError(
            f"{spec.title} changes the outputs of its classifier {spec.head} before they are "
            "logits, so no prior shift can be added to its bias. Set loss.prior=fixed."
        )


def _biases(model: nn.Module, spec: ModelSpec) -> list[Tensor]:
    layers = classifiers_of(model, spec)
    biases = [layer.bias for layer in layers if layer.bias is not None]
    if len(biases) < len(layers):
        raise RecipeError(
            f"A classifier of {spec.title} has no bias, which the prior shift needs. "
            "Set loss.prior=fixed."
        )
    return biases


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Sets evaluation mode, and the mode that the network had afterwards."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
