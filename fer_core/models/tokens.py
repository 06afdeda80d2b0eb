"""Between a ViT's row of tokens and the picture that they were cut from."""

import math

from torch import Tensor

from fer_core.errors import FerscopeError


def grid_side(tokens: int, prefix: int) -> int:
    """Returns the side of the square of patches.

    Raises:
        FerscopeError: If the tokens after the prefix form no square.
    """
    side = math.isqrt(max(0, tokens - prefix))
    if side == 0 or side * side != tokens - prefix:
        raise FerscopeError(
            f"{tokens} tokens with a prefix of {prefix} form no square grid of patches; the "
            "architecture's prefix_tokens does not fit."
        )
    return side


def to_grid(tokens: Tensor, prefix: int) -> Tensor:
    """Turns tokens (N, prefix + side * side, D) into a map (N, D, side, side)."""
    side = grid_side(tokens.shape[1], prefix)
    patches = tokens[:, prefix:]
    return patches.reshape(len(tokens), side, side, -1).permute(0, 3, 1, 2)
