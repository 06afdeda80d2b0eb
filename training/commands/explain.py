"""The command that measures explanations."""

from typing import Annotated

import typer

from training.options import Artifacts, Benchmark, Data, DeviceOption, benchmark_dir, open_dataset


def explain(
    benchmark: Benchmark,
    runs: Annotated[
        list[str] | None,
        typer.Argument(help="Run ids; all networks and ensembles of the benchmark by default."),
    ] = None,
    images: Annotated[
        int, typer.Option(min=7, help="Test images to explain, the classes in equal parts.")
    ] = 56,
    drawn: Annotated[
        int, typer.Option(min=0, help="Drawn faces, on which it is known what counts.")
    ] = 24,
    method: Annotated[
        list[str] | None,
        typer.Option(help="Measure this method only, such as grad_cam; may be repeated."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the sample, noise and random weights.")] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Measure again what is measured already.")
    ] = False,
    device: DeviceOption = "auto",
    artifacts: Artifacts = None,
    data: Data = None,
) -> None:
    """Measure where models look and whether their saliency maps can be believed.

    For each run and method: insertion, deletion, ROAD, stability to noise, cascading weight
    randomisation, the pointing game on drawn faces, and the share of saliency on brows, eyes,
    nose and mouth. Two controls that know nothing of the model are measured alike. Writes
    `faithfulness.parquet`, `regions.parquet` and `projection.parquet` beside each run, after
    each method: call again to go on after an interruption.
    """
    import torch

    from fer_core.artifacts import read_table
    from fer_core.errors import ArtifactError, FerscopeError
    from fer_core.explain.methods import method_of
    from fer_core.explain.tables import MEMBERS, faithful_methods, rank_methods
    from fer_core.predictor import Predictor
    from training.jobs.explain import explain_run, make_plan, suitable_methods
    from training.terminal.progress import console, show_progress
    from training.terminal.reports import print_ranking

    place = benchmark_dir(benchmark, artifacts)
    dataset = open_dataset(benchmark, data)
    chosen = [place.run(name) for name in runs] if runs else place.runs()
    chosen = [run for run in chosen if runs or run.info_path.is_file()]  # or still under way
    if not chosen:
        raise ArtifactError(
            f"{benchmark} has no finished run. Train one with: python -m training train"
        )
    for name in method or ():
        if name != MEMBERS:
            method_of(name)  # or it is unknown
    plan = make_plan(dataset, images, drawn, seed)
    predictor = Predictor(place, torch.device("cpu") if device == "cpu" else None)
    failed = False
    for run in chosen:
        try:
            if run.info().kind == "imported" and not run.onnx_path.is_file():
                console.print(f"{run.run_id} was imported as predictions: nothing to explain.")
                continue
            if method and not set(method) & set(suitable_methods(predictor, run.info())):
                console.print(f"{run.run_id}: {', '.join(method)} does not suit it.")
                continue
            done = explain_run(
                predictor, run, plan, show_progress, method or (), overwrite=overwrite
            )
            table = rank_methods(read_table(run.faithfulness_path, ("method", "metric", "value")))
        except FerscopeError as error:
            if runs:
                raise
            failed = True
            console.print(f"[red]{run.run_id}[/] is left out: {error}")
            continue
        print_ranking(run.run_id, table, faithful_methods(table))
        if not done:
            console.print("All of it was measured before; measure again with --overwrite.")
    if failed:
        raise typer.Exit(1)
