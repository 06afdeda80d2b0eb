"""Devices and processes of a job."""

import os
import sys

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from fer_core.errors import RecipeError


def is_main_process() -> bool:
    """Whether this process prints and writes; true without `accelerate launch`."""
    return os.environ.get("RANK", "0") == "0"


def peak_memory(accelerator: Accelerator) -> str:
    """Returns the most memory that this process has held: the GPU's where one is in use."""
    if accelerator.device.type == "cuda":
        return f"{torch.cuda.max_memory_allocated(accelerator.device) / 2**20:,.0f} MiB"
    try:
        import resource
    except ImportError:  # Windows
        return "not known"
    # kilobytes on Linux, bytes on macOS
    unit = 1 if sys.platform == "darwin" else 1024
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20:,.0f} MiB"


def make_accelerator(precision: str, device: str | None = None) -> Accelerator:
    """Returns the accelerator of a precision, on a GPU where there is one.

    Args:
        precision: As in a recipe; `auto` is bf16 where the device computes in it, fp32 elsewhere.
        device: `cpu`, or None for the best there is.

    Raises:
        RecipeError: If the precision cannot be had on this device.
    """
    cpu = device == "cpu" or not torch.cuda.is_available()
    if precision == "auto":
        precision = "bf16" if _computes_in_bf16(cpu) else "fp32"
    if cpu and precision == "fp16":
        raise RecipeError(
            "Precision fp16 needs a CUDA GPU, and none is in use. "
            "Choose bf16 or fp32 with --set train.precision=fp32."
        )
    mode = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}[precision]
    state = AcceleratorState._shared_state
    if state and state.get("_mixed_precision") != mode:
        # accelerate keeps one precision a process, and `benchmark` trains recipes of several
        AcceleratorState._reset_state()
    return Accelerator(cpu=cpu, mixed_precision=mode)


def _computes_in_bf16(cpu: bool) -> bool:
    """Whether bfloat16 is more than emulated, which would be slower than float32."""
    if not cpu:
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    find = getattr(torch.cpu, "get_capabilities", dict)  # not in older releases of torch
    return any(there for name, there in find().items() if name.endswith("bf16"))
