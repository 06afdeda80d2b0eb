"""Commands that make and measure runs."""

from typing import Annotated

import typer

from fer_core.artifacts import RunDir
from fer_core.config import EnsembleRecipe, Recipe, load_recipe, recipe_names
from fer_core.errors import ArtifactError, FerscopeError, RecipeError
from training.options import (
    RECIPES,
    Artifacts,
    Benchmark,
    Data,
    DeviceOption,
    Profile,
    Track,
    benchmark_dir,
    device_name,
    open_dataset,
)


def recipes() -> None:
    """List the recipes."""
    from training.terminal.progress import console

    for name in recipe_names(RECIPES):
        console.print(f"{name}: {load_recipe(RECIPES, name).description}")


def train(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe; see `recipes`.")],
    benchmark: Annotated[str, typer.Option(help="Name of the prepared benchmark.")],
    profile: Profile = "cpu",
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change a value: `optim.lr=0.0005`. May be repeated."),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Seed of weights, order and augmentation.", show_default="0"),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint, if there is one.")
    ] = False,
    max_minutes: Annotated[
        float | None, typer.Option(min=0, help="Stop after this time; go on with --resume.")
    ] = None,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="Two steps on a few images; keeps nothing.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Train again a run that is finished.")
    ] = False,
    track: Track = "none",
    device: DeviceOption = "auto",
    artifacts: Artifacts = None,
    data: Data = None,
) -> None:
    """Train a recipe (or average an ensemble's members) and write the run.

    On several GPUs: `accelerate launch -m training train ...`
    """
    from fer_core.data.progress import silent
    from fer_core.evaluation.ensemble import is_outdated
    from fer_core.models.checkpoint import CheckpointFolder
    from fer_core.run_commit import recover
    from training.callbacks.wandb import tracked
    from training.jobs.accelerator import is_main_process
    from training.jobs.base_runs import has_other_base, has_other_recipe
    from training.jobs.ensembles import average_runs, build_ensemble
    from training.jobs.train import smoke_network, train_network
    from training.terminal.progress import TrainingBar, console, show_progress
    from training.terminal.reports import print_report

    place = benchmark_dir(benchmark, artifacts)
    resolved = load_recipe(RECIPES, recipe, profile, [*(set_ or []), *_seed_override(recipe, seed)])
    run = place.run(resolved.run_id)
    if is_main_process() and not smoke:
        recover(run)
    if run.info_path.is_file() and not overwrite and not smoke:
        since = ""
        if isinstance(resolved, EnsembleRecipe) and is_outdated(run):
            since = ", and one of its members was made anew or deleted since"
        elif isinstance(resolved, Recipe) and has_other_base(run):
            since = ", and the base that it adapts was made anew since"
        elif has_other_recipe(run, resolved):
            since = ", by another recipe"
        console.print(f"{run.run_id} is finished{since}. Train it again with --overwrite.")
        return
    if isinstance(resolved, EnsembleRecipe) and smoke:
        members = average_runs(resolved, place, seed or 0)[0].members
        console.print(f"{recipe} ({profile}) can be averaged, of {', '.join(members)}.")
        return
    if isinstance(resolved, EnsembleRecipe):
        if is_main_process():
            print_report(build_ensemble(resolved, place, seed or 0))
        return
    if not (resume or overwrite or smoke) and CheckpointFolder(run.state_dir).has("last"):
        raise ArtifactError(
            f"{run.run_id} was interrupted and its checkpoint is there. Go on with --resume, or "
            "begin anew with --overwrite."
        )
    dataset = open_dataset(benchmark, data)
    if smoke:
        bar = TrainingBar(visible=False)
        result, left_out = smoke_network(resolved, dataset, place, bar, device_name(device))
        loss = result.history[-1].train_loss
        console.print(f"{recipe} ({profile}) runs: loss {loss:.2f}. {left_out}")
        return
    if not place.info_path.is_file():
        raise FerscopeError(
            f"{place.root} has no benchmark.json. Run `python -m training prepare` first."
        )
    with (
        TrainingBar(visible=is_main_process()) as bar,
        tracked(bar, resolved, run, track, resume=resume) as observer,
    ):
        finished = train_network(
            resolved,
            dataset,
            place,
            observer,
            resume=resume,
            max_minutes=max_minutes,
            device=device_name(device),
            progress=show_progress if is_main_process() else silent,
        )
    if not is_main_process():
        return
    if finished is None:
        console.print("The time is up; the checkpoint is saved. Go on with --resume.")
        return
    print_report(finished)


