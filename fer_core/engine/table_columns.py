"""Choosing the columns of a table of predictions that hold the probabilities of classes."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_core.data.sources.class_names import NO_EMOTION, emotion_of
from fer_core.errors import DataError
from fer_core.evaluation.external import THREE_DECIMALS, TINY, rounding_tolerance
from fer_core.evaluation.prediction_file import PREFIX
from fer_core.labels import LabelSet, canonical_name

SCALES = (1.0, 100.0)
"""Sums of probabilities and of percentages."""

_Group = Mapping[str, str]
"""Class that a column names, by column."""


@dataclass(frozen=True)
class ClassColumns:
    """Columns that hold probabilities of classes.

    Attributes:
        columns: Names in the table.
        outputs: Class that each column names: `happy` for `p_happy`.
        mapping: The user's mapping for these classes; see `match_classes`.
        scale: 1 for probabilities, 100 for percentages.
    """

    columns: tuple[str, ...]
    outputs: tuple[str, ...]
    mapping: Mapping[str, str]
    scale: float = 1.0

    def probabilities(self, table: pd.DataFrame) -> pd.DataFrame:
        """Returns the table with percentages divided by 100."""
        if self.scale == 1:
            return table
        scaled = {name: table[name].astype(np.float64) / self.scale for name in self.columns}
        return table.assign(**scaled)

    def notes(self) -> list[str]:
        """Returns a sentence on percentages, if the columns have them."""
        return [] if self.scale == 1 else ["The table has percentages: they are divided by 100."]


def class_columns(
    table: pd.DataFrame, labels: LabelSet, name: str, mapping: Mapping[str, str] | None = None
) -> ClassColumns:
    """Chooses the columns of a table that hold probabilities of classes.

    These are the first that sum to 1 or 100: those named as a class, `p_<class>` or by the mapping;
    those named as a class within the same text (`prob_angry`, `P(angry)`); and all columns of
    numbers in this range. If none do in every row, those that do in most rows are returned, so that
    an error names the others.

    Args:
        table: Result of `read_external_table`.
        labels: The benchmark's classes.
        name: File name for error messages.
        mapping: The benchmark's class by column or its class; an empty one leaves the column out.

    Raises:
        DataError: If no column names a class, or several sets of columns are probabilities.
    """
    choice = _Choice(table, labels, mapping or {})
    group, scale = choice.fitting(name) or choice.mostly_fitting() or (choice.named(), 1.0)
    if not group:
        raise DataError(
            f"{name} has no column of a class ({', '.join(labels.names)}). Add one column of "
            f"probabilities per class, or map yours: --map-class COLUMN={labels.names[0]}."
        )
    outputs = choice.outputs(group)
    return ClassColumns(tuple(group), outputs, choice.mapping_of(outputs), scale)


def _class_name(column: str) -> str:
    return column.removeprefix(PREFIX)


def _plain(name: str) -> str:
    return name.strip().lower()


class _Choice:
    """The columns of a table, and which of them may be those of the classes."""

    def __init__(self, table: pd.DataFrame, labels: LabelSet, mapping: Mapping[str, str]) -> None:
        self._labels = labels
        self._mapping = mapping
        self._targets = {_plain(theirs): ours for theirs, ours in mapping.items()}
        self._values = {name: _numbers(table[name]) for name in table.columns if name != "id"}
        self._flags = {name for name in self._values if pd.api.types.is_bool_dtype(table[name])}
        every = {column: _class_name(column) for column in self._values}
        self._left_out = {name: plain for name, plain in every.items() if self._target(name) == ""}
        self._mapped = {name for name in every if self._target(name)}

    def named(self) -> _Group:
        """Returns the columns named as a class, as `p_<anything>` or by the mapping."""
        return {
            column: _class_name(column)
            for column in self._values
            if column not in self._left_out
            and (
                column.startswith(PREFIX)
                or column in self._mapped
                or self._meaning(_class_name(column))
            )
        }

    def fitting(self, name: str) -> tuple[_Group, float] | None:
        """Returns the first columns whose sum is 1 or 100 in every row, and this sum."""
        for strict in (True, False):
            for stage in self._stages():
                sets: list[tuple[_Group, float]] = []
                for variants in stage:
                    fits = (pair for pair in variants if self._share(*pair, strict=strict) == 1)
                    sets += islice(fits, 1)
                apart = [group for group, _ in sets if not group.keys() & sets[0][0].keys()]
                if apart:
                    raise DataError(
                        f"{name} has several columns of probabilities for a class: "
                        f"{next(iter(sets[0][0]))} and {next(iter(apart[0]))}. Keep those of one "
                        "model."
                    )
                if sets:
                    return sets[0]
        return None

    def mostly_fitting(self) -> tuple[_Group, float] | None:
        """Returns the columns whose sum is 1 or 100 in the most rows, if these are most."""
        pairs = [pair for stage in self._stages() for variants in stage for pair in variants]
        shares = [self._share(group, scale) for group, scale in pairs]
        best = int(np.argmax(shares))
        return pairs[best] if shares[best] > 0.5 else None

    def outputs(self, group: _Group) -> tuple[str, ...]:
        """Returns the class that each column names, or the column where the mapping names it."""
        return tuple(
            column if _plain(column) in self._targets else plain for column, plain in group.items()
        )

    def mapping_of(self, outputs: Iterable[str]) -> dict[str, str]:
        """Returns the mapping without columns that are left out of the table altogether."""
        columns = [self._left_out, *(left_out for _, left_out in self._affixed())]
        words = {_plain(word) for each in columns for pair in each.items() for word in pair}
        unused = words - {_plain(output) for output in outputs}
        return {key: ours for key, ours in self._mapping.items() if _plain(key) not in unused}

    def _stages(self) -> Iterator[list[list[tuple[_Group, float]]]]:
        """Yields the sets of columns to try, first those with the plainest names."""
        yield [self._variants(self.named(), self._left_out)]
        yield [self._variants(*pair) for pair in self._affixed()]
        yield [
            [
                (group, scale)
                for scale in SCALES
                for chosen in [self._shares(scale)]
                for group in (
                    {key: chosen[key] for key in chosen if key not in self._left_out},
                    chosen,
                )
            ]
        ]

    def _variants(self, group: _Group, left_out: _Group) -> list[tuple[_Group, float]]:
        """Returns sets of columns: all, those of known classes, and with those left out.

        The probability of a class that is left out is often needed for a sum of 1.
        """
        known = {
            column: plain
            for column, plain in group.items()
            if column in self._mapped or self._meaning(plain)
        }
        more = [{**group, column: plain} for column, plain in left_out.items()]
        groups = [group, known, *more, {**group, **left_out}]
        return [(one, scale) for one in groups for scale in SCALES]

    def _affixed(self) -> Iterator[tuple[_Group, _Group]]:
        """Yields columns named as classes within the same text, and those of them left out."""
        words: dict[tuple[str, str], dict[str, str]] = {}
        names = sorted(map(re.escape, self._labels.names), key=len, reverse=True)
        word = re.compile(rf"(?<![^\W\d_])(?:{'|'.join(names)}|[^\W\d_]+)(?![^\W\d_])", re.I)
        for column in self._values:
            for match in word.finditer(column):
                if meaning := self._meaning(match[0]):
                    ends = column[: match.start()], column[match.end() :]
                    words.setdefault(ends, {})[column] = meaning
        for ends, spelled in sorted(words.items(), key=lambda item: -len(set(item[1].values()))):
            if len(set(spelled.values())) > 1:
                yield self._within(*ends, spelled)

    def _within(self, start: str, end: str, spelled: _Group) -> tuple[_Group, _Group]:
        group, left_out = {}, {}
        for column in self._values:
            plain = column[len(start) : len(column) - len(end)]
            if not plain or column != start + plain + end:
                continue
            if self._target(column) == "" or self._targets.get(_plain(plain)) == "":
                left_out[column] = plain
            elif start or end or column in spelled:  # without text, any column would do
                group[column] = plain
        return group, left_out

    def _shares(self, scale: float) -> _Group:
        """Returns the columns of numbers from 0 to a scale."""
        return {
            column: _class_name(column)
            for column, values in self._values.items()
            if values is not None
            and column not in self._flags
            and bool(((values >= -TINY) & (values <= scale + TINY)).all())
        }

    def _share(self, group: _Group, scale: float, *, strict: bool = False) -> float:
        """Returns the share of rows that sum to a scale; 0 if the columns are no candidates."""
        columns = [self._values[column] for column in group]
        numbers = [values for values in columns if values is not None]
        if not numbers or len(numbers) < len(columns) or not self._mapped <= group.keys():
            return 0.0
        tolerance = THREE_DECIMALS if strict else rounding_tolerance(len(group))
        sums = np.sum(numbers, axis=0) / scale
        return float((np.abs(sums - 1) <= tolerance).mean()) if len(sums) else 0.0

    def _target(self, column: str) -> str | None:
        """Returns the user's class of a column; None if there is none."""
        plain = self._targets.get(_plain(_class_name(column)))
        return self._targets.get(_plain(column), plain)

    def _meaning(self, name: str) -> str | None:
        """Returns the class that a name means, which the benchmark may lack."""
        plain = canonical_name(name)
        if plain in self._labels.names or plain in NO_EMOTION:
            return str(plain)
        return emotion_of(name)


def _numbers(column: pd.Series) -> NDArray[np.float64] | None:
    """Returns a column's values; None if they are no numbers."""
    try:
        return column.to_numpy(dtype=np.float64)
    except (TypeError, ValueError):
        return None
