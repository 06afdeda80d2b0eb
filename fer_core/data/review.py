"""Lists of samples to review, each with a reason and a proposed label.

A proposal is a row of a relabel list (`fer_core.data.relabel`): another label, or an empty one to
exclude the sample.
"""

import numpy as np
import pandas as pd

from fer_core.data import quality
from fer_core.data.leaks import copy_rows, leaked, leaking_groups
from fer_core.data.relabel import COLUMNS, HELD_OUT

ASIDE = ""
"""Proposal to exclude a sample."""

SCORED = "scored images: would make another benchmark"
"""Caution beside a proposal that concerns a validation or test image."""


def scored_ids(samples: pd.DataFrame) -> frozenset[str]:
    """Returns the ids of the images that runs are scored on.

    These are the images of validation and test, and those that would join them once they have a
    label.
    """
    splits = samples["split"].isin(HELD_OUT)
    joins = samples["original_split"].isin(HELD_OUT) & samples["label"].isna()
    return frozenset(samples.loc[splits | joins, "id"])


def duplicate_groups(samples: pd.DataFrame) -> pd.DataFrame:
    """Lists all members of duplicate groups, largest groups first.

    The first labelled member of a group in the table's order counts as the original (the first
    member if none is labelled); the proposal is to exclude the others.

    Args:
        samples: A benchmark's samples.

    Returns:
        Columns `group`, `size`, `id`, `split` (of the source), `label`, `kind` (`exact` if
        the sample equals another bit for bit, else `near`), `reason` and `proposal`.
    """
    members = samples[samples["duplicate_group"] >= 0]
    group = members["duplicate_group"]
    # a stable sort keeps the table's order among labelled and among unlabelled samples
    ordered = group[members["label"].isna().sort_values(kind="stable").index]
    first = ~ordered.duplicated().reindex(group.index)
    size = group.map(group.value_counts())
    kind = np.where(members["exact_group"] >= 0, "exact", "near")
    original = group.map(members.loc[first].set_index("duplicate_group")["id"])
    table = pd.DataFrame(
        {
            "group": group,
            "size": size,
            "id": members["id"],
            "split": members["original_split"],
            "label": members["label"],
            "kind": kind,
            "reason": np.where(first, "original of its group", "copy of " + original.astype(str)),
            "proposal": np.where(first, members["label"].fillna(""), ASIDE),
        }
    )
    order = ["size", "group"]
    return table.sort_values(order, ascending=[False, True], kind="stable", ignore_index=True)


def leaks(samples: pd.DataFrame, pairs: pd.DataFrame | None = None) -> pd.DataFrame:
    """Lists scored images with a copy in a split that is used before theirs.

    See `fer_core.data.leaks` for what counts. Preparation has excluded exact and near copies from
    training already, and transformed ones unless they are only reported.

    Args:
        samples: A benchmark's samples.
        pairs: Transformed copies in the benchmark; None if none were searched for.

    Returns:
        Columns `group`, `id`, `split`, `label`, `kind`, `stands_in`, `same_label` (whether a copy
        has the same label), `reason` and `proposal`; images of test, then of validation.
    """
    found = leaked(samples, pairs)
    groups = leaking_groups(samples, copy_rows(samples, pairs))
    original, label = samples["original_split"], samples["label"].fillna("")
    earlier = {"test": ("train", "validation"), "validation": ("train",)}
    known = {
        split: set(zip(groups[seen := original.isin(others)], label[seen], strict=True))
        for split, others in earlier.items()
    }
    group = pd.Series(groups, index=samples.index)[found.index]
    own = zip(found["split"], zip(group, label[found.index], strict=True), strict=True)
    return pd.DataFrame(
        {
            "group": group,
            "id": samples["id"][found.index],
            "split": found["split"],
            "label": samples["label"][found.index],
            "kind": found["kind"],
            "stands_in": found["stands_in"],
            "same_label": [pair in known[split] for split, pair in own],
            "reason": [f"a copy is in {places}" for places in found["stands_in"]],
            "proposal": ASIDE,
        }
    ).reset_index(drop=True)


def conflicts(samples: pd.DataFrame) -> pd.DataFrame:
    """Lists the labelled members of groups of exact or near copies with more than one label.

    The proposal is the label of more than half of the labelled members; without such a majority it
    is to exclude them.

    Returns:
        Columns `group`, `id`, `split`, `label`, `reason` and `proposal`, by group.
    """
    groups = samples["duplicate_group"].to_numpy()
    members = samples[quality.conflicting(groups, samples["label"])]
    members = members[members["label"].notna()]
    rows = []
    for number, group in members.groupby("duplicate_group", sort=True):
        counts = group["label"].value_counts()
        majority = counts.index[0] if 2 * counts.iloc[0] > len(group) else ASIDE
        labels = ", ".join(f"{count} x {name}" for name, count in sorted(counts.items()))
        for member in group.itertuples(index=False):
            rows.append(
                {
                    "group": number,
                    "id": member.id,
                    "split": member.original_split,
                    "label": member.label,
                    "reason": f"its copies are labelled {labels}",
                    "proposal": majority,
                }
            )
    columns = ["group", "id", "split", "label", "reason", "proposal"]
    return pd.DataFrame(rows, columns=columns)


def relabel_list(table: pd.DataFrame) -> pd.DataFrame:
    """Returns the rows of a review list that change a label, in the format of `prepare --relabel`.

    Args:
        table: Columns `id`, `label`, `proposal` and `reason`.

    Returns:
        Columns `id`, `label` (the proposal), `given` and `reason`; one row per sample.
    """
    labels = table["label"].fillna("")
    changed = table[(table["proposal"] != labels) | (table["proposal"] == ASIDE)]
    changed = changed.drop_duplicates("id")
    id_column, label_column = COLUMNS
    return pd.DataFrame(
        {
            id_column: changed["id"],
            label_column: changed["proposal"],
            "given": changed["label"].fillna(""),
            "reason": changed["reason"],
        }
    ).reset_index(drop=True)
