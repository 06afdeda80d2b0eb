"""Pooled features of stored images, for classifiers on top of a fixed network."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fer_core.engine.hints import captured
from fer_core.errors import WeightsError
from fer_core.models import ModelSpec


@torch.inference_mode()
def pooled_features(
    model: nn.Module,
    spec: ModelSpec,
    preprocessing: Callable[[torch.Tensor], torch.Tensor],
    images: NDArray[np.uint8],
    *,
    batch_size: int = 128,
) -> NDArray[np.float32]:
    """Returns the mean over positions of the CAM layer's output.

    Args:
        model: The network, in evaluation mode; its weights are laid out channels last.
        spec: Architecture of the network.
        preprocessing: Input pipeline of the network.
        images: Stored images, uint8, shape (N, H, W) or (N, H, W, 3).
        batch_size: Images per step.

    Returns:
        Shape (N, D).
    """
    # faster on a CPU, above all for depthwise convolutions
    model.to(memory_format=torch.channels_last)
    parts = []
    for batch in _batches(model, images, batch_size):
        with captured(model, spec, stop=True) as feature_maps:
            model(preprocessing(batch))
        parts.append(feature_maps[0].float().mean(dim=(2, 3)).cpu())
    return torch.cat(parts).numpy()


def _batches(
    model: nn.Module, images: NDArray[np.uint8], batch_size: int
) -> Iterator[torch.Tensor]:
    """Yields stored images in batches on the network's device."""
    device = next(model.parameters()).device
    for start in range(0, len(images), batch_size):
        yield torch.from_numpy(np.array(images[start : start + batch_size])).to(device)


@torch.inference_mode()
def classifier_inputs(
    model: nn.Module,
    spec: ModelSpec,
    preprocessing: Callable[[torch.Tensor], torch.Tensor],
    images: NDArray[np.uint8],
    *,
    batch_size: int = 64,
) -> NDArray[np.float32]:
    """Returns what the network's last linear layer receives.

    Args:
        model: The network, in evaluation mode.
        spec: Architecture of the network.
        preprocessing: Input pipeline of the network.
        images: Stored images, uint8, shape (N, H, W) or (N, H, W, 3).
        batch_size: Images per step.

    Returns:
        Shape (N, D).

    Raises:
        WeightsError: If its classifier is not one linear layer.
    """
    layer = linear_classifier(model, spec)
    parts: list[torch.Tensor] = []
    hook = layer.register_forward_pre_hook(lambda _, inputs: parts.append(inputs[0].float().cpu()))
    try:
        for batch in _batches(model, images, batch_size):
            model(preprocessing(batch))
    finally:
        hook.remove()
    return torch.cat(parts).numpy()


def linear_classifier(model: nn.Module, spec: ModelSpec) -> nn.Linear:
    """Returns the network's classifier.

    Raises:
        WeightsError: If it is not one linear layer.
    """
    layer = model.get_submodule(spec.head)
    if spec.more_heads or not isinstance(layer, nn.Linear):
        raise WeightsError(
            "The classifier of this network is not one linear layer. Use a network with one, or "
            "another remedy."
        )
    return layer
