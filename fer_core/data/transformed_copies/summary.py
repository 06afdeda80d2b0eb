"""Transformed copies in the dataset card."""

from collections import Counter
from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from fer_core.data.quality import joined_groups
from fer_core.data.transformed_copies.table import COPY, SAME_SCENE, changes_made

UNCHANGED = "neither moved nor lit differently"


class CopiesCard(BaseModel):
    """Transformed copies among the images that are no exact or near duplicates of each other.

    Attributes:
        removed: Whether copies of held-out images were removed from training and validation.
        pairs: Pairs by kind, `copy` and `same scene`.
        changes: Pairs of the kind `copy` by change; a pair may show several.
        held_out: Test and validation images with any copy (exact, near or transformed) in a split
            before theirs, by `test in train`, `test in validation` and `validation in train`;
            splits as the sources had them.
        used: Such images among those that take part, once leaks are closed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    removed: bool
    pairs: Mapping[str, int]
    changes: Mapping[str, int]
    held_out: Mapping[str, int]
    used: Mapping[str, int]


def copies_card(pairs: pd.DataFrame, samples: pd.DataFrame, *, removed: bool) -> CopiesCard:
    """Counts transformed copies.

    Args:
        pairs: A table with the columns of `table.COLUMNS`.
        samples: Columns `id`, `split`, `original_split` and `duplicate_group`.
        removed: Whether they are treated as duplicates.
    """
    copies = pairs[pairs["kind"] == COPY]
    row = pd.Series(np.arange(len(samples)), index=samples["id"])
    rows = np.stack([row[copies["id"]], row[copies["other"]]], axis=1).astype(np.int64)
    groups = joined_groups(samples["duplicate_group"].to_numpy(), rows)
    changes: Counter[str] = Counter()
    for pair in copies.to_dict("records"):
        changes.update(changes_made(pair) or (UNCHANGED,))
    return CopiesCard(
        removed=removed,
        pairs={kind: int((pairs["kind"] == kind).sum()) for kind in (COPY, SAME_SCENE)},
        changes=dict(sorted(changes.items())),
        held_out=_across(groups, samples["original_split"].to_numpy(dtype=object)),
        used=_across(groups, samples["split"].to_numpy(dtype=object)),
    )


def _across(groups: NDArray[np.int64], split: NDArray[np.object_]) -> dict[str, int]:
    """Returns the number of images of a split with a copy in another one."""
    counts = {}
    for name, other in (("test", "train"), ("test", "validation"), ("validation", "train")):
        there = groups[(split == other) & (groups >= 0)]
        counts[f"{name} in {other}"] = int(((split == name) & np.isin(groups, there)).sum())
    return counts


def copies_text(card: CopiesCard) -> list[str]:
    """Returns the section of `CARD.md`."""
    closed = (
        "Copies of held-out images were removed from training and validation."
        if card.removed
        else "They are reported, not removed: the published split stays as it is. Test images with "
        "such a copy are left out of the leak-free score. `prepare --transformed-copies remove` "
        "closes these leaks, which makes another benchmark."
    )
    return [
        "## Transformed copies",
        "",
        f"{card.pairs[COPY]:,} pairs of images are one picture, changed as augmentation does "
        f"(mirrored, rotated, cropped, other brightness), and no near duplicates. {closed}",
        "",
        *(f"- {count:,} {name}" for name, count in card.changes.items()),
        "",
        "Images with any copy (exact, near or transformed), by the splits of the sources: "
        + ", ".join(f"{count:,} of {where}" for where, count in card.held_out.items())
        + ". Among the images that are used: "
        + ", ".join(f"{count:,} of {where}" for where, count in card.used.items())
        + ".",
        "",
        f"{card.pairs[SAME_SCENE]:,} pairs show the same scene: other frames, other shots of a "
        "session, or a picture with something written over it.",
        "",
    ]
