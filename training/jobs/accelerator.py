"""Devices, precision and processes."""

import os
import shutil
import sys
from contextlib import suppress
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import InitProcessGroupKwargs

from fer_core.errors import RecipeError

PROCESS_TIMEOUT = timedelta(hours=6)
"""Time that processes wait for the first one, which may predict a dataset with teachers."""


def is_main_process() -> bool:
    """Returns whether this is the process that prints and writes; True in a single process."""
    return os.environ.get("RANK", "0") == "0"


def require_one_process() -> None:
    """Checks that this is the only process, which `benchmark` requires.

    Raises:
        RecipeError: If this is one of several processes.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise RecipeError(
            "benchmark runs in one process. On several GPUs, start `train` for each recipe with "
            "accelerate launch, or one `benchmark --only` per GPU: see docs/many-gpus.md."
        )


def is_compiled(choice: Literal["auto"] | bool, device: torch.device) -> bool:
    """Resolves `train.compile`, which needs a C++ compiler for a CPU, and for a GPU Triton and C.

    Args:
        choice: Value of the recipe; `auto` compiles if a compiler is installed.
        device: Device of the training.

    Raises:
        RecipeError: If the recipe requires compiling and there is no compiler.
    """
    on_cpu = device.type == "cpu"
    variable, known = ("CXX", ("g++", "clang++", "cl")) if on_cpu else ("CC", ("gcc", "clang"))
    compilers = [*os.environ.get(variable, "").split()[:1], *known]
    possible = any(map(shutil.which, compilers)) and (on_cpu or find_spec("triton") is not None)
    if choice is True and not possible:
        needed = "a C++ compiler, such as g++" if on_cpu else "Triton and a C compiler, such as gcc"
        raise RecipeError(
            f"train.compile=true needs {needed}. Install it, or set --set train.compile=auto."
        )
    return bool(choice) and possible


def reset_peak_memory(accelerator: Accelerator) -> None:
    """Resets `peak_memory` if the system supports it, because a process may train many recipes."""
    if accelerator.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(accelerator.device)
    else:
        with suppress(OSError):  # Linux only: proc(5)
            Path("/proc/self/clear_refs").write_text("5")


def peak_memory(accelerator: Accelerator) -> str:
    """Returns the peak memory since `reset_peak_memory`, on the GPU if one is used."""
    if accelerator.device.type == "cuda":
        return f"{torch.cuda.max_memory_allocated(accelerator.device) / 2**20:,.0f} MiB"
    try:
        import resource
    except ImportError:  # Windows
        return "unknown"
    # kilobytes on Linux, bytes on macOS
    unit = 1 if sys.platform == "darwin" else 1024
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20:,.0f} MiB"


def make_accelerator(precision: str, device: str | None = None) -> Accelerator:
    """Returns an accelerator with a precision, on a GPU if there is one.

    Args:
        precision: Value of the recipe; `auto` is bf16 if the device supports it, else fp32.
        device: `cpu`, or None for a GPU if there is one.

    Raises:
        RecipeError: If the device does not support the precision.
    """
    # deterministic trainings need it; cuBLAS reads it once, at its first matrix product
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    cpu = device == "cpu" or not torch.cuda.is_available()
    if precision == "auto":
        precision = "bf16" if _computes_in_bf16(cpu) else "fp32"
    if cpu and precision == "fp16":
        raise RecipeError(
            "Precision fp16 needs a CUDA GPU, and none is used. Set --set train.precision=bf16 or "
            "fp32."
        )
    mode = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}[precision]
    state = AcceleratorState._shared_state
    if state and state.get("_mixed_precision") != mode:
        # accelerate keeps one precision per process, but `benchmark` trains with several
        AcceleratorState._reset_state()
    timeout = InitProcessGroupKwargs(timeout=PROCESS_TIMEOUT)
    return Accelerator(cpu=cpu, mixed_precision=mode, kwargs_handlers=[timeout])


def _computes_in_bf16(cpu: bool) -> bool:
    """Returns whether the device has native bfloat16; emulated bfloat16 is slower than float32."""
    if not cpu:
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities: dict[str, bool] = getattr(
        torch.cpu, "get_capabilities", dict
    )()  # missing in older torch
    return any(supported for name, supported in capabilities.items() if name.endswith("bf16"))