def benchmark(
    benchmark: Benchmark,
    profile: Profile = "cpu",
    only: Annotated[
        list[str] | None, typer.Option(help="Train this recipe only; may be repeated.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Train each recipe so many times.")] = 1,
    max_minutes: Annotated[
        float | None, typer.Option(min=0, help="Time for all of it; go on by calling again.")
    ] = None,
    track: Track = "none",
    device: DeviceOption = "auto",
    artifacts: Artifacts = None,
    data: Data = None,
) -> None:
    """Train all recipes in turn, then the ensembles.

    Finished runs are skipped, interrupted ones go on where they stopped, and a recipe that
    fails does not hold up the others: the table at the end says why.
    """
    from training.callbacks.wandb import require_wandb
    from training.jobs.accelerator import require_one_process
    from training.jobs.benchmark import train_all

    require_one_process()
    unknown = sorted(set(only or []) - set(recipe_names(RECIPES)))
    if unknown:
        raise RecipeError(
            f"There is no recipe {', '.join(unknown)}. "
            f"Known recipes: {', '.join(recipe_names(RECIPES))}."
        )
    if track != "none":
        require_wandb()
    dataset = open_dataset(benchmark, data)
    outcomes = train_all(
        RECIPES,
        only or recipe_names(RECIPES),
        profile,
        dataset,
        benchmark_dir(benchmark, artifacts),
        seeds=seeds,
        max_minutes=max_minutes,
        device=device_name(device),
        track=track,
    )
    if any(outcome.failed for outcome in outcomes):
        raise typer.Exit(1)


def evaluate(
    benchmark: Benchmark,
    run: Annotated[str, typer.Argument(help="Run id, such as resnet34-cpu-s0.")],
    device: DeviceOption = "auto",
    artifacts: Artifacts = None,
    data: Data = None,
) -> None:
    """Predict validation and test again from a run's weights, and rewrite its report.

    An ensemble's come from its members' predictions, and need no data.
    """
    from fer_core.run_commit import recover
    from training.jobs.ensembles import evaluate_ensemble
    from training.jobs.evaluate import evaluate_run
    from training.terminal.reports import print_report

    place = benchmark_dir(benchmark, artifacts).run(run)
    recover(place)
    if place.info().kind == "ensemble":
        evaluate_ensemble(place)
    else:
        evaluate_run(place, open_dataset(benchmark, data), device_name(device))
        _refresh_averages(place)
    print_report(place)


def publish(
    benchmark: Benchmark,
    run: Annotated[str, typer.Argument(help="Run id, such as resnet34-cpu-s0.")],
    device: DeviceOption = "auto",
    artifacts: Artifacts = None,
    data: Data = None,
) -> None:
    """Turn a run's weights into a checked float16 copy, fit to ship, and drop its checkpoints."""
    from training.jobs.publish import publish_run
    from training.terminal.reports import print_report

    place = benchmark_dir(benchmark, artifacts).run(run)
    dataset = open_dataset(benchmark, data)
    publish_run(place, dataset, device=device_name(device))
    _refresh_averages(place)
    print_report(place)


def _refresh_averages(member: RunDir) -> None:
    from training.jobs.ensembles import refresh_averages
    from training.terminal.progress import console

    for run in refresh_averages(member):
        console.print(f"averaged again: {run.run_id}", markup=False)


def _seed_override(recipe: str, seed: int | None) -> list[str]:
    """Returns the seed as an override; an ensemble recipe has no training part to put it into."""
    if seed is None:
        return []
    if recipe in recipe_names(RECIPES) and isinstance(load_recipe(RECIPES, recipe), EnsembleRecipe):
        return []
    return [f"train.seed={seed}"]
