"""What the dataset card says of transformed copies."""

from collections import Counter
from collections.abc import Mapping

import pandas as pd
from pydantic import BaseModel, ConfigDict

from fer_core.data.transformed_copies.table import COPY, SAME_SCENE, changes_made

UNCHANGED = "neither moved nor lit differently"


class CopiesCard(BaseModel):
    """Transformed copies among the images that are no exact or near duplicates of each other.

    Attributes:
        removed: Whether training and validation gave up copies of held-out images.
        pairs: Pairs by kind, `copy` and `same scene`.
        changes: Pairs of the kind `copy` by change; a pair may show several.
        held_out: Test and validation images with a copy in a split before theirs, by
            `test in train`, `test in validation` and `validation in train`; splits as the sources
            had them.
        used: The same among the images that take part, once leaks are closed.
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
        samples: Columns `id`, `split` and `original_split`.
        removed: Whether they are treated as duplicates.
    """
    copies = pairs[pairs["kind"] == COPY]
    changes: Counter[str] = Counter()
    for pair in copies.to_dict("records"):
        changes.update(changes_made(pair) or (UNCHANGED,))
    return CopiesCard(
        removed=removed,
        pairs={kind: int((pairs["kind"] == kind).sum()) for kind in (COPY, SAME_SCENE)},
        changes=dict(sorted(changes.items())),
        held_out=_across(copies, samples.set_index("id")["original_split"]),
        used=_across(copies, samples.set_index("id")["split"]),
    )


def _across(copies: pd.DataFrame, split: "pd.Series[str]") -> dict[str, int]:
    """Returns the number of images of a split with a copy in another one."""
    both = pd.concat(
        [copies[["id", "other"]], copies[["other", "id"]].set_axis(["id", "other"], axis=1)]
    )
    ours, theirs = both["id"].map(split), both["other"].map(split)
    return {
        f"{name} in {other}": int(both.loc[(ours == name) & (theirs == other), "id"].nunique())
        for name, other in (
            ("test", "train"), ("test", "validation"), ("validation", "train"),
        )
    }  # fmt: skip


def copies_text(card: CopiesCard) -> list[str]:
    """Returns the section of `CARD.md`."""
    closed = (
        "Training and validation gave up the copies of held-out images."
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
        "Images with such a copy, by the splits of the sources: "
        + ", ".join(f"{count:,} of {where}" for where, count in card.held_out.items())
        + ". Among the images that are used: "
        + ", ".join(f"{count:,} of {where}" for where, count in card.used.items())
        + ".",
        "",
        f"{card.pairs[SAME_SCENE]:,} pairs show the same scene: other frames, other shots of a "
        "session, or a picture with something written over it.",
        "",
    ]
