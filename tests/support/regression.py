"""A small benchmark of drawn faces, and a network that estimates two of their action units."""

from pathlib import Path

from typer.testing import CliRunner

import tests.support.tiny  # noqa: F401 (registers the tiny networks)
from fer_core.artifacts import ArtifactStore, RunDir
from fer_core.data.prepare import prepare, publish_facts
from fer_core.data.sources.synthetic import SyntheticSource
from tests.support.builders import Toy, toy_recipe
from training.__main__ import app
from training.jobs.train import TrainOptions, train_network
from training.terminal.progress import TrainingBar

COUNT = 100
TARGETS = ("lip_corner_pull", "brow_lower")


def drawn_regression(root: Path) -> tuple[Toy, RunDir]:
    """Prepares drawn faces, writes the table of their action units, and trains on it."""
    dataset = prepare(
        SyntheticSource(COUNT, side=32), root / "data" / "drawn", name="drawn", side=32
    )
    benchmark = ArtifactStore(root / "artifacts").benchmark("drawn")
    publish_facts(dataset, benchmark)
    table = root / "units.csv"
    written = CliRunner().invoke(app, ["action-units", str(table), "--count", str(COUNT)])
    assert written.exit_code == 0, written.output
    recipe = toy_recipe(
        "estimating",
        model={"architecture": "tiny_cnn"},
        augment={"rotation": 0, "shift": 0.0, "scale": 0.0},
        optim={"lr": 0.01},
        train={"epochs": 12, "monitor": "regression_error"},
        regression={"table": str(table), "targets": TARGETS},
    )
    bar = TrainingBar(visible=False)
    run = train_network(recipe, dataset, benchmark, bar, TrainOptions(device="cpu"))
    assert run is not None
    return Toy(root / "artifacts", root / "data", benchmark, dataset), run
