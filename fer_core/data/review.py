"""Lists of samples that somebody should look at, each with a reason and a proposal.

A proposal is a line of a relabel list (`fer_core.data.relabel`): another label, or an empty one,
which sets the sample aside.
"""

import numpy as np
import pandas as pd

from fer_core.data import quality
from fer_core.data.relabel import COLUMNS

ASIDE = ""
"""Proposed label of a sample that is better set aside."""


def duplicate_groups(samples: pd.DataFrame) -> pd.DataFrame:
    """Lists all members of duplicate groups, largest groups first.

    The first member of a group in the table's order that has a label is its original, or the first
    where none has; the others are proposed to be set aside.

    Args:
        samples: A benchmark's samples.

    Returns:
        Columns `group`, `size`, `id`, `split` (as the source had it), `label`, `kind` (`exact` if
        the sample equals another one bit for bit, else `near`), `reason` and `proposal`.
    """
    members = samples[samples["duplicate_group"] >= 0]
    group = members["duplicate_group"]
    # stable: of those with a label, or without, the table's order stays
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


def leaks(samples: pd.DataFrame) -> pd.DataFrame:
    """Lists held-out samples whose duplicate stands in a split that learns or chooses.

    Returns:
        Columns `group`, `id`, `split`, `label`, `stands_in`, `same_label`, `reason` and
        `proposal`; validation images with a copy in train, and test images with one in train or
        validation. Preparation has closed these leaks on the training side already.
    """
    members = samples[samples["duplicate_group"] >= 0]
    split, group = members["original_split"], members["duplicate_group"]
    found = []
    for held_out, others in (("test", ("train", "validation")), ("validation", ("train",))):
        mine = members[split == held_out]
        where = pd.Series("", index=mine.index)
        labels: dict[int, set[str]] = {}
        for other in others:
            theirs = members[split == other]
            hit = mine["duplicate_group"].isin(theirs["duplicate_group"])
            where[hit] = where[hit].where(where[hit] == "", where[hit] + " and ") + other
            for number, label in zip(
                theirs["duplicate_group"], theirs["label"].fillna(""), strict=True
            ):
                labels.setdefault(int(number), set()).add(label)
        mine, where = mine[where != ""], where[where != ""]
        same = [
            label in labels[int(number)]
            for number, label in zip(mine["duplicate_group"], mine["label"].fillna(""), strict=True)
        ]
        found.append(
            pd.DataFrame(
                {
                    "group": group[mine.index],
                    "id": mine["id"],
                    "split": held_out,
                    "label": mine["label"],
                    "stands_in": where,
                    "same_label": np.array(same, dtype=bool),
                    "reason": "a copy stands in " + where,
                    "proposal": ASIDE,
                }
            )
        )
    return pd.concat(found, ignore_index=True)


def conflicts(samples: pd.DataFrame) -> pd.DataFrame:
    """Lists the members of duplicate groups that carry more than one label.

    The proposal is the label that more than half of the labelled members carry; where there is
    none, the members are proposed to be set aside.

    Returns:
        Columns `group`, `id`, `split`, `label`, `reason` and `proposal`, by group.
    """
    groups = samples["duplicate_group"].to_numpy()
    members = samples[quality.conflicting(groups, samples["label"])]
    members = members[members["label"].notna()]
    rows = []
    for number, group in members.groupby("duplicate_group", sort=True):
        counts = group["label"].value_counts()
        most = counts.index[0] if 2 * counts.iloc[0] > len(group) else ASIDE
        said = ", ".join(f"{count} x {name}" for name, count in sorted(counts.items()))
        for member in group.itertuples(index=False):
            rows.append(
                {
                    "group": number,
                    "id": member.id,
                    "split": member.original_split,
                    "label": member.label,
                    "reason": f"its copies are labelled {said}",
                    "proposal": most,
                }
            )
    columns = ["group", "id", "split", "label", "reason", "proposal"]
    return pd.DataFrame(rows, columns=columns)


def relabel_list(table: pd.DataFrame) -> pd.DataFrame:
    """Returns the rows of a list that change something, as `prepare --relabel` reads them.

    Args:
        table: Columns `id`, `label`, `proposal` and `reason`.

    Returns:
        Columns `id`, `label` (the proposal), `given` and `reason`; one row a sample.
    """
    given = table["label"].fillna("")
    changed = table[(table["proposal"] != given) | (table["proposal"] == ASIDE)]
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
