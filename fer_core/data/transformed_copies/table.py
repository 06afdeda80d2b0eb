"""The table of transformed copies: pairs, what they are, and what was done to the picture."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

COPY = "copy"
"""Kind of pairs that are one picture, changed as augmentation does."""

SAME_SCENE = "same scene"
"""Another frame of one video, or another shot of one session."""

COLUMNS = (
    "id", "other", "kind", "mirrored", "degrees", "scale", "shift_x", "shift_y", "gain", "gamma",
    "overlap", "correlation", "unexplained", "worst",
)  # fmt: skip
"""Columns of `transformed_copies.parquet`. `degrees` is clockwise; `scale` above 1 enlarges; shifts
are shares of the side, to the right and down; all from `id` to `other`."""

_DEGREES, _SCALE, _SHIFT, _TONE = 1.5, 0.03, 0.03, 0.15
"""Smallest changes worth naming."""


@dataclass(frozen=True)
class TransformedCopies:
    """Pairs that were found.

    Attributes:
        pairs: Rows of the two images, shape (P, 2), the first less than the second.
        facts: One row a pair; the columns of `COLUMNS` without `id` and `other`.
    """

    pairs: NDArray[np.int64]
    facts: pd.DataFrame

    @classmethod
    def none(cls) -> "TransformedCopies":
        """Returns an empty result."""
        facts = pd.DataFrame({name: pd.Series(dtype=np.float32) for name in COLUMNS[2:]})
        facts = facts.astype({"kind": "str", "mirrored": bool})
        return cls(np.empty((0, 2), np.int64), facts)

    def of_kind(self, kind: str) -> NDArray[np.int64]:
        """Returns the pairs of a kind, shape (P, 2)."""
        return self.pairs[(self.facts["kind"] == kind).to_numpy()]

    def table(self, ids: Sequence[str]) -> pd.DataFrame:
        """Returns the table as stored.

        Args:
            ids: Ids of all images, by row.
        """
        names = np.asarray(ids, dtype=object)
        table = self.facts.assign(id=names[self.pairs[:, 0]], other=names[self.pairs[:, 1]])
        return table[list(COLUMNS)].astype({"id": "str", "other": "str", "kind": "str"})


def changes_made(pair: Mapping[Hashable, Any]) -> tuple[str, ...]:
    """Returns which kinds of change a pair shows: `mirrored`, `rotated`, `rescaled` and so on."""
    made = {
        "mirrored": bool(pair["mirrored"]),
        "rotated": abs(pair["degrees"]) >= _DEGREES,
        "cropped or rescaled": abs(np.log(pair["scale"])) >= _SCALE,
        "shifted": _shift(pair) >= _SHIFT,
        "brighter or darker": abs(np.log(_brightness(pair))) >= _TONE,
    }
    return tuple(name for name, present in made.items() if present)


def describe_change(pair: Mapping[Hashable, Any]) -> str:
    """Says what was done to the first picture, such as "mirrored, rotated by 7°"."""
    made = changes_made(pair)
    degrees, scale = float(pair["degrees"]), float(pair["scale"])
    turned = "clockwise" if degrees > 0 else "anticlockwise"
    texts = {
        "mirrored": "mirrored",
        "rotated": f"rotated by {abs(degrees):.0f}° {turned}",
        "cropped or rescaled": f"{'enlarged' if scale > 1 else 'reduced'} to {scale:.0%}",
        "shifted": f"shifted by {_shift(pair):.0%}",
        "brighter or darker": "brighter" if _brightness(pair) > 1 else "darker",
    }
    return ", ".join(texts[name] for name in made) or "re-encoded, nothing else"


def _shift(pair: Mapping[Hashable, Any]) -> float:
    return float(np.hypot(pair["shift_x"], pair["shift_y"]))


def _brightness(pair: Mapping[Hashable, Any]) -> float:
    """Returns by which factor middle grey changes."""
    return float(pair["gain"] * 0.5 ** pair["gamma"] / 0.5)
