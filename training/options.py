"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from fer_core.artifacts import ArtifactStore, BenchmarkDir
from fer_core.data.prepared import PreparedDataset
from fer_core.project import artifacts_root, data_root

RECIPES = Path(__file__).parent / "recipes"

Benchmark = Annotated[str, typer.Argument(help="Name of a prepared benchmark, such as ferplus.")]
Artifacts = Annotated[
    Path | None,
    typer.Option(help="Folder of benchmarks and runs.", show_default="artifacts/"),
]
Data = Annotated[Path | None, typer.Option(help="Folder of prepared sets.", show_default="data/")]
DeviceOption = Annotated[
    Literal["auto", "cpu"], typer.Option(help="auto takes a GPU where there is one.")
]
Profile = Annotated[
    Literal["cpu", "gpu"],
    typer.Option(help="Size of the training: an evening on a laptop, or a GPU."),
]

Tracking = Literal["none", "offline", "online"]
Track = Annotated[
    Tracking,
    typer.Option(
        help="Log to Weights & Biases: into ./wandb alone, or to its server. Nothing is sent "
        "unless this says online."
    ),
]


def benchmark_dir(name: str, artifacts: Path | None) -> BenchmarkDir:
    """Returns a benchmark's folder, which need not exist."""
    return ArtifactStore(artifacts or artifacts_root()).benchmark(name)


def open_dataset(name: str, data: Path | None) -> PreparedDataset:
    """Opens a benchmark's prepared set.

    Raises:
        DataError: If it is not there.
    """
    return PreparedDataset.open((data or data_root()) / name)


def device_name(device: Literal["auto", "cpu"]) -> str | None:
    """Returns what the jobs understand: None for the best device there is."""
    return None if device == "auto" else device
