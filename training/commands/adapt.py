"""The command that adapts a run to a transferred set."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fer_core.project import data_root
from training.options import Artifacts, Benchmark, Data, benchmark_dir

if TYPE_CHECKING:
    from training.jobs.adapt import Adapted


def adapt(
    benchmark: Benchmark,
    name: Annotated[str, typer.Argument(metavar="SET", help="Name of the transferred set.")],
    run: Annotated[str, typer.Option(help="Run id of a network.")],
    as_: Annotated[
        str, typer.Option("--as", help="Id of the adapted run.", show_default="RUN-adapted")
    ] = "",
    remedy: Annotated[
        Literal["recalibration", "prior shift", "linear head"] | None,
        typer.Option(
            help="Apply this remedy, also without a significant gain.",
            show_default="the best, if its gain is significant",
        ),
    ] = None,
    artifacts: Artifacts = None,
    data: Data = None,
) -> None:
    """Adapt a network to a transferred set from 50 or more labels.

    Compares three remedies by cross-fitting: recalibration (one temperature), prior shift (a
    temperature and one bias per class) and a linear head on frozen features. All copies of a
    picture, and all images of a person if the set names persons, are in one fold. Without a
    significant gain nothing is written.

        python -m training adapt ferplus photos --run efficientnet_lite1-cpu-s0
    """
    from fer_core.evaluation.adaptation import Remedy
    from training.jobs.adapt import adapt as adapt_run

    transferred = benchmark_dir(benchmark, artifacts).transfer(name)
    result = adapt_run(
        transferred, data or data_root(), run, as_, None if remedy is None else Remedy(remedy)
    )
    _print(result)


def _print(result: "Adapted") -> None:
    from rich.console import Console
    from rich.table import Table

    from fer_core.evaluation.adaptation import Gain

    def text(gain: Gain, scale: float, unit: str) -> str:
        low, high = scale * gain.low, scale * gain.high
        verdict = "significant" if gain.significant else "no gain"
        return f"{scale * gain.value:+.2f}{unit} ({low:+.2f} to {high:+.2f}): {verdict}"

    table = Table("remedy", "accuracy, points", "log loss, decrease")
    for item in result.judged:
        table.add_row(item.remedy, text(item.accuracy, 100, ""), text(item.log_loss, 1, ""))
    console = Console()
    console.print(f"{result.labels} labels of {result.groups} persons or pictures, cross-fitted:")
    console.print(table)
    if result.run is None:
        console.print("No remedy helps significantly, so the run stays as it is.")
    else:
        console.print(f"{result.applied} applied: {result.run.root}")
