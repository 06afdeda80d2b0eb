"""Prints what a transfer did."""

from collections import Counter
from typing import TYPE_CHECKING

from rich.table import Table

from training.terminal.progress import console

if TYPE_CHECKING:
    from training.jobs.transfer import Transferred

_SHOWN = 8


def print_transfer(result: "Transferred") -> None:
    """Prints classes, pictures without a face, accuracies, and where the result is."""
    for note in result.notes:
        _line(note)
    _classes(result)
    _faces(result)
    for run_id, reason in result.left_out.items():
        _line(f"{run_id} is left out: {reason}")
    info = result.benchmark.info()
    table = Table("run", "accuracy", "95% interval", "macro-recall")
    ranked = sorted(result.reports.items(), key=lambda item: -item[1].test.accuracy.value)
    for run_id, report in ranked if info.labelled else ():
        accuracy = report.test.accuracy
        table.add_row(
            run_id,
            f"{accuracy.value:.1%}",
            f"{accuracy.low:.1%} to {accuracy.high:.1%}",
            f"{report.test.macro_recall.value:.1%}",
        )
    if info.labelled:
        console.print(table)
    else:
        _line(
            f"{len(result.reports)} runs predicted the pictures. None has a label, so no run is "
            "scored."
        )
    if (absent := result.shift.missing_classes) and info.labelled:
        _line(
            f"No labelled face is {', '.join(absent)}. Predictions of classes that the set lacks "
            "count as wrong here; the page Your faces also shows accuracy without them."
        )
    _line(result.shift.sentence)
    if not result.shift.trusted:
        _line(f"Estimates without labels cannot be trusted here: {result.shift.reasons[0]}")
    _line(
        f"{info.labelled:,} of {info.labelled + info.unlabelled:,} faces have a label. "
        f"The set is {info.name}: open the page Your faces, or pass --benchmark {info.name}."
    )


def _classes(result: "Transferred") -> None:
    if not result.classes:
        return
    table = Table("class of the set", "pictures", "class of the benchmark")
    for name, target in sorted(result.classes.items()):
        table.add_row(name, f"{result.counts.get(name, 0):,}", target or "left out")
    console.print(table)


def _faces(result: "Transferred") -> None:
    faces = result.faces
    _line(
        f"{len(faces.images):,} faces; {faces.whole:,} pictures were taken whole; "
        f"{len(faces.skipped):,} pictures could not be used."
    )
    reasons = Counter(faces.skipped.values())
    for key, reason in list(faces.skipped.items())[:_SHOWN]:
        _line(f"  {key}: {reason}")
    if len(faces.skipped) > _SHOWN:
        more = len(faces.skipped) - _SHOWN
        _line(f"  and {more:,} more ({len(reasons)} reasons); all are in benchmark.json.")
    if faces.further:
        _line(f"{faces.further:,} further faces were not used; --all-faces uses them.")


def _line(text: str) -> None:
    console.print(text, markup=False, soft_wrap=True)
