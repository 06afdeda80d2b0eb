"""Two gloo processes give what one gives at the same global batch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fer_core.models.checkpoint import load_tensors
from tests.builders import toy_dataset
from tests.engine import run_toy

ROOT = Path(__file__).resolve().parents[2]


def train(processes: int, data: Path, out: Path) -> dict:
    out.mkdir()
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone",
        f"--nproc-per-node={processes}", "-m", "tests.engine.run_toy", str(data), str(out),
    ]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((out / "result.json").read_text())


def alone(data: Path, out: Path) -> dict:
    out.mkdir()
    run_toy.main(data, out)
    return json.loads((out / "result.json").read_text())


def test_two_processes_train_like_one(tmp_path):
    toy_dataset(tmp_path / "data", per_class=24)
    one = alone(tmp_path / "data" / "toy", tmp_path / "one")
    two = train(2, tmp_path / "data" / "toy", tmp_path / "two")
    assert (one["processes"], two["processes"]) == (1, 2)
    for first, second in zip(one["history"], two["history"], strict=True):
        assert first["train_loss"] == pytest.approx(second["train_loss"], rel=1e-4)
        assert first["train_accuracy"] == second["train_accuracy"]
        assert first["log_loss"] == pytest.approx(second["log_loss"], rel=1e-4)
    weights_one, _ = load_tensors(tmp_path / "one" / "result.safetensors")
    weights_two, _ = load_tensors(tmp_path / "two" / "result.safetensors")
    for key, value in weights_one.items():
        torch.testing.assert_close(weights_two[key], value, atol=2e-4, rtol=1e-3)
