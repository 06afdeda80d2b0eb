"""The command that probes finished runs with drawn faces."""

from typing import TYPE_CHECKING, Annotated

import typer

from fer_core.errors import DataError
from training.options import (
    Again,
    Artifacts,
    Benchmark,
    Data,
    DeviceOption,
    Runs,
    open_dataset,
    own_benchmark,
    torch_device,
)

if TYPE_CHECKING:
    from pathlib import Path

    from fer_core.artifacts import RunDir
    from fer_core.data.prepared import PreparedDataset

_ELSEWHERE = "Probe the run of {origin}: `python -m training probe {origin} RUN`."


def probe(
    benchmark: Benchmark,
    run: Runs = None,
    images: Annotated[
        int,
        typer.Option(min=0, help="Number of validation pictures to change; 0 for none."),
    ] = 150,
    seed: Annotated[int, typer.Option(help="Seed of the sample of validation pictures.")] = 0,
    again: Again = False,
    device: DeviceOption = "auto",
    artifacts: Artifacts = None,
    data: Data = None,
) -> None:
    """Measure how runs respond to drawn (synthetic) faces that differ in one property at a time.

    Writes `probes.parquet` of each run: its probabilities as each action unit and each emotion
    rises from 0 to 5 on 50 drawn persons, and as skin, age, glasses, beard, hair, light, pose,
    framing and image quality change while the expression stays the same. Where the prepared data
    are on this machine, it also applies the image changes (light, blur, margin ...) to validation
    pictures, and writes only their statistics (`real_changes.parquet`). The faces are drawn once.
    If interrupted, run the command again: it continues. Example:

        python -m training probe ferplus vit_tiny-cpu-s0
    """
    from training.jobs import measure
    from training.jobs.probe import PreparedProbe, probe_run
    from training.terminal.progress import console, show_progress
    from training.terminal.reports import print_each_run

    paths = own_benchmark(benchmark, artifacts, _ELSEWHERE)
    runs = measure.requested_runs(paths, run or [])
    pictures = PreparedProbe.prepare(paths, _dataset(benchmark, data), images, seed)
    console.print(f"{pictures.size:,} pictures for each network", markup=False)
    pictures.drawn.draw_missing(show_progress)

    def line(run_dir: "RunDir") -> str:
        new = probe_run(run_dir, pictures, torch_device(device), show_progress, again=again)
        return "probed" if new else "probed before"

    print_each_run(runs, line)


def _dataset(benchmark: str, data: "Path | None") -> "PreparedDataset | None":
    """Opens the prepared data set; returns None if it is not on this machine."""
    try:
        return open_dataset(benchmark, data)
    except DataError as error:
        from training.terminal.progress import console

        console.print(
            f"Only drawn faces are probed, not changed validation images: {error}", markup=False
        )
        return None
