"""Many recipes in turn, each after the runs that it needs."""

import time
from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from fer_core.artifacts import BenchmarkDir
from fer_core.config import AnyRecipe, EnsembleRecipe, Recipe, load_recipe
from fer_core.data.prepared import PreparedDataset
from fer_core.errors import RecipeError
from fer_core.evaluation.ensemble import is_outdated
from fer_core.evaluation.report import Report
from fer_core.run_commit import recover
from training.callbacks.wandb import tracked
from training.jobs.base_runs import has_other_base, has_other_recipe
from training.jobs.ensembles import build_ensemble
from training.jobs.train import train_network
from training.options import Tracking
from training.outcome import Outcome
from training.terminal.benchmark import BenchmarkBoard
from training.terminal.progress import TrainingBar, show_progress


def train_all(
    folder: Path,
    names: Sequence[str],
    profile: str,
    dataset: PreparedDataset,
    benchmark: BenchmarkDir,
    *,
    seeds: int = 1,
    max_minutes: float | None = None,
    device: str | None = None,
    track: Tracking = "none",
) -> list[Outcome]:
    """Trains recipes one after the other; one that fails does not hold up the others.

    Args:
        folder: Where the recipes are.
        names: Which of them.
        profile: `cpu` or `gpu`.
        dataset: The prepared set.
        benchmark: Where runs are written; finished ones are skipped, broken ones resumed.
        seeds: Each recipe is trained with the seeds 0 to seeds - 1.
        max_minutes: Time for all; what is left goes on at the next call.
        device: `cpu`, or None for the best there is.
        track: Whether and where Weights & Biases notes each training.

    Returns:
        One outcome a run, in the order in which they were trained.
    """
    started = time.monotonic()
    outcomes: dict[str, Outcome] = {}
    valid, invalid = [], []
    for name in names:
        try:
            _load(folder, name, profile, 0)
            valid.append(name)
        except RecipeError as error:
            invalid.append(Outcome(name, f"RecipeError: {error}", None, 0.0, failed=True))
    queue = [
        (seed, recipe)
        for seed in range(seeds)
        for recipe in _in_order(
            [_load(folder, name, profile, seed) for name in valid], benchmark.name
        )
    ]
    shown = [*(one.run_id for one in invalid), *(recipe.run_id for _, recipe in queue)]
    with BenchmarkBoard(shown) as board:
        for outcome in invalid:
            board.end(outcome)
        for seed, recipe in queue:
            if recipe.run_id in outcomes:  # an ensemble, which knows no seeds
                continue
            spent = (time.monotonic() - started) / 60
            left = None if max_minutes is None else max(0.0, max_minutes - spent)
            board.begin(recipe.run_id)
            reason = _reason_to_wait(recipe, seed, benchmark, left, outcomes)
            outcome = reason or _train(
                recipe, seed, dataset, benchmark, left, device, track, board.bar
            )
            outcomes[recipe.run_id] = outcome
            board.end(outcome)
    return [*invalid, *outcomes.values()]


def _load(folder: Path, name: str, profile: str, seed: int) -> AnyRecipe:
    recipe = load_recipe(folder, name, profile)
    if isinstance(recipe, EnsembleRecipe):
        return recipe
    return load_recipe(folder, name, profile, [f"train.seed={seed}"])


def _in_order(recipes: Sequence[AnyRecipe], benchmark: str) -> list[AnyRecipe]:
    """Puts recipes behind the runs that they need: teachers, members, an adapter's base."""
    by_run = {recipe.run_id: recipe for recipe in recipes}
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for run_id, recipe in by_run.items():
        sorter.add(run_id, *(need for need in _needs(recipe, benchmark) if need in by_run))
    try:
        return [by_run[run_id] for run_id in sorter.static_order()]
    except CycleError as error:
        circle = " -> ".join(error.args[1])
        raise RecipeError(f"Recipes need one another in a circle: {circle}.") from error


def _reason_to_wait(
    recipe: AnyRecipe,
    seed: int,
    benchmark: BenchmarkDir,
    minutes: float | None,
    outcomes: Mapping[str, Outcome],
) -> Outcome | None:
    """Returns why a run is not begun: the time is up, or what it needs is not there."""
    if benchmark.run(recipe.run_id).info_path.is_file():
        return None
    if isinstance(recipe, EnsembleRecipe):
        needs = recipe.member_runs(seed)
    else:
        needs = _needs(recipe, benchmark.name)
    missing = [
        outcomes[need]
        for need in needs
        if need in outcomes and not benchmark.run(need).info_path.is_file()
    ]
    if missing:
        names = ", ".join(outcome.run_id for outcome in missing)
        failed = any(outcome.failed for outcome in missing)
        return Outcome(recipe.run_id, f"not begun: it needs {names}", None, 0.0, failed)
    if minutes is not None and minutes <= 0 and isinstance(recipe, Recipe):
        return Outcome(recipe.run_id, "not begun: the time was up", None, 0.0, failed=False)
    return None


def _needs(recipe: AnyRecipe, benchmark: str) -> list[str]:
    if isinstance(recipe, EnsembleRecipe):
        return recipe.member_runs()
    teachers = list(recipe.distill.teachers) if recipe.distill else []
    return [*teachers, recipe.model.init.removeprefix(f"run:{benchmark}/")]


def _train(
    recipe: AnyRecipe,
    seed: int,
    dataset: PreparedDataset,
    benchmark: BenchmarkDir,
    minutes: float | None,
    device: str | None,
    track: Tracking,
    bar: TrainingBar,
) -> Outcome:
    run = benchmark.run(recipe.run_id)
    began = time.monotonic()

    def outcome(status: str, *, failed: bool = False) -> Outcome:
        done = run.info_path.is_file() and not failed
        accuracy = Report.read(run.report_path).test.accuracy.value if done else None
        return Outcome(run.run_id, status, accuracy, (time.monotonic() - began) / 60, failed)

    try:
        recover(run)
        finished = run.info_path.is_file()
        if isinstance(recipe, EnsembleRecipe):
            if finished and not is_outdated(run) and not has_other_recipe(run, recipe):
                return outcome("was finished")
            build_ensemble(recipe, benchmark, seed)
            return outcome("finished")
        if finished and not (isinstance(recipe, Recipe) and has_other_base(run)):
            other = ", by another recipe" if has_other_recipe(run, recipe) else ""
            return outcome(f"was finished{other}")
        with bar, tracked(bar, recipe, run, track, resume=True) as observer:
            done = train_network(
                recipe,
                dataset,
                benchmark,
                observer,
                resume=True,
                max_minutes=minutes,
                device=device,
                progress=show_progress,
            )
        return outcome("finished" if done else "stopped by the clock")
    except Exception as error:  # whatever one recipe meets, the others go on
        return outcome(f"{type(error).__name__}: {error}", failed=True)
