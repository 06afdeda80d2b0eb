"""Tables of runs that differ in a few parameters."""

from collections.abc import Mapping, Sequence

import numpy as np
from rich.markup import escape
from rich.table import Table

from fer_core.artifacts import RunDir
from fer_core.evaluation.report import Report
from fer_core.evaluation.variants import Effect, differing_parameters
from training.terminal.progress import console


def print_variants(runs: Sequence[RunDir]) -> None:
    """Prints what differs between finished runs, and their results as means over seeds.

    Args:
        runs: Runs of one grid; those that are not finished are left out.
    """
    finished = [run for run in runs if run.info_path.is_file()]
    recipes = {run.run_id: run.info().recipe for run in finished}
    columns = differing_parameters(recipes)
    if not columns:
        console.print("The finished runs do not differ in any parameter.")
        return
    groups: dict[tuple[str, ...], list[RunDir]] = {}
    for run in finished:
        values = tuple(column.get(run.run_id, "") for column in columns.values())
        groups.setdefault(values, []).append(run)
    table = Table(*columns, "runs", *RESULTS, title="results by value (mean over seeds)")
    for values, members in groups.items():
        reports = [Report.read(run.report_path) for run in members]
        table.add_row(*map(escape, values), str(len(members)), *_results(reports))
    console.print(table)
    console.print("± is the standard deviation over seeds. Choose by validation, not by test.")


_NO_INTERVAL = "–"  # noqa: RUF001 (the dash that tables use for a missing value)

RESULTS = ("validation accuracy", "validation macro-recall", "test accuracy", "test macro-recall")
"""Columns of results."""


def _results(reports: Sequence[Report]) -> list[str]:
    return [
        _spread([getattr(getattr(report, split), metric).value for report in reports])
        for split in ("validation", "test")
        for metric in ("accuracy", "macro_recall")
    ]


def _spread(values: Sequence[float]) -> str:
    spread = f" ± {100 * np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
    return f"{100 * np.mean(values):.1f}{spread}%"


def print_effects(
    key: str, groups: Mapping[str, Sequence[str]], rows: Sequence[Effect], split: str
) -> None:
    """Prints the effect of a parameter on accuracy and on each class.

    Args:
        key: The parameter, such as `loss.class_weights`.
        groups: Run ids by its value: first those without, then those with the change.
        rows: Result of `fer_core.evaluation.variants.effects`.
        split: `validation` or `test`.
    """
    before, after = groups
    for value, run_ids in groups.items():
        console.print(f"{key}={value}: {', '.join(run_ids)}", markup=False)
    table = Table("metric", "images", before, after, "difference", "95%", title=f"{key} on {split}")
    for row in rows:
        change = row.difference
        sure = change.low < change.high and (change.low > 0 or change.high < 0)
        table.add_row(
            row.metric if row.metric in ("accuracy", "macro-recall") else f"recall of {row.metric}",
            f"{row.samples:,}",
            f"{row.before:.1%}",
            f"{row.after:.1%}",
            f"{100 * change.value:+.1f}",
            _NO_INTERVAL
            if change.low == change.high
            else f"{100 * change.low:+.1f} to {100 * change.high:+.1f}",
            style="bold" if sure else None,
        )
    console.print(table)
    console.print(
        "Intervals: bootstrap over images and seeds, in percentage points. Bold: the interval "
        "excludes 0."
    )
    if any(row.difference.low == row.difference.high for row in rows):
        console.print(
            f"{_NO_INTERVAL}: all resamples are equal, such as for a recall of 0% on both sides; a "
            "bootstrap then says nothing about other images."
        )
    if min(map(len, groups.values())) < 2:
        console.print(
            "With one seed the interval holds for these networks; another seed may differ more."
        )
