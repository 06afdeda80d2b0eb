"""Epochs that fit a time limit, from measured speeds. Arithmetic only: no clock, no torch.

The rules are in docs/training.md, under "Fitting a time limit".
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

RESERVE = 0.1
"""Share of the time left that stays free: speeds vary, and checkpoints take time."""

LEAST_SHARE = 0.1
"""Smallest share of a recipe's epochs that is worth training."""


@dataclass(frozen=True)
class MeasuredSpeed:
    """Speeds of a recipe's network on this machine.

    Attributes:
        training: Images per second of training steps.
        prediction: Images per second of validation.
        start_seconds: Time to build the network and for its first steps.
        peak_memory: Peak memory of the training steps, as text.
    """

    training: float
    prediction: float
    start_seconds: float
    peak_memory: str = ""


@dataclass(frozen=True)
class Workload:
    """Images that a run goes through.

    Attributes:
        training: Per epoch.
        validation: Per epoch.
        once: Predictions before and after the epochs: of the test images, and of the training
            images for students.
        hinted: Training images per epoch of which a teacher computes features for the hint loss,
            averaged over all epochs.
    """

    training: int
    validation: int
    once: int = 0
    hinted: float = 0


@dataclass(frozen=True)
class PlannableRun:
    """A run to plan.

    Attributes:
        run_id: The run.
        epochs: Epochs that its recipe asks for; 0 for an ensemble.
        workload: Images that it goes through.
        speed: Speed of the run's network.
        needs: Runs that must be finished before.
        fixed_epochs: Epochs of an interrupted training, which must keep its schedule; else None.
        done_epochs: Epochs that its checkpoint has behind it.
        hint_speed: Predictions per second of the teacher of the hint loss; 0 if it was not
            measured: then that of the run's network.
    """

    run_id: str
    epochs: int
    workload: Workload
    speed: MeasuredSpeed
    needs: tuple[str, ...] = ()
    fixed_epochs: int | None = None
    done_epochs: int = 0
    hint_speed: float = 0

    @property
    def epoch_seconds(self) -> float:
        """Time of an epoch with its validation."""
        training = self.workload.training / self.speed.training
        hints = self.workload.hinted / (self.hint_speed or self.speed.prediction)
        return training + hints + self.workload.validation / self.speed.prediction

    @property
    def fixed_seconds(self) -> float:
        """Time that does not depend on the number of epochs."""
        return self.speed.start_seconds + self.workload.once / self.speed.prediction

    @property
    def least_epochs(self) -> int:
        """Fewest epochs that are worth training."""
        return self.fixed_epochs or math.ceil(LEAST_SHARE * self.epochs)

    def seconds(self, epochs: int) -> float:
        """Returns the time that the run still takes with this many epochs."""
        if not self.epochs:
            return 0.0
        return self.fixed_seconds + max(0, epochs - self.done_epochs) * self.epoch_seconds


@dataclass(frozen=True)
class PlannedRun:
    """A run of a plan: how many epochs of how many, and the time they take."""

    run_id: str
    epochs: int
    of_epochs: int
    seconds: float


@dataclass(frozen=True)
class TimePlan:
    """Runs in the order of training, and the reason for each that is left out, by run id."""

    runs: tuple[PlannedRun, ...]
    left_out: Mapping[str, str]

    @property
    def seconds(self) -> float:
        """Time of all runs."""
        return sum(run.seconds for run in self.runs)


def plan_epochs(runs: Sequence[PlannableRun], seconds: float) -> TimePlan:
    """Plans runs and their epochs so that all are finished in time.

    Args:
        runs: Runs that are not finished; needs that are not among them count as finished.
        seconds: Time left; `RESERVE` of it is not planned.

    Raises:
        ValueError: If runs need one another in a cycle.
    """
    budget = (1 - RESERVE) * seconds
    kept, left_out = _those_that_fit(_longest_first(runs), budget)
    share = _common_share(kept, budget)
    planned = []
    for run in kept:
        epochs = _epochs(run, share)
        planned.append(PlannedRun(run.run_id, epochs, run.epochs, run.seconds(epochs)))
    return TimePlan(tuple(planned), left_out)


def _longest_first(runs: Sequence[PlannableRun]) -> list[PlannableRun]:
    """Sorts by a run's full time plus that of the longest chain of runs that need it.

    Every run stands behind those that it needs. Ensembles take no time, so they come last.
    """
    by_id = {run.run_id: run for run in runs}
    needed_by: dict[str, list[str]] = {run_id: [] for run_id in by_id}
    for run in runs:
        for need in run.needs:
            if need in by_id:
                needed_by[need].append(run.run_id)

    @cache
    def chain(run_id: str) -> tuple[float, int]:
        """Seconds and number of runs of the longest chain that begins with a run."""
        after = [chain(student) for student in needed_by[run_id]]
        run = by_id[run_id]
        longest = max((seconds for seconds, _ in after), default=0.0)
        return run.seconds(run.fixed_epochs or run.epochs) + longest, 1 + max(
            (count for _, count in after), default=0
        )

    try:
        return sorted(runs, key=lambda run: (*(-value for value in chain(run.run_id)), run.run_id))
    except RecursionError:
        raise ValueError("The runs depend on one another in a cycle.") from None


def _those_that_fit(
    runs: Sequence[PlannableRun], budget: float
) -> tuple[list[PlannableRun], dict[str, str]]:
    """Keeps, in order, each run that fits with its fewest epochs and whose needs are kept."""
    kept: list[PlannableRun] = []
    left_out: dict[str, str] = {}
    for run in runs:
        missing = [need for need in run.needs if need in left_out]
        least = run.seconds(run.least_epochs)
        if missing:
            left_out[run.run_id] = f"needs {', '.join(missing)}"
        elif least > budget:
            left_out[run.run_id] = (
                f"{run.least_epochs} of {run.epochs} epochs take {least:.0f} s, "
                f"and {max(0.0, budget):.0f} s are left"
            )
        else:
            kept.append(run)
            budget -= least
    return kept, left_out


def _common_share(runs: Sequence[PlannableRun], budget: float) -> float:
    """Returns the largest share of their epochs, up to 1, that all runs can have.

    A run whose share would be under its fewest epochs gets those, and the others share the rest.
    """
    flexible = [run for run in runs if run.epochs and run.fixed_epochs is None]
    spent = sum(run.seconds(run.least_epochs) for run in runs if run not in flexible)
    while flexible:
        left = budget - spent - sum(run.fixed_seconds for run in flexible)
        share = left / sum(run.epochs * run.epoch_seconds for run in flexible)
        short = [run for run in flexible if share * run.epochs < run.least_epochs]
        if not short:
            return min(1.0, share)
        spent += sum(run.seconds(run.least_epochs) for run in short)
        flexible = [run for run in flexible if run not in short]
    return 0.0


def _epochs(run: PlannableRun, share: float) -> int:
    if run.fixed_epochs is not None:
        return run.fixed_epochs
    # the small addition keeps 0.3 * 10 from being 2
    return max(run.least_epochs, min(run.epochs, math.floor(share * run.epochs + 1e-9)))


def with_teaching(runs: Sequence[PlannableRun], views: Mapping[str, int]) -> list[PlannableRun]:
    """Adds to each teacher the time of its predictions, which all its students share.

    Args:
        runs: The runs.
        views: Copies of each training image that a teacher predicts, by run id.
    """
    return [
        replace(
            run,
            workload=replace(
                run.workload,
                once=run.workload.once + views.get(run.run_id, 0) * run.workload.training,
            ),
        )
        for run in runs
    ]
