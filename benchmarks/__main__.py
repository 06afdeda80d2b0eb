"""Runs the requested measurements and prints one table."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks import (
    accuracy_estimates,
    clicks,
    dashboard,
    detection,
    faces,
    gpu_training,
    input_pipeline,
    labels,
    leaks,
    levelling,
    memory,
    preparation,
    scale,
    service,
    start,
    training_speed,
    transfers,
    users,
    zoo,
)
from benchmarks.result import Result
from fer_core.provenance import hardware, versions

MEASURES = {
    "pipeline": input_pipeline.measure,
    "prepare": preparation.measure,
    "leaks": leaks.measure,
    "training": training_speed.measure,
    "gpu": gpu_training.measure,
    "memory": memory.measure,
    "dashboard": dashboard.measure,
    "clicks": clicks.measure,
    "scale": scale.measure,
    "users": users.measure,
    "start": start.measure,
    "service": service.measure,
    "detection": detection.measure,
    "faces": faces.measure,
    "zoo": zoo.measure,
    "transfer": transfers.measure,
    "estimates": accuracy_estimates.measure,
    "labels": labels.measure,
    "levelling": levelling.measure,
}


def main(
    only: Annotated[
        list[str] | None, typer.Option(help=f"One of {', '.join(MEASURES)}; may be repeated.")
    ] = None,
    samples: Annotated[
        int, typer.Option(min=1000, help="Test samples of the benchmark of `scale`.")
    ] = 300_000,
    runs: Annotated[int, typer.Option(min=2, help="Runs of the benchmark of `scale`.")] = 12,
) -> None:
    """Measure speed, memory and face detection; print each figure with its target."""
    unknown = sorted(set(only or []) - set(MEASURES))
    if unknown:
        raise typer.BadParameter(f"unknown: {', '.join(unknown)}; known: {', '.join(MEASURES)}")
    table = Table("what", "measured", "against", "target", "reached")
    for name, measure in MEASURES.items():
        if not only or name in only:
            measured = scale.measure(samples, runs) if measure is scale.measure else measure()
            for result in measured:
                table.add_row(*_row(result))
    console = Console()
    console.print(table)
    facts = hardware("cpu") | versions()
    console.print(", ".join(f"{key} {value}" for key, value in facts.items()))


def _row(result: Result) -> tuple[str, ...]:
    reached = "" if result.reached is None else ("yes" if result.reached else "NO")
    return (result.what, result.value, result.against, result.target, reached)


if __name__ == "__main__":
    typer.run(main)
