"""Prints what a transfer did."""

from collections import Counter
from typing import TYPE_CHECKING

from rich.table import Table

from fer_core.evaluation.estimate_trust import LABELS_ENOUGH
from fer_core.evaluation.report import Estimate
from fer_core.evaluation.transfers import person_accuracy
from training.terminal.progress import console

if TYPE_CHECKING:
    from training.jobs.transfer import Transferred

_SHOWN = 8
_SHOWN_PERSONS = 12


def print_transfer(result: "Transferred") -> None:
    """Prints classes, pictures without a face, accuracies, and where the result is."""
    for note in result.notes:
        _line(note)
    _classes(result)
    _faces(result)
    for run_id, reason in result.left_out.items():
        _line(f"{run_id} is left out: {reason}")
    info = result.benchmark.info()
    if info.labelled:
        _accuracies(result)
        _persons(result)
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
    for sentence in result.shift.contradicted_shares:
        _line(sentence)
    if not result.shift.trusted:
        _line(f"Estimates without labels cannot be trusted here: {result.shift.reasons[0]}")
        _line(LABELS_ENOUGH)
    _line(
        f"{info.labelled:,} of {info.labelled + info.unlabelled:,} faces have a label. "
        f"The set is {info.name}: open the page Your faces, or pass --benchmark {info.name}."
    )


def _accuracies(result: "Transferred") -> None:
    """Prints each run's accuracy, with the interval that the page Your faces shows."""
    shown: dict[str, Estimate] = {
        run_id: report.test.accuracy for run_id, report in result.reports.items()
    }
    shown |= {run.run_id: run.accuracy for run in result.shift.runs if run.accuracy is not None}
    table = Table("run", "accuracy", "95% interval", "macro-recall")
    for run_id, report in sorted(
        result.reports.items(), key=lambda item: -item[1].test.accuracy.value
    ):
        accuracy = shown[run_id]
        table.add_row(
            run_id,
            f"{accuracy.value:.1%}",
            f"{accuracy.low:.1%} to {accuracy.high:.1%}",
            f"{report.test.macro_recall.value:.1%}",
        )
    console.print(table)


def _persons(result: "Transferred") -> None:
    """Prints accuracy by person, of the run that is best on the benchmark's validation split."""
    reports = result.reports
    run_id = max(reports, key=lambda name: reports[name].validation.accuracy.value)
    found = person_accuracy(result.benchmark, run_id)
    if found is None:
        return
    table = Table("person", "labelled faces", "right", "accuracy", "95% interval")
    for row in found.table.head(_SHOWN_PERSONS).itertuples():
        table.add_row(
            str(row.person), f"{row.images:,}", f"{row.right:,}", f"{row.accuracy:.0%}",
            f"{row.low:.0%} to {row.high:.0%}",
        )  # fmt: skip
    _line(f"{run_id} by person. {found.text}")
    console.print(table)
    if (more := len(found.table) - _SHOWN_PERSONS) > 0:
        _line(f"{more:,} more persons are on the page Your faces.")


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
        f"{len(faces.images):,} faces. Pictures used whole, as cropped faces: {faces.whole:,}; "
        f"pictures that could not be used: {len(faces.skipped):,}."
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
