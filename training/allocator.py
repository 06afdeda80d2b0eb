"""Settings of the C library's allocator. Quarantined: it changes the whole process.

Why: glibc returns a freed block of more than 32 MiB to the system at once. The next tensor of that
size then gets new pages, which the system fills with zeros.

Limits: blocks of many sizes fragment memory that is never returned. Commands that read pictures
(`predict`, `transfer`, `prepare`, `serve`) grew by 2 MB for each picture of 640 x 640 pixels, so
only `COMMANDS` keep freed memory.

Gain: on two cores, the new pages took half the time of a forward pass of some dozen images. Page
faults with and without the settings are compared in tests/training/test_allocator.py.

`FERSCOPE_KEEP_MEMORY=0` turns the module off. It has no effect without glibc.
"""

import ctypes
import os
import platform

SWITCH = "FERSCOPE_KEEP_MEMORY"
"""Environment variable; 0 keeps the C library's defaults."""

COMMANDS = frozenset(
    {"train", "benchmark", "evaluate", "explain", "embed", "robustness", "efficiency"}
)
"""Commands that keep freed memory: they compute on small images of one size."""

_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8  # malloc.h


def keep_freed_memory() -> bool:
    """Keeps freed memory in the process for the next tensors, as torch does on a GPU.

    See mallopt(3). Call it before threads are started.

    Returns:
        Whether all settings were made; False without glibc or with `FERSCOPE_KEEP_MEMORY=0`.
    """
    if platform.libc_ver()[0] != "glibc" or os.environ.get(SWITCH) == "0":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    # one arena: those of other threads, such as autograd's, cannot hold large blocks
    settings = {_M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: -1, _M_ARENA_MAX: 1}
    accepted = [bool(mallopt(option, value)) for option, value in settings.items()]
    return all(accepted)
