"""Progress on the terminal."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from fer_core.engine.callbacks import EpochRecord, StepMetrics

console = Console()


def show_progress(items: Iterable[Any], length: int, title: str) -> Iterator[Any]:
    """Gives the items on, with a bar."""
    with _bar() as bar:
        task = bar.add_task(title, total=length)
        for item in items:
            yield item
            bar.advance(task)


class TrainingBar:
    """Shows a training: one bar an epoch, one line when it is over.

    Where there is no terminal (a log file), a line every `LOG_STEPS` steps instead.

    Args:
        visible: Nothing is shown otherwise.
        live: Whether it draws itself; a board that shows `progress` in its own place says no.
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

    def on_step(self, news: StepMetrics) -> None:
        """Moves the bar."""
        fields: dict[str, Any] = {
            "epoch": f"{news.epoch}/{news.epochs}",
            "loss": news.loss,
            "accuracy": news.accuracy,
            "speed": news.images_per_second,
            "left": duration(news.seconds_left),
        }
        if self._task is None:
            self._task = self.progress.add_task("", total=news.steps, **fields)
        self.progress.update(self._task, completed=news.step, total=news.steps, **fields)
        if self._visible and not console.is_terminal and news.step % self.LOG_STEPS == 0:
            console.print(
                f"epoch {fields['epoch']} step {news.step}/{news.steps} loss {news.loss:.3f} "
                f"accuracy {news.accuracy:.1%} {news.images_per_second:.0f} images/s "
                f"{fields['left']} left"
            )

    def on_epoch(self, record: EpochRecord) -> None:
        """Prints the epoch's validation."""
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
    """Returns a time as people read it: hours, minutes, seconds."""
    return str(timedelta(seconds=round(seconds)))
