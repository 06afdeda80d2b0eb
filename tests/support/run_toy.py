"""Trains a toy on however many processes it was started with; writes weights and history.

Run by test_processes.py: `python -m torch.distributed.run -m tests.support.run_toy DATA OUT
ARTIFACTS COMMAND`. It runs the command, as `python -m training COMMAND` does, then trains a toy
into OUT, then runs the whole job: a student of the run in ARTIFACTS. One start of the processes
serves them all, because the imports take longer than the training.
"""

import json
import runpy
import sys
from pathlib import Path

from fer_core.artifacts import ArtifactStore
from fer_core.data.prepared import PreparedDataset
from fer_core.models.checkpoint import save_tensors
from tests.support import tiny  # noqa: F401 (registers the tiny architectures)
from tests.support.builders import toy_recipe
from tests.support.training import Watcher, trainer
from training.jobs.train import TrainOptions, train_network
from training.terminal.progress import TrainingBar

MODEL = {"architecture": "tiny_vit", "image_size": 32}


def main(data: Path, out: Path) -> None:
    made = trainer(
        PreparedDataset.open(data),
        out / "state",
        Watcher(),
        model=MODEL,
        augment={"cutmix": 0.5},
        train={"epochs": 2, "ema_decay": 0.9},
    )
    result = made.fit()
    if made.accelerator.is_main_process:
        history = [record.__dict__ for record in result.history]
        facts = {"history": history, "processes": made.accelerator.num_processes}
        save_tensors(out / "result.safetensors", dict(result.weights), {})
        (out / "result.json").write_text(json.dumps(facts))


def job(data: Path, artifacts: Path) -> None:
    recipe = toy_recipe(
        "student",
        model=MODEL,
        augment={"cutmix": 0.5},
        distill={"teachers": ["tiny_cnn-cpu-s0"], "weight": 0.5, "views": 2, "hint_epochs": 1},
        train={"epochs": 2, "ema_decay": 0.9},
    )
    benchmark = ArtifactStore(artifacts).benchmark("toy")
    bar = TrainingBar(visible=False)
    train_network(recipe, PreparedDataset.open(data), benchmark, bar, TrainOptions(device="cpu"))


def command_line(arguments: list[str]) -> None:
    """Runs `python -m training` in this process."""
    sys.argv = ["training", *arguments]
    try:
        runpy.run_module("training", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code:
            raise


if __name__ == "__main__":
    data, out, artifacts = map(Path, sys.argv[1:4])
    command_line(sys.argv[4:])
    main(data, out)
    job(data, artifacts)
