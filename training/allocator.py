"""Settings of the C library's allocator. Quarantined: it changes the whole process.

Why: glibc returns freed memory to the system. The next tensor or picture then gets new pages, which
the system fills with zeros.

`keep_freed_memory` returns nothing. On two cores, the new pages took half the time of a forward
pass of some dozen images. But blocks of many sizes fragment such memory: commands that read
pictures grew by 2 MB for each picture of 640 x 640 pixels. So only `TENSOR_COMMANDS` do this.
`reuse_freed_memory`, for all others, returns large blocks only. Finding the faces of 400 such
pictures then took 29 to 31 s instead of 34 to 35 s, with the same peak memory (0.8 GiB).

Page faults with and without the settings are compared in tests/training/test_allocator.py.
`FERSCOPE_KEEP_MEMORY=0` turns the module off. It has no effect without glibc.
"""

import ctypes
import os
import platform
from collections.abc import Mapping

SWITCH = "FERSCOPE_KEEP_MEMORY"
"""Environment variable; 0 keeps the C library's defaults."""

TENSOR_COMMANDS = frozenset(
    {"train", "benchmark", "evaluate", "explain", "embed", "robustness", "efficiency"}
)
"""Commands that compute on small images of one size."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -3, -4, -8  # malloc.h

_REUSED, _KEPT = 64 * 2**20, 128 * 2**20
"""Bytes: blocks up to this size are reused; freed memory at the end that stays."""


def keep_freed_memory() -> bool:
    """Keeps freed memory in the process for the next tensors, as torch does on a GPU.

    See mallopt(3). Call it before threads are started.

    Returns:
        Whether all settings were made; False without glibc or with `FERSCOPE_KEEP_MEMORY=0`.
    """
    # one arena: those of other threads, such as autograd's, cannot hold large blocks
    return _set({_M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: -1, _M_ARENA_MAX: 1})


def reuse_freed_memory() -> bool:
    """Reuses freed blocks of up to 64 MiB, and returns larger ones to the system.

    Returns:
        Whether all settings were made; False without glibc or with `FERSCOPE_KEEP_MEMORY=0`.
    """
    return _set({_M_MMAP_THRESHOLD: _REUSED, _M_TRIM_THRESHOLD: _KEPT})


def _set(settings: Mapping[int, int]) -> bool:
    if platform.libc_ver()[0] != "glibc" or os.environ.get(SWITCH) == "0":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    accepted = [bool(mallopt(option, value)) for option, value in settings.items()]
    return all(accepted)
