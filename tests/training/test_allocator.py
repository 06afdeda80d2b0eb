"""Freed memory stays with the process."""

import os
import platform
import resource
import subprocess
import sys

import pytest

COUNT = """
import resource, sys
import torch
from training.allocator import keep_freed_memory

if sys.argv[1] != "default":
    assert keep_freed_memory() == (sys.argv[1] == "keep")
for _ in range(40):
    torch.ones(9 * 2**20)  # 36 MiB: more than malloc ever keeps by itself
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


def page_faults(how: str) -> int:
    switch = {"FERSCOPE_KEEP_MEMORY": "0"} if how == "switched off" else {}
    process = subprocess.run(
        [sys.executable, "-c", COUNT, how],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | switch,
    )
    return int(process.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_the_allocator_keeps_freed_memory():
    pages = 36 * 2**20 // resource.getpagesize()
    default = page_faults("default")
    saved = default - page_faults("keep")
    assert 25 * pages < saved < 40 * pages  # alignment takes some blocks before one is found again
    assert page_faults("switched off") == pytest.approx(default, abs=pages)
