"""Fixtures that several test modules share."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny tensors: more threads only wait

import pytest

from tests.builders import Toy, toy_benchmark


@pytest.fixture(scope="session")
def toy(tmp_path_factory) -> Toy:
    """A benchmark with three runs and their ensemble; read it, do not change it."""
    return toy_benchmark(tmp_path_factory.mktemp("toy"), per_class=40)


@pytest.fixture(autouse=True)
def no_outside(monkeypatch):
    """No test reads the user's artifacts, data or hub."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
