"""Commands that measure finished runs and report on them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fer_core.errors import FerscopeError
from training.options import (
    Artifacts,
    Benchmark,
    Data,
    DeviceOption,
    benchmark_dir,
    open_dataset,
)

if TYPE_CHECKING:
    import torch

Runs = Annotated[
    list[str] | None,
    typer.Argument(help="Run ids, such as resnet34-cpu-s0.", show_default="every finished run"),
]
Part = Literal["test", "test_leak_free", "validation", "test_second_label"]
Again = Annotated[
    bool, typer.Option("--again", help="Measure anew what has been measured already.")
]


def robustness(
    benchmark: Benchmark,
    run: Runs = None,
    images: Annotated[
        int, typer.Option(min=0, help="Test pictures to corrupt, drawn at random; 0 for all.")
    ] = 1000,
    seed: Annotated[int, typer.Option(help="Of the choice of pictures and of corruptions.")] = 0,
    again: Again = False,
    device: DeviceOption = "auto",
    artifacts: Artifacts = None,
    data: Data = None,
) -> None:
    """Measure runs on corrupted pictures: 14 corruptions in 5 strengths.

    Writes `robustness.parquet` of each run. Runs that were measured on the same pictures are
    skipped, so an interrupted call goes on where it stopped. Compare runs only if `--images` and
    `--seed` were the same. Errors are given relative to `resnet34`'s where that run is there.
    """
    from fer_core.evaluation.robustness import read_robustness, summarise
    from training.jobs import measure
    from training.terminal.progress import console, show_progress

    place = benchmark_dir(benchmark, artifacts)
    dataset = open_dataset(benchmark, data)
    pictures = measure.TestPictures.draw(dataset, images, seed)
    failed = False
    for chosen in measure.chosen_runs(place, run or []):
        try:
            new = measure.measure_robustness(
                chosen, place, dataset, pictures, _device(device), show_progress, again=again
            )
        except FerscopeError as error:  # one damaged run does not hold up the others
            failed = True
            console.print(f"{chosen.run_id}: {error}", markup=False)
            continue
        found = summarise(read_robustness(chosen.robustness_path))
        worst, accuracy = found.worst
        console.print(
            f"{chosen.run_id}: {found.clean:.1%} clean, {found.corrupted:.1%} corrupted, lowest "
            f"{accuracy:.1%} ({worst}){'' if new else '; was measured'}",
            markup=False,
        )
    if failed:
        raise typer.Exit(1)


def efficiency(
    benchmark: Benchmark,
    run: Runs = None,
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="Threads on a CPU.", show_default="as many as torch takes"),
    ] = None,
    again: Again = False,
    device: DeviceOption = "auto",
    artifacts: Artifacts = None,
) -> None:
    """Measure parameters, operations, latency by batch size, and memory of runs.

    Writes `efficiency.json` of each run. Leave the machine alone meanwhile: latency is that of
    the device at hand, with whatever else it is doing. An ensemble costs the sum of its members.
    """
    from training.jobs import measure
    from training.terminal.progress import console

    place = benchmark_dir(benchmark, artifacts)
    failed = False
    for chosen in measure.chosen_runs(place, run or []):
        try:
            found = measure.measure_efficiency(
                chosen, place, _device(device), threads=threads, again=again
            )
        except FerscopeError as error:
            failed = True
            console.print(f"{chosen.run_id}: {error}", markup=False)
            continue
        times = ", ".join(f"{t.batch_size}: {t.milliseconds:.1f} ms" for t in found.latency)
        console.print(
            f"{chosen.run_id}: {found.parameters / 1e6:.1f} M parameters, "
            f"{found.flops / 1e9:.2f} GFLOPs, batches of {times}; {found.device}"
            + (f", threads: {found.threads}" if found.threads else ""),
            markup=False,
        )
    if failed:
        raise typer.Exit(1)


def report(
    benchmark: Benchmark,
    out: Annotated[
        Path | None, typer.Option(help="The file to write.", show_default="BENCHMARK.html")
    ] = None,
    part: Annotated[
        Part,
        typer.Option(
            help="What runs are scored on; test_leak_free are test images without a duplicate in "
            "the original training or validation data."
        ),
    ] = "test",
    classes: Annotated[
        str | None,
        typer.Option(
            help="Classes that count, such as angry,happy,sad or 'Without neutral'; probabilities "
            "are renormalised over them.",
            show_default="all",
        ),
    ] = None,
    artifacts: Artifacts = None,
) -> None:
    """Write the whole benchmark as one HTML file that opens without a server or a network.

    It holds the leaderboard, who beats whom, recall by class, confusions, calibration,
    robustness, cost and curves; no picture of the dataset.
    """
    from fer_core.evaluation.leaderboard import Scope, read_results
    from fer_core.evaluation.subsets import classes_in
    from fer_core.figures.html_report import write_report
    from training.terminal.progress import console

    target = out or Path(f"{benchmark}.html")
    place = benchmark_dir(benchmark, artifacts)
    chosen = () if classes is None else classes_in(classes, place.info().labels)
    found = read_results(place, Scope(part, chosen))
    write_report(target, found)
    for warning in found.warnings:
        console.print(f"left out: {warning}", markup=False)
    console.print(f"{target}: {len(found.entries)} runs", markup=False)


def _device(device: str) -> "torch.device":
    import torch

    return torch.device("cuda" if device == "auto" and torch.cuda.is_available() else "cpu")
