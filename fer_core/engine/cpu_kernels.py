"""Arithmetic that trains faster on a CPU than what torch would choose; the results are the same.

Measured on two cores with AVX-512 and bfloat16, torch 2.14; `python -m benchmarks --only training`
shows each recipe's speed against a bare PyTorch loop.

- Fused attention saves memory, but its backward pass takes more than a third of a small ViT's step.
- The weights' gradient of a 5 x 5 depthwise convolution takes 10 to 100 times as long as the
  convolution itself, and much of an EfficientNet's step.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

_LEAST_KERNEL = 5
"""Side of the smallest kernel whose gradient is slow."""

_MOST_PRODUCTS = 2**27
"""Products of places, over all channels, that are formed at most: 256 MiB in bfloat16."""


@contextmanager
def training_kernels(device: torch.device) -> Iterator[None]:
    """Lets forward passes inside choose what trains fast on a device; GPUs keep torch's choice."""
    if device.type != "cpu":
        yield
        return
    with sdpa_kernel(SDPBackend.MATH), _DepthwiseByProducts():
        yield


class _DepthwiseByProducts(TorchFunctionMode):
    """Sends depthwise convolutions with large kernels in mixed precision to `depthwise`."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 (whatever the function gives)
        if func is F.conv2d and len(args) == 7 and torch.is_autocast_enabled("cpu"):
            images, weight, bias, *where, groups = args
            stride, padding, dilation = map(_along_both_axes, where)
            if groups > 1 and _suits(images, weight, stride, padding, dilation):
                low = torch.get_autocast_dtype("cpu")
                result = depthwise(images.to(low), weight.to(low), stride, padding)
                return result if bias is None else result + bias.to(low).view(1, -1, 1, 1)
        return func(*args, **(kwargs or {}))


def _along_both_axes(given: object) -> int:
    """Returns what a convolution does along both axes; -1 if they differ, or it is a name."""
    return int(given[0]) if isinstance(given, tuple) and len({*given}) == 1 else -1


def _suits(images: Tensor, weight: Tensor, stride: int, padding: int, dilation: int) -> bool:
    """Whether a grouped convolution is one that `depthwise` can do, and does faster."""
    channels, given, kernel = images.shape[1], images.shape[-1], weight.shape[-1]
    if min(stride, padding) < 0:
        return False
    made = (given + 2 * padding - kernel) // stride + 1
    return (
        weight.shape == (channels, 1, kernel, kernel)
        and images.shape[-2] == given
        and dilation == 1
        and kernel >= _LEAST_KERNEL
        and channels * given**2 * made**2 <= _MOST_PRODUCTS
    )


def depthwise(images: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    """Convolves each channel with a kernel of its own, as `F.conv2d` with as many groups does.

    The weights' gradient sums products of an input place and an output place over the batch. Here
    one matrix product a channel forms those of all pairs of places, and a second adds up the pairs
    that the same weight joins: many times more arithmetic, all of it in products of matrices.

    Args:
        images: Shape (N, C, S, S).
        weight: Shape (C, 1, k, k).
        stride: Step between output places.
        padding: Zeros around the images.

    Returns:
        Shape (N, C, T, T).
    """
    result: Tensor = _Depthwise.apply(images, weight, stride, padding)
    return result


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(images, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(images, weight, None, stride, padding, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:  # noqa: ANN401
        images, weight = ctx.saved_tensors
        stride, padding, channels = ctx.stride, ctx.padding, len(weight)
        of_images, of_weight = None, None
        if ctx.needs_input_grad[0]:
            of_images = torch.ops.aten.convolution_backward(
                gradient, images, weight, None, [stride] * 2, [padding] * 2, [1, 1], False,
                [0, 0], channels, [True, False, False],
            )[0]  # fmt: skip
        if ctx.needs_input_grad[1]:
            kernel, given, made = weight.shape[-1], images.shape[-1], gradient.shape[-1]
            inputs = images.permute(1, 2, 3, 0).reshape(channels, given**2, -1)
            outputs = gradient.permute(1, 0, 2, 3).reshape(channels, -1, made**2)
            products = torch.bmm(inputs, outputs).view(channels, -1)
            joins = _joins(kernel, stride, padding, given, made).to(products.dtype)
            of_weight = (products @ joins).view(weight.shape)
        return of_images, of_weight, None, None


@lru_cache(maxsize=64)
def _joins(kernel: int, stride: int, padding: int, given: int, made: int) -> Tensor:
    """Returns which weight joins which places: 0 or 1, shape (given^2 made^2, kernel^2)."""
    # along one axis, weight w joins the output o with the input o * stride + w - padding
    inputs = torch.arange(given).view(-1, 1, 1)
    outputs = torch.arange(made).view(1, -1, 1)
    weights = torch.arange(kernel).view(1, 1, -1)
    axis = (inputs == outputs * stride + weights - padding).float()
    both = torch.einsum("you,xpv->yxopuv", axis, axis)
    return both.reshape(given**2 * made**2, kernel**2).bfloat16()
