"""The dataset card: content, sources, and excluded images with reasons."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from fer_core.data import quality, splits
from fer_core.data.leaks import leaks_by_kind
from fer_core.data.outliers import outliers
from fer_core.data.sources.base import SPLITS
from fer_core.data.transformed_copies.summary import CopiesCard, copies_text
from fer_core.records import BenchmarkInfo, Record

_MARKDOWN = re.compile(r"([\[\]<>|`!\\])")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SourceCard(_Frozen):
    """One source.

    Attributes:
        name: Prefix of sample ids.
        stored: Images that were read and stored.
        used: Used images by split.
        excluded: Stored images that are excluded, by reason.
        left_out: Images that were not stored, by reason.
    """

    name: str
    title: str
    licence: str
    reference: str
    stored: int
    used: Mapping[str, int]
    excluded: Mapping[str, int]
    left_out: Mapping[str, int]


class Copies(_Frozen):
    """Duplicates among the stored images.

    Attributes:
        groups: Number of duplicate groups.
        extra: Images beyond the first of each group.
        largest: Size of the largest group.
        conflicting_groups: Groups with more than one label.
        conflicting_images: Images in these groups.
        across: Images of a split with a copy in another one, in the sources' splits:
            `test in train`, `test in validation`, `validation in train`, `test in either`.
    """

    groups: int
    extra: int
    largest: int
    conflicting_groups: int
    conflicting_images: int
    across: Mapping[str, int]


class DatasetCard(Record):
    """`card.json`.

    Attributes:
        exact: Exact copies.
        near: Exact or near copies (correlation of 16 x 16 means of at least 0.99), and transformed
            copies if they were removed.
        outliers: Samples with extreme values, by reason; they are kept.
        class_weights: Inverse class frequencies in train, scaled to mean 1 over the images.
        explained: Explained variance of the two map axes, as shares.
        plan: The options of `prepare`, without local folders.
        notes: Assumptions of the readers, drawn splits, and small classes.
        groups: Number of groups (a person, or an original with its augmented copies) that are never
            divided between splits; 0 if none are known.
        transformed: Transformed copies; None if none were searched for.
        leaked_test: Scored test images that are leaks (see `fer_core.data.leaks`).
        leaks: Number of these images by the closest kind of copy; empty in earlier cards.
    """

    name: str
    title: str
    split_hash: str
    protocol: str
    side: int
    colour: bool
    counts: Mapping[str, Mapping[str, int]]
    class_weights: Mapping[str, float]
    sources: tuple[SourceCard, ...]
    skipped: Mapping[str, str]
    relabelled: int
    exact: Copies
    near: Copies
    leaked_test: int
    outliers: Mapping[str, int]
    explained: tuple[float, ...]
    plan: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    groups: int = 0
    transformed: CopiesCard | None = None
    leaks: Mapping[str, int] = {}

    @property
    def kinds_in_groups(self) -> str:
        """Which copies the duplicate groups contain, and `near` counts."""
        joined = self.transformed is not None and self.transformed.removed
        return "exact, near or transformed" if joined else "exact or near"


@dataclass(frozen=True)
class Preparation:
    """Results of `prepare` for the card.

    Attributes:
        left_out: Number of images that were not stored, by source and reason.
        relabelled: Number of labels that a relabel list changed.
        explained: Share of the variance on the axes of the map.
        notes: Assumptions of the readers and choices of the split.
        plan: The options of `prepare`.
        transformed: Counts of transformed copies, if they were searched for.
        pairs: The transformed copies, likewise.
    """

    left_out: Mapping[str, Mapping[str, int]]
    relabelled: int
    explained: NDArray[np.float64]
    notes: tuple[str, ...]
    plan: Mapping[str, Any]
    transformed: CopiesCard | None = None
    pairs: pd.DataFrame | None = None


def build_card(
    info: BenchmarkInfo,
    samples: pd.DataFrame,
    preparation: Preparation,
) -> DatasetCard:
    """Builds the card of a dataset.

    Args:
        info: The dataset's `benchmark.json`.
        samples: Samples of the dataset.
        preparation: Report of the preparation.
    """
    left_out = preparation.left_out
    reasons = outliers(samples)["reason"].value_counts()
    weights = splits.class_weights(info.counts["train"])
    return DatasetCard(
        name=info.name,
        title=info.title,
        split_hash=info.split_hash,
        protocol=info.protocol,
        side=info.side,
        colour=info.colour,
        counts=info.counts,
        class_weights={name: round(weight, 4) for name, weight in weights.items()},
        sources=tuple(
            _source(
                samples[samples["source"] == source.name], left_out[source.name], **vars(source)
            )
            for source in info.sources
        ),
        skipped=info.skipped,
        relabelled=preparation.relabelled,
        exact=_copies(samples, "exact_group"),
        near=_copies(samples, "duplicate_group"),
        leaked_test=info.leaked_test,
        outliers={str(reason): int(count) for reason, count in sorted(reasons.items())},
        explained=tuple(float(round(share, 4)) for share in preparation.explained[:2]),
        plan=preparation.plan,
        notes=preparation.notes,
        groups=int(samples["group"].nunique()) if "group" in samples.columns else 0,
        transformed=preparation.transformed,
        leaks=leaks_by_kind(samples, preparation.pairs),
    )


def card_text(card: DatasetCard) -> str:
    """Returns the card as Markdown; names are escaped, so they cannot add links or images."""
    lines = [
        f"# {_plain(card.title)}",
        "",
        f"Benchmark `{card.name}`, split hash `{card.split_hash}`. Images are stored as "
        f"{card.side} x {card.side} pixels, {'in colour' if card.colour else 'grey'}.",
        "",
        *_images_text(card),
        "## Sources",
        "",
        *(line for source in card.sources for line in _source_text(source)),
        *_notes_text(card),
        *_duplicates_text(card),
        *(copies_text(card.transformed) if card.transformed is not None else []),
        "## Outliers, which stay in the set",
        "",
        *([f"- {count:,} {reason}" for reason, count in card.outliers.items()] or ["None."]),
        "",
    ]
    if card.relabelled:
        lines += [f"{card.relabelled:,} labels were changed by a relabel list.", ""]
    if card.skipped:
        lines += [f"{len(card.skipped):,} files could not be read; `card.json` lists them.", ""]
    return "\n".join(lines)


def _images_text(card: DatasetCard) -> list[str]:
    labels = [_plain(label) for label in next(iter(card.counts.values()))]
    weights = (f"{_plain(name)} {weight:.2f}" for name, weight in card.class_weights.items())
    return [
        "## Images",
        "",
        *_table(
            ["split", *labels, "all"],
            [
                [split, *(f"{count:,}" for count in row.values()), f"{sum(row.values()):,}"]
                for split, row in card.counts.items()
            ],
        ),
        "",
        f"Class weights from the frequencies in train: {', '.join(weights)}.",
        "",
    ]


def _source_text(source: SourceCard) -> list[str]:
    used = ", ".join(f"{count:,} in {split}" for split, count in source.used.items())
    return [
        f"### {_plain(source.title)} (`{source.name}`)",
        "",
        f"- Licence: {_plain(source.licence)}",
        *([f"- Reference: {_plain(source.reference)}"] if source.reference else []),
        f"- {source.stored:,} images stored; taken: {used or 'none'}",
        *(f"- {count:,} excluded: {_plain(reason)}" for reason, count in source.excluded.items()),
        *(f"- {count:,} not stored: {_plain(reason)}" for reason, count in source.left_out.items()),
        "",
    ]


def _notes_text(card: DatasetCard) -> list[str]:
    persons = (
        f"{card.groups:,} groups named by the sources (a person, or a picture and its altered "
        "copies) stay in one split each."
        if card.groups
        else "The sources do not identify persons: pictures of one person may be in several splits."
    )
    return [
        "## How it was read and split",
        "",
        *(f"- {_plain(note)}" for note in card.notes),
        f"- {persons}",
        "",
    ]


def _duplicates_text(card: DatasetCard) -> list[str]:
    kinds = (card.exact, card.near)
    rows = {
        "groups": [copies.groups for copies in kinds],
        "extra copies": [copies.extra for copies in kinds],
        "largest group": [copies.largest for copies in kinds],
        "groups with two labels": [copies.conflicting_groups for copies in kinds],
        **{
            f"images of {where}": [copies.across[where] for copies in kinds]
            for where in card.exact.across
        },
    }
    return [
        "## Duplicates and leaks",
        "",
        *_table(
            ["", "exact", card.kinds_in_groups],
            [[name, *(f"{count:,}" for count in counts)] for name, counts in rows.items()],
        ),
        "",
        "These rows count all stored images, including excluded ones, by the splits of the "
        f"sources, before leaks were closed. {card.protocol}",
        "",
        _leaks_text(card),
        "",
    ]


def _leaks_text(card: DatasetCard) -> str:
    scored = sum(card.counts["test"].values())
    text = (
        f"**Test images with a copy: {card.leaked_test:,}** of the {scored:,} that are scored have "
        "one in the original train or validation"
    )
    if card.leaks:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in card.leaks.items())
        text += f" (the closest one counts: {kinds})"
    return text + ". The leak-free score leaves them out."


def _plain(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", text)


def _source(samples: pd.DataFrame, left_out: Mapping[str, int], **facts: str) -> SourceCard:
    used, excluded = samples["split"].value_counts(), samples["excluded"].value_counts()
    return SourceCard(
        **facts,
        stored=len(samples),
        used={split: int(used[split]) for split in SPLITS if split in used},
        excluded={
            str(reason): int(excluded[reason]) for reason in sorted(excluded.index) if reason
        },
        left_out=dict(sorted(left_out.items())),
    )


def _copies(samples: pd.DataFrame, column: str) -> Copies:
    groups = samples[column].to_numpy()
    sizes = np.bincount(groups[groups >= 0])
    conflict = quality.conflicting(groups, samples["label"])
    labelled = conflict & samples["label"].notna().to_numpy()
    split = samples["original_split"].to_numpy(dtype=object)

    def across(name: str, *others: str) -> int:
        seen = np.unique(groups[np.isin(split, others)])
        return int(((split == name) & (groups >= 0) & np.isin(groups, seen)).sum())

    return Copies(
        groups=len(sizes),
        extra=int((sizes - 1).sum()),
        largest=int(sizes.max(initial=0)),
        conflicting_groups=len(np.unique(groups[conflict])),
        conflicting_images=int(labelled.sum()),
        across={
            "test in train": across("test", "train"),
            "test in validation": across("test", "validation"),
            "validation in train": across("validation", "train"),
            "test in either": across("test", "train", "validation"),
        },
    )


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]
