"""Training many recipes in the order of their dependencies."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from fer_core.artifacts import BenchmarkDir, RunDir
from fer_core.config import AnyRecipe, EnsembleRecipe, Recipe, ResolvedRecipe, resolve_recipe
from fer_core.data.prepared import PreparedDataset
from fer_core.errors import NoProfileError, RecipeError
from fer_core.evaluation.report import Report
from fer_core.run_commit import recover
from training.callbacks.wandb import tracked
from training.jobs.ensembles import build_ensemble
from training.jobs.grid import Variant
from training.jobs.plan import Action, ensemble_to_build, plan_run, run_status
from training.jobs.run_queue import (
    POLICY,
    Entry,
    FixedQueue,
    PlannedQueue,
    RunQueue,
    is_skipped,
    plannable_runs,
    required_runs,
)
from training.jobs.speed import measure_speeds
from training.jobs.train import TrainOptions, train_network
from training.options import Tracking
from training.terminal.benchmark import BenchmarkBoard, Outcome, show_plan
from training.terminal.progress import TrainingBar


class Fit(Enum):
    """Whether epochs are planned for the time limit."""

    NO = "no"
    EPOCHS = "epochs"
    PLAN_ONLY = "plan only"


@dataclass(frozen=True)
class RecipeSet:
    """Recipes to train.

    Attributes:
        folder: Folder of recipe files.
        names: Names of recipes, or paths of recipe files.
        profile: `cpu`, `gpu` or `gpu_offline`.
        seeds: Each recipe is trained with the seeds 0 to seeds - 1.
        overrides: `section.key=value` strings for all networks.
        variants: Each network is trained in each of these variants; ensembles only without a grid.
    """

    folder: Path
    names: Sequence[str]
    profile: str
    seeds: int = 1
    overrides: tuple[str, ...] = ()
    variants: tuple[Variant, ...] = (Variant(),)

    def resolve(self, name: str, seed: int, variant: Variant) -> ResolvedRecipe:
        """Resolves a recipe with a seed and a variant; an ensemble has neither.

        Raises:
            RecipeError: If the recipe is not valid, or is an ensemble in a grid.
        """
        plain = resolve_recipe(self.folder, name, self.profile)
        if isinstance(plain.recipe, EnsembleRecipe):
            if variant.name:
                raise RecipeError(
                    f"{name} is an ensemble, and a grid trains networks. Leave it out."
                )
            return plain
        overrides = [*self.overrides, *variant.overrides, f"train.seed={seed}"]
        run_name = f"{plain.recipe.name}-{variant.name}" if variant.name else ""
        return resolve_recipe(self.folder, name, self.profile, overrides, run_name)

    def notes(self) -> list[str]:
        """Returns what the user should know about the valid recipes, each note once."""
        invalid = {outcome.run_id for outcome in self.invalid()}
        notes: dict[str, None] = {}
        for name in self.names:
            for variant in self.variants:
                if _title(name, variant) not in invalid:
                    for note in self.resolve(name, 0, variant).notes:
                        notes[f"{_title(name, variant)}: {note}"] = None
        return list(notes)

    def invalid(self) -> list[Outcome]:
        """Returns an outcome for each recipe without this profile or that cannot be parsed."""
        outcomes = []
        for name in self.names:
            for variant in self.variants:
                title = _title(name, variant)
                try:
                    self.resolve(name, 0, variant)
                except NoProfileError as error:
                    outcomes.append(Outcome(title, f"skipped: {error}", None, 0.0))
                except RecipeError as error:
                    outcomes.append(Outcome(title, f"RecipeError: {error}", None, 0.0, failed=True))
        return outcomes

    def queue(self, benchmark: str) -> list[tuple[int, AnyRecipe]]:
        """Returns (seed, recipe) of every run of the valid recipes, sorted by dependencies.

        Raises:
            RecipeError: If recipes depend on one another in a cycle.
        """
        invalid = {outcome.run_id for outcome in self.invalid()}
        valid = [
            (name, variant)
            for name in self.names
            for variant in self.variants
            if _title(name, variant) not in invalid
        ]
        queue: dict[str, tuple[int, AnyRecipe]] = {}
        for seed in range(self.seeds):
            recipes = [self.resolve(name, seed, variant).recipe for name, variant in valid]
            for recipe in _sorted_by_dependency(recipes, benchmark):
                queue.setdefault(recipe.run_id, (seed, recipe))
        return list(queue.values())

    def tags(self) -> dict[str, tuple[str, ...]]:
        """Returns the tags of a grid's runs, by run name."""
        return {
            f"{Path(name).stem}-{variant.name}": variant.tags
            for name in self.names
            for variant in self.variants
            if variant.name
        }


def _title(name: str, variant: Variant) -> str:
    return f"{name}-{variant.name}" if variant.name else name


