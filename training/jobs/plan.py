"""Decides whether a recipe is trained, resumed, skipped or refused; all commands use it."""

from dataclasses import dataclass
from enum import Enum

from fer_core.artifacts import RunDir
from fer_core.config import AnyRecipe, EnsembleRecipe, parse_recipe
from fer_core.errors import ArtifactError
from fer_core.evaluation.ensemble import is_outdated
from fer_core.models.checkpoint import CheckpointFolder
from training.jobs.base_runs import has_other_base, has_other_recipe


class RunStatus(Enum):
    """State of a recipe's run on disk; messages join the run id and the value."""

    NEW = "is not trained"
    INTERRUPTED = "was interrupted and has a checkpoint"
    FINISHED = "is finished"
    OTHER_RECIPE = "is finished, with another recipe"
    OTHER_BASE = "is finished, but its base run has been retrained since"
    OTHER_MEMBERS = "is finished, but a member has been retrained or deleted since"

    @property
    def is_finished(self) -> bool:
        """Whether the run has its results."""
        return self not in (RunStatus.NEW, RunStatus.INTERRUPTED)


class Action(Enum):
    """Action of a command on a run."""

    START = "start"
    RESUME = "resume"
    SKIP = "skip"


@dataclass(frozen=True)
class RunPolicy:
    """Actions that a command may take on a run that exists.

    Attributes:
        resume: Continue an interrupted training.
        overwrite: Train a finished run again, and start an interrupted one again.
        refresh: Train a finished run again if what it depends on has changed: an adapter's base
            run, or an ensemble's members or recipe.
    """

    resume: bool = False
    overwrite: bool = False
    refresh: bool = False


def run_status(run: RunDir, recipe: AnyRecipe) -> RunStatus:
    """Returns the state of a recipe's run."""
    if not run.info_path.is_file():
        interrupted = CheckpointFolder(run.state_dir).has("last")
        return RunStatus.INTERRUPTED if interrupted else RunStatus.NEW
    if isinstance(recipe, EnsembleRecipe):
        if is_outdated(run):
            return RunStatus.OTHER_MEMBERS
    elif has_other_base(run):
        return RunStatus.OTHER_BASE
    return RunStatus.OTHER_RECIPE if has_other_recipe(run, recipe) else RunStatus.FINISHED


def ensemble_to_build(run: RunDir, recipe: EnsembleRecipe) -> EnsembleRecipe:
    """Returns the recipe of an ensemble that was written from ids of runs, else the given one.

    So an ensemble that the command `ensemble` wrote keeps its members, whatever a recipe of the
    same id names.
    """
    if not run.info_path.is_file():
        return recipe
    stored = parse_recipe(run.info().recipe)
    return stored if isinstance(stored, EnsembleRecipe) and stored.runs else recipe


def plan_run(recipe: AnyRecipe, status: RunStatus, policy: RunPolicy) -> Action:
    """Decides what to do with a run.

    Args:
        recipe: The resolved recipe.
        status: Status as returned by `run_status`.
        policy: Allowed actions.

    Raises:
        ArtifactError: If the training was interrupted and the policy neither resumes nor overwrites
            it: its checkpoint would be lost.
    """
    if status.is_finished and not policy.overwrite:
        changed = status in (RunStatus.OTHER_BASE, RunStatus.OTHER_MEMBERS) or (
            status is RunStatus.OTHER_RECIPE and isinstance(recipe, EnsembleRecipe)
        )
        if not (policy.refresh and changed):
            return Action.SKIP
    if status is RunStatus.INTERRUPTED and not (policy.resume or policy.overwrite):
        raise ArtifactError(
            f"{recipe.run_id} {status.value}. Continue it with --resume, or start again with "
            "--overwrite."
        )
    return Action.RESUME if policy.resume else Action.START
