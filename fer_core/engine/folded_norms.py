"""Batch norms for converted networks whose batch norms were folded into a scale and a shift.

Training needs batch norms. Each one gets the mean and variance of its inputs on training images as
running statistics, and a weight and bias that compensate for them. The function stays the same up
to rounding, and training starts from realistic statistics.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fer_core.errors import WeightsError


@dataclass(frozen=True)
class FoldedLayer:
    """A convolution with its folded batch norm.

    Attributes:
        kernel: Kernel in torch's layout, shape (C, D, k, k); D is 1 for a depthwise convolution.
        stride: Stride along both axes.
        scale: Factor per channel, shape (C,); ones if it is folded into the kernel.
        shift: Bias per channel, shape (C,).
    """

    kernel: Tensor
    stride: int
    scale: Tensor
    shift: Tensor


def fill(model: nn.Module, layers: Sequence[FoldedLayer], images: Tensor) -> None:
    """Copies convolutions into a network and sets equivalent batch norms.

    Args:
        model: A network with one batch norm after each convolution.
        layers: Convolutions in the network's order.
        images: Normalised input for the batch-norm statistics, shape (N, 3, S, S).

    Raises:
        WeightsError: If the layers do not match the network.
    """
    convolutions = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    norms = [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]
    shapes = [(layer.kernel.shape, layer.stride) for layer in layers]
    if shapes != [(layer.weight.shape, layer.stride[0]) for layer in convolutions]:
        raise WeightsError("The convolutions of the file are not those of the network.")
    with torch.no_grad():
        for convolution, norm, layer in zip(convolutions, norms, layers, strict=True):
            convolution.weight.copy_(layer.kernel)
            norm.running_mean.zero_()  # type: ignore[union-attr]
            norm.running_var.fill_(1 - norm.eps)  # type: ignore[union-attr]
            norm.weight.copy_(layer.scale)
            norm.bias.copy_(layer.shift)
        moments = _moments(model.eval(), convolutions, images)
        for norm, layer, (mean, variance) in zip(norms, layers, moments, strict=True):
            norm.running_mean.copy_(mean)  # type: ignore[union-attr]
            norm.running_var.copy_(variance)  # type: ignore[union-attr]
            norm.weight.copy_(layer.scale * (variance + norm.eps).sqrt())
            norm.bias.copy_(layer.shift + layer.scale * mean)


def _moments(
    model: nn.Module, convolutions: Sequence[nn.Conv2d], images: Tensor
) -> list[tuple[Tensor, Tensor]]:
    """Returns mean and variance per channel of each convolution's output, over all images."""
    sums = [torch.zeros(3, layer.out_channels, dtype=torch.float64) for layer in convolutions]

    def reading(total: Tensor) -> Callable[[nn.Module, Any, Tensor], None]:
        def read(layer: nn.Module, inputs: Any, output: Tensor) -> None:  # noqa: ANN401
            values = output.double()
            total[0] += values.sum(dim=(0, 2, 3))
            total[1] += values.square().sum(dim=(0, 2, 3))
            total[2] += output.numel() / output.shape[1]

        return read

    hooks = [
        layer.register_forward_hook(reading(total))
        for layer, total in zip(convolutions, sums, strict=True)
    ]
    try:
        for part in images.split(64):
            model(part)
    finally:
        for hook in hooks:
            hook.remove()
    means = [total[0] / total[2] for total in sums]
    return [
        (mean.float(), (total[1] / total[2] - mean.square()).clamp_(min=0).float())
        for mean, total in zip(means, sums, strict=True)
    ]
