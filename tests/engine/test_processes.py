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
from typer.testing import CliRunner

from fer_core.artifacts import ArtifactStore
from fer_core.models.checkpoint import load_tensors
from tests.support import run_toy
from tests.support.builders import toy_benchmark, toy_run
from training.__main__ import app

ROOT = Path(__file__).resolve().parents[2]


def launch(*arguments: str) -> None:
    """Runs a module in two processes."""
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2",
        "-m", *arguments,
    ]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    process = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240
    )
    assert process.returncode == 0, process.stderr[-3000:]


TRAIN = (
    "train", "scratch_vit", "--benchmark=toy", "--device=cpu", "--set=model.image_size=32",
    "--set=model.patch_size=16", "--set=model.drop_path=0", "--set=distill=null",
    "--set=train.freeze_epochs=1", "--set=train.epochs=2", "--set=train.batch_size=32",
    "--set=train.precision=fp32", "--set=optim.warmup_epochs=0.5",
)  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders `one` and `two`: what one and two processes wrote.

    A toy's training wrote `out`, a student's `artifacts`, and the command line `command`.
    """
    root = tmp_path_factory.mktemp("processes")
    toy = toy_benchmark(root / "one", runs=0, per_class=24)
    for name in ("one", "two"):
        shutil.copytree(toy.artifacts, root / name / "command")
        (root / name / "out").mkdir()
    toy_run(toy.benchmark, toy.dataset, 0, "tiny_cnn", "tiny_cnn")
    two = shutil.copytree(toy.artifacts, root / "two" / "artifacts").parent
    data = toy.dataset.folder
    command = [*TRAIN, f"--data={toy.data}"]
    result = CliRunner().invoke(app, [*command, f"--artifacts={root / 'one' / 'command'}"])
    assert result.exit_code == 0, result.output
    run_toy.main(data, root / "one" / "out")
    run_toy.job(data, toy.artifacts)
    folders = map(str, (data, two / "out", two / "artifacts"))
    launch("tests.support.run_toy", *folders, *command, f"--artifacts={two / 'command'}")
    return root


def test_two_processes_train_the_same_weights_as_one(trained):
    one, two = (
        json.loads((trained / name / "out" / "result.json").read_text()) for name in ("one", "two")
    )
    assert (one["processes"], two["processes"]) == (1, 2)
    for first, second in zip(one["history"], two["history"], strict=True):
        assert first["train_loss"] == pytest.approx(second["train_loss"], rel=1e-4)
        assert first["train_accuracy"] == second["train_accuracy"]
        assert first["log_loss"] == pytest.approx(second["log_loss"], rel=1e-4)
    weights_one, _ = load_tensors(trained / "one" / "out" / "result.safetensors")
    weights_two, _ = load_tensors(trained / "two" / "out" / "result.safetensors")
    for key, value in weights_one.items():
        torch.testing.assert_close(weights_two[key], value, atol=2e-4, rtol=1e-3)


def test_two_processes_write_the_same_run_as_one(trained):
    """The whole job: teachers asked once, hints, training, the choice of the prior, the files."""
    runs = [
        ArtifactStore(trained / name / "artifacts").benchmark("toy").run("student-cpu-s0")
        for name in ("one", "two")
    ]
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


def test_the_command_line_trains_head_first_in_two_processes_as_in_one(trained):
    runs = [
        ArtifactStore(trained / name / "command").benchmark("toy").run("scratch_vit-cpu-s0")
        for name in ("one", "two")
    ]
    assert [run.info().hardware["processes"] for run in runs] == ["1", "2"]
    one, two = (run.history() for run in runs)
    for column in ("train_loss", "log_loss"):
        np.testing.assert_allclose(one[column], two[column], rtol=1e-4)
    np.testing.assert_array_equal(one["train_accuracy"], two["train_accuracy"])
