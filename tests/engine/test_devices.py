"""The device is chosen late, and without PyTorch where there can be no GPU."""

import subprocess
import sys

import pytest
import torch

from fer_core.engine import devices
from fer_core.engine.devices import Device


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """The file of a GPU's driver; it does not exist yet."""
    path = tmp_path / "nvidiactl"
    monkeypatch.setattr(devices, "_DRIVERS", (path,))
    monkeypatch.setattr(devices.sys, "platform", "linux")
    return path


@pytest.mark.parametrize("wanted", ["cpu", torch.device("cpu")])
def test_the_wanted_device_is_taken(wanted, driver, monkeypatch):
    driver.touch()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    device = Device(wanted)
    assert device.is_cpu
    assert device.torch == torch.device("cpu")
    assert not Device("cuda").is_cpu


@pytest.mark.parametrize(("available", "kind"), [(True, "cuda"), (False, "cpu")])
def test_pytorch_decides_where_a_driver_is_installed(available, kind, driver, monkeypatch):
    driver.touch()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert Device().torch.type == kind
    assert Device().is_cpu == (kind == "cpu")


def test_without_a_driver_it_is_the_cpu_and_pytorch_is_not_asked(driver, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: pytest.fail("asked"))
    assert Device().is_cpu
    monkeypatch.setattr(devices.sys, "platform", "win32")
    assert devices.may_have_gpu()


def test_without_pytorch_it_is_the_cpu(driver, monkeypatch):
    driver.touch()
    monkeypatch.setattr(devices, "torch_installed", lambda: False)
    assert Device("cuda").is_cpu


def test_predictions_from_graphs_do_not_import_pytorch():
    script = """
import sys
import numpy as np
from pathlib import Path
from fer_core.artifacts import ArtifactStore
from fer_core.engine import devices
from fer_core.predictor import Predictor

devices.may_have_gpu = lambda: False
predictor = Predictor(ArtifactStore(Path("artifacts")).benchmark("ferplus"))
face = np.zeros(predictor.format.shape, dtype=np.uint8)
runs = ["resnet34-cpu-s0", "greedy_ensemble-cpu"]
assert len(predictor.predict([face], runs)) == 2
assert not {"torch", "timm", "transformers"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", script], check=True)
