"""Commands that train, evaluate and publish runs."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fer_core.artifacts import BenchmarkDir, RunDir
from fer_core.config import (
    EnsembleRecipe,
    Recipe,
    load_recipe,
    parse_recipe,
    recipe_names,
    recipe_path,
    resolve_recipe,
)
from fer_core.data.prepared import PreparedDataset
from fer_core.errors import FerscopeError, RecipeError
from fer_core.records import StoredType
from training.options import (
    RECIPES,
    Artifacts,
    Benchmark,
    Data,
    DeviceOption,
    Note,
    Profile,
    Set,
    Tags,
    Track,
    benchmark_dir,
    device_name,
    open_dataset,
    own_benchmark,
    prepared_path,
)

if TYPE_CHECKING:
    from training.jobs.benchmark import Fit
    from training.jobs.grid import Variant
    from training.jobs.plan import RunPolicy
    from training.jobs.train import TrainOptions


GRID_RECIPE = "efficientnet_lite0"
"""Recipe of a grid without --only: its pretrained weights are installed, and it trains quickly."""

_TRAIN_ELSEWHERE = (
    "To train on its pictures, make a benchmark of the labelled ones with `prepare`; to change a "
    "run with its labels, use `python -m training adapt {origin} {set} --run RUN`."
)
_EVALUATE_ELSEWHERE = "To evaluate its runs again, repeat `python -m training transfer`."
_ENSEMBLE_ELSEWHERE = (
    "Make the ensemble with `python -m training ensemble {origin} ...`, and transfer it with "
    "`python -m training transfer {origin} PICTURES --name {set}`."
)


def recipes() -> None:
    """List the recipes with their descriptions.

    Pass one of the names to `train`. Writes nothing. Example:

        python -m training recipes
    """
    from training.terminal.progress import console

    for name in recipe_names(RECIPES):
        console.print(f"{name}: {load_recipe(RECIPES, name).description}")


def train(
    recipe: Annotated[
        str,
        typer.Argument(
            help="Name of a recipe, such as resnet34 (`recipes` lists them), or the path of a "
            "recipe file, such as ./mine.yaml."
        ),
    ],
    benchmark: Annotated[str, typer.Option(help="Name of a prepared benchmark, such as ferplus.")],
    profile: Profile = "cpu",
    set_: Set = None,
    name: Annotated[
        str,
        typer.Option(
            help="Name of a variant, used in place of the recipe's. The run's id is name, profile "
            "and seed.",
            show_default="the recipe's",
        ),
    ] = "",
    tag: Tags = None,
    note: Note = "",
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Seed of the initial weights, the sample order and the augmentation.",
            show_default="the recipe's",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue from the last checkpoint, if there is one.")
    ] = False,
    max_minutes: Annotated[
        float | None,
        typer.Option(min=0, help="Save and stop after this time. Continue with --resume."),
    ] = None,
    smoke: Annotated[
        bool,
        typer.Option(
            "--smoke",
            help="Check that the recipe runs: load its weights, train two steps, save nothing.",
        ),
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", help="Train a finished or interrupted run again from the start."
        ),
    ] = False,
    track: Track = "none",
    device: DeviceOption = "auto",
    artifacts: Artifacts = None,
    data: Data = None,
) -> None:
    """Train a recipe and write the run; an ensemble recipe averages finished runs.

    The run's id is recipe, profile and seed, such as `resnet34-cpu-s0`. Results are written to
    `artifacts/<benchmark>/runs/<run id>/`. Example:

        python -m training train resnet34 --benchmark ferplus --set optim.lr=0.001 --name slow

    To train on several GPUs:

        accelerate launch -m training train resnet34 --benchmark ferplus --profile gpu
    """
    from training.jobs.accelerator import is_main_process
    from training.jobs.ensembles import build_ensemble
    from training.jobs.plan import RunPolicy
    from training.jobs.train import RunDescription, TrainOptions
    from training.terminal.reports import print_report

    benchmark_paths = own_benchmark(benchmark, artifacts, _TRAIN_ELSEWHERE)
    overrides = [*(set_ or []), *_seed_override(recipe, seed)]
    made = resolve_recipe(RECIPES, recipe, profile, overrides, name)
    _print_notes(made.notes)
    resolved = made.recipe
    if smoke:
        _smoke(resolved, benchmark_paths, data, device_name(device), seed or 0)
        return
    policy = RunPolicy(resume=resume, overwrite=overwrite)
    if _is_skipped(benchmark_paths.run(resolved.run_id), resolved, policy):
        return
    if isinstance(resolved, EnsembleRecipe):
        if is_main_process():
            print_report(build_ensemble(resolved, benchmark_paths, seed or 0))
        return
    dataset = open_dataset(benchmark, data)
    if not benchmark_paths.info_path.is_file():
        raise FerscopeError(
            f"{benchmark_paths.root} has no benchmark.json. Run `python -m training prepare` first."
        )
    description = RunDescription(note=note.strip()).with_tags(tag or [])
    options = TrainOptions(resume, max_minutes, device_name(device), description=description)
    _train(resolved, dataset, benchmark_paths, options, track)


def _print_notes(notes: Iterable[str]) -> None:
    """Prints what the user should know about a recipe."""
    from training.jobs.accelerator import is_main_process
    from training.terminal.progress import console

    if is_main_process():
        for note in notes:
            console.print(f"Note: {note}", markup=False)


def _is_skipped(run: RunDir, recipe: EnsembleRecipe | Recipe, policy: "RunPolicy") -> bool:
    """Returns whether a finished run is kept; then prints how to train it again."""
    from fer_core.run_commit import recover
    from training.jobs.accelerator import is_main_process
    from training.jobs.plan import Action, plan_run, run_status
    from training.terminal.progress import console

    if is_main_process():
        recover(run)
    status = run_status(run, recipe)
    if plan_run(recipe, status, policy) is not Action.SKIP:
        return False
    console.print(f"{run.run_id} {status.value}. Train it again with --overwrite.")
    return True


def _smoke(
    recipe: EnsembleRecipe | Recipe,
    benchmark: BenchmarkDir,
    data: Path | None,
    device: str | None,
    seed: int,
) -> None:
    """Checks that a recipe runs, prints the result and saves nothing."""
    from training.jobs.ensembles import average_runs
    from training.jobs.smoke import smoke_network
    from training.terminal.progress import TrainingBar, console

    name = f"{recipe.shown_name} ({recipe.profile})"
    if isinstance(recipe, EnsembleRecipe):
        members = average_runs(recipe, benchmark, seed)[0].members
        console.print(f"{name} can be built from {', '.join(members)}.")
        return
    dataset = open_dataset(benchmark.name, data)
    bar = TrainingBar(visible=False)
    result = smoke_network(recipe, dataset, benchmark, bar, device)
    loss = f"loss {result.fit.history[-1].train_loss:.2f}"
    if result.unfit:
        raise FerscopeError(
            f"{name} cannot be trained: its initial weights cannot be loaded. {result.unfit} "
            f"With random weights it runs ({loss})."
        )
    notes = "".join(f" Initial weights: {note}." for note in result.notes)
    console.print(f"{name} runs: {loss}.{notes} {result.untrained}".strip(), markup=False)


def _train(
    recipe: Recipe,
    dataset: "PreparedDataset",
    benchmark: BenchmarkDir,
    options: "TrainOptions",
    track: Track,
) -> None:
    """Trains a network with a progress bar and prints its report."""
    from dataclasses import replace

    from training.callbacks.wandb import tracked
    from training.jobs.accelerator import is_main_process
    from training.jobs.train import train_network
    from training.terminal.progress import TrainingBar, console, show_progress
    from training.terminal.reports import print_report

    run = benchmark.run(recipe.run_id)
    if is_main_process():
        options = replace(
            options,
            progress=show_progress,
            notify=lambda note: console.print(note, markup=False),
        )
    with (
        TrainingBar(visible=is_main_process()) as bar,
        tracked(bar, recipe, run, track, resume=options.resume) as callback,
    ):
        finished = train_network(recipe, dataset, benchmark, callback, options)
    if not is_main_process():
        return
    if finished is None:
        console.print("Time limit reached; the checkpoint is saved. Continue with --resume.")
        return
    print_report(finished)


def ensemble(
    benchmark: Benchmark,
    runs: Annotated[
        list[str],
        typer.Argument(help="Ids of at least two finished runs; imported runs are allowed."),
    ],
    weights: Annotated[
        Literal["equal", "greedy"],
        typer.Option(help="equal; or greedy: selected on validation (Caruana et al. 2004)."),
    ] = "equal",
    prior: Annotated[
        Literal["accuracy", "fixed"],
        typer.Option(
            help="Prior shift (post-hoc logit adjustment) of the mean: accuracy chooses it on "
            "validation; fixed: none."
        ),
    ] = "accuracy",
    least_macro_recall: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Macro-recall that greedy weights and the prior shift must reach on validation, "
            "such as 0.76.",
        ),
    ] = 0.0,
    name: Annotated[str, typer.Option(help="Id of the new run.")] = "ensemble",
    title: Annotated[
        str, typer.Option(help="Display name.", show_default="the members' titles")
    ] = "",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing ensemble of this name.")
    ] = False,
    artifacts: Artifacts = None,
) -> None:
    """Average finished runs of any kind, by their ids, and write the ensemble as a run.

    Needs no images: it averages saved predictions. For example:

        python -m training ensemble ferplus resnet34-cpu-s0 theirs --weights greedy --name both
    """
    from training.jobs.ensembles import build_ensemble
    from training.terminal.reports import print_report

    paths = own_benchmark(benchmark, artifacts, _ENSEMBLE_ELSEWHERE)
    run_dir = paths.run(name)
    if run_dir.info_path.is_file():
        if run_dir.info().kind != "ensemble":
            raise RecipeError(f"The run {name} exists and is not an ensemble. Pass another --name.")
        if not overwrite:
            raise RecipeError(f"There is an ensemble {name}. Pass another --name, or --overwrite.")
    content = {
        "kind": "ensemble",
        "name": name,
        "profile": "cpu",
        "runs": runs,
        "method": "greedy" if weights == "greedy" else "mean",
        "prior": prior,
        "least_macro_recall": least_macro_recall,
        "title": title,
    }
    recipe = parse_recipe(content)
    assert isinstance(recipe, EnsembleRecipe)  # noqa: S101 (its kind)
    finished = build_ensemble(recipe, paths)
    print_report(finished)
    _print_members(finished)


def _print_members(run: RunDir) -> None:
    from fer_core.abilities import abilities_of
    from training.terminal.progress import console

    info = run.info()
    shares = zip(info.members, info.member_weights, strict=True)
    console.print(f"weights: {', '.join(f'{member} {weight:.2f}' for member, weight in shares)}")
    if not abilities_of(run, info).predicts:
        console.print(abilities_of(run, info).reason, markup=False)


def benchmark(
    benchmark: Benchmark,
    profile: Profile = "cpu",
    only: Annotated[
        list[str] | None,
        typer.Option(help="Train only this recipe (a name or a path). May be repeated."),
    ] = None,
    grid: Annotated[
        list[str] | None,
        typer.Option(
            help="Train every value of a key as a run of its own: "
            "`loss.class_weights=none,balanced`. Repeat it for all combinations of several keys. "
            f"Without --only it trains {GRID_RECIPE}.",
        ),
    ] = None,
    set_: Set = None,
    tag: Tags = None,
    note: Note = "",
    seeds: Annotated[int, typer.Option(min=1, help="Train each recipe with this many seeds.")] = 1,
    max_minutes: Annotated[
        float | None,
        typer.Option(min=0, help="Stop after this time. Run the command again to continue."),
    ] = None,
    fit_epochs: Annotated[
        bool | None,
        typer.Option(
            "--fit-epochs/--no-fit-epochs",
            help="Measure speeds first, and shorten trainings so that they fit in --max-minutes.",
            show_default="on with --profile gpu_offline",
        ),
    ] = None,
    plan_only: Annotated[
        bool, typer.Option("--plan-only", help="Print the plan of --fit-epochs and stop.")
    ] = False,
    track: Track = "none",
    device: DeviceOption = "auto",
    artifacts: Artifacts = None,
    data: Data = None,
) -> None:
    """Train all recipes and print a table of results.

    Each run is written to `artifacts/<benchmark>/runs/`. Teachers and ensemble members are trained
    before the recipes that use them. Finished runs are skipped and interrupted ones are resumed, so
    run the command again to continue. Adapters and ensembles are trained again if their base or
    members have changed; an ensemble of runs that were named by their ids keeps these members. A
    recipe that fails does not stop the others; the table shows the error. With --grid, the runs are
    named after recipe and values, tagged with the values, and a second table shows the results by
    value. For example:

        python -m training benchmark ferplus --only resnet34 --only vgg16 --seeds 3

        python -m training benchmark ferplus --grid augment.cutmix=0,0.5 --seeds 3
    """
    from training.callbacks.wandb import require_wandb
    from training.jobs.accelerator import require_one_process
    from training.jobs.benchmark import RecipeSet, train_all
    from training.jobs.train import RunDescription, TrainOptions
    from training.terminal.progress import show_progress
    from training.terminal.variants import print_variants

    require_one_process()
    fit = _fit(profile, max_minutes, fit_epochs, plan_only=plan_only)
    for recipe in only or []:
        recipe_path(RECIPES, recipe)  # fails before anything is trained
    names = only or ([GRID_RECIPE] if grid else recipe_names(RECIPES))
    recipes = RecipeSet(RECIPES, names, profile, seeds, tuple(set_ or ()), _variants(grid))
    if track != "none":
        require_wandb()
    paths = own_benchmark(benchmark, artifacts, _TRAIN_ELSEWHERE)
    dataset = open_dataset(benchmark, data)
    _print_notes(recipes.notes())
    description = RunDescription(note=note.strip()).with_tags(tag or [])
    options = TrainOptions(
        False, max_minutes, device_name(device), show_progress, description=description
    )
    outcomes = train_all(recipes, dataset, paths, options, track, fit)
    if grid:
        print_variants([paths.run(outcome.run_id) for outcome in outcomes])
    if any(outcome.failed for outcome in outcomes):
        raise typer.Exit(1)


def _variants(grid: list[str] | None) -> "tuple[Variant, ...]":
    from training.jobs.grid import parse_grid

    return tuple(parse_grid(grid or []))


def _fit(
    profile: str, max_minutes: float | None, fit_epochs: bool | None, *, plan_only: bool
) -> "Fit":
    """Returns whether `benchmark` plans epochs for its time limit."""
    from training.jobs.benchmark import Fit

    if max_minutes is None and (fit_epochs or plan_only):
        raise RecipeError("Epochs are planned for a time limit. Add --max-minutes.")
    if plan_only:
        return Fit.PLAN_ONLY
    fits = profile == "gpu_offline" if fit_epochs is None else fit_epochs
    return Fit.EPOCHS if fits and max_minutes is not None else Fit.NO


def evaluate(
    benchmark: Benchmark,
    run: Annotated[str, typer.Argument(help="Run id, such as resnet34-cpu-s0.")],
    device: DeviceOption = "auto",
    artifacts: Artifacts = None,
    data: Data = None,
) -> None:
    """Predict validation and test again and rewrite a run's predictions and reports.

    Writes `predictions.parquet` and `report.json` of the run and of the ensembles that contain it.
    A network needs its prepared dataset; an ensemble averages its members' saved predictions and
    needs no images. Example:

        python -m training evaluate ferplus resnet34-cpu-s0
    """
    from fer_core.run_commit import recover
    from training.jobs.ensembles import evaluate_ensemble
    from training.jobs.evaluate import evaluate_run
    from training.terminal.reports import print_report

    run_dir = own_benchmark(benchmark, artifacts, _EVALUATE_ELSEWHERE).run(run)
    recover(run_dir)
    if run_dir.info().kind == "ensemble":
        evaluate_ensemble(run_dir)
    else:
        evaluate_run(run_dir, open_dataset(benchmark, data), device_name(device))
        _refresh_ensembles(run_dir)
    print_report(run_dir)


def publish(
    benchmark: Benchmark,
    run: Annotated[str, typer.Argument(help="Run id, such as resnet34-cpu-s0.")],
    to: Annotated[
        str,
        typer.Option(
            help="Upload the run as it is to a repository of the Hugging Face hub, hub:owner/name. "
            "Nothing is converted."
        ),
    ] = "",
    private: Annotated[
        bool, typer.Option("--private", help="With --to: make a new repository private.")
    ] = False,
    dtype: Annotated[
        StoredType,
        typer.Option(
            help="float16; or int8, which halves the file and changes predictions more. The "
            "network computes in float32 with either."
        ),
    ] = StoredType.FLOAT16,
    device: DeviceOption = "auto",
    artifacts: Artifacts = None,
    data: Data = None,
) -> None:
    """Convert a run's weights to float16 for publishing, or upload the run to the hub with --to.

    Without --to, the weights are converted and checkpoints removed. The command fails and changes
    nothing if a validation probability changes by more than 0.02 (int8: 0.05). Predictions, reports
    and the model card are rewritten from the converted weights.

    With --to, a folder that timm or transformers loads (or ONNX, for other architectures) is
    uploaded with the model card, run.json and report.json; never predictions or images. Log in with
    `hf auth login` or set HF_TOKEN first. Repeating the command changes nothing. Example:

        python -m training publish ferplus resnet34-cpu-s0

        python -m training publish ferplus resnet34-cpu-s0 --to hub:owner/name
    """
    from training.jobs.cards import verdict_of, write_model_card
    from training.jobs.publish import publish_run
    from training.terminal.reports import print_report

    run_dir = benchmark_dir(benchmark, artifacts).run(run)
    if to:
        _upload(run_dir, to, data, private=private)
        return
    dataset = open_dataset(benchmark, data)
    publish_run(run_dir, dataset, dtype, device=device_name(device))
    _refresh_ensembles(run_dir)
    write_model_card(run_dir, verdict_of(run_dir.benchmark))
    print_report(run_dir)


def _upload(run: RunDir, to: str, data: Path | None, *, private: bool) -> None:
    """Uploads a run and prints its address and what is known of its licence."""
    from fer_core.evaluation.licences import UNKNOWN, UNVERIFIED
    from training.jobs.cards import card_facts
    from training.jobs.hub_export import upload_run
    from training.terminal.progress import console

    kind, _, repository = to.partition(":")
    if kind != "hub" or not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
        raise RecipeError(f"Cannot parse {to!r}; write --to hub:owner/name.")
    if unclear := {UNKNOWN, UNVERIFIED} & set(card_facts(run).licences):
        console.print(
            f"Note: the licence of the initial weights is {', '.join(sorted(unclear))}. Check that "
            "you may share them."
        )
    dataset = PreparedDataset.open_if_present(prepared_path(run.benchmark.name, data))
    address = upload_run(
        run,
        repository,
        dataset,
        private=private,
        notify=lambda note: console.print(note, markup=False),
    )
    console.print(f"uploaded to {address}", markup=False)


def _refresh_ensembles(member: RunDir) -> None:
    from training.jobs.ensembles import refresh_ensembles
    from training.terminal.progress import console

    for run in refresh_ensembles(member):
        console.print(f"updated ensemble: {run.run_id}", markup=False)


def _seed_override(recipe: str, seed: int | None) -> list[str]:
    """Returns the seed as an override; an ensemble recipe has no train section."""
    if seed is None:
        return []
    if isinstance(load_recipe(RECIPES, recipe), EnsembleRecipe):
        return []
    return [f"train.seed={seed}"]
