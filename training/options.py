"""Arguments and options shared by several commands."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fer_core.artifacts import ArtifactStore, BenchmarkDir
from fer_core.data.prepared import PreparedDataset, prepared_folder
from fer_core.errors import ArtifactError
from fer_core.project import artifacts_root, data_root

if TYPE_CHECKING:
    import torch

RECIPES = Path(__file__).parent / "recipes"

Benchmark = Annotated[str, typer.Argument(help="Name of a prepared benchmark, such as ferplus.")]
Artifacts = Annotated[
    Path | None,
    typer.Option(
        help="Folder of benchmarks and runs.",
        show_default="$FERSCOPE_ARTIFACTS or artifacts/",
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(help="Folder of prepared datasets.", show_default="$FERSCOPE_DATA or data/"),
]
Runs = Annotated[
    list[str] | None,
    typer.Argument(help="Run ids, such as resnet34-cpu-s0.", show_default="every finished run"),
]
Again = Annotated[bool, typer.Option("--again", help="Measure again even if there are results.")]
DeviceOption = Annotated[
    Literal["auto", "cpu"], typer.Option(help="Device: auto uses a GPU if there is one.")
]
Engine = Annotated[
    Literal["local", "ray"],
    typer.Option(help="Where to compute: in this process, or on a Ray cluster."),
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1, help="Workers of --engine ray.", show_default="one per GPU, or per CPU core"
    ),
]
Profile = Annotated[
    Literal["cpu", "gpu", "gpu_offline"],
    typer.Option(
        help="Training settings: cpu takes hours on a laptop, gpu needs a GPU, gpu_offline needs "
        "a GPU but no network."
    ),
]

Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override a recipe key: `optim.lr=0.0005`. May be repeated."),
]
Tags = Annotated[
    list[str] | None, typer.Option(help="Tag of the run, for filters. May be repeated.")
]
Note = Annotated[str, typer.Option(help="Note on the run, shown on its page.")]

Tracking = Literal["none", "offline", "online"]
Track = Annotated[
    Tracking,
    typer.Option(
        help="Log to Weights & Biases: offline writes to ./wandb, online also sends to its server."
    ),
]


def benchmark_dir(name: str, artifacts: Path | None) -> BenchmarkDir:
    """Returns a benchmark's paths; the benchmark need not exist."""
    return ArtifactStore(artifacts or artifacts_root()).benchmark(name)


def own_benchmark(name: str, artifacts: Path | None, remedy: str) -> BenchmarkDir:
    """Returns a benchmark's paths, for commands that need training or validation images.

    Args:
        name: Name of the benchmark.
        artifacts: Folder of benchmarks and runs.
        remedy: Advice for a transferred set, with `{origin}` and `{set}` filled in.

    Raises:
        ArtifactError: If it is a transferred set, whose images are all test images.
    """
    paths = benchmark_dir(name, artifacts)
    if paths.origin is not None:
        advice = remedy.format(origin=paths.origin.name, set=paths.root.name)
        raise ArtifactError(f"{name} is a transferred set: all its images are test. {advice}")
    return paths


def prepared_path(name: str, data: Path | None) -> Path:
    """Returns the folder of a benchmark's prepared images; it need not exist."""
    return prepared_folder(data or data_root(), benchmark_dir(name, None))


def open_dataset(name: str, data: Path | None) -> PreparedDataset:
    """Opens a benchmark's prepared dataset.

    Raises:
        DataError: If it is missing.
    """
    return PreparedDataset.open(prepared_path(name, data))


def local_source(source: str, data: Path | None) -> str:
    """Returns the path of a source; one at a URL is copied to `.remote` in the data folder first.

    Raises:
        DataError: If the URL cannot be read.
    """
    from fer_core.data.remote import is_url, local_copy

    if not is_url(source):
        return source
    from training.terminal.progress import show_progress

    return str(local_copy(source, (data or data_root()) / ".remote", show_progress))


def device_name(device: Literal["auto", "cpu"]) -> str | None:
    """Returns the jobs' device: `cpu`, or None to use a GPU if there is one."""
    return None if device == "auto" else device


def torch_device(device: Literal["auto", "cpu"]) -> "torch.device":
    """Returns the device that the option `--device` names; imports PyTorch."""
    from fer_core.engine.devices import Device

    return Device(device_name(device)).torch