def train_all(
    recipes: RecipeSet,
    dataset: PreparedDataset,
    benchmark: BenchmarkDir,
    options: TrainOptions,
    track: Tracking = "none",
    fit: Fit = Fit.NO,
) -> list[Outcome]:
    """Trains recipes in turn; one that fails does not stop the others.

    Args:
        recipes: The recipes.
        dataset: The prepared dataset.
        benchmark: The benchmark that gets the runs.
        options: Device and progress; the time limit is for all trainings together.
        track: Whether and where trainings are logged with Weights & Biases.
        fit: Whether epochs are planned for the time limit.

    Returns:
        One outcome per run, in the order of training.
    """
    deadline, tags = options.deadline, recipes.tags()
    entries, early = recipes.queue(benchmark.name), recipes.invalid()
    queue: RunQueue = FixedQueue(list(entries))
    if fit is not Fit.NO:
        planned, failures = _planned_queue(entries, dataset, benchmark, options, deadline)
        queue, early = planned, [*early, *failures]
        show_plan(planned.plan(), planned.runs)
        if fit is Fit.PLAN_ONLY:
            return early
    outcomes = {outcome.run_id: outcome for outcome in early}
    with BenchmarkBoard([*outcomes, *(made.run_id for _, made in entries)]) as board:
        for outcome in early:
            board.end(outcome)
        while (entry := queue.take()) is not None:
            minutes = max(0.0, deadline - time.monotonic()) / 60
            description = options.description.with_tags(tags.get(entry[1].shown_name, ()))
            limited = replace(options, max_minutes=minutes, description=description)
            job = _Job(entry[1], entry[0], dataset, benchmark, limited)
            board.begin(job.run.run_id)
            outcome = _blocked(job, outcomes) or _run(job, track, board.bar)
            outcomes[job.run.run_id] = outcome
            board.end(outcome)
        for run_id, reason in queue.left_out().items():
            outcomes[run_id] = Outcome(run_id, f"not started: {reason}", None, 0.0)
            board.end(outcomes[run_id])
    return list(outcomes.values())


def _planned_queue(
    entries: list[Entry],
    dataset: PreparedDataset,
    benchmark: BenchmarkDir,
    options: TrainOptions,
    deadline: float,
) -> tuple[PlannedQueue, list[Outcome]]:
    """Measures the speed of each network that is not finished, and returns the planned queue.

    Returns:
        The queue, and an outcome for each run whose speed cannot be measured.
    """
    networks = {
        made.shown_name: made
        for _, made in entries
        if isinstance(made, Recipe) and not is_skipped(benchmark.run(made.run_id), made)
    }
    speeds, failures = measure_speeds(
        list(networks.values()), dataset, options.device, options.progress
    )
    valid = [entry for entry in entries if entry[1].shown_name not in failures]
    runs = plannable_runs(valid, speeds, dataset, benchmark)
    outcomes = [
        Outcome(made.run_id, failures[made.shown_name], None, 0.0, failed=True)
        for _, made in entries
        if made.shown_name in failures
    ]
    return PlannedQueue(valid, runs, lambda: deadline - time.monotonic()), outcomes


@dataclass(frozen=True)
class _Job:
    """An entry of the queue: a recipe with its data, benchmark and options."""

    recipe: AnyRecipe
    seed: int
    dataset: PreparedDataset
    benchmark: BenchmarkDir
    options: TrainOptions

    @property
    def run(self) -> RunDir:
        return self.benchmark.run(self.recipe.run_id)


def _sorted_by_dependency(recipes: Sequence[AnyRecipe], benchmark: str) -> list[AnyRecipe]:
    """Sorts recipes after the runs that they need: teachers, members and an adapter's base."""
    by_run = {recipe.run_id: recipe for recipe in recipes}
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for run_id, recipe in by_run.items():
        required = required_runs(recipe, benchmark)
        sorter.add(run_id, *(name for name in required if name in by_run))
    try:
        return [by_run[run_id] for run_id in sorter.static_order()]
    except CycleError as error:
        cycle = " -> ".join(error.args[1])
        raise RecipeError(f"Recipes depend on one another in a cycle: {cycle}.") from error


def _blocked(job: _Job, outcomes: Mapping[str, Outcome]) -> Outcome | None:
    """Returns why a run cannot start: the time limit, or a missing run that it depends on."""
    recipe, benchmark = job.recipe, job.benchmark
    if job.run.info_path.is_file():
        return None
    missing = [
        outcomes[name]
        for name in required_runs(recipe, benchmark.name, job.seed)
        if name in outcomes and not benchmark.run(name).info_path.is_file()
    ]
    if missing:
        names = ", ".join(outcome.run_id for outcome in missing)
        failed = any(outcome.failed for outcome in missing)
        return Outcome(recipe.run_id, f"not started: needs {names}", None, 0.0, failed)
    if job.options.max_minutes == 0 and isinstance(recipe, Recipe):
        return Outcome(recipe.run_id, "not started: time limit reached", None, 0.0)
    return None


def _run(job: _Job, track: Tracking, bar: TrainingBar) -> Outcome:
    """Trains, resumes or skips one run."""
    started, accuracy, failed = time.monotonic(), None, False
    try:
        status = _train(job, track, bar)
        if job.run.info_path.is_file():
            accuracy = Report.read(job.run.report_path).test.accuracy.value
    except Exception as error:  # any failure of one recipe must not stop the others
        status, failed = f"{type(error).__name__}: {error}", True
    minutes = (time.monotonic() - started) / 60
    return Outcome(job.run.run_id, status, accuracy, minutes, failed)


def _train(job: _Job, track: Tracking, bar: TrainingBar) -> str:
    """Trains, resumes or skips one run; returns what happened, for the table."""
    run, recipe, options = job.run, job.recipe, replace(job.options, resume=True)
    recover(run)
    if isinstance(recipe, EnsembleRecipe):
        recipe = ensemble_to_build(run, recipe)
    status = run_status(run, recipe)
    if plan_run(recipe, status, POLICY) is Action.SKIP:
        return status.value.replace("is finished", "already finished")
    if isinstance(recipe, EnsembleRecipe):
        build_ensemble(recipe, job.benchmark, job.seed)
        return "finished"
    with bar, tracked(bar, recipe, run, track, resume=True) as callback:
        finished = train_network(recipe, job.dataset, job.benchmark, callback, options)
    return "finished" if finished else "stopped at the time limit"
