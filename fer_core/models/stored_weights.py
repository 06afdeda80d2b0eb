"""Precision of published weights: float16, or int8 with one scale for each output channel."""

from collections.abc import Mapping

import torch
from torch import Tensor

from fer_core.records import SCALE, StoredType

_LARGEST = 127


def in_stored_type(tensors: Mapping[str, Tensor], kind: StoredType) -> dict[str, Tensor]:
    """Returns the tensors of a network as they are published."""
    return int8_weights(tensors) if kind is StoredType.INT8 else half_precision(tensors)


def half_precision(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns the tensors with matrices and kernels converted to float16.

    One-dimensional tensors and depthwise kernels stay in float32. They are 1% of a file. Batch-norm
    variances need the precision (as in Micikevicius et al. 2018, arXiv:1710.03740): in an
    EfficientNet-B4 trained here, float16 changed a probability by up to 0.089 with norms converted,
    and by up to 0.005 without. In `mobilenet_face`, depthwise kernels in float16 changed one by up
    to 0.012 (of 400 validation images), all other kernels by up to 0.0014.
    """
    return {
        key: value.to(torch.float16) if _converted(value) else value
        for key, value in tensors.items()
    }


def _converted(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and tensor.ndim > 1 and not _is_depthwise(tensor)


def _is_depthwise(tensor: Tensor) -> bool:
    return tensor.ndim == 4 and tensor.shape[1] == 1


def int8_weights(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns the tensors with kernels and matrices as int8; all others as `half_precision`.

    A weight is q * s with q from -127 to 127 and one scale s for each output channel (symmetric
    quantisation, as in Krishnamoorthi 2018, arXiv:1806.08342); the network computes in float32.
    The scales of a tensor are stored under its name and `SCALE`.
    """
    stored = half_precision(tensors)
    for key, value in tensors.items():
        if value.ndim not in (2, 4) or stored[key].dtype != torch.float16:
            continue
        largest = value.float().flatten(1).abs().amax(1)
        scale = torch.where(largest > 0, largest / _LARGEST, 1.0).view(-1, *[1] * (value.ndim - 1))
        stored[key] = (value.float() / scale).round().clamp(-_LARGEST, _LARGEST).to(torch.int8)
        stored[key + SCALE] = scale
    return stored


def without_scales(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns the tensors with those of `int8_weights` in float32, and without their scales."""
    result = dict(tensors)
    for key in tensors:
        scale = tensors.get(key + SCALE)
        if scale is not None and tensors[key].dtype == torch.int8:
            result[key] = tensors[key].float() * result.pop(key + SCALE)
    return result
