"""Cache of small constant tensors on a GPU.

Copying to a GPU synchronises with it, so a copy per batch costs more than the arithmetic. On a CPU
a new tensor is created each time, which costs nothing.
"""

from functools import lru_cache

import torch
from torch import Tensor

Values = tuple[float, ...] | tuple[tuple[float, ...], ...]


def constant(values: Values, like: Tensor) -> Tensor:
    """Returns numbers as a tensor; it must not be changed in place.

    Args:
        values: The numbers, in one or two dimensions.
        like: Tensor whose type and device are used.
    """
    if like.device.type == "cpu":
        return like.new_tensor(values)
    return _on_device(values, like.dtype, like.device)


@lru_cache(maxsize=64)
def _on_device(values: Values, dtype: torch.dtype, device: torch.device) -> Tensor:
    # usable in training even if it is created in inference mode
    with torch.inference_mode(mode=False):
        return torch.tensor(values, dtype=dtype, device=device)
