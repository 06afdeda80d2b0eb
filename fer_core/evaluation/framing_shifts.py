"""Accuracy on images that are framed otherwise, as stored in `framing.parquet`.

A table has one row per split (`validation`, `test`) and framing: columns `schema_version`, `split`,
`change` (`none`, `margin`, `rotation`), `amount`, `images`, `seed`, `samples_hash`, `accuracy`,
`macro_recall`, `log_loss`. Validation is there so that training can be compared on it without
looking at test.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from fer_core.errors import ArtifactError
from fer_core.evaluation.predictions import SplitPredictions
from fer_core.evaluation.robustness import measurement, same_images
from fer_core.tables import read_table

SCHEMA_VERSION = 1
UNCHANGED, MARGIN = "none", "margin"
DROP_MARGIN = 0.1
"""Margin at which the loss of accuracy is a leaderboard column."""

COLUMNS = (
    "schema_version",
    "split",
    "change",
    "amount",
    "images",
    "seed",
    "samples_hash",
    "accuracy",
    "macro_recall",
    "log_loss",
)


def framing_row(
    change: str, amount: float, split: str, predictions: SplitPredictions, seed: int
) -> dict[str, object]:
    """Returns one row of the table from the predictions for changed images."""
    return {
        "schema_version": SCHEMA_VERSION,
        "split": split,
        "change": change,
        "amount": amount,
        **measurement(predictions, seed),
    }


def read_framing(path: Path) -> pd.DataFrame:
    """Reads `framing.parquet`.

    Raises:
        ArtifactError: If it is missing, corrupt or of a newer schema, or if a split has not one
            row for the unchanged images, or was measured on different images.
    """
    table = read_table(path, COLUMNS, newest=SCHEMA_VERSION)
    for _, rows in table.groupby("split"):
        repeated = rows.duplicated(["change", "amount"]).any()
        if repeated or (rows["change"] == UNCHANGED).sum() != 1 or not same_images(rows, rows):
            raise ArtifactError(
                f"{path.name} of {path.parent.name!r} does not hold exactly one measurement. "
                "Measure the run again with "
                "`python -m training robustness BENCHMARK RUN --framing --again`."
            )
    return table


@dataclass(frozen=True)
class FramingResult:
    """Accuracy of a run on framing-shifted images of one split; shares are in 0 to 1.

    Attributes:
        unchanged: Accuracy on the images as stored.
        shifted: Mean accuracy over the framing shifts.
        drop: Accuracy lost at a margin of `DROP_MARGIN`; None if it was not measured.
        images: Number of images.
    """

    unchanged: float
    shifted: float
    drop: float | None
    images: int


def summarise_framing(table: pd.DataFrame, split: str) -> FramingResult | None:
    """Summarises one split of a table; None if it was not measured.

    Args:
        table: Result of `read_framing`.
        split: `validation` or `test`.
    """
    rows = table[table["split"] == split]
    shifted = rows[rows["change"] != UNCHANGED]
    if shifted.empty:
        return None
    stored = rows[rows["change"] == UNCHANGED].iloc[0]
    wider = (shifted["change"] == MARGIN) & np.isclose(shifted["amount"], DROP_MARGIN)
    drop = None
    if wider.any():
        drop = float(stored["accuracy"] - shifted.loc[wider, "accuracy"].iloc[0])
    return FramingResult(
        float(stored["accuracy"]),
        float(shifted["accuracy"].mean()),
        drop,
        int(stored["images"]),
    )
