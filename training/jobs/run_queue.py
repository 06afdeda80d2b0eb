"""The order in which `benchmark` trains: as given, or planned for a time limit."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from fer_core.artifacts import BenchmarkDir, RunDir
from fer_core.config import AnyRecipe, EnsembleRecipe, Recipe, parse_recipe
from fer_core.data.prepared import PreparedDataset
from fer_core.errors import FerscopeError
from fer_core.models.checkpoint import CheckpointFolder
from training.jobs.plan import Action, RunPolicy, plan_run, run_status
from training.jobs.time_plan import (
    MeasuredSpeed,
    PlannableRun,
    TimePlan,
    Workload,
    plan_epochs,
    with_teaching,
)

POLICY = RunPolicy(resume=True, refresh=True)
"""Finished runs are skipped, outdated ones trained again, and interrupted ones resumed."""

Entry = tuple[int, AnyRecipe]
"""A seed and a recipe."""

NO_SPEED = MeasuredSpeed(1.0, 1.0, 0.0)
"""Speed of runs that are not trained."""


class RunQueue(Protocol):
    """Gives runs to train, one after the other."""

    def take(self) -> Entry | None:
        """Returns the next run, or None if there is none."""

    def left_out(self) -> Mapping[str, str]:
        """Returns the runs that are not trained, and why, after the last `take`."""


@dataclass
class FixedQueue:
    """Runs in the given order."""

    entries: list[Entry]

    def take(self) -> Entry | None:
        """Returns the next run, or None if there is none."""
        return self.entries.pop(0) if self.entries else None

    def left_out(self) -> Mapping[str, str]:
        """Returns nothing: every run is taken."""
        return {}


@dataclass
class PlannedQueue:
    """Runs with as many epochs as fit in the time left; the plan is made again before each.

    Attributes:
        entries: Runs that were not taken yet.
        runs: Facts for the plan on each run that is not finished, by run id.
        seconds_left: Time left.
        on_plan: Called with each plan.
    """

    entries: list[Entry]
    runs: dict[str, PlannableRun]
    seconds_left: Callable[[], float]
    on_plan: Callable[[TimePlan], None] = field(default=lambda _: None)

    def plan(self) -> TimePlan:
        """Returns the plan for the time that is left now."""
        return plan_epochs(list(self.runs.values()), self.seconds_left())

    def take(self) -> Entry | None:
        """Returns a finished run if there is one, else the first of the plan; None at its end."""
        for index, (_, recipe) in enumerate(self.entries):
            if recipe.run_id not in self.runs:
                return self.entries.pop(index)
        plan = self.plan()
        if not plan.runs:
            return None
        self.on_plan(plan)
        first = plan.runs[0]
        del self.runs[first.run_id]
        index = next(i for i, (_, made) in enumerate(self.entries) if made.run_id == first.run_id)
        seed, recipe = self.entries.pop(index)
        return seed, recipe.with_epochs(first.epochs) if isinstance(recipe, Recipe) else recipe

    def left_out(self) -> Mapping[str, str]:
        """Returns the runs that do not fit, and why."""
        return self.plan().left_out


def plannable_runs(
    entries: Sequence[Entry],
    speeds: Mapping[str, MeasuredSpeed],
    dataset: PreparedDataset,
    benchmark: BenchmarkDir,
) -> dict[str, PlannableRun]:
    """Returns what a plan needs to know of each run that is not finished, by run id.

    Args:
        entries: The runs.
        speeds: Measured speeds by the runs' names.
        dataset: The prepared dataset.
        benchmark: The benchmark that gets the runs.
    """
    runs: list[PlannableRun] = []
    views: dict[str, int] = {}
    known = {made.run_id: speeds.get(made.shown_name, NO_SPEED) for _, made in entries}
    for seed, recipe in entries:
        run = benchmark.run(recipe.run_id)
        if isinstance(recipe, EnsembleRecipe):
            needed = tuple(required_runs(recipe, benchmark.name, seed))
            runs.append(PlannableRun(recipe.run_id, 0, Workload(0, 0), NO_SPEED, needed))
        elif not is_skipped(run, recipe):
            fixed, done = _interrupted(run)
            runs.append(
                PlannableRun(
                    recipe.run_id,
                    recipe.train.epochs,
                    _workload(recipe, dataset),
                    speeds[recipe.shown_name],
                    tuple(required_runs(recipe, benchmark.name, seed)),
                    fixed,
                    done,
                    _hint_speed(recipe, known),
                )
            )
            if recipe.distill is not None:
                for teacher in recipe.distill.teachers:
                    views[teacher] = max(views.get(teacher, 0), recipe.distill.views)
    return {run.run_id: run for run in with_teaching(runs, views)}


def is_skipped(run: RunDir, recipe: AnyRecipe) -> bool:
    """Whether a run is finished and `benchmark` leaves it as it is."""
    status = run_status(run, recipe)
    return status.is_finished and plan_run(recipe, status, POLICY) is Action.SKIP


def _workload(recipe: Recipe, dataset: PreparedDataset) -> Workload:
    training, validation = len(dataset.rows("train")), len(dataset.rows("validation"))
    if recipe.loss.no_majority:
        training += len(dataset.no_majority_rows())
    training = min(training, recipe.train.max_images or training)
    # at the end the prior shift needs validation, and the run both splits
    once = 2 * validation + len(dataset.rows("test"))
    hint_epochs = recipe.distill.hint_epochs if recipe.distill else 0
    hinted = training * min(1.0, hint_epochs / recipe.train.epochs)
    return Workload(training, validation, once, hinted)


def _hint_speed(recipe: Recipe, known: Mapping[str, MeasuredSpeed]) -> float:
    """Returns the prediction speed of the teacher of the hint loss; 0 if it is not known."""
    if recipe.distill is None or not recipe.distill.hint_epochs:
        return 0.0
    speed = known.get(recipe.distill.teachers[0])
    return 0.0 if speed is None or speed is NO_SPEED else speed.prediction


def _interrupted(run: RunDir) -> tuple[int | None, int]:
    """Returns the epochs of an interrupted training's recipe, and those behind it."""
    checkpoints = CheckpointFolder(run.state_dir)
    if run.info_path.is_file() or not checkpoints.has("last"):
        return None, 0
    try:
        facts = checkpoints.facts("last")
        recipe = parse_recipe(facts["recipe"])
        done = int(facts["state"]["epoch"])
    except (FerscopeError, KeyError, TypeError, ValueError):
        return None, 0  # the training itself says what is wrong
    return (recipe.train.epochs, done) if isinstance(recipe, Recipe) else (None, 0)


def required_runs(recipe: AnyRecipe, benchmark: str, seed: int = 0) -> list[str]:
    """Returns the runs that must be finished before a recipe is trained."""
    if isinstance(recipe, EnsembleRecipe):
        return recipe.member_runs(seed)
    teachers = list(recipe.distill.teachers) if recipe.distill else []
    return [*teachers, recipe.model.init.removeprefix(f"run:{benchmark}/")]
