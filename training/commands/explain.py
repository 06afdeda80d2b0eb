"""The command that evaluates saliency methods."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fer_core.artifacts import BenchmarkDir, RunDir
from training.options import (
    Artifacts,
    Benchmark,
    Data,
    DeviceOption,
    Engine,
    Workers,
    benchmark_dir,
    device_name,
    open_dataset,
)

if TYPE_CHECKING:
    from fer_core.predictor import Predictor
    from training.jobs.explain import Plan


def explain(
    benchmark: Benchmark,
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            help="Run ids, such as resnet34-cpu-s0.", show_default="every network and ensemble"
        ),
    ] = None,
    split: Annotated[
        Literal["test", "validation"],
        typer.Option(
            help="test: all metrics, for reports; validation: deletion and insertion, which choose "
            "each run's default method.",
        ),
    ] = "test",
    images: Annotated[
        int | None,
        typer.Option(
            min=7,
            help="Number of images, balanced over the classes.",
            show_default="56 of test, 200 of validation",
        ),
    ] = None,
    drawn: Annotated[
        int, typer.Option(min=0, help="Number of drawn (synthetic) faces, whose evidence is known.")
    ] = 24,
    method: Annotated[
        list[str] | None,
        typer.Option(help="Evaluate only this method, such as grad_cam. May be repeated."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the sample, noise and random weights.")] = 0,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Evaluate methods again and replace earlier results."),
    ] = False,
    engine: Engine = "local",
    workers: Workers = None,
    device: DeviceOption = "auto",
    artifacts: Artifacts = None,
    data: Data = None,
) -> None:
    """Evaluate saliency methods: faithfulness, and saliency by facial region.

    For each run and method: insertion, deletion, ROAD, stability to noise, cascading weight
    randomisation, the pointing game on drawn faces, and the share of saliency on brows, eyes,
    nose and mouth. Two model-agnostic baselines are evaluated as well. Writes
    `faithfulness.parquet`, `regions.parquet` and `projection.parquet` of each run after each
    method, so run the command again to continue. With `--split validation` it writes
    `faithfulness_validation.parquet`, which chooses the default method in place of test. Examples:

        python -m training explain ferplus resnet34-cpu-s0 --method grad_cam

        python -m training explain ferplus --split validation
    """
    from fer_core.errors import FerscopeError
    from fer_core.predictor import Predictor
    from training.jobs.explain import make_plan
    from training.terminal.progress import console

    paths, dataset = benchmark_dir(benchmark, artifacts), open_dataset(benchmark, data)
    requested = _requested_runs(paths, runs or (), method or ())
    count = images or (200 if split == "validation" else 56)
    plan = make_plan(dataset, count, drawn, seed, split)
    predictor = Predictor(paths, device_name(device))
    explained: dict[str, list[str]] = {}
    if engine == "ray":
        from training.jobs.runs_on_ray import ExplainJob, runs_on_ray
        from training.terminal.progress import show_progress

        root, folder, on = paths.root.absolute(), dataset.folder.absolute(), device_name(device)
        methods = tuple(method or ())
        job = ExplainJob(root, folder, count, drawn, seed, split, methods, overwrite, on)
        explained = runs_on_ray(requested, job, show_progress, workers)
    failed = False
    for run in requested:
        try:
            again = overwrite and run.run_id not in explained
            new = _explain(predictor, run, plan, method or (), overwrite=again)
        except FerscopeError as error:
            if runs:
                raise
            failed = True
            console.print(f"[red]{run.run_id}[/] is skipped: {error}")
            continue
        if not new and not explained.get(run.run_id):
            console.print("Evaluated before. Evaluate again with --overwrite.")
    if failed:
        raise typer.Exit(1)


def _requested_runs(
    paths: BenchmarkDir, names: Sequence[str], methods: Sequence[str]
) -> list[RunDir]:
    """Returns the named runs, or all finished ones.

    Raises:
        ArtifactError: If no run is finished.
        ExplainError: If a method is unknown.
    """
    from fer_core.errors import ArtifactError
    from fer_core.explain.methods import method_of
    from fer_core.explain.tables import MEMBERS

    requested = [paths.run(name) for name in names]
    requested = requested or paths.finished_runs()
    if not requested:
        raise ArtifactError(
            f"{paths.name} has no finished run. Train one with: python -m training train"
        )
    for name in methods:
        if name != MEMBERS:
            method_of(name)  # raises if it is unknown
    return requested


def _explain(
    predictor: "Predictor", run: RunDir, plan: "Plan", methods: Sequence[str], *, overwrite: bool
) -> bool:
    """Evaluates a run's saliency methods and prints their ranking.

    Returns:
        False if the methods were evaluated before.
    """
    from fer_core.abilities import abilities_of
    from fer_core.explain.defaults import default_of, run_evidence
    from fer_core.explain.tables import faithful_methods, rank_methods
    from fer_core.tables import read_table
    from training.jobs.explain import explain_run, suitable_methods
    from training.terminal.progress import console, show_progress
    from training.terminal.reports import print_ranking

    if not (abilities := abilities_of(run)).predicts:
        console.print(f"{run.run_id} cannot be explained: {abilities.reason}", markup=False)
        return True
    if methods and not set(methods) & set(suitable_methods(run.info())):
        console.print(f"{run.run_id} does not support {', '.join(methods)}.")
        return True
    done = explain_run(predictor, run, plan, show_progress, methods, overwrite=overwrite)
    path = plan.faithfulness_path(run)
    table = rank_methods(read_table(path, ("method", "metric", "value")))
    print_ranking(run.run_id, table, faithful_methods(table))
    default = default_of(predictor.benchmark, run, run.info())
    evidence = run_evidence(predictor.benchmark, run, run.info()).of(default)
    console.print(f"Default method: {default} ({evidence.label}).")
    return bool(done)
