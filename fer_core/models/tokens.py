"""Conversion between ViT tokens and spatial maps."""

import math

from torch import Tensor

from fer_core.errors import FerscopeError


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
