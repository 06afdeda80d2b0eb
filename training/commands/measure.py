"""Commands that measure finished runs and report on them."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from training.options import (
    Again,
    Artifacts,
    Benchmark,
    Data,
    DeviceOption,
    Engine,
    Runs,
    Workers,
    benchmark_dir,
    device_name,
    open_dataset,
    own_benchmark,
    torch_device,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import torch

    from fer_core.artifacts import RunDir
    from fer_core.data.prepared import PreparedDataset

Split = Literal["test", "test_leak_free", "validation", "test_second_label"]
_MEASURE_ELSEWHERE = (
    "Measure the run on {origin}: `python -m training robustness {origin} RUN`. What changed in "
    "this set is on the page Your faces."
)
_COST_ELSEWHERE = "A run costs the same on every set: `python -m training efficiency {origin} RUN`."


def robustness(
    benchmark: Benchmark,
    run: Runs = None,
    images: Annotated[
        int,
        typer.Option(min=0, help="Number of images per split, drawn at random; 0 for all."),
    ] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the sample and of the changes.")] = 0,
    framing: Annotated[
        bool,
        typer.Option(
            "--framing",
            help="Measure framing shifts (other crop margins, rotation) of validation and test "
            "images instead of corruptions.",
        ),
    ] = False,
    again: Again = False,
    engine: Engine = "local",
    workers: Workers = None,
    device: DeviceOption = "auto",
    artifacts: Artifacts = None,
    data: Data = None,
) -> None:
    """Measure accuracy on corrupted test images: 14 corruptions at 5 severities.

    Writes `robustness.parquet` of each run. With --framing it writes `framing.parquet` instead:
    validation and test images with margins of -10%, +10% and +20% of the side on each side (beyond
    the stored image its edge pixels are repeated), and rotated by 10 and 20 degrees. Runs that were
    measured on the same images are skipped, so run the command again to continue. Results are
    comparable only with the same `--images` and `--seed`. Example:

        python -m training robustness ferplus resnet34-cpu-s0 --images 500
    """
    from training.jobs import measure

    paths = own_benchmark(benchmark, artifacts, _MEASURE_ELSEWHERE)
    dataset = open_dataset(benchmark, data)
    runs = measure.requested_runs(paths, run or [])
    sample = _Sample(images, seed, again, torch_device(device))
    if engine == "ray":
        from training.jobs.runs_on_ray import RobustnessJob, runs_on_ray
        from training.terminal.progress import show_progress

        root, folder = paths.root.absolute(), dataset.folder.absolute()
        job = RobustnessJob(root, folder, images, seed, framing, again, device_name(device))
        results = runs_on_ray(runs, job, show_progress, workers)
        sample = replace(sample, done={name for name, new in results.items() if new})
    (_framing if framing else _corruptions)(runs, dataset, sample)


@dataclass(frozen=True)
class _Sample:
    """Options of the measurement, and the runs that workers of a cluster have measured."""

    images: int
    seed: int
    again: bool
    device: "torch.device"
    done: "Collection[str]" = ()

    def again_for(self, run: "RunDir") -> bool:
        """Whether a run is measured even if there are results."""
        return self.again and run.run_id not in self.done

    def remark(self, run: "RunDir", new: bool) -> str:
        """Returns the end of a run's line."""
        return "" if new or run.run_id in self.done else "; measured before"


def _corruptions(runs: "Sequence[RunDir]", dataset: "PreparedDataset", sample: _Sample) -> None:
    """Measures corruptions and prints a line per run."""
    from fer_core.evaluation.robustness import read_robustness, summarise
    from training.jobs import measure
    from training.terminal.progress import show_progress
    from training.terminal.reports import print_each_run

    pictures = measure.SampledPictures.draw(dataset, sample.images, sample.seed)

    def line(run: "RunDir") -> str:
        new = measure.measure_robustness(
            run, dataset, pictures, sample.device, show_progress, again=sample.again_for(run)
        )
        summary = summarise(read_robustness(run.robustness_path))
        worst, accuracy = summary.worst
        return (
            f"{summary.clean:.1%} clean, {summary.corrupted:.1%} corrupted, "
            f"lowest {accuracy:.1%} ({worst}){sample.remark(run, new)}"
        )

    print_each_run(runs, line)


def _framing(runs: "Sequence[RunDir]", dataset: "PreparedDataset", sample: _Sample) -> None:
    """Measures framing shifts and prints a line per run."""
    from fer_core.evaluation.framing_shifts import read_framing, summarise_framing
    from training.jobs import framing_shifts
    from training.terminal.progress import show_progress
    from training.terminal.reports import print_each_run

    pictures = framing_shifts.draw_splits(dataset, sample.images, sample.seed)

    def line(run: "RunDir") -> str:
        new = framing_shifts.measure_framing_shifts(
            run, dataset, pictures, sample.device, show_progress, again=sample.again_for(run)
        )
        table = read_framing(run.framing_path)
        parts = []
        for split in pictures:
            if (result := summarise_framing(table, split)) is not None:
                text = f"{split} {result.unchanged:.1%} unchanged, {result.shifted:.1%} shifted"
                if result.drop is not None:
                    text += f", {-100 * result.drop:+.1f} points at margin +10%"
                parts.append(text)
        return "; ".join(parts) + sample.remark(run, new)

    print_each_run(runs, line)


