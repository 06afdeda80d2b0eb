"""Devices and processes of a job."""

import os
import shutil
import sys
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Literal

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import InitProcessGroupKwargs

from fer_core.errors import RecipeError

PATIENCE = timedelta(hours=6)
"""How long processes wait for the first one, which may ask teachers about a whole set."""


def is_main_process() -> bool:
    """Whether this process prints and writes; true without `accelerate launch`."""
    return os.environ.get("RANK", "0") == "0"


def require_one_process() -> None:
    """Refuses to run many recipes in several processes at once.

    Raises:
        RecipeError: If this is one of several processes.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise RecipeError(
            "benchmark trains recipe after recipe in one process. On several GPUs, start `train` "
            "for each recipe with accelerate launch, or one `benchmark --only` a GPU: see "
            "docs/many-gpus.md."
        )


def is_compiled(choice: Literal["auto"] | bool, device: torch.device) -> bool:
    """Settles before a training whether its network is compiled: on a CPU by the system's compiler.

    Args:
        choice: As in a recipe; `auto` compiles where a compiler is there.
        device: Where the training runs.

    Raises:
        RecipeError: If the network must be compiled and cannot.
    """
    compilers = [*os.environ.get("CXX", "").split()[:1], "g++", "clang++", "cl"]
    found = device.type != "cpu" or any(map(shutil.which, compilers))
    if choice is True and not found:
        raise RecipeError(
            "The recipe compiles its network (train.compile), which needs a C++ compiler, such as "
            "g++. Install one, or train without: --set train.compile=auto."
        )
    return bool(choice) and found


def forget_peak_memory(accelerator: Accelerator) -> None:
    """Lets `peak_memory` begin anew, where the system can: a process may train many recipes."""
    if accelerator.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(accelerator.device)
    else:
        with suppress(OSError):  # Linux alone: proc(5)
            Path("/proc/self/clear_refs").write_text("5")


def peak_memory(accelerator: Accelerator) -> str:
    """Returns the most memory held since `forget_peak_memory`: the GPU's where one is in use."""
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
    patience = InitProcessGroupKwargs(timeout=PATIENCE)
    return Accelerator(cpu=cpu, mixed_precision=mode, kwargs_handlers=[patience])


def _computes_in_bf16(cpu: bool) -> bool:
    """Whether bfloat16 is more than emulated, which would be slower than float32."""
    if not cpu:
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    find = getattr(torch.cpu, "get_capabilities", dict)  # not in older releases of torch
    return any(there for name, there in find().items() if name.endswith("bf16"))
