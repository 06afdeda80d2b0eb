"""Output of `prepare`: how the data were recognised and used.

A dry run is over in a second, so nothing heavy is imported here.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from fer_core.artifacts import CARD
from training.terminal.progress import console

if TYPE_CHECKING:
    from fer_core.artifacts import BenchmarkDir
    from fer_core.data.prepared import PreparedDataset
    from fer_core.data.preview import SourcePreview

MOST_SKIPPED = 20
"""Largest number of unreadable files listed on the terminal."""


def print_previews(previews: Sequence["SourcePreview"], *, full: bool) -> None:
    """Prints what would be read, and how that is known.

    Args:
        previews: One for each source.
        full: Whether examples and skipped files are printed as well.
    """
    for preview in previews:
        console.print(
            f"{preview.title}: read as {preview.form}, because {preview.reason}.",
            markup=False,
            soft_wrap=True,
        )
        for note in preview.notes:
            console.print(f"  {note}", markup=False, soft_wrap=True)
        console.print(_preview_table(preview))
        if preview.groups:
            console.print(f"  {preview.groups:,} groups; each stays in one split")
        for reason, count in preview.left_out.items():
            console.print(f"  {count:,} left out: {reason}", markup=False, soft_wrap=True)
        if preview.skipped:
            console.print(f"  {len(preview.skipped):,} skipped")
        if full:
            _print_details(preview)


def _preview_table(preview: "SourcePreview") -> Table:
    table = Table("class", *preview.splits, "all")
    for label, counts in preview.counts.items():
        numbers = [counts.get(split, 0) for split in preview.splits]
        table.add_row(escape(label), *(f"{number:,}" for number in (*numbers, sum(numbers))))
    return table


def _print_details(preview: "SourcePreview") -> None:
    for label, keys in preview.examples.items():
        console.print(f"  {label}: {', '.join(keys)}", markup=False, soft_wrap=True)
    for key, reason in list(preview.skipped.items())[:MOST_SKIPPED]:
        console.print(f"  skipped {key}: {reason}", markup=False, soft_wrap=True)
    if (more := len(preview.skipped) - MOST_SKIPPED) > 0:
        console.print(f"  ... and {more:,} more skipped")


def print_preparation(dataset: "PreparedDataset", benchmark: "BenchmarkDir") -> None:
    """Prints the counts of a prepared dataset, and what was left out and why."""
    from fer_core.data.card import DatasetCard

    info, card = dataset.info, DatasetCard.read(dataset.folder / CARD)
    table = Table("split", *info.labels, "all", title=escape(info.title))
    for split, counts in info.counts.items():
        numbers = [*counts.values(), sum(counts.values())]
        table.add_row(split, *(f"{number:,}" for number in numbers))
    console.print(table)
    for note in card.notes:
        console.print(note, markup=False, soft_wrap=True)
    for source in card.sources:
        for reason, count in {**source.excluded, **source.left_out}.items():
            console.print(f"{source.name}: {count:,} excluded: {reason}", markup=False)
    for key, reason in list(info.skipped.items())[:MOST_SKIPPED]:
        console.print(f"skipped {key}: {reason}", markup=False)
    if (more := len(info.skipped) - MOST_SKIPPED) > 0:
        console.print(f"... and {more:,} more files; see {CARD}")
    console.print(
        f"{card.near.groups:,} groups of duplicates with {card.near.extra:,} extra copies, "
        f"{card.near.conflicting_groups:,} of them with two labels"
    )
    console.print(f"split hash {info.split_hash}; {info.leaked_test:,} test images are leaks")
    console.print(f"card: {benchmark.card_text_path}", markup=False, soft_wrap=True)
