"""How the C library treats memory that tensors give back."""

import ctypes
import platform

_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8  # malloc.h


def keep_freed_memory() -> bool:
    """Lets this process keep the memory of freed tensors for the next ones, as torch does on a GPU.

    By itself glibc hands a block over 32 MiB back to the system as soon as it is free, and the
    next one comes as new pages, which the system fills with zeros: half the time of a forward
    pass of some dozen images. See mallopt(3). To be called before threads have been started.

    Returns:
        Whether the C library was asked and agreed; False where it is not glibc.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    # one arena: the others, of threads such as autograd's, cannot hold large blocks
    wanted = {_M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: -1, _M_ARENA_MAX: 1}
    agreed = [bool(mallopt(option, value)) for option, value in wanted.items()]
    return all(agreed)
