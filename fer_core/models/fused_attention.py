"""Interception of PyTorch's fused attention, which all supported ViTs call."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


class FusedAttentionMode(TorchFunctionMode):
    """Context manager that calls another function in place of the fused attention.

    Only the calling thread is affected.

    Args:
        attend: Has the signature of `torch.nn.functional.scaled_dot_product_attention`.
    """

    def __init__(self, attend: Callable[..., Tensor]) -> None:
        super().__init__()
        self._attend = attend

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 (torch's protocol)
        called = self._attend if func is F.scaled_dot_product_attention else func
        return called(*args, **(kwargs or {}))
