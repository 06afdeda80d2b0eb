"""Fixtures that several test modules share."""

import gc
import os
import shutil
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # pytest-xdist's controller reads this file, too: it imports nothing slow here
    from fer_core.artifacts import BenchmarkDir
    from tests.support.builders import Toy

os.environ["OMP_NUM_THREADS"] = "1"  # tiny tensors, a worker a core: more threads only wait
os.environ["FERSCOPE_WARM_MODELS"] = "0"  # a test loads what it names
os.environ["HF_HUB_OFFLINE"] = "1"  # read once, when the hub's library is imported


def pytest_collectstart() -> None:
    """Prepares a process that collects and runs tests, which the controller does not."""
    _prepare_process()


def pytest_collection_finish() -> None:
    """Excludes modules and collected tests from garbage collection: they live until the end."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)


@cache
def _prepare_process() -> None:
    import torch
    from hypothesis import settings

    from tests.support import tiny  # noqa: F401 (registers the tiny architectures)

    torch.set_num_threads(1)
    # The same examples each time, and no failure because a machine is busy.
    settings.register_profile("tests", deadline=None, derandomize=True, max_examples=50)
    settings.load_profile("tests")


@pytest.fixture(scope="session")
def toy(tmp_path_factory) -> "Toy":
    """A benchmark with three runs and their ensemble; read it, do not change it."""
    from tests.support.builders import toy_benchmark

    return toy_benchmark(tmp_path_factory.mktemp("toy"), per_class=40)


@pytest.fixture(scope="session", autouse=True)
def _files_are_not_forced_to_disk():
    """Tests do not check durability, so they need not wait for the disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def _framing_is_not_measured():
    """Most test images are noise, in which the detector would search for faces for seconds."""
    from fer_core.data import prepare

    measure = prepare._framing
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepare, "_framing", lambda *_: None)
        yield measure


@pytest.fixture
def measured_framing(_framing_is_not_measured, monkeypatch):
    """Lets preparation measure how faces lie in the images, as it does outside the tests."""
    from fer_core.data import prepare

    monkeypatch.setattr(prepare, "_framing", _framing_is_not_measured)


@pytest.fixture(scope="session", autouse=True)
def transformed_copy_search():
    """Preparation in tests searches for no transformed copies; yields the search.

    It would fit a descriptor of each toy's noise. Tests of the search call it or put it back.
    """
    from fer_core.data import copy_search
    from fer_core.data.transformed_copies.table import TransformedCopies

    search = copy_search.find_transformed_copies
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            copy_search, "find_transformed_copies", lambda *_, **__: TransformedCopies.none()
        )
        yield search


@pytest.fixture
def artifacts_copy(toy, tmp_path) -> Path:
    """A copy of the toy benchmark's artifacts, to change or damage."""
    return shutil.copytree(toy.artifacts, tmp_path / "artifacts")


@pytest.fixture
def benchmark_copy(artifacts_copy) -> "BenchmarkDir":
    """A copy of the toy benchmark, to change or damage."""
    from fer_core.artifacts import ArtifactStore

    return ArtifactStore(artifacts_copy).benchmark("toy")
