"""Robustness to image corruptions, as stored in `robustness.parquet`.

A table has one row per corruption and severity, and one row for the clean images (`clean`,
severity 0): columns `corruption`, `severity` (1 to 5), `images`, `seed`, `samples_hash`,
`accuracy`, `macro_recall`, `log_loss`. Two tables are comparable only if they were measured on
the same images with the same seed. Earlier versions called the column `strength`; such files are
still read.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from fer_core.errors import ArtifactError
from fer_core.evaluation import metrics
from fer_core.evaluation.predictions import SplitPredictions
from fer_core.tables import read_table

CLEAN = "clean"
ALIASES = {"strength": "severity"}
"""Current column names by their names in files of earlier versions."""

COLUMNS = (
    "corruption",
    "severity",
    "images",
    "seed",
    "samples_hash",
    "accuracy",
    "macro_recall",
    "log_loss",
)
BASELINE = "resnet34"
"""Recipe that errors are divided by for mCE, as AlexNet is in Hendrycks and Dietterich (2019)."""


def robustness_row(
    corruption: str, severity: int, predictions: SplitPredictions, seed: int
) -> dict[str, object]:
    """Returns one row of the table from the predictions for corrupted images."""
    return {"corruption": corruption, "severity": severity, **measurement(predictions, seed)}


def measurement(predictions: SplitPredictions, seed: int) -> dict[str, object]:
    """Returns the metrics of changed images, and which images these are."""
    matrix = metrics.confusion_matrix(
        predictions.truth, predictions.predicted, len(predictions.labels)
    )
    return {
        "images": len(predictions),
        "seed": seed,
        "samples_hash": samples_hash(predictions),
        "accuracy": metrics.accuracy(matrix),
        "macro_recall": metrics.macro_recall(matrix),
        "log_loss": metrics.log_loss(predictions.truth, predictions.probabilities),
    }


def samples_hash(predictions: SplitPredictions) -> str:
    """Returns a hash of the samples and their order; only tables with equal hashes compare."""
    return hashlib.sha256("\n".join(map(str, predictions.ids)).encode()).hexdigest()[:12]


def read_robustness(path: Path) -> pd.DataFrame:
    """Reads `robustness.parquet`.

    Raises:
        ArtifactError: If it is missing or corrupt, or has no row for the clean images.
    """
    table = read_table(path, COLUMNS, ALIASES)
    if (table["corruption"] == CLEAN).sum() != 1 or not same_images(table, table):
        raise ArtifactError(
            f"{path.name} of {path.parent.name!r} does not hold exactly one measurement. Measure "
            "the run again with `python -m training robustness BENCHMARK RUN --again`."
        )
    return table


def measured_on(table: pd.DataFrame) -> tuple[int, int, str]:
    """Returns the number, the seed and the hash of the images of a table."""
    first = table.iloc[0]
    return int(first["images"]), int(first["seed"]), str(first["samples_hash"])


def same_images(first: pd.DataFrame, second: pd.DataFrame) -> bool:
    """Whether two tables were measured on the same images with the same seed."""
    keys = ["images", "seed", "samples_hash"]
    return len(pd.concat([first[keys], second[keys]]).drop_duplicates()) == 1


@dataclass(frozen=True)
class Robustness:
    """Summary of a robustness table; shares are in 0 to 1.

    Attributes:
        clean: Accuracy on clean images.
        corrupted: Mean accuracy over all corruptions and severities.
        retained: Corrupted accuracy divided by clean accuracy.
        mce: Mean corruption error relative to the baseline; below 1 is better than the baseline.
            None without a comparable baseline.
        relative_mce: mCE of the error increase over clean images.
        worst: Corruption with the lowest mean accuracy, and that accuracy.
    """

    clean: float
    corrupted: float
    retained: float
    mce: float | None
    relative_mce: float | None
    worst: tuple[str, float]


def summarise(table: pd.DataFrame, baseline: pd.DataFrame | None = None) -> Robustness:
    """Summarises a table; mCE and relative mCE follow Hendrycks and Dietterich (2019).

    Args:
        table: Table of one run.
        baseline: Table of the baseline run; ignored if it was measured on other images.

    Raises:
        ArtifactError: If the table holds no corruption.
    """
    clean, by_corruption = _accuracies(table)
    if by_corruption.empty:
        raise ArtifactError(
            "This robustness table has clean images only. Measure the run again with `python -m "
            "training robustness BENCHMARK RUN --again`."
        )
    means = by_corruption.mean(axis=1)
    absolute = relative = None
    if baseline is not None and same_images(table, baseline):
        base_clean, base = _accuracies(baseline)
        if by_corruption.index.equals(base.index) and by_corruption.columns.equals(base.columns):
            absolute = _ratio((1 - by_corruption).sum(axis=1), (1 - base).sum(axis=1))
            relative = _ratio((clean - by_corruption).sum(axis=1), (base_clean - base).sum(axis=1))
    corrupted = float(means.mean())
    return Robustness(
        clean,
        corrupted,
        corrupted / clean if clean else float("nan"),
        absolute,
        relative,
        (str(means.idxmin()), float(means.min())),
    )


def mean_accuracies(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Returns mean accuracies over severities, by corruption (index) and table (columns).

    Clean images are left out.
    """
    if not tables:
        return pd.DataFrame()
    rows = pd.concat(tables, names=["table"])
    corrupted = rows[rows["corruption"] != CLEAN]
    means = corrupted.groupby(["corruption", "table"])["accuracy"].mean().unstack()
    return means[list(tables)].rename_axis(columns=None)


def _accuracies(table: pd.DataFrame) -> tuple[float, pd.DataFrame]:
    clean = float(table.loc[table["corruption"] == CLEAN, "accuracy"].iloc[0])
    corrupted = table[table["corruption"] != CLEAN]
    return clean, corrupted.pivot(index="corruption", columns="severity", values="accuracy")


def _ratio(errors: pd.Series, baseline: pd.Series) -> float | None:
    """Mean over corruptions of the error ratio; None if the baseline makes no errors."""
    usable = baseline > 0
    if not usable.any():
        return None
    return float(np.mean(errors[usable] / baseline[usable]))
