"""Dry run of `prepare`: what it would read, without decoding images."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fer_core.data.plan import PreparePlan, SplitPlan, partly_split
from fer_core.data.selection import BEYOND_LIMIT, ClassFilter, SelectedSource, within_limit
from fer_core.data.sources.base import SPLITS, Skipped, entries_of
from fer_core.errors import DataError

EXAMPLES = 5
"""Number of examples per class."""

NO_SPLIT = "no split"


@dataclass(frozen=True)
class SourcePreview:
    """Summary of a source before its images are read.

    Attributes:
        title: Prefix of the sample ids.
        form: Detected or selected format.
        reason: Reason for this format.
        notes: Assumptions, and splits that will be drawn.
        counts: Images by class and split; images without a class are called `no label`.
        examples: Keys of some images by class.
        groups: Number of groups (persons, or originals with copies) that splits do not divide.
        skipped: Reason by key of each skipped file; damaged images are detected only on reading.
        left_out: Number of images that are not read, by reason.
    """

    title: str
    form: str
    reason: str
    notes: Sequence[str]
    counts: Mapping[str, Mapping[str, int]]
    examples: Mapping[str, Sequence[str]]
    groups: int
    skipped: Mapping[str, str]
    left_out: Mapping[str, int]

    @property
    def splits(self) -> list[str]:
        """Splits of the source, in canonical order."""
        present = {split for counts in self.counts.values() for split in counts}
        return [split for split in (*SPLITS, NO_SPLIT) if split in present]


def preview(source: SelectedSource, plan: SplitPlan) -> SourcePreview:
    """Returns the preview of a source, without decoding images if the format allows it.

    Raises:
        DataError: If the mapping contains an unknown class, or only some images have a split.
    """
    names = ClassFilter(source)
    inside = within_limit(source, plan.seed)
    counts: dict[str, Counter[str]] = {}
    examples: dict[str, list[str]] = {}
    left_out: Counter[str] = Counter(getattr(source.reader, "left_out", {}))
    skipped: dict[str, str] = {}
    groups: set[str] = set()
    without_split: list[str] = []
    for item, inside_split in zip(entries_of(source.reader), np.asarray(inside), strict=True):
        if isinstance(item, Skipped):
            skipped[item.key] = item.reason
            continue
        reason = names.refusal(item.label) or ("" if inside_split else BEYOND_LIMIT)
        if reason or item.excluded:
            left_out[reason or item.excluded] += 1
            continue
        label = names.mapped_name(item.label) or "no label"
        counts.setdefault(label, Counter())[item.split or NO_SPLIT] += 1
        if item.split is None:
            without_split.append(item.key)
        if len(examples.setdefault(label, [])) < EXAMPLES:
            examples[label].append(item.key)
        if item.group is not None:
            groups.add(item.group)
    names.check()
    present = {split for row in counts.values() for split in row} - {NO_SPLIT}
    if present and without_split and source.role == "all" and plan.by == "source":
        raise DataError(partly_split(f"{source.title}/{without_split[0]}", len(without_split)))
    drawn = plan.notes(source.title, present) if source.role == "all" else []
    return SourcePreview(
        title=source.title,
        form=source.form,
        reason=source.reason,
        notes=(*source.notes, *drawn),
        counts=dict(sorted(counts.items())),
        examples=dict(sorted(examples.items())),
        groups=len(groups),
        skipped=skipped,
        left_out=dict(sorted(left_out.items())),
    )


def preview_plan(plan: PreparePlan, sources: Sequence[SelectedSource]) -> list[SourcePreview]:
    """Returns the previews of a plan's sources."""
    return [preview(source, plan.split) for source in sources]
