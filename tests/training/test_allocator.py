"""Freed memory stays with the process."""

import platform
import resource
import subprocess
import sys

import pytest

COUNT = """
import resource, sys
import torch
from training.allocator import keep_freed_memory

if sys.argv[1] == "keep":
    assert keep_freed_memory()
for _ in range(40):
    torch.ones(16 * 2**20)  # 64 MiB
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


def page_faults(how: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", COUNT, how], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_kept_memory_is_asked_for_once():
    pages = 64 * 2**20 // resource.getpagesize()
    saved = page_faults("hand back") - page_faults("keep")
    assert 25 * pages < saved < 40 * pages  # alignment takes some blocks before one is found again
