"""The command that evaluates saliency methods."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fer_core.artifacts import RunDir
from training.options import Artifacts, Benchmark, Data, DeviceOption, benchmark_dir, open_dataset

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
            help="test reports everything; validation measures deletion and insertion, which "
            "choose each run's default method.",
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
        int, typer.Option(min=0, help="Number of drawn faces, in which the evidence is known.")
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
    import torch

    from fer_core.errors import ArtifactError, FerscopeError
    from fer_core.explain.methods import method_of
    from fer_core.explain.tables import MEMBERS
    from fer_core.predictor import Predictor
    from training.jobs.explain import make_plan
    from training.terminal.progress import console

    paths = benchmark_dir(benchmark, artifacts)
    dataset = open_dataset(benchmark, data)
    requested = [paths.run(name) for name in runs or ()]
    requested = requested or [run for run in paths.runs() if run.info_path.is_file()]
    if not requested:
        raise ArtifactError(
            f"{benchmark} has no finished run. Train one with: python -m training train"
        )
    for name in method or ():
        if name != MEMBERS:
            method_of(name)  # raises if it is unknown
    count = images or (200 if split == "validation" else 56)
    plan = make_plan(dataset, count, drawn, seed, split)
    predictor = Predictor(paths, torch.device("cpu") if device == "cpu" else None)
    failed = False
    for run in requested:
        try:
            _explain(predictor, run, plan, method or (), overwrite=overwrite)
        except FerscopeError as error:
            if runs:
                raise
            failed = True
            console.print(f"[red]{run.run_id}[/] is skipped: {error}")
    if failed:
        raise typer.Exit(1)


def _explain(
    predictor: "Predictor", run: RunDir, plan: "Plan", methods: Sequence[str], *, overwrite: bool
) -> None:
    """Evaluates a run's saliency methods and prints their ranking."""
    from fer_core.abilities import abilities_of
    from fer_core.artifacts import read_table
    from fer_core.explain.defaults import default_of, run_evidence
    from fer_core.explain.tables import faithful_methods, rank_methods
    from training.jobs.explain import explain_run, suitable_methods
    from training.terminal.progress import console, show_progress
    from training.terminal.reports import print_ranking

    if not (abilities := abilities_of(run)).predicts:
        console.print(f"{run.run_id} cannot be explained: {abilities.reason}", markup=False)
        return
    if methods and not set(methods) & set(suitable_methods(run.info())):
        console.print(f"{run.run_id} does not support {', '.join(methods)}.")
        return
    done = explain_run(predictor, run, plan, show_progress, methods, overwrite=overwrite)
    path = plan.faithfulness_path(run)
    table = rank_methods(read_table(path, ("method", "metric", "value")))
    print_ranking(run.run_id, table, faithful_methods(table))
    default = default_of(predictor.benchmark, run, run.info())
    evidence = run_evidence(predictor.benchmark, run, run.info()).of(default)
    console.print(f"Default method: {default} ({evidence.label}).")
    if not done:
        console.print("Evaluated before. Evaluate again with --overwrite.")
