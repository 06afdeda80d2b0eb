"""Resampling of position and patch embeddings to another image or patch size, as timm does."""

import math
from collections.abc import Mapping

from timm.layers import resample_abs_pos_embed, resample_patch_embed
from torch import Tensor

_POSITIONS = ("position_embeddings", "position_embedding", "pos_embed", "pos_embedding")
_PATCHES = ("patch_embeddings.projection.weight", "patch_embed.proj.weight", "conv_proj.weight")
_MAX_PREFIX = 16


def resampled(state: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Resamples absolute position embeddings and patch kernels to the shapes of a network.

    Args:
        state: Tensors by name.
        target: The network's tensors; those with the same ending of their name count.
    """
    return {key: _fitted(key, value, target) for key, value in state.items()}


def _fitted(key: str, value: Tensor, target: Mapping[str, Tensor]) -> Tensor:
    for ending in (*_POSITIONS, *_PATCHES):
        if not key.endswith(ending):
            continue
        target_tensor = next(
            (other for name, other in target.items() if name.endswith(ending)), None
        )
        if (
            target_tensor is None
            or target_tensor.shape == value.shape
            or target_tensor.ndim != value.ndim
        ):
            return value
        return (
            _positions(value, target_tensor)
            if ending in _POSITIONS
            else _patches(value, target_tensor)
        )
    return value


def _positions(value: Tensor, wanted: Tensor) -> Tensor:
    if value.ndim != 3 or value.shape[2] != wanted.shape[2]:
        return value
    old, new = value.shape[1], wanted.shape[1]
    for prefix in range(min(old, new, _MAX_PREFIX)):
        if _is_square(old - prefix) and _is_square(new - prefix):
            side = math.isqrt(new - prefix)
            fitted: Tensor = resample_abs_pos_embed(value, (side, side), num_prefix_tokens=prefix)
            return fitted
    return value


def _patches(value: Tensor, wanted: Tensor) -> Tensor:
    if value.shape[:2] != wanted.shape[:2]:
        return value
    fitted: Tensor = resample_patch_embed(value, list(wanted.shape[2:]))
    return fitted


def _is_square(number: int) -> bool:
    return number > 0 and math.isqrt(number) ** 2 == number
