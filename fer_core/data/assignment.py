"""Which sample stands in which split, and which training images are taken."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_core.data import quality, splits
from fer_core.data.plan import BalancePlan, SplitPlan, TopUp
from fer_core.data.progress import Progress
from fer_core.data.reading import SelectedSource
from fer_core.data.sources.base import DISPUTED, SPLITS
from fer_core.errors import DataError

EXCLUDED = "excluded"
SPARE = "kept for topping up"
OVER_WEIGHT = "over the weight of its source"
OVER_CLASS = "over the size of its class"


def find_duplicates(
    samples: pd.DataFrame, thumbnails: NDArray[np.float32], progress: Progress
) -> NDArray[np.int64]:
    """Adds `phash`, `exact_group` and `duplicate_group`, and returns what must stay together.

    Returns:
        Shape (N,): groups of duplicates, and of what the sources say belongs together (one
        person, a picture and its altered copies); -1 for none.
    """
    exact = quality.linked_pairs(samples["sha1"].tolist())
    near = quality.near_pairs(thumbnails, progress=progress)
    duplicates = np.concatenate([exact, near])
    samples["phash"] = quality.perceptual_hashes(thumbnails)
    samples["exact_group"] = quality.group_pairs(exact, len(samples))
    samples["duplicate_group"] = quality.group_pairs(duplicates, len(samples))
    if "group" not in samples.columns:
        return samples["duplicate_group"].to_numpy()
    named = quality.linked_pairs([None if name != name else name for name in samples["group"]])
    return quality.group_pairs(np.concatenate([duplicates, named]), len(samples))


def assign_splits(
    samples: pd.DataFrame,
    groups: NDArray[np.int64],
    parts: Sequence[SelectedSource],
    plan: SplitPlan,
) -> None:
    """Adds `split`, `original_split` and `leak`, and completes `excluded`.

    A source's own split is kept unless the plan says otherwise; what is missing is drawn, one
    source after the other, so that every split holds each source in proportion.

    Raises:
        DataError: If some images of a source have a split and others none, or a class is too
            small to draw from.
    """
    usable = ((samples["excluded"] == "") & samples["label"].notna()).to_numpy()
    labels = samples["label"].to_numpy(dtype=object)
    split = samples["source_split"].to_numpy(dtype=object).copy()
    spare = np.zeros(len(samples), dtype=bool)
    for part in parts:
        mine = (samples["source"] == part.title).to_numpy()
        if part.role == "top-up":
            spare |= mine
            _make_spare(samples, split, mine)
            continue
        if plan.by == "random":
            split[mine] = None
        _draw_test(samples, split, mine & usable, mine, labels, groups, plan)
        if not (split[mine] == "validation").any():
            chosen = np.flatnonzero(mine & usable & (split == "train"))
            _draw("validation", plan.validation, split, chosen, mine, labels, groups, plan.seed)

    usable = usable & (samples["excluded"] == "").to_numpy()
    samples["leak"] = splits.leaks(groups, split)
    given_up = np.where(usable, splits.leaked_training(groups, split), "")
    duplicates = samples["duplicate_group"].to_numpy()
    if not np.array_equal(groups, duplicates):
        copies = splits.leaked_training(duplicates, split)
        related = (given_up != "") & (copies != given_up)
        given_up = np.where(
            related, [text.replace("duplicate of", "belongs to") for text in given_up], given_up
        )
    samples["original_split"] = split
    excluded = samples["excluded"].to_numpy(dtype=object)
    samples["excluded"] = np.where(excluded == "", given_up, excluded)
    samples["split"] = np.where(usable & (given_up == ""), split, EXCLUDED)
    waiting = spare & (samples["split"] == "train").to_numpy()
    _set_aside(samples, np.flatnonzero(waiting), SPARE)


def select_training(
    samples: pd.DataFrame, parts: Sequence[SelectedSource], plan: BalancePlan, seed: int
) -> None:
    """Tops classes up, brings sources to their weights, and caps classes, in this order.

    Only the training split changes; what is not taken is excluded with the reason.

    Raises:
        DataError: If a top-up names a class that its source lacks.
    """
    random = np.random.default_rng([seed, len(samples)])
    _weigh(samples, parts, random)
    for wish in plan.top_up:
        _top_up(samples, wish, random)
    if plan.most is not None:
        counts = _train_counts(samples)
        most = {"smallest": counts.min(), "mean": counts.mean()}.get(str(plan.most), plan.most)
        for label in counts.index:
            rows = _training(samples, samples["label"] == label)
            _set_aside(samples, _drawn(rows, len(rows) - int(most), random), OVER_CLASS)


def _make_spare(samples: pd.DataFrame, split: NDArray[np.object_], mine: NDArray[np.bool_]) -> None:
    """Keeps what a source holds out of training for itself, and puts the rest in train."""
    held_out = mine & np.isin(split.astype(str), ("validation", "test"))
    free, disputed = (samples["excluded"] == reason for reason in ("", DISPUTED))
    # no class can be topped up by votes for several: those of disputed samples are not asked for
    samples.loc[(held_out & free.to_numpy()) | (mine & disputed.to_numpy()), "excluded"] = SPARE
    split[mine] = "train"


def _draw_test(
    samples: pd.DataFrame,
    split: NDArray[np.object_],
    usable: NDArray[np.bool_],
    mine: NDArray[np.bool_],
    labels: NDArray[np.object_],
    groups: NDArray[np.int64],
    plan: SplitPlan,
) -> None:
    without = mine & np.array([value is None or value != value for value in split])
    if without.any() and not np.array_equal(without, mine):
        row = samples["id"].iloc[int(np.argmax(without))]
        raise DataError(
            f"{row} stands in no split while other images do. Move it into a split folder, "
            "or remove the split folders."
        )
    if without.any():
        split[mine] = "train"
        _draw("test", plan.test, split, np.flatnonzero(usable), mine, labels, groups, plan.seed)


def _draw(
    name: str,
    share: float,
    split: NDArray[np.object_],
    chosen: NDArray[np.int64],
    mine: NDArray[np.bool_],
    labels: NDArray[np.object_],
    groups: NDArray[np.int64],
    seed: int,
) -> None:
    """Draws a part of the chosen rows, and takes along what belongs to them."""
    if not len(chosen):
        return
    drawn = splits.stratified_split(labels[chosen], groups[chosen], share, seed)
    split[chosen[drawn]] = name
    # Unusable members go where the drawn members of their group are.
    for held_out in ("test", "validation") if name == "test" else ("validation",):
        members = (groups >= 0) & np.isin(groups, np.unique(groups[mine & (split == held_out)]))
        among = SPLITS if name == "test" else ("train", "validation")
        split[mine & members & np.isin(split.astype(str), among)] = held_out


def _weigh(
    samples: pd.DataFrame, parts: Sequence[SelectedSource], random: np.random.Generator
) -> None:
    weights = {part.title: part.weight for part in parts if part.weight and part.role == "all"}
    rows = {name: _training(samples, samples["source"] == name) for name in weights}
    if not weights:
        return
    whole = min(len(rows[name]) / weight for name, weight in weights.items())
    for name, weight in weights.items():
        labels = samples["label"].to_numpy(dtype=object)[rows[name]]
        keep = weight * whole / max(1, len(rows[name]))
        for label in np.unique(labels.astype(str)):
            mine = rows[name][labels == label]
            _set_aside(samples, _drawn(mine, round((1 - keep) * len(mine)), random), OVER_WEIGHT)


def _top_up(samples: pd.DataFrame, wish: TopUp, random: np.random.Generator) -> None:
    mine = (samples["source"] == wish.source) & (samples["label"] == wish.label)
    if not mine.any():
        held = sorted(samples.loc[samples["source"] == wish.source, "label"].dropna().unique())
        raise DataError(
            f"{wish.source} has no {wish.label!r} to top up with; it has {', '.join(held)}."
        )
    counts = _train_counts(samples)
    others = counts.drop(wish.label, errors="ignore")
    target = {"mean": others.mean(), "largest": others.max()}.get(str(wish.to), wish.to)
    missing = max(0, round(float(target)) - int(counts.get(wish.label, 0)))
    rows = np.flatnonzero((mine & (samples["excluded"] == SPARE)).to_numpy())
    held_out = samples["source_split"].isin(["validation", "test"]).to_numpy()
    taken = _drawn(rows[~held_out[rows]], missing, random)
    samples.loc[taken, "excluded"] = ""
    samples.loc[taken, "split"] = "train"


def _train_counts(samples: pd.DataFrame) -> "pd.Series[int]":
    return samples.loc[samples["split"] == "train", "label"].value_counts().sort_index()


def _training(samples: pd.DataFrame, mask: "pd.Series[bool]") -> NDArray[np.int64]:
    return np.flatnonzero((mask & (samples["split"] == "train")).to_numpy())


def _drawn(rows: NDArray[np.int64], count: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Returns `count` of the rows (all, if there are fewer), drawn at random."""
    return np.sort(random.permutation(rows)[: max(0, count)])


def _set_aside(samples: pd.DataFrame, rows: NDArray[np.int64], reason: str) -> None:
    samples.loc[rows, "excluded"] = reason
    samples.loc[rows, "split"] = EXCLUDED
