"""What corrupted pictures cost: the numbers behind `robustness.parquet`.

A table has one row a corruption and strength, and one for the clean pictures (`clean`,
strength 0): columns `corruption`, `strength` (1 to 5), `images`, `seed`, `samples_hash`,
`accuracy`, `macro_recall`, `log_loss`. Two tables can be set against each other only if they
were measured on the same images with the same seed.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from fer_core.artifacts import read_table
from fer_core.errors import ArtifactError
from fer_core.evaluation import metrics
from fer_core.evaluation.predictions import SplitPredictions

CLEAN = "clean"
COLUMNS = (
    "corruption",
    "strength",
    "images",
    "seed",
    "samples_hash",
    "accuracy",
    "macro_recall",
    "log_loss",
)
BASELINE = "resnet34"
"""Errors are given relative to this recipe's, as Hendrycks and Dietterich do to AlexNet's."""


def row(corruption: str, strength: int, scores: SplitPredictions, seed: int) -> dict[str, object]:
    """Returns one row of the table, measured on the scores of corrupted pictures."""
    matrix = metrics.confusion_matrix(scores.truth, scores.predicted, len(scores.labels))
    return {
        "corruption": corruption,
        "strength": strength,
        "images": len(scores),
        "seed": seed,
        "samples_hash": samples_hash(scores),
        "accuracy": metrics.accuracy(matrix),
        "macro_recall": metrics.macro_recall(matrix),
        "log_loss": metrics.log_loss(scores.truth, scores.probabilities),
    }


def samples_hash(scores: SplitPredictions) -> str:
    """Names the samples and their order, so that tables of others are not set side by side."""
    return hashlib.sha256("\n".join(map(str, scores.ids)).encode()).hexdigest()[:12]


def read_robustness(path: Path) -> pd.DataFrame:
    """Reads `robustness.parquet`.

    Raises:
        ArtifactError: If it is missing or corrupt, or has no row for the clean pictures.
    """
    table = read_table(path, COLUMNS)
    if (table["corruption"] == CLEAN).sum() != 1 or not same_protocol(table, table):
        raise ArtifactError(
            f"{path.name} of {path.parent.name!r} is not one measurement. Measure the run again "
            "with `python -m training robustness BENCHMARK RUN --again`."
        )
    return table


def same_protocol(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    """Whether two tables were measured on the same images, with the same seed."""
    keys = ["images", "seed", "samples_hash"]
    return len(pd.concat([one[keys], other[keys]]).drop_duplicates()) == 1


@dataclass(frozen=True)
class Robustness:
    """A run's robustness in a few numbers, shares in 0 to 1.

    Attributes:
        clean: Accuracy on clean pictures.
        corrupted: Mean accuracy over all corruptions and strengths.
        kept: Corrupted over clean accuracy: what share of it survives.
        corruption_error: Mean corruption error against the baseline, mCE: below 1 is better than
            the baseline. None without a comparable baseline.
        relative_error: The same of the errors beyond the clean ones, relative mCE.
        worst: The corruption with the lowest mean accuracy, and that accuracy.
    """

    clean: float
    corrupted: float
    kept: float
    corruption_error: float | None
    relative_error: float | None
    worst: tuple[str, float]


def summarise(table: pd.DataFrame, baseline: pd.DataFrame | None = None) -> Robustness:
    """Sums a table up; mCE and relative mCE follow Hendrycks and Dietterich (2019).

    Args:
        table: Of one run.
        baseline: Of the baseline run; it is left aside if it was measured on other images.

    Raises:
        ArtifactError: If the table holds no corruption.
    """
    clean, by_corruption = _accuracies(table)
    if by_corruption.empty:
        raise ArtifactError("This robustness table holds clean pictures only.")
    means = by_corruption.mean(axis=1)
    absolute = relative = None
    if baseline is not None and same_protocol(table, baseline):
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


def accuracy_table(table: pd.DataFrame) -> pd.DataFrame:
    """Returns accuracy by corruption (index, by name) and strength (columns), without clean."""
    return _accuracies(table)[1]


def _accuracies(table: pd.DataFrame) -> tuple[float, pd.DataFrame]:
    clean = float(table.loc[table["corruption"] == CLEAN, "accuracy"].iloc[0])
    rest = table[table["corruption"] != CLEAN]
    return clean, rest.pivot(index="corruption", columns="strength", values="accuracy")


def _ratio(errors: pd.Series, baseline: pd.Series) -> float | None:
    """Mean over corruptions of the ratio of errors; None where the baseline makes none."""
    usable = baseline > 0
    if not usable.any():
        return None
    return float(np.mean(errors[usable] / baseline[usable]))
