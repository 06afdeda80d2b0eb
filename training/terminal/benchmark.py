"""Many trainings in one table."""

from collections.abc import Sequence

from rich.console import Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from training.outcome import Outcome
from training.terminal.progress import TrainingBar, console


class BenchmarkBoard:
    """Many trainings in one table: what is done, what runs, what waits; below it the bar.

    The table stays on the screen when all is over. Without a terminal it is printed then, and the
    bar's lines before.

    Args:
        run_ids: In the order in which they are trained.
    """

    def __init__(self, run_ids: Sequence[str]) -> None:
        self._states: dict[str, Outcome | str] = dict.fromkeys(run_ids, "waits")
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
        """Marks a run as the one under way."""
        self._states[run_id] = "is under way"
        if not console.is_terminal:
            console.print(f"[bold]{run_id}[/]")

    def end(self, outcome: Outcome) -> None:
        """Notes what became of a run."""
        self._states[outcome.run_id] = outcome

    def table(self) -> Table:
        """Returns the table as it stands."""
        table = Table("run", "outcome", "test accuracy", "minutes")
        for run_id, state in self._states.items():
            if isinstance(state, str):
                table.add_row(run_id, state, "", "", style="bold" if state != "waits" else "dim")
                continue
            accuracy = "" if state.accuracy is None else f"{state.accuracy:.2%}"
            style = "red" if state.failed else None
            minutes = f"{state.minutes:.1f}"
            table.add_row(run_id, escape(state.status), accuracy, minutes, style=style)
        return table
