"""Leaks: scored images with a copy in a split that is used before theirs.

One definition for the card, the pages and the leak-free score: an image counts if runs are scored
on it, and a copy of it (exact, near or transformed) or another image of its group (a person) is in
the original train or validation split; for validation images, in the original train split.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_core.data.quality import joined_groups, linked_pairs
from fer_core.data.transformed_copies.table import COPY

EXACT, NEAR, TRANSFORMED = "exact", "near", "transformed"
OTHER = "same person, scene or source"
KINDS = (EXACT, NEAR, TRANSFORMED, OTHER)

_BEFORE = {"test": ("train", "validation"), "validation": ("train",)}

Groups = NDArray[np.int64]


def copy_rows(samples: pd.DataFrame, pairs: pd.DataFrame | None) -> NDArray[np.int64]:
    """Returns the rows of transformed copies, shape (P, 2).

    Args:
        samples: Column `id`.
        pairs: Columns `id`, `other` and `kind`; None if none were searched for.
    """
    if pairs is None:
        return np.empty((0, 2), dtype=np.int64)
    copies = pairs[pairs["kind"] == COPY]
    places = pd.Index(samples["id"])
    return np.stack([places.get_indexer(copies[name]) for name in ("id", "other")], axis=1)


def leaking_groups(samples: pd.DataFrame, copies: NDArray[np.int64]) -> Groups:
    """Returns groups of samples of which no two should be in different splits.

    Args:
        samples: Column `duplicate_group` and, if the sources have groups, `group`.
        copies: Rows of transformed copies, shape (P, 2).
    """
    groups = samples["duplicate_group"].to_numpy()
    if "group" in samples.columns:
        named = samples["group"].where(samples["group"].notna(), None)
        groups = joined_groups(groups, linked_pairs(named.tolist()))
    return joined_groups(groups, copies)


def leaked(samples: pd.DataFrame, pairs: pd.DataFrame | None = None) -> pd.DataFrame:
    """Lists the leaks of test, then those of validation.

    Args:
        samples: A benchmark's samples.
        pairs: Transformed copies in the benchmark; None if none were searched for.

    Returns:
        Indexed as these rows of `samples`: columns `split`, `kind` (of `KINDS`, the closest that
        applies), `stands_in` (the splits of the copies) and `group`.
    """
    original = samples["original_split"].to_numpy(dtype=object)
    tables = []
    for split, others in _BEFORE.items():
        scored = samples["split"].to_numpy(dtype=object) == split
        kind, groups = np.full(len(samples), "", dtype=object), np.full(len(samples), -1)
        for name, found, counted in _levels(samples, pairs):
            seen = np.unique(found[np.isin(original, others) & (found >= 0)])
            new = scored & counted & (kind == "") & np.isin(found, seen)
            kind[new], groups[new] = name, found[new]
        if split == "test" and "leak" in samples.columns:  # what the sources told `prepare`
            kind[scored & samples["leak"].to_numpy(dtype=bool) & (kind == "")] = OTHER
        rows = np.flatnonzero(kind != "")
        places = _places(samples, pairs, original, rows, others)
        tables.append(
            pd.DataFrame(
                {"split": split, "kind": kind[rows], "stands_in": places, "group": groups[rows]},
                index=samples.index[rows],
            )
        )
    return pd.concat(tables)


def leaks_by_kind(samples: pd.DataFrame, pairs: pd.DataFrame | None = None) -> dict[str, int]:
    """Returns the number of leaked test images by the closest kind; the kinds sum to all leaks."""
    found = leaked(samples, pairs)
    counts = found.loc[found["split"] == "test", "kind"].value_counts()
    return {kind: int(counts[kind]) for kind in KINDS if kind in counts}


def _levels(
    samples: pd.DataFrame, pairs: pd.DataFrame | None
) -> Iterator[tuple[str, Groups, NDArray[np.bool_]]]:
    """Yields kind, groups, and which samples the groups can tell, the closest kind first."""
    every = np.ones(len(samples), dtype=bool)
    near, copies = samples["duplicate_group"].to_numpy(), copy_rows(samples, pairs)
    # `prepare --transformed-copies remove` joins transformed copies with near duplicates.
    joined = copies[(near[copies] >= 0).all(axis=1) & (near[copies[:, 0]] == near[copies[:, 1]])]
    is_near = every.copy()
    is_near[joined.ravel()] = False
    yield EXACT, samples["exact_group"].to_numpy(), every
    yield NEAR, near, is_near
    yield TRANSFORMED, joined_groups(near, copies), every
    yield OTHER, leaking_groups(samples, copies), every


def _places(
    samples: pd.DataFrame,
    pairs: pd.DataFrame | None,
    original: NDArray[np.object_],
    rows: NDArray[np.int64],
    others: tuple[str, ...],
) -> list[str]:
    """Returns the splits in which images of the same group are, such as `train and validation`."""
    groups = leaking_groups(samples, copy_rows(samples, pairs))
    seen = {other: set(groups[(original == other) & (groups >= 0)].tolist()) for other in others}
    return [
        " and ".join(other for other in others if int(groups[row]) in seen[other]) for row in rows
    ]
