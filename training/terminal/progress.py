"""Progress bars on the terminal."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

if TYPE_CHECKING:
    from fer_core.engine.callbacks import EpochRecord, StepMetrics

console = Console()
LOG_SECONDS = 20
"""Between two lines on the progress of long work in a log file."""


def show_progress(items: Iterable[Any], length: int, title: str) -> Iterator[Any]:
    """Yields the items and shows a progress bar.

    Without a terminal, such as in a log file, it prints a line every `LOG_SECONDS` instead.
    """
    with _bar() as bar:
        task, printed = bar.add_task(title, total=length), monotonic()
        for done, item in enumerate(items, start=1):
            yield item
            bar.advance(task)
            if not console.is_terminal and monotonic() - printed >= LOG_SECONDS:
                console.print(f"{title}: {done:,} of {length:,}", markup=False, highlight=False)
                printed = monotonic()


class TrainingBar:
    """Shows a training: a progress bar per epoch and a line after each validation.

    Without a terminal, such as in a log file, it prints a line every `LOG_STEPS` steps instead.

    Args:
        visible: Whether anything is shown.
        live: Whether the bar draws itself; False if the caller renders `progress`.
    """

    LOG_STEPS = 25

    def __init__(self, *, visible: bool = True, live: bool = True) -> None:
        self._visible, self._live = visible, live
        self.progress = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]:.3f}  accuracy {task.fields[accuracy]:.1%}"),
            TextColumn("{task.fields[speed]:.0f} images/s  {task.fields[left]} left"),
            console=console,
            disable=not (visible and console.is_terminal),
        )
        self._task: Any = None

    def __enter__(self) -> "TrainingBar":
        if self._live:
            self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self.progress.stop()
        if self._task is not None:
            self.progress.remove_task(self._task)
            self._task = None

    def on_step(self, metrics: "StepMetrics") -> None:
        """Updates the bar."""
        fields: dict[str, Any] = {
            "epoch": f"{metrics.epoch}/{metrics.epochs}",
            "loss": metrics.loss,
            "accuracy": metrics.accuracy,
            "speed": metrics.images_per_second,
            "left": duration(metrics.seconds_left),
        }
        if self._task is None:
            self._task = self.progress.add_task("", total=metrics.steps, **fields)
        self.progress.update(self._task, completed=metrics.step, total=metrics.steps, **fields)
        if self._visible and not console.is_terminal and metrics.step % self.LOG_STEPS == 0:
            console.print(
                f"epoch {fields['epoch']} step {metrics.step}/{metrics.steps} "
                f"loss {metrics.loss:.3f} accuracy {metrics.accuracy:.1%} "
                f"{metrics.images_per_second:.0f} images/s {fields['left']} left"
            )

    def on_epoch(self, record: "EpochRecord") -> None:
        """Prints the epoch's validation metrics."""
        if self._visible:
            console.print(
                f"epoch {record.epoch}: validation accuracy {record.accuracy:.2%}, "
                f"macro-recall {record.macro_recall:.2%}, log loss {record.log_loss:.3f}, "
                f"{record.images_per_second:.0f} images/s at {record.image_size} px"
            )


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )


def duration(seconds: float) -> str:
    """Formats seconds as hours, minutes and seconds."""
    return str(timedelta(seconds=round(seconds)))
