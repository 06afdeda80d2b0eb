"""The device of networks, chosen without importing PyTorch where none is needed."""

import sys
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from fer_core.extras import torch_installed

if TYPE_CHECKING:
    import torch

_DRIVERS = (Path("/dev/nvidiactl"), Path("/dev/kfd"), Path("/dev/dxg"))
"""Files of the drivers that PyTorch computes with: NVIDIA, AMD, and Windows under WSL."""


class Device:
    """A device that is chosen when it is first needed.

    Args:
        wanted: The device; by default a GPU, if there is one.
    """

    def __init__(self, wanted: "torch.device | str | None" = None) -> None:
        self._wanted = wanted

    @cached_property
    def torch(self) -> "torch.device":
        """The device; imports PyTorch."""
        import torch

        if self._wanted is not None:
            return torch.device(self._wanted)
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    @property
    def is_cpu(self) -> bool:
        """Whether it is the CPU; imports PyTorch only where there may be a GPU."""
        if not torch_installed() or (self._wanted is None and not may_have_gpu()):
            return True
        return str(self._wanted) == "cpu" or self.torch.type == "cpu"


def may_have_gpu() -> bool:
    """Whether this machine may have a GPU that PyTorch can use; needs no PyTorch."""
    return sys.platform == "win32" or any(path.exists() for path in _DRIVERS)
