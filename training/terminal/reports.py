"""Tables and summaries that commands print."""

from collections.abc import Callable, Iterable, Sequence

import pandas as pd
import typer
from rich.markup import escape
from rich.table import Table

from fer_core.artifacts import RunDir
from fer_core.errors import FerscopeError
from fer_core.evaluation.corrected_labels import LabelComparison
from fer_core.evaluation.leaderboard import Entry
from fer_core.evaluation.regression import RegressionReport
from fer_core.evaluation.report import Estimate, Report, SplitMetrics
from fer_core.explain.tables import METRICS
from fer_core.figures.tables import reading_note, reading_table
from training.terminal.progress import console, duration


def print_report(run: RunDir) -> None:
    """Prints a finished run's main metrics with their protocol."""
    report = Report.read(run.report_path)
    protocol = report.protocol
    table = Table("split", "images", "accuracy", "macro-recall", "log loss", title=run.run_id)
    for name in ("validation", "test", "test_leak_free"):
        metrics: SplitMetrics | None = getattr(report, name)
        if metrics is None:  # every test image is a leak
            continue
        table.add_row(
            name.replace("_", " "),
            str(metrics.samples),
            _estimate(metrics.accuracy),
            _estimate(metrics.macro_recall),
            f"{metrics.log_loss:.3f}",
        )
    console.print(table)
    if run.regression_report_path.is_file():
        _print_regression(RegressionReport.read(run.regression_report_path))
    recalls = ", ".join(
        f"{row.label} {row.recall.value:.0%}" for row in report.test.classes if row.recall
    )
    console.print(f"test recall: {recalls}")
    info = run.info()
    if info.epochs:
        speed = float(run.history()["images_per_second"].median())
        console.print(
            f"trained in {duration(info.wall_seconds)}: {info.epochs} epochs, best epoch "
            f"{info.best_epoch}; {speed:.0f} images/s; peak memory "
            f"{info.hardware.get('peak memory', 'unknown')}"
        )
    console.print(
        f"split {protocol.split_hash}, init {protocol.init}, seed {protocol.seed}, "
        f"{'with' if protocol.test_time_augmentation else 'no'} test-time augmentation"
    )


def print_each_run(runs: Iterable[RunDir], line: Callable[[RunDir], str]) -> None:
    """Prints a line about each run, or why it failed: a damaged run does not stop the others.

    Args:
        runs: The runs.
        line: Measures a run and returns what is printed after its id.

    Raises:
        typer.Exit: With status 1 after the last run, if one failed.
    """
    failed = False
    for run in runs:
        try:
            text = line(run)
        except FerscopeError as error:
            failed, text = True, str(error)
        console.print(f"{run.run_id}: {text}", markup=False)
    if failed:
        raise typer.Exit(1)


def print_ranking(run_id: str, table: pd.DataFrame, faithful: Sequence[str]) -> None:
    """Prints each saliency method's faithfulness, and which methods beat both baselines.

    Args:
        run_id: The run.
        table: Result of `fer_core.explain.tables.rank_methods`.
        faithful: Methods that beat both baselines in deletion and insertion.
    """
    shown = Table("method", *METRICS.values(), title=run_id)
    shown.columns[0].no_wrap = True
    for method, rows in table.groupby("method", sort=False):
        values = rows.set_index("metric")["value"]
        cells = [f"{values[metric]:.3f}" if metric in values else "" for metric in METRICS]
        shown.add_row(str(method), *cells, style="green" if method in faithful else None)
    console.print(shown)
    console.print(
        f"Better than both baselines in deletion and insertion: {', '.join(faithful) or 'none'}."
    )


def print_test_readings(entries: Sequence[Entry]) -> None:
    """Prints how often test was read in the lineage of each run, and what that means."""
    if not entries:
        console.print("There is no finished run.")
        return
    rows = reading_table(entries)
    table = Table(*rows.columns, title="test readings")
    for row in rows.itertuples(index=False):
        table.add_row(*(escape(str(cell)) for cell in row))
    console.print(table)
    console.print(reading_note(entries), markup=False)


def print_label_comparison(comparison: LabelComparison) -> None:
    """Prints the accuracy of every run under the given and the corrected test labels."""
    table = Table(
        "model",
        "trained on",
        f"{comparison.base} ({comparison.base_images:,} images)",
        f"{comparison.corrected} ({comparison.corrected_images:,} images)",
        title="test accuracy",
    )
    for row in comparison.runs:
        cells = (
            "" if estimate is None else _estimate(estimate)
            for estimate in (row.base_accuracy, row.corrected_accuracy)
        )
        table.add_row(escape(row.title), row.benchmark, *cells)
    console.print(table)
    for warning in comparison.warnings:
        console.print(f"skipped: {warning}", markup=False)
    console.print(
        f"The corrections change {comparison.relabelled:,} test labels and remove "
        f"{comparison.removed:,} test images. Scores under the corrected labels are too high for "
        "models that helped to propose them."
    )


def _print_regression(report: RegressionReport) -> None:
    for name, target in report.targets.items():
        table = Table(
            "regression",
            "count",
            "MAE",
            "RMSE",
            "concordance",
            "MAE of the training mean",
            title=escape(name),
        )
        for split, kind, metrics in target.rows():
            table.add_row(
                f"{split}, {kind}",
                str(metrics.count),
                _plain(metrics.mae),
                _plain(metrics.rmse),
                "" if metrics.concordance is None else _plain(metrics.concordance),
                f"{metrics.mae_of_mean:.3f}",
            )
        console.print(table)


def _plain(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]".replace("[", r"\[")


def _estimate(estimate: Estimate) -> str:
    return f"{estimate.value:.2%} [{estimate.low:.2%}, {estimate.high:.2%}]".replace("[", r"\[")