def efficiency(
    benchmark: Benchmark,
    run: Runs = None,
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="Number of CPU threads.", show_default="torch's default"),
    ] = None,
    again: Again = False,
    device: DeviceOption = "auto",
    artifacts: Artifacts = None,
) -> None:
    """Measure parameters, FLOPs, latency by batch size, and memory of runs.

    Writes `efficiency.json` of each run. On a CPU, runs with a current `graph.onnx` or `model.onnx`
    are measured with ONNX Runtime, as they predict in the dashboard and the service. Latency
    depends on the load of the machine, so run nothing else meanwhile. The cost of an ensemble is
    the sum of its members' costs. Example:

        python -m training efficiency ferplus --threads 2
    """
    from training.jobs import measure
    from training.terminal.reports import print_each_run

    def line(run_dir: "RunDir") -> str:
        result = measure.measure_efficiency(
            run_dir, torch_device(device), threads=threads, again=again
        )
        flops = "FLOPs unknown" if result.flops is None else f"{result.flops / 1e9:.2f} GFLOPs"
        times = ", ".join(f"{t.milliseconds:.1f} ms at {t.batch_size}" for t in result.latency)
        threads_used = f", {result.threads} threads" if result.threads else ""
        return (
            f"{result.parameters / 1e6:.1f} M parameters, {flops}, latency by batch size {times}; "
            f"{result.device}{threads_used}, {result.runtime}"
        )

    paths = own_benchmark(benchmark, artifacts, _COST_ELSEWHERE)
    print_each_run(measure.requested_runs(paths, run or []), line)


def report(
    benchmark: Benchmark,
    out: Annotated[
        Path | None, typer.Option(help="Output file.", show_default="BENCHMARK.html")
    ] = None,
    split: Annotated[
        Split,
        typer.Option(
            "--part",
            help="Evaluated images; test_leak_free excludes test images with a duplicate in the "
            "original training or validation data.",
        ),
    ] = "test",
    classes: Annotated[
        str | None,
        typer.Option(
            help="Restrict to classes, such as angry,happy,sad or 'Without neutral'; probabilities "
            "are renormalised over them.",
            show_default="all",
        ),
    ] = None,
    artifacts: Artifacts = None,
) -> None:
    """Write the benchmark as one HTML file that opens offline, without a server.

    It begins with the verdict without constraints (see `recommend`), and has the leaderboard,
    pairwise comparisons, recall by class, confusion matrices, calibration, robustness, efficiency
    and training curves, but no image of the dataset. Example:

        python -m training report ferplus --part test_leak_free --out ferplus.html
    """
    from fer_core.evaluation.leaderboard import read_results
    from fer_core.evaluation.scope import Scope
    from fer_core.evaluation.subsets import classes_in
    from fer_core.evaluation.verdict import read_verdict
    from fer_core.figures.html_report import write_report
    from fer_core.reviews import ReviewStore
    from training.terminal.progress import console

    target = out or Path(f"{benchmark}.html")
    paths = benchmark_dir(benchmark, artifacts)
    subset = () if classes is None else classes_in(classes, paths.info().labels)
    leaderboard = read_results(paths, Scope(split, subset))
    verdict = read_verdict(paths) if leaderboard.entries else None
    slices = {saved.name: saved.sample_ids for saved in ReviewStore.of(paths).slices()}
    write_report(target, leaderboard, verdict, slices)
    for warning in leaderboard.warnings:
        console.print(f"skipped: {warning}", markup=False)
    console.print(f"{target}: {len(leaderboard.entries)} runs", markup=False)


def ledger(
    benchmark: Benchmark,
    from_git: Annotated[
        bool,
        typer.Option(
            "--from-git",
            help="First write the ledger of runs that have none: one entry for each version of "
            "their predictions in git.",
        ),
    ] = False,
    artifacts: Artifacts = None,
) -> None:
    """Print the test readings (evaluations on the test set) of each run and of its lineage.

    Every evaluation is added to the ledger in `run.json`. Runs that are older than the ledger count
    as one reading; `--from-git` writes their ledger from the repository's history. Example:

        python -m training ledger ferplus
    """
    from fer_core.evaluation.leaderboard import read_results
    from training.jobs.test_ledger import fill_ledgers
    from training.terminal.progress import console
    from training.terminal.reports import print_test_readings

    paths = benchmark_dir(benchmark, artifacts)
    if from_git:
        written = fill_ledgers(paths)
        console.print(f"ledgers written: {', '.join(written) or 'none'}", markup=False)
    results = read_results(paths)
    for warning in results.warnings:
        console.print(f"skipped: {warning}", markup=False)
    print_test_readings(results.every_entry)
