"""Assignment of samples to splits, and balancing of the training split."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_core.data import quality, splits
from fer_core.data.outliers import RULES, outliers
from fer_core.data.plan import BalancePlan, OutlierRule, SplitPlan, TopUp, partly_split
from fer_core.data.progress import Progress
from fer_core.data.selection import SelectedSource
from fer_core.data.sources.base import NO_MAJORITY, SPLITS
from fer_core.errors import DataError

EXCLUDED = "excluded"
SPARE = "kept for topping up"
OVER_WEIGHT = "over the weight of its source"
OVER_CLASS = "over the size of its class"
RARE = "of a class with fewer than"
OUTLIER = "outlier in train:"

Rows = NDArray[np.int64]
Texts = NDArray[np.object_]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Duplicates:
    """Groups of related samples; each array has shape (N,), with -1 for no group.

    Attributes:
        phash: Perceptual hash.
        exact: Group of copies that are equal bit for bit.
        near: Group of exact or near duplicates, and of transformed copies if they are removed.
        groups: Group of samples that must stay in one split: duplicates, and groups of the sources
            (one person, or an image and its augmented copies).
        leaking: Group of samples of which those in test do not count in the leak-free score;
            `groups`, and transformed copies that are only reported.
    """

    phash: NDArray[np.uint64]
    exact: Rows
    near: Rows
    groups: Rows
    leaking: Rows

    def columns(self) -> Mapping[str, NDArray[np.generic]]:
        """Returns the columns of the samples table."""
        return {
            "phash": self.phash, "exact_group": self.exact, "duplicate_group": self.near
        }  # fmt: skip


@dataclass(frozen=True)
class SplitAssignment:
    """The split of each sample; each array has shape (N,).

    Attributes:
        split: `train`, `validation`, `test` or `excluded`.
        original: The split before leaks were closed.
        leak: Whether it is a test sample with a duplicate in train or validation.
        excluded: Why a sample is excluded; empty for the others.
        notes: Sentences for the user on what was drawn or changed.
    """

    split: Texts
    original: Texts
    leak: Mask
    excluded: Texts
    notes: tuple[str, ...] = ()

    def columns(self) -> Mapping[str, NDArray[np.generic]]:
        """Returns the columns of the samples table."""
        return {
            "excluded": self.excluded,
            "leak": self.leak,
            "original_split": self.original,
            "split": self.split,
        }

    def without(self, rows: Rows, reason: str) -> "SplitAssignment":
        """Returns the assignment with some rows excluded."""
        split, excluded = self.split.copy(), self.excluded.copy()
        split[rows], excluded[rows] = EXCLUDED, reason
        return replace(self, split=split, excluded=excluded)


def find_duplicates(
    samples: pd.DataFrame, thumbnails: NDArray[np.float32], progress: Progress
) -> Duplicates:
    """Finds exact and near duplicates, and merges them with the groups of the sources.

    Args:
        samples: Columns `sha1` and, if sources have groups, `group`.
        thumbnails: Shape (N, 16, 16).
        progress: Shows progress.
    """
    exact = quality.linked_pairs(samples["sha1"].tolist())
    near = quality.near_groups(thumbnails, exact, progress)
    groups = near
    if "group" in samples.columns:
        named = quality.linked_pairs([None if name != name else name for name in samples["group"]])
        groups = quality.joined_groups(near, named)
    return Duplicates(
        phash=quality.perceptual_hashes(thumbnails),
        exact=quality.group_pairs(exact, len(samples)),
        near=near,
        groups=groups,
        leaking=groups,
    )


def with_transformed(
    duplicates: Duplicates, copies: Rows, scenes: Rows, *, remove: bool
) -> Duplicates:
    """Joins transformed copies with duplicates.

    Args:
        duplicates: Exact and near duplicates.
        copies: Pairs that are one picture, shape (P, 2).
        scenes: Pairs that no split may cut, shape (Q, 2).
        remove: Whether copies are treated as duplicates. Otherwise the splits stay as they are, and
            copies only do not count in the leak-free score.
    """
    near = quality.joined_groups(duplicates.near, copies) if remove else duplicates.near
    groups = quality.joined_groups(
        duplicates.groups, np.concatenate([copies, scenes]) if remove else scenes
    )
    return replace(
        duplicates, near=near, groups=groups, leaking=quality.joined_groups(groups, copies)
    )


def draw_splits(
    samples: pd.DataFrame,
    duplicates: Duplicates,
    sources: Sequence[SelectedSource],
    plan: SplitPlan,
) -> SplitAssignment:
    """Assigns each sample to a split, and closes leaks on the training side.

    A source's splits are kept unless the plan sets otherwise; missing splits are drawn per source,
    so that every split contains each source in proportion. Validation is drawn from the images that
    train keeps after copies of test images are removed.

    Args:
        samples: Columns `id`, `source`, `source_split`, `label` and `excluded`.
        duplicates: Samples that must stay in one split.
        sources: The sources of the samples.
        plan: Options of the splits.

    Raises:
        DataError: If some images of a source have a split and others none.
    """
    excluded = samples["excluded"].to_numpy(dtype=object).copy()
    split = samples["source_split"].to_numpy(dtype=object).copy()
    spare = np.isin(samples["source"], [s.title for s in sources if s.role == "top-up"])
    held_out = np.isin(split.astype(str), ("validation", "test"))
    # a class cannot be topped up with images whose annotators disagree
    reserved = (held_out & (excluded == "")) | (excluded == NO_MAJORITY)
    excluded[spare & reserved] = SPARE
    split[spare] = "train"
    pool = _Pool.of(samples.assign(excluded=excluded), duplicates.groups)
    pool, excluded = _without_rare(pool, excluded, spare, plan.min_class)
    split, notes = _drawn_splits(samples, pool, split, sources, plan)
    split, more = _filled_validation(pool, split, spare, plan)
    reasons = np.where(pool.usable, _leak_reasons(duplicates, split), "")
    assignment = SplitAssignment(
        split=np.where(pool.usable & (reasons == ""), split, EXCLUDED),
        original=split,
        leak=splits.leaks(duplicates.leaking, split),
        excluded=np.where(excluded == "", reasons, excluded),
        notes=(*notes, *more),
    )
    return assignment.without(np.flatnonzero(spare & (assignment.split == "train")), SPARE)


def _without_rare(pool: "_Pool", excluded: Texts, spare: Mask, least: int) -> tuple["_Pool", Texts]:
    """Leaves classes with fewer usable images out."""
    if not least:
        return pool, excluded
    names, counts = np.unique(pool.labels[pool.usable & ~spare].astype(str), return_counts=True)
    rare = pool.usable & np.isin(pool.labels.astype(str), names[counts < least])
    excluded = np.where(rare, f"{RARE} {least} images", excluded)
    return replace(pool, usable=pool.usable & ~rare), excluded


def _drawn_splits(
    samples: pd.DataFrame,
    pool: "_Pool",
    split: Texts,
    sources: Sequence[SelectedSource],
    plan: SplitPlan,
) -> tuple[Texts, list[str]]:
    """Returns the splits with what sources do not bring, and notes about it."""
    split, notes = split.copy(), []
    main = [source for source in sources if source.role == "all"]
    rows_of = {s.title: np.flatnonzero((samples["source"] == s.title).to_numpy()) for s in main}
    for title, rows in rows_of.items():
        source_split = np.full(len(rows), None) if plan.by == "random" else split[rows]
        present = {str(value) for value in split[rows] if value is not None and value == value}
        notes += plan.notes(title, present)
        split[rows] = _with_test(pool.take(rows), source_split, plan)
    tested = np.unique(pool.groups[(split == "test") & (pool.groups >= 0)])
    free = replace(pool, usable=pool.usable & ~np.isin(pool.groups, tested))
    for rows in rows_of.values():
        if not (split[rows] == "validation").any():
            split[rows] = _draw(free.take(rows), split[rows], "validation", plan)
    return split, notes


def _filled_validation(
    pool: "_Pool", split: Texts, spare: Mask, plan: SplitPlan
) -> tuple[Texts, list[str]]:
    """Draws validation images of a class from train if all of its own were removed."""
    split, notes = split.copy(), []
    tested = np.unique(pool.groups[(split == "test") & (pool.groups >= 0)])
    free = pool.usable & ~np.isin(pool.groups, tested)
    for label in np.unique(pool.labels[pool.usable & ~spare].astype(str)):
        of_class = free & (pool.labels == label)
        rows = np.flatnonzero(of_class & (split == "train") & ~spare)
        if (of_class & (split == "validation")).any() or len(rows) < 2:
            continue
        labels = np.full(len(rows), label, dtype=object)
        drawn = rows[splits.stratified_split(labels, pool.groups[rows], plan.validation, plan.seed)]
        if len(drawn):
            members = (pool.groups >= 0) & np.isin(pool.groups, pool.groups[drawn])
            split[drawn] = "validation"
            split[members & (split == "train") & ~spare] = "validation"
            notes.append(
                f"{label} has no validation image that is no copy of a test image: "
                f"{len(drawn)} are drawn from train."
            )
    return split, notes


def balance_training(
    samples: pd.DataFrame,
    assignment: SplitAssignment,
    sources: Sequence[SelectedSource],
    plan: BalancePlan,
    seed: int,
) -> SplitAssignment:
    """Applies source weights, tops classes up, and caps classes, in this order.

    Only the training split changes; images that are not used are excluded with the reason.

    Args:
        samples: Columns `source`, `source_split` and `label`.
        assignment: Splits of the samples.
        sources: The sources of the samples.
        plan: Options of the balancing.
        seed: Seed of the sampling.

    Raises:
        DataError: If a top-up names a class that its source lacks.
    """
    random = np.random.default_rng([seed, len(samples)])
    assignment = _weigh(samples, assignment, sources, random)
    for top_up in plan.top_up:
        assignment = _top_up(samples, assignment, top_up, random)
    if plan.most is None:
        return assignment
    counts = _train_counts(samples, assignment)
    most = {"smallest": counts.min(), "mean": counts.mean()}.get(str(plan.most), plan.most)
    for label in counts.index:
        rows = _training(assignment, (samples["label"] == label).to_numpy())
        assignment = assignment.without(
            _drawn(rows, len(rows) - int(most), random), OVER_CLASS
        )  # fmt: skip
    return assignment


def without_outliers(
    samples: pd.DataFrame, assignment: SplitAssignment, rule: OutlierRule | None
) -> SplitAssignment:
    """Excludes training images that are outliers among the training images.

    Images that are kept for topping up are compared with the training images, too.

    Args:
        samples: Columns `id` and the rule's statistics.
        assignment: Splits of the samples.
        rule: The rule; None excludes nothing.
    """
    if rule is None:
        return assignment
    in_train = assignment.split == "train"
    rows = np.flatnonzero(in_train | (assignment.excluded == SPARE))
    compared = samples.iloc[rows][["id", *rule.statistics]]
    limit = RULES[rule.rule] if rule.limit is None else rule.limit
    found = outliers(compared, limit, rule.rule, among=in_train[rows])
    reasons = found.drop_duplicates("id").set_index("id")["reason"]
    for reason in sorted(reasons.unique()):
        of_reason = compared["id"].isin(reasons.index[reasons == reason]).to_numpy()
        text = f"{OUTLIER} {reason} ({rule.rule} over {limit:g})"
        assignment = assignment.without(rows[of_reason], text)
    return assignment


@dataclass(frozen=True)
class _Pool:
    """Samples that a split is drawn from; each array has one row per sample."""

    ids: Texts
    labels: Texts
    groups: Rows
    usable: Mask

    @classmethod
    def of(cls, samples: pd.DataFrame, groups: Rows) -> "_Pool":
        usable = ((samples["excluded"] == "") & samples["label"].notna()).to_numpy()
        ids, labels = (samples[name].to_numpy(dtype=object) for name in ("id", "label"))
        return cls(ids, labels, groups, usable)

    def take(self, rows: Rows) -> "_Pool":
        return _Pool(self.ids[rows], self.labels[rows], self.groups[rows], self.usable[rows])


def _with_test(pool: _Pool, source_split: Texts, plan: SplitPlan) -> Texts:
    """Returns one source's splits, with a test split added if it has none."""
    split = source_split.copy()
    missing = np.array([value is None or value != value for value in split], dtype=bool)
    if missing.any() and not missing.all():
        raise DataError(partly_split(pool.ids[int(np.argmax(missing))], int(missing.sum())))
    if missing.any():
        split[:] = "train"
    if (split == "test").any():
        return split
    if plan.test_from == "validation" and (split == "validation").any():
        split[split == "validation"] = "test"
        return split
    return _draw(pool, split, "test", plan)


