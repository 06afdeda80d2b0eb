"""Slices: subsets of images on which a model makes significantly more errors.

A facet is a property that splits the images into a few groups (quarters of brightness, annotator
agreement, source). A slice is one group, or the overlap of two groups.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_core.artifacts import VOTE_PREFIX
from fer_core.evaluation.class_mix import error_elsewhere, mantel_haenszel
from fer_core.evaluation.human_votes import Votes
from fer_core.evaluation.persons import persons_of
from fer_core.evaluation.predictions import SplitPredictions
from fer_core.evaluation.significance import LEVEL, holm, p_sentence

CLASS = "class"
"""Facet of the true class."""

PERSON = "person"
"""Facet of the column `group`, which names persons, or originals with their copies."""

MAX_PERSONS = 300
"""Largest number of persons of whom each is a group."""

MIN_SIZE = 30
MAX_GROUPS = 20
GROUPS = 4

_QUANTITIES = {
    "brightness": ("darkest", "brightest"),
    "contrast": ("flattest", "starkest"),
    "sharpness": ("blurriest", "sharpest"),
}
_NO_FACET = {"id", "label", "split", "excluded", "group", "sha1", "phash", "x", "y"} | {
    "exact_group",
    "duplicate_group",
}
_PLAIN_NAMES = {
    "leak": "duplicate in the original training data",
    "second_label": "second label",
    "original_split": "original split",
    "source_split": "split of the source",
}


_Conditions = tuple[tuple[str, str], ...]
_Categorical: TypeAlias = "pd.Categorical[str]"
_Counts: TypeAlias = NDArray[np.int64]
"""Images and errors, shape (2,) or (K, 2)."""


def properties(samples: pd.DataFrame) -> list[str]:
    """Returns the columns of a sample table that describe its images, without ids and votes."""
    return [
        str(name)
        for name in samples.columns
        if name not in _NO_FACET and not str(name).startswith(VOTE_PREFIX)
    ]


def facets(
    samples: pd.DataFrame, predictions: SplitPredictions, votes: Votes | None = None
) -> pd.DataFrame:
    """Groups samples by each of their properties.

    Quantities are split into four groups of about equal size. Properties with few values keep
    these values. Properties with many values (ids, hashes) are not facets. Persons are a facet from
    2 to `MAX_PERSONS`.

    Args:
        samples: Samples indexed by id.
        predictions: Predictions, which define the samples and their order.
        votes: Votes in the same order.

    Returns:
        One categorical column per facet, in the order of the predictions; `class` is the true
        class.
    """
    rows = samples.reindex(predictions.ids)
    columns = {CLASS: _category(predictions.truth, list(predictions.labels.names))}
    for column in properties(rows):
        groups = _groups(rows[column], column)
        if groups is not None:
            columns[_PLAIN_NAMES.get(column, column)] = groups
    persons = _persons(rows)
    if persons is not None:
        columns[PERSON] = persons
    if votes is not None:
        columns["annotator agreement"] = _category(*votes.agreement_groups())
    return pd.DataFrame(columns)


def _persons(rows: pd.DataFrame) -> "_Categorical | None":
    persons = persons_of(rows)
    if persons is None:
        return None
    codes, names = pd.factorize(persons, sort=True)
    return _category(codes, list(map(str, names))) if len(names) <= MAX_PERSONS else None


def _groups(values: pd.Series, name: str) -> "_Categorical | None":
    if pd.api.types.is_float_dtype(values) or (
        pd.api.types.is_integer_dtype(values) and values.nunique() > MAX_GROUPS
    ):
        edges = np.unique(np.nanquantile(values, np.linspace(0, 1, GROUPS + 1)[1:-1]))
        if values.nunique() <= GROUPS or not len(edges):
            return None
        low, high = _QUANTITIES.get(name, ("lowest", "highest"))
        middle = [f"second-{end} quarter" for end in (low, high)]
        quarters = [f"{low} quarter", *middle, f"{high} quarter"]
        if len(edges) < GROUPS - 1:  # one value is so frequent that quarters coincide
            quarters = [f"group {index + 1} of {len(edges) + 1}" for index in range(len(edges) + 1)]
        codes = np.where(values.isna(), -1, np.searchsorted(edges, values, side="left"))
        return _category(codes, quarters)
    if pd.api.types.is_bool_dtype(values):
        return _category(values.to_numpy(dtype=np.int64), ["no", "yes"])
    codes, distinct = pd.factorize(values, sort=True)
    if not 1 < len(distinct) <= MAX_GROUPS:
        return None
    return _category(codes, [str(value) for value in distinct])


def _category(codes: NDArray[np.int64], names: list[str]) -> _Categorical:
    """Returns a categorical column; code -1 means no group."""
    return pd.Categorical.from_codes(codes, pd.Index(names))


@dataclass(frozen=True)
class Slice:
    """Images on which a model has a higher error rate than on all others.

    Attributes:
        conditions: (facet, group) pairs that all hold.
        samples: Number of images in the slice.
        errors: Number of errors among them.
        rate: Error rate in the slice, 0 to 1.
        elsewhere: Error rate on all other images, 0 to 1.
        same_classes: Error rate on all other images at the slice's frequencies of true classes, 0
            to 1; None if the slice has a condition on the class, or classes are not known.
        p_value: p-value of Fisher's exact one-sided test against all other images. It is the
            largest of several tests: unless the slice has a condition on the class, also against
            other images of the same classes; and for an overlap against the rest of each of its two
            groups.
        adjusted: p-value after Holm's correction over all tested slices.
    """

    conditions: _Conditions
    samples: int
    errors: int
    rate: float
    elsewhere: float
    p_value: float
    adjusted: float
    same_classes: float | None = None

    @property
    def significant(self) -> bool:
        """Whether the error rate is significantly higher at the 5% level after correction."""
        return self.adjusted < LEVEL

    @property
    def name(self) -> str:
        """Name of the slice, such as `class: fear, sharpness: blurriest quarter`."""
        return ", ".join(f"{facet}: {group}" for facet, group in self.conditions)

    @property
    def statement(self) -> str:
        """Summary in one sentence."""
        significant = f"corrected {p_sentence(self.adjusted)}"
        evidence = significant if self.significant else "not significant"
        elsewhere = (
            f"{self.elsewhere:.1%} elsewhere"
            if self.same_classes is None
            else f"{self.same_classes:.1%} elsewhere at the same class frequencies"
        )
        return (
            f"Where {' and '.join(_clause(*condition) for condition in self.conditions)}, "
            f"{self.rate:.1%} of {self.samples:,} predictions are wrong, against {elsewhere} "
            f"({evidence})."
        )


def worst_slices(
    wrong: NDArray[np.bool_],
    groups: pd.DataFrame,
    *,
    depth: int = 2,
    min_size: int = MIN_SIZE,
    limit: int = 20,
) -> list[Slice]:
    """Returns the slices with a higher error rate than the rest, lowest p-value first.

    Every group, and every overlap of two groups of different facets, is tested against all other
    images; the p-values are corrected for the number of tests. A slice must also be worse than
    other images of the same classes, since otherwise its class frequencies explain it. An overlap
    must also be worse than the rest of each of its two groups, since otherwise the simpler slice
    explains it (intersection-union tests, which use the largest p-value; Berger 1982).

    Args:
        wrong: Whether the predictions are wrong, shape (N,).
        groups: Categorical columns in the same order, from `facets`.
        depth: 1 for single groups, 2 for overlaps as well.
        min_size: Smallest number of images inside and outside a slice.
        limit: Largest number of slices to return.
    """
    names = [str(name) for name in groups.columns]
    combined = [(name,) for name in names] + (list(combinations(names, 2)) if depth > 1 else [])
    classes = _classes(groups)
    tallies: dict[_Conditions, _Counts] = {}
    for combination in combined:
        tallies |= _tally(wrong, classes, groups, combination)
    total = len(wrong)
    candidates = [
        conditions
        for conditions, counts in tallies.items()
        if min_size <= counts[:, 0].sum() <= total - min_size
    ]
    if not candidates or not wrong.any():
        return []
    totals = np.stack([np.bincount(classes), np.bincount(classes, wrong)], axis=1).astype(np.int64)
    tested = _tested(candidates, tallies, totals, by_class=CLASS in groups)
    worse = [item for item in tested if item.rate > item.elsewhere]
    return sorted(worse, key=lambda item: (item.adjusted, item.p_value, -item.rate))[:limit]


def _tested(
    candidates: Sequence[_Conditions],
    tallies: Mapping[_Conditions, _Counts],
    totals: _Counts,
    *,
    by_class: bool,
) -> list[Slice]:
    """Tests slices, in their order.

    Args:
        candidates: Conditions of the slices.
        tallies: Counts by true class of each slice and of its groups.
        totals: Counts by true class of all images.
        by_class: Whether true classes are known.
    """
    stratified = np.stack([tallies[conditions] for conditions in candidates])
    counts, everything = stratified.sum(axis=1), totals.sum(axis=0)
    p_values = _more_errors(counts, everything[None])
    mixed = np.array([by_class and CLASS not in dict(c) for c in candidates])
    p_values = np.where(mixed, np.maximum(p_values, mantel_haenszel(stratified, totals)), p_values)
    overlaps = np.array([len(conditions) > 1 for conditions in candidates])
    for position in range(2 if overlaps.any() else 0):
        # a single group is its own parent here; np.where below ignores that test
        parents = np.stack(
            [tallies[c[position : position + 1] or c].sum(axis=0) for c in candidates]
        )
        nested = _more_errors(counts, parents)
        p_values = np.where(overlaps, np.maximum(p_values, nested), p_values)
    adjusted = holm(p_values.tolist())
    same_classes = error_elsewhere(stratified, totals)
    samples, errors = counts.T
    elsewhere = (everything[1] - errors) / (everything[0] - samples)
    return [
        Slice(
            conditions,
            int(samples[index]),
            int(errors[index]),
            float(errors[index] / samples[index]),
            float(elsewhere[index]),
            float(p_values[index]),
            float(adjusted[index]),
            float(same_classes[index]) if mixed[index] else None,
        )
        for index, conditions in enumerate(candidates)
    ]


def slice_mask(groups: pd.DataFrame, conditions: Sequence[tuple[str, str]]) -> NDArray[np.bool_]:
    """Returns whether each sample is in a slice, shape (N,).

    Args:
        groups: Categorical columns from `facets`.
        conditions: (facet, group) pairs. A sample must match at least one group of every facet;
            it never matches an unknown facet or group.
    """
    groups_by_facet: dict[str, list[str]] = {}
    for facet, group in conditions:
        groups_by_facet.setdefault(facet, []).append(group)
    mask = np.ones(len(groups), dtype=bool)
    for facet, names in groups_by_facet.items():
        if facet not in groups.columns:
            return np.zeros(len(groups), dtype=bool)
        codes = groups[facet].cat.categories.get_indexer(pd.Index(names))
        mask &= np.isin(groups[facet].cat.codes.to_numpy(), codes[codes >= 0])
    return mask


def _more_errors(subset: NDArray[np.int64], superset: NDArray[np.int64]) -> NDArray[np.float64]:
    """Returns one-sided p-values of Fisher's exact test, shape (S,).

    Both arguments hold (samples, errors) in rows. The p-value is the upper tail of the
    hypergeometric distribution.
    """
    from scipy import stats  # slow to import, and only needed here

    tail = stats.hypergeom.sf(subset[:, 1] - 1, superset[:, 0], superset[:, 1], subset[:, 0])
    return np.asarray(tail, dtype=np.float64)


def _clause(facet: str, group: str) -> str:
    return f"{facet} is in the {group}" if group.endswith("quarter") else f"{facet} is {group}"


def _classes(groups: pd.DataFrame) -> NDArray[np.int64]:
    """Returns the true class of each sample, shape (N,); 0 for all if it is not a facet."""
    if CLASS not in groups:
        return np.zeros(len(groups), dtype=np.int64)
    return groups[CLASS].cat.codes.to_numpy().astype(np.int64)


def _tally(
    wrong: NDArray[np.bool_],
    classes: NDArray[np.int64],
    groups: pd.DataFrame,
    names: tuple[str, ...],
) -> dict[_Conditions, _Counts]:
    """Counts samples and errors by class for every combination of groups of the named facets."""
    code = np.zeros(len(wrong), dtype=np.int64)
    grouped = np.ones(len(wrong), dtype=bool)
    conditions: list[_Conditions] = [()]
    for name in names:
        column = groups[name].cat
        values = column.codes.to_numpy().astype(np.int64)
        grouped &= values >= 0
        code = code * len(column.categories) + values
        conditions = [
            (*prefix, (name, str(group))) for prefix in conditions for group in column.categories
        ]
    strata = int(classes.max(initial=0)) + 1
    code = code * strata + classes
    shape = (len(conditions), strata)
    samples, errors = (
        np.bincount(code[chosen], minlength=len(conditions) * strata).reshape(shape)
        for chosen in (grouped, grouped & wrong)
    )
    return dict(zip(conditions, np.stack([samples, errors], axis=2), strict=True))
