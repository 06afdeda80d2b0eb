"""Writing and printing the predictions of files."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from rich.markup import escape
from rich.table import Table

from fer_core.csv_text import csv_text
from fer_core.evaluation.regression import CAVEAT
from fer_core.files import write_text
from fer_core.predictor.table import NO_FACE
from fer_core.tables import write_table
from training.jobs.predict import Tally
from training.terminal.preparation import MOST_SKIPPED
from training.terminal.progress import console

UNSURE = "unsure"

MOST_LINES = 12
"""Largest number of lines of a video's timeline."""

MOST_VIDEOS = 5
"""Largest number of videos whose timeline is printed."""


def write_predictions(path: Path, table: pd.DataFrame) -> None:
    """Writes a table atomically, as parquet or csv by the path's suffix."""
    if path.suffix.lower() == ".parquet":
        write_table(path, table)
        return
    write_text(path, csv_text(table, "%.6g"))


def write_skipped(path: Path, skipped: Mapping[str, str]) -> Path | None:
    """Writes the list of skipped files beside the table if it is too long for the screen.

    Returns:
        The list's path; None if the screen shows all of it.
    """
    if len(skipped) <= MOST_SKIPPED:
        return None
    list_path = path.with_suffix(".skipped.csv")
    rows = pd.DataFrame({"file": list(skipped), "reason": list(skipped.values())})
    write_text(list_path, csv_text(rows))
    return list_path


def timeline(table: pd.DataFrame, lines: int = MOST_LINES) -> pd.DataFrame:
    """Summarises a video in spans of equal length.

    Args:
        table: The rows of one video.
        lines: Largest number of spans.

    Returns:
        `start` and `end` in seconds, and for each run the most frequent prediction of the span
        with its share, such as "happy 80%", or "no face". Smoothed predictions are used if there
        are any.
    """
    seconds = table["seconds"].to_numpy(dtype=np.float64)
    first, last = float(seconds.min()), float(seconds.max())
    moments = len(np.unique(seconds))
    edges = np.linspace(first, last, min(lines, moments) + 1)
    span = np.clip(np.searchsorted(edges, seconds, side="right") - 1, 0, len(edges) - 2)
    column = "smoothed_answer" if "smoothed_answer" in table else "answer"
    has_face = table["confidence"].notna() if "confidence" in table else table["run"].notna()
    rows = []
    for number in range(len(edges) - 1):
        row: dict[str, object] = {"start": edges[number], "end": edges[number + 1]}
        for run in table["run"].unique():
            selected = (span == number) & (table["run"] == run) & has_face
            predicted = table.loc[selected, column].fillna(UNSURE)
            counts = predicted.value_counts()
            share = counts.max() / len(predicted) if len(predicted) else 0.0
            row[run] = f"{counts.index[0]} {share:.0%}" if len(predicted) else "no face"
        rows.append(row)
    return pd.DataFrame(rows)


def print_tally(tally: Tally) -> None:
    """Prints counts by class and run, timelines of videos, and skipped files."""
    table = tally.table[tally.table["confidence"].notna()]
    names = [column.removeprefix("p_") for column in table.columns if column.startswith("p_")]
    predicted = table["answer"].fillna(UNSURE)
    classes = [*names, UNSURE] if (predicted == UNSURE).any() else names
    counts = pd.crosstab(table["run"], predicted)
    shown = Table("run", *map(escape, classes), title="faces by prediction")
    for run, row in counts.iterrows():
        shown.add_row(escape(str(run)), *(f"{int(row.get(name, 0)):,}" for name in classes))
    console.print(shown)
    _print_estimates(table)
    videos = tally.table[tally.table["seconds"].notna()]
    for number, (file, rows) in enumerate(videos.groupby("file", sort=False)):
        if number == MOST_VIDEOS:
            more = videos["file"].nunique() - MOST_VIDEOS
            console.print(f"... and {more} more videos; see the table")
            break
        _print_timeline(str(file), rows)
    console.print(f"{tally.pictures:,} images and {tally.frames:,} video frames")
    if tally.faceless_frames:
        console.print(f"{tally.faceless_frames:,} frames without a readable face")
    _print_files("without a face", tally.faceless)
    _print_files("treated as a cropped face", dict.fromkeys(tally.cropped, NO_FACE))
    _print_files("skipped", tally.skipped)


def _print_estimates(table: pd.DataFrame) -> None:
    """Prints the mean estimate of each run and target, and what an estimate is not."""
    ends = ("_low", "_high")
    columns = [name for name in table.columns if name.startswith("estimate_")]
    columns = [name for name in columns if not name.endswith(ends)]
    if not columns:
        return
    shown = Table("run", "target", "mean estimate", "mean half-width (90%)", title="estimates")
    for run, rows in table.groupby("run"):
        for name in columns:
            if rows[name].notna().any():
                half = (rows[f"{name}_high"] - rows[name]).mean()
                width = "unknown" if np.isnan(half) else f"{half:.3g}"
                target = escape(name.removeprefix("estimate_"))
                shown.add_row(escape(str(run)), target, f"{rows[name].mean():.3g}", width)
    console.print(shown)
    console.print(CAVEAT)


def _print_files(title: str, files: Mapping[str, str]) -> None:
    """Prints the first files of a kind, each with the reason."""
    for name, reason in list(files.items())[:MOST_SKIPPED]:
        console.print(f"{title} {name}: {reason}", markup=False)
    if (more := len(files) - MOST_SKIPPED) > 0:
        console.print(f"... and {more:,} more files {title}")


def _print_timeline(file: str, rows: pd.DataFrame) -> None:
    people = rows["face"].nunique()
    lines = timeline(rows)
    runs = [column for column in lines.columns if column not in ("start", "end")]
    shown = Table(
        "seconds", *map(escape, runs), title=escape(f"{file}, {people} face{'s'[: people > 1]}")
    )
    for _, line in lines.iterrows():
        span = f"{line['start']:.1f} to {line['end']:.1f}"
        shown.add_row(span, *(escape(str(line[run])) for run in runs))
    console.print(shown)
