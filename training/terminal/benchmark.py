"""The table of a `benchmark` command: outcomes of many trainings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from training.jobs.time_plan import PlannableRun, TimePlan
from training.terminal.progress import TrainingBar, console, duration

WAITING = "waiting"


@dataclass(frozen=True)
class Outcome:
    """Outcome of one run in a `benchmark` command.

    Attributes:
        run_id: The run.
        status: `finished`, `already finished`, `stopped at the time limit`, or an error.
        accuracy: Test accuracy, 0 to 1; None without a finished run.
        minutes: Time spent in this command.
        failed: Whether it failed.
    """

    run_id: str
    status: str
    accuracy: float | None
    minutes: float
    failed: bool = False


class BenchmarkBoard:
    """Shows many trainings in one table, with the current training's progress bar below it.

    The final table stays on the screen. Without a terminal, the bar's lines are printed during the
    training and the table at the end.

    Args:
        run_ids: Runs in the order of training.
    """

    def __init__(self, run_ids: Sequence[str]) -> None:
        self._states: dict[str, Outcome | str] = dict.fromkeys(run_ids, WAITING)
        self.bar = TrainingBar(live=False)
        self._live = Live(
            get_renderable=lambda: Group(self.table(), self.bar.progress),
            console=console,
            refresh_per_second=2,
            transient=True,
        )

    def __enter__(self) -> "BenchmarkBoard":
        if console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()
        console.print(self.table())

    def begin(self, run_id: str) -> None:
        """Marks a run as running."""
        self._states[run_id] = "running"
        if not console.is_terminal:
            console.print(f"[bold]{run_id}[/]")

    def end(self, outcome: Outcome) -> None:
        """Shows the outcome of a run."""
        self._states[outcome.run_id] = outcome

    def table(self) -> Table:
        """Returns the current table."""
        table = Table("run", "status", "test accuracy", "minutes")
        for run_id, state in self._states.items():
            if isinstance(state, str):
                table.add_row(run_id, state, "", "", style="dim" if state == WAITING else "bold")
                continue
            accuracy = "" if state.accuracy is None else f"{state.accuracy:.2%}"
            style = "red" if state.failed else None
            minutes = f"{state.minutes:.1f}"
            table.add_row(run_id, escape(state.status), accuracy, minutes, style=style)
        return table


def show_plan(plan: TimePlan, runs: Mapping[str, PlannableRun]) -> None:
    """Prints a plan with the measured speeds that it rests on.

    Args:
        plan: The plan.
        runs: Runs of the plan, by run id.
    """
    table = Table("run", "images/s", "validation images/s", "peak memory", "epochs", "time")
    for planned in plan.runs:
        run = runs[planned.run_id]
        if not run.epochs:
            table.add_row(run.run_id, "", "", "", "", "")
            continue
        speed = run.speed
        table.add_row(
            run.run_id,
            f"{speed.training:,.0f}",
            f"{speed.prediction:,.0f}",
            speed.peak_memory,
            f"{planned.epochs} of {planned.of_epochs}",
            duration(planned.seconds),
        )
    for run_id, reason in plan.left_out.items():
        table.add_row(run_id, "", "", "", "left out", escape(reason), style="dim")
    console.print(table)
    console.print(f"planned: {duration(plan.seconds)}")
