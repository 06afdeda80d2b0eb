"""Conversion of layers' outputs, such as ViT tokens, to spatial maps."""

import math

from torch import Tensor

from fer_core.errors import FerscopeError
from fer_core.models.registry import ModelSpec


def grid_side(tokens: int, prefix: int) -> int:
    """Returns the side of the square patch grid.

    Raises:
        FerscopeError: If the patch tokens do not form a square.
    """
    side = math.isqrt(max(0, tokens - prefix))
    if side == 0 or side * side != tokens - prefix:
        raise FerscopeError(
            f"{tokens} tokens with a prefix of {prefix} do not form a square grid of patches. "
            "Check prefix_tokens of the architecture."
        )
    return side


def to_grid(tokens: Tensor, prefix: int) -> Tensor:
    """Converts tokens (N, prefix + side * side, D) to a map (N, D, side, side)."""
    side = grid_side(tokens.shape[1], prefix)
    patches = tokens[:, prefix:]
    return patches.reshape(len(tokens), side, side, -1).permute(0, 3, 1, 2)


def to_map(output: Tensor, spec: ModelSpec) -> Tensor:
    """Converts a layer's output to a map (N, C, side, side).

    Args:
        output: Shape (N, C, side, side), (N, side, side, C) or (N, T, C).
        spec: Architecture, which names the layout where the shape fits two of them.

    Raises:
        FerscopeError: If the output is not a square map.
    """
    if not isinstance(output, Tensor):
        raise FerscopeError("This layer returns several values, not one map. Choose another layer.")
    if output.ndim == 3:
        return to_grid(output, spec.prefix_tokens)
    if output.ndim != 4:
        raise FerscopeError(f"An output of shape {tuple(output.shape)} is not a map.")
    return output.permute(0, 3, 1, 2) if channel_axis(output, spec) == 3 else output


def channel_axis(output: Tensor, spec: ModelSpec) -> int:
    """Returns the axis of the channels of a layer's output, see `to_map`.

    Raises:
        FerscopeError: If the output is not a square map.
    """
    if output.ndim == 3:
        return 2
    fits = {1: output.shape[2] == output.shape[3], 3: output.shape[1] == output.shape[2]}
    first, second = (3, 1) if spec.layout == "channels_last" else (1, 3)
    for axis in (first, second):
        if fits[axis]:
            return axis
    raise FerscopeError(f"An output of shape {tuple(output.shape)} is not a square map.")
