"""Small constant tensors that a GPU gets once.

To copy a few numbers to a GPU waits until it has done all work before, so a copy per batch costs
more than the arithmetic. A CPU gets a new tensor each time, which costs nothing.
"""

from functools import lru_cache

import torch
from torch import Tensor

Values = tuple[float, ...] | tuple[tuple[float, ...], ...]


def constant(values: Values, like: Tensor) -> Tensor:
    """Returns numbers as a tensor; it must not be changed in place.

    Args:
        values: The numbers, in one or two dimensions.
        like: Its type and device are used.
    """
    if like.device.type == "cpu":
        return like.new_tensor(values)
    return _on_device(values, like.dtype, like.device)


@lru_cache(maxsize=64)
def _on_device(values: Values, dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(mode=False):  # of use in training, wherever it is made
        return torch.tensor(values, dtype=dtype, device=device)
