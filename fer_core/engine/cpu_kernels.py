"""Faster kernels for training on a CPU. Quarantined: it replaces operators of torch.

Why: two backward passes of torch 2.14 are slow on a CPU.

- Fused attention saves memory, but its backward pass takes more than a third of a small ViT's step.
  The context `training_kernels` selects the unfused one.
- The weight gradient of a 5 x 5 depthwise convolution takes 10 to 100 times as long as the
  convolution. In bfloat16, `training_kernels` replaces it with matrix products.

Gain: the shares above were measured on two cores with AVX-512 and bfloat16. `python -m benchmarks
--only training` compares each recipe with a bare PyTorch loop; run it with and without the switch.

Results are the same up to rounding (tests/engine/test_cpu_kernels.py). Nothing outside the
context is affected, and GPUs keep torch's kernels. `FERSCOPE_CPU_KERNELS=0` turns the module off.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

SWITCH = "FERSCOPE_CPU_KERNELS"
"""Environment variable; 0 keeps torch's kernels."""

_LEAST_KERNEL = 5
"""Smallest kernel side whose weight gradient is slow in torch."""

_MOST_PRODUCTS = 2**27
"""Largest number of position pairs over all channels: 256 MiB in bfloat16."""


@contextmanager
def training_kernels(device: torch.device) -> Iterator[None]:
    """Uses the faster kernels for forward passes inside, if the device is a CPU."""
    if device.type != "cpu" or os.environ.get(SWITCH) == "0":
        yield
        return
    with sdpa_kernel(SDPBackend.MATH), _DepthwiseByProducts():
        yield


class _Conv2d(NamedTuple):
    """Arguments of `F.conv2d`, by position or name."""

    input: Tensor
    weight: Tensor
    bias: Tensor | None = None
    stride: int | tuple[int, ...] = 1
    padding: int | tuple[int, ...] | str = 0
    dilation: int | tuple[int, ...] = 1
    groups: int = 1


class _DepthwiseByProducts(TorchFunctionMode):
    """Sends depthwise convolutions with large kernels in mixed precision to `depthwise`."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 (whatever the function returns)
        if func is F.conv2d and torch.is_autocast_enabled("cpu"):
            result = _mixed_precision_depthwise(_Conv2d(*args, **(kwargs or {})))
            if result is not None:
                return result
        return func(*args, **(kwargs or {}))


def _mixed_precision_depthwise(call: _Conv2d) -> Tensor | None:
    """Computes a convolution by `depthwise`; None if it is not suited to it."""
    stride, padding, dilation = map(_same_along_axes, (call.stride, call.padding, call.dilation))
    if call.groups == 1 or dilation != 1 or not _is_suited(call, stride, padding):
        return None
    low = torch.get_autocast_dtype("cpu")
    result = depthwise(call.input.to(low), call.weight.to(low), stride, padding)
    return result if call.bias is None else result + call.bias.to(low).view(1, -1, 1, 1)


def _same_along_axes(value: object) -> int:
    """Returns a value that is equal along both axes; -1 if they differ or if it is a name."""
    if isinstance(value, int):
        return value
    return int(value[0]) if isinstance(value, tuple) and len({*value}) == 1 else -1


def _is_suited(call: _Conv2d, stride: int, padding: int) -> bool:
    """Whether `depthwise` supports a grouped convolution and is faster."""
    channels, kernel = call.input.shape[1], call.weight.shape[-1]
    size_in = call.input.shape[-1]
    if min(stride, padding) < 0:
        return False
    size_out = (size_in + 2 * padding - kernel) // stride + 1
    return (
        call.weight.shape == (channels, 1, kernel, kernel)
        and call.input.shape[-2] == size_in
        and kernel >= _LEAST_KERNEL
        and channels * size_in**2 * size_out**2 <= _MOST_PRODUCTS
    )


def depthwise(images: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    """Depthwise convolution, as `F.conv2d` with one group per channel.

    The weight gradient sums products of input and output positions over the batch. Here one matrix
    product per channel computes the products of all pairs of positions, and a second one sums the
    pairs that belong to the same weight. That is many times more arithmetic, but all of it in
    matrix products, which are fast.

    Args:
        images: Shape (N, C, S, S).
        weight: Shape (C, 1, k, k).
        stride: Stride along both axes.
        padding: Zero padding on each side.

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
            kernel, size_in, size_out = weight.shape[-1], images.shape[-1], gradient.shape[-1]
            inputs = images.permute(1, 2, 3, 0).reshape(channels, size_in**2, -1)
            outputs = gradient.permute(1, 0, 2, 3).reshape(channels, -1, size_out**2)
            products = torch.bmm(inputs, outputs).view(channels, -1)
            pairs = _pairs(kernel, stride, padding, size_in, size_out).to(products.dtype)
            of_weight = (products @ pairs).view(weight.shape)
        return of_images, of_weight, None, None


@lru_cache(maxsize=64)
def _pairs(kernel: int, stride: int, padding: int, size_in: int, size_out: int) -> Tensor:
    """Returns which weight connects which positions: 0 or 1, (size_in^2 size_out^2, kernel^2)."""
    # along one axis, weight w connects output o with input o * stride + w - padding
    inputs = torch.arange(size_in).view(-1, 1, 1)
    outputs = torch.arange(size_out).view(1, -1, 1)
    weights = torch.arange(kernel).view(1, 1, -1)
    axis = (inputs == outputs * stride + weights - padding).float()
    both = torch.einsum("you,xpv->yxopuv", axis, axis)
    return both.reshape(size_in**2 * size_out**2, kernel**2).bfloat16()
