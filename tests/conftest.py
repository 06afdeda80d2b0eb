"""Fixtures that several test modules share."""

import os
import shutil
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # tiny tensors, a worker a core: more threads only wait
os.environ["FERSCOPE_WARM_MODELS"] = "0"  # a test loads what it names
os.environ["HF_HUB_OFFLINE"] = "1"  # read once, when the hub's library is imported

import pytest
import torch
from hypothesis import settings

from fer_core.artifacts import ArtifactStore, BenchmarkDir
from fer_core.data import prepare
from tests.support import tiny  # noqa: F401 (registers the tiny architectures)
from tests.support.builders import Toy, toy_benchmark

torch.set_num_threads(1)
MEASURE_FRAMING = prepare._framing

# The same examples each time, and no failure because a machine is busy.
settings.register_profile("tests", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("tests")


@pytest.fixture(scope="session")
def toy(tmp_path_factory) -> Toy:
    """A benchmark with three runs and their ensemble; read it, do not change it."""
    return toy_benchmark(tmp_path_factory.mktemp("toy"), per_class=40)


@pytest.fixture(scope="session", autouse=True)
def _framing_is_not_measured():
    """Most test images are noise, in which the detector would search for faces for seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepare, "_framing", lambda *_: None)
        yield


@pytest.fixture
def measured_framing(monkeypatch):
    """Lets preparation measure how faces lie in the images, as it does outside the tests."""
    monkeypatch.setattr(prepare, "_framing", MEASURE_FRAMING)


@pytest.fixture
def artifacts_copy(toy, tmp_path) -> Path:
    """A copy of the toy benchmark's artifacts, to change or damage."""
    return shutil.copytree(toy.artifacts, tmp_path / "artifacts")


@pytest.fixture
def benchmark_copy(artifacts_copy) -> BenchmarkDir:
    """A copy of the toy benchmark, to change or damage."""
    return ArtifactStore(artifacts_copy).benchmark("toy")