def _draw(pool: _Pool, split: Texts, name: str, plan: SplitPlan) -> Texts:
    """Returns the splits with a share of the usable training rows moved to another split."""
    rows = np.flatnonzero(pool.usable & (split == "train"))
    if len(rows) < 2:
        return split
    share = plan.test if name == "test" else plan.validation
    drawn = splits.stratified_split(pool.labels[rows], pool.groups[rows], share, plan.seed)
    split = split.copy()
    split[rows[drawn]] = name
    # Unusable members follow the drawn members of their group.
    for held_out in ("test", "validation") if name == "test" else ("validation",):
        members = (pool.groups >= 0) & np.isin(
            pool.groups, np.unique(pool.groups[split == held_out])
        )
        movable = SPLITS if name == "test" else ("train", "validation")
        split[members & np.isin(split.astype(str), movable)] = held_out
    return split


def _leak_reasons(duplicates: Duplicates, split: Texts) -> Texts:
    """Returns why samples leave train and validation: a copy or group member is held out."""
    reasons = splits.leaked_training(duplicates.groups, split)
    if np.array_equal(duplicates.groups, duplicates.near):
        return reasons
    copies = splits.leaked_training(duplicates.near, split)
    related = (reasons != "") & (copies != reasons)
    renamed = [text.replace("duplicate of", "belongs to") for text in reasons]
    return np.where(related, np.array(renamed, dtype=object), reasons)


