"""Freed memory stays with the process."""

import json
import platform
import resource
import subprocess
import sys

import pytest

from training import __main__ as cli
from training import allocator, lazy

COUNT = """
import json, os, resource
import torch
from training.allocator import keep_freed_memory

def count(how):
    if how == "switched off":
        os.environ["FERSCOPE_KEEP_MEMORY"] = "0"
    if how != "default":
        assert keep_freed_memory() == (how == "keep")
    for _ in range(40):
        torch.ones(9 * 2**20)  # 36 MiB: more than malloc ever keeps by itself
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def in_a_process(how):
    readable, writable = os.pipe()
    if os.fork() == 0:  # torch is imported once
        os.write(writable, str(count(how)).encode())
        os._exit(0)
    os.close(writable)
    with os.fdopen(readable) as result:
        return int(result.read())

ways = ("default", "keep", "switched off")
print(json.dumps({how: in_a_process(how) for how in ways}))
"""


@pytest.mark.parametrize(
    ("command", "keeps"),
    [
        ("train", True),
        ("explain", True),
        ("predict", False),
        ("transfer", False),
        ("prepare", False),
        ("serve", False),
        ("--help", False),
    ],
)
def test_commands_that_read_pictures_do_not_keep_it(command, keeps, monkeypatch):
    calls = []
    monkeypatch.setattr(cli, "app", lambda: None)
    monkeypatch.setattr(cli, "keep_freed_memory", lambda: calls.append(command))
    monkeypatch.setattr(sys, "argv", ["training", command])
    cli.main()
    assert calls == [command] * keeps


def test_every_such_command_exists():
    assert set(lazy.COMMANDS) >= allocator.COMMANDS


def page_faults() -> dict[str, int]:
    process = subprocess.run(
        [sys.executable, "-c", COUNT], capture_output=True, text=True, check=True
    )
    return json.loads(process.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_the_allocator_keeps_freed_memory():
    pages = 36 * 2**20 // resource.getpagesize()
    faults = page_faults()
    saved = faults["default"] - faults["keep"]
    assert 25 * pages < saved < 40 * pages  # alignment takes some blocks before one is found again
    assert faults["switched off"] == pytest.approx(faults["default"], abs=pages)
