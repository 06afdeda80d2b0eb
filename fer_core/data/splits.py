"""Stratified splits, leak detection, the split hash and class weights."""

import hashlib
from collections.abc import Mapping
from fractions import Fraction
from itertools import islice

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def leaks(groups: NDArray[np.int64], splits: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Marks test samples with a duplicate in the original train or validation split.

    Args:
        groups: Duplicate group of each sample, -1 for none; shape (N,).
        splits: Original split of each sample; shape (N,).
    """
    seen = np.unique(groups[(splits == "train") | (splits == "validation")])
    leaked: NDArray[np.bool_] = (splits == "test") & (groups >= 0) & np.isin(groups, seen)
    return leaked


def leaked_training(groups: NDArray[np.int64], splits: NDArray[np.object_]) -> NDArray[np.object_]:
    """Returns which train and validation samples to exclude because of leaks.

    Train loses samples with a duplicate in validation or test, and validation those with a
    duplicate in test. Test keeps all samples.

    Returns:
        Reason for each sample, shape (N,); empty if the sample is kept.
    """
    reasons = np.full(len(groups), "", dtype=object)
    linked = groups >= 0
    in_test = linked & np.isin(groups, np.unique(groups[splits == "test"]))
    in_validation = linked & np.isin(groups, np.unique(groups[splits == "validation"]))
    reasons[(splits == "train") & in_validation] = "duplicate of a validation image"
    reasons[((splits == "train") | (splits == "validation")) & in_test] = (
        "duplicate of a test image"
    )
    return reasons


def stratified_split(
    labels: NDArray[np.object_], groups: NDArray[np.int64], share: float, seed: int
) -> NDArray[np.bool_]:
    """Draws a stratified subset that does not split groups.

    A class with at least two groups has samples in both subsets, however small it is.

    Args:
        labels: Class name of each sample; shape (N,).
        groups: Duplicate group, -1 for none; shape (N,).
        share: Size of the subset, 0 to 1, approximated by a number of at most ten equal folds
            (below 0.1 by one of more folds).
        seed: Seed of the shuffle.

    Returns:
        Whether a sample is in the subset, shape (N,).
    """
    drawn_share = (
        Fraction(share).limit_denominator(10) if share >= 0.1 else Fraction(1, round(1 / share))
    )
    drawn_share = min(drawn_share, Fraction(9, 10))
    folds = drawn_share.denominator
    ungrouped = groups < 0
    keys = np.where(ungrouped, np.arange(len(groups)) + groups.max(initial=0) + 1, groups)
    names, counts = np.unique(labels.astype(str), return_counts=True)
    if counts.min() < folds or len(np.unique(keys)) < folds:
        mask = _small_split(labels.astype(str), keys, share, seed)
    else:
        from sklearn.model_selection import StratifiedGroupKFold  # slow to import

        splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
        mask = np.zeros(len(labels), dtype=bool)
        parts = splitter.split(np.zeros(len(labels)), labels.astype(str), keys)
        for _, drawn in islice(parts, drawn_share.numerator):
            mask[drawn] = True
    for name in names:
        _ensure_both_sides(mask, labels == name, keys)
    return mask


def _small_split(
    labels: NDArray[np.str_], keys: NDArray[np.int64], share: float, seed: int
) -> NDArray[np.bool_]:
    """Draws groups class by class, the rarest first, until each class has its share."""
    random = np.random.default_rng(seed)
    mask = np.zeros(len(labels), dtype=bool)
    names, counts = np.unique(labels, return_counts=True)
    order = np.argsort(keys, kind="stable")
    distinct, starts = np.unique(keys[order], return_index=True)
    rows_of = dict(zip(distinct.tolist(), np.split(order, starts[1:]), strict=True))
    for name in names[np.argsort(counts, kind="stable")]:
        of_class = labels == name
        size = max(1, round(share * of_class.sum()))
        free = np.unique(keys[of_class & ~mask])
        drawn = int(mask[of_class].sum())
        for key in random.permutation(free)[: len(free) - 1]:  # train keeps at least one group
            if drawn >= size:
                break
            rows = rows_of[key]
            mask[rows] = True
            drawn += int(of_class[rows].sum())
    return mask


def _ensure_both_sides(
    mask: NDArray[np.bool_], of_class: NDArray[np.bool_], keys: NDArray[np.int64]
) -> None:
    """Moves the smallest group of a class that is in one subset only."""
    for side in (True, False):
        members, sizes = np.unique(keys[of_class & (mask != side)], return_counts=True)
        if not (mask[of_class] == side).any() and len(members) > 1:
            mask[keys == members[sizes.argmin()]] = side


def split_hash(samples: pd.DataFrame) -> str:
    """Returns a short hash of the id, split and label of all samples."""
    rows = sorted(
        f"{row.id}\t{row.split}\t{row.label}"
        for row in samples[["id", "split", "label"]].itertuples(index=False)
    )
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16]


def class_weights(counts: Mapping[str, int]) -> dict[str, float]:
    """Returns weights from inverse frequencies: samples / (classes * samples of the class).

    This is scikit-learn's "balanced"; a class without samples has weight 0.
    """
    total = sum(counts.values())
    return {name: total / (len(counts) * count) if count else 0.0 for name, count in counts.items()}
