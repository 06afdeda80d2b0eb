"""Two gloo processes give what one gives at the same global batch."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from fer_core.artifacts import ArtifactStore
from fer_core.models.checkpoint import load_tensors
from tests.support import run_toy
from tests.support.builders import toy_benchmark, toy_dataset, toy_run

ROOT = Path(__file__).resolve().parents[2]


def launch(processes: int, *arguments: str) -> None:
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone",
        f"--nproc-per-node={processes}", "-m", *arguments,
    ]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    process = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240
    )
    assert process.returncode == 0, process.stderr[-3000:]


def train(processes: int, data: Path, out: Path) -> dict:
    out.mkdir()
    launch(processes, "tests.support.run_toy", str(data), str(out))
    return json.loads((out / "result.json").read_text())


def alone(data: Path, out: Path) -> dict:
    out.mkdir()
    run_toy.main(data, out)
    return json.loads((out / "result.json").read_text())


def test_two_processes_train_the_same_weights_as_one(tmp_path):
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


def test_two_processes_write_the_same_run_as_one(tmp_path):
    """The whole job: teachers asked once, hints, training, the choice of the prior, the files."""
    toy = toy_benchmark(tmp_path / "one", runs=0, per_class=24)
    toy_run(toy.benchmark, toy.dataset, 0, "tiny_cnn", "tiny_cnn")
    shutil.copytree(toy.artifacts, tmp_path / "two")
    run_toy.job(toy.dataset.folder, toy.artifacts)
    launch(2, "tests.support.run_toy", str(toy.dataset.folder), str(tmp_path / "two"), "job")
    runs = [ArtifactStore(root).benchmark("toy").run("student-cpu-s0") for root in
            (toy.artifacts, tmp_path / "two")]  # fmt: skip
    infos = [run.info() for run in runs]
    assert [info.hardware["processes"] for info in infos] == ["1", "2"]
    assert infos[0].prior_shift == pytest.approx(infos[1].prior_shift, abs=0.051)
    losses = [run.history()["train_loss"].to_numpy() for run in runs]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)
    for run in runs:
        files = {path.name for path in run.root.iterdir() if path.is_file()}
        assert files >= {"run.json", "report.json", "model.safetensors", "trace.parquet"}
        assert not run.under_way.progress_path.exists()
        assert not list(run.state_dir.rglob("*.safetensors"))


def test_the_command_line_trains_head_first_in_two_processes_as_in_one(tmp_path):
    toy = toy_benchmark(tmp_path / "toy", runs=0, per_class=24)
    options = [
        "--benchmark=toy", f"--data={toy.data}", "--device=cpu", "--set=model.image_size=32",
        "--set=model.patch_size=16", "--set=model.drop_path=0", "--set=distill=null",
        "--set=train.freeze_epochs=1", "--set=train.epochs=2", "--set=train.batch_size=32",
        "--set=train.precision=fp32", "--set=optim.warmup_epochs=0.5",
    ]  # fmt: skip
    runs = []
    for processes, name in ((1, "one"), (2, "two")):
        artifacts = tmp_path / name
        shutil.copytree(toy.artifacts, artifacts)
        launch(processes, "training", "train", "scratch_vit", f"--artifacts={artifacts}", *options)
        runs.append(ArtifactStore(artifacts).benchmark("toy").run("scratch_vit-cpu-s0"))
    assert [run.info().hardware["processes"] for run in runs] == ["1", "2"]
    one, two = (run.history() for run in runs)
    for column in ("train_loss", "log_loss"):
        np.testing.assert_allclose(one[column], two[column], rtol=1e-4)
    np.testing.assert_array_equal(one["train_accuracy"], two["train_accuracy"])