def _weigh(
    samples: pd.DataFrame,
    assignment: SplitAssignment,
    sources: Sequence[SelectedSource],
    random: np.random.Generator,
) -> SplitAssignment:
    weights = {
        source.title: source.weight for source in sources if source.weight and source.role == "all"
    }
    rows = {name: _training(assignment, (samples["source"] == name).to_numpy()) for name in weights}
    if not weights:
        return assignment
    whole = min(len(rows[name]) / weight for name, weight in weights.items())
    for name, weight in weights.items():
        labels = samples["label"].to_numpy(dtype=object)[rows[name]]
        keep = weight * whole / max(1, len(rows[name]))
        for label in np.unique(labels.astype(str)):
            of_label = rows[name][labels == label]
            surplus = _drawn(of_label, round((1 - keep) * len(of_label)), random)
            assignment = assignment.without(surplus, OVER_WEIGHT)
    return assignment


def _top_up(
    samples: pd.DataFrame,
    assignment: SplitAssignment,
    top_up: TopUp,
    random: np.random.Generator,
) -> SplitAssignment:
    in_source = samples["source"] == top_up.source
    candidates = (in_source & (samples["label"] == top_up.label)).to_numpy()
    if not candidates.any():
        labels = sorted(samples.loc[in_source, "label"].dropna().unique())
        raise DataError(
            f"{top_up.source} has no {top_up.label!r} to top up with; it has {', '.join(labels)}."
        )
    counts = _train_counts(samples, assignment)
    others = counts.drop(top_up.label, errors="ignore")
    target = {"mean": others.mean(), "largest": others.max()}.get(str(top_up.to), top_up.to)
    missing = max(0, round(float(target)) - int(counts.get(top_up.label, 0)))
    rows = np.flatnonzero(candidates & (assignment.excluded == SPARE))
    held_out = samples["source_split"].isin(["validation", "test"]).to_numpy()
    added = _drawn(rows[~held_out[rows]], missing, random)
    split, excluded = assignment.split.copy(), assignment.excluded.copy()
    split[added], excluded[added] = "train", ""
    return replace(assignment, split=split, excluded=excluded)


def _train_counts(samples: pd.DataFrame, assignment: SplitAssignment) -> "pd.Series[int]":
    counts: pd.Series[int] = samples.loc[assignment.split == "train", "label"].value_counts()
    return counts.sort_index()


def _training(assignment: SplitAssignment, mask: Mask) -> Rows:
    return np.flatnonzero(mask & (assignment.split == "train"))


def _drawn(rows: Rows, count: int, random: np.random.Generator) -> Rows:
    """Returns `count` of the rows (all, if there are fewer), drawn at random."""
    return np.sort(random.permutation(rows)[: max(0, count)])
