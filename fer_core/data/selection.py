"""The sources of a plan, and the selection of their samples."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fer_core.data.plan import PreparePlan
from fer_core.data.sources.base import Sample, SampleEntry, Source, entries_of
from fer_core.data.sources.formats import open_dataset
from fer_core.data.sources.split_names import splits_are_drawn
from fer_core.errors import DataError
from fer_core.labels import canonical_name

BEYOND_LIMIT = "beyond the limit"


@dataclass(frozen=True)
class SelectedSource:
    """A source and the selection of its samples; further attributes as in `SourcePlan`.

    Attributes:
        form: Its format.
        reason: Why it has this format.
        notes: Assumptions of its reader, as sentences for the user.
    """

    reader: Source
    name: str | None = None
    mapping: Mapping[str, str] = field(default_factory=dict)
    classes: tuple[str, ...] | None = None
    limit: int | None = None
    weight: float | None = None
    role: Literal["all", "top-up"] = "all"
    form: str = ""
    reason: str = ""
    notes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Prefix of sample ids."""
        return self.name or self.reader.origin.name

    @cached_property
    def version(self) -> str | None:
        """Hash of the names, sizes and modification times of its files; None if not known."""
        stats = getattr(self.reader, "stats", None)
        if stats is None:
            return None
        hasher = hashlib.sha256()
        for file in stats():
            hasher.update(repr(tuple(file)).encode("utf-8", "backslashreplace"))
        return hasher.hexdigest()[:16]


def open_sources(plan: PreparePlan) -> list[SelectedSource]:
    """Opens the sources of a plan.

    Raises:
        DataError: If a source cannot be read, or its content is ambiguous.
    """
    sources = []
    for source in plan.sources:
        with splits_are_drawn(plan.split.by == "random"):
            opened = open_dataset(
                source.path, source.format, mapping=source.mapping, options=source.options
            )
        sources.append(
            SelectedSource(
                opened.reader,
                source.name,
                source.mapping,
                source.classes,
                source.limit,
                source.weight,
                source.role,
                opened.form,
                opened.reason,
                opened.notes,
            )
        )
    return sources


def within_limit(selected: SelectedSource, seed: int) -> NDArray[np.bool_]:
    """Marks the items of a source that are read.

    With `classes`, the limit counts only these classes.

    Returns:
        Shape (items,).
    """
    count = len(selected.reader)
    mask = np.ones(count, dtype=bool)
    if selected.limit is None or selected.limit >= count:
        return mask
    candidates = np.arange(count)
    if selected.classes:
        names = ClassFilter(selected)
        entries = entries_of(selected.reader)
        candidates = np.flatnonzero(
            [isinstance(item, SampleEntry) and not names.refusal(item.label) for item in entries]
        )
    drawn = np.random.default_rng([seed, len(candidates)]).permutation(len(candidates))
    mask[candidates[drawn[selected.limit :]]] = False
    return mask


class ClassFilter:
    """Selects and renames the classes of a source.

    Attributes:
        seen: Names of classes that were met, as the reader calls them.
    """

    def __init__(self, selected: SelectedSource) -> None:
        self._selected = selected
        # Readers of files map names themselves, so they do not read classes that are left out.
        by_reader = getattr(selected.reader, "maps_names", False)
        mapping = {} if by_reader else selected.mapping
        self._mapping = {canonical_name(old): canonical_name(new) for old, new in mapping.items()}
        self._classes = selected.classes and {canonical_name(name) for name in selected.classes}
        self.seen: set[str] = set()

    def refusal(self, label: str | None) -> str:
        """Returns why samples of a class are not stored; empty if they are."""
        if label is not None:
            self.seen.add(label)
            if self._mapping.get(label) == "":
                return f"the class {label} is left out"
        if self._classes and self._mapping.get(label or "", label) not in self._classes:
            return "not of a class that is taken"
        return ""

    def mapped(self, sample: Sample) -> Sample:
        """Returns the sample with the dataset's class name."""
        votes: Counter[str] = Counter()
        for name, count in sample.votes.items():
            votes[self._mapping.get(name) or name] += count  # left-out classes keep their name
        return replace(
            sample,
            label=self.mapped_name(sample.label),
            second_label=self.mapped_name(sample.second_label),
            votes=dict(votes),
        )

    def mapped_name(self, label: str | None) -> str | None:
        """Returns the dataset's name of a class."""
        return None if label is None else self._mapping.get(label, label) or None

    def check(self) -> None:
        """Refuses a mapping or a selection that names no class of the source.

        Raises:
            DataError: Names the classes of the source.
        """
        if unknown := sorted(set(self._mapping) - self.seen):
            raise DataError(
                f"--map-class names {', '.join(unknown)}, but the classes of "
                f"{self._selected.title} are {', '.join(sorted(self.seen))}. Correct the names."
            )
        names = {name for label in self.seen if (name := self.mapped_name(label))}
        if unknown := sorted((self._classes or set()) - names):
            raise DataError(
                f"`classes` names {', '.join(unknown)}, but the classes of {self._selected.title} "
                f"are {', '.join(sorted(names))}. Correct the names."
            )
