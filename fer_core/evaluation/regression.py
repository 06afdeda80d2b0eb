"""Metrics of the regression head: errors and concordance, by frame and by clip. No torch."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from fer_core.evaluation.intervals import interval
from fer_core.evaluation.report import Estimate
from fer_core.records import Record

RESAMPLES = 500

Values = NDArray[np.float64]


def mean_absolute_error(truth: Values, estimated: Values) -> float:
    """Mean of |estimated - truth|, in the score's units."""
    return float(np.abs(estimated - truth).mean())


def root_mean_squared_error(truth: Values, estimated: Values) -> float:
    """Root of the mean squared error, in the score's units."""
    return float(np.sqrt(np.square(estimated - truth).mean()))


def concordance(truth: Values, estimated: Values) -> float:
    """Lin's concordance correlation coefficient, -1 to 1 (Lin 1989).

    1 means that all estimates equal the truth. Unlike Pearson's correlation it also penalises
    offset and scale errors. NaN if both arrays are constant.
    """
    covariance = float(((truth - truth.mean()) * (estimated - estimated.mean())).mean())
    shift = float(truth.mean() - estimated.mean())
    spread = float(truth.var() + estimated.var()) + shift**2
    return 2 * covariance / spread if spread > 0 else float("nan")


class RegressionMetrics(BaseModel):
    """Errors on one set of images or clips.

    Attributes:
        count: Number of images or clips with a score.
        mae, rmse: Errors in the score's units, with 95% intervals.
        concordance: Lin's coefficient; None if undefined.
        mae_of_mean: Mean absolute error of the baseline that always predicts the training mean.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: int
    mae: Estimate
    rmse: Estimate
    concordance: Estimate | None
    mae_of_mean: float


class RegressionReport(Record):
    """`score_report.json`: regression metrics by split, over frames and over clips."""

    run_id: str
    frames: dict[str, RegressionMetrics]
    clips: dict[str, RegressionMetrics]


def measure(table: pd.DataFrame, training_mean: float, seed: int = 0) -> RegressionMetrics:
    """Returns metrics of estimates; the bootstrap resamples clips, whose frames are correlated.

    Args:
        table: Columns `score`, `estimated`, `clip`; at least one row.
        training_mean: Mean score of the training images.
        seed: Seed of the resampling.
    """
    truth = table["score"].to_numpy(dtype=np.float64)
    estimated = table["estimated"].to_numpy(dtype=np.float64)
    codes, names = pd.factorize(table["clip"])
    order = np.argsort(codes, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(codes, minlength=len(names)))[:-1])
    random = np.random.default_rng(seed)
    resamples = []
    for _ in range(RESAMPLES):
        rows = np.concatenate(
            [members[i] for i in random.integers(len(members), size=len(members))]
        )
        true_scores, estimates = truth[rows], estimated[rows]
        resamples.append(
            (
                mean_absolute_error(true_scores, estimates),
                root_mean_squared_error(true_scores, estimates),
                concordance(true_scores, estimates),
            )
        )
    resampled = np.array(resamples)
    agreement = concordance(truth, estimated)
    return RegressionMetrics(
        count=len(table),
        mae=_estimate(mean_absolute_error(truth, estimated), resampled[:, 0]),
        rmse=_estimate(root_mean_squared_error(truth, estimated), resampled[:, 1]),
        concordance=None if np.isnan(agreement) else _estimate(agreement, resampled[:, 2]),
        mae_of_mean=mean_absolute_error(truth, np.full_like(truth, training_mean)),
    )


def build_regression_report(
    run_id: str, table: pd.DataFrame, training_mean: float
) -> RegressionReport:
    """Returns metrics of each split over frames, and over clips (mean over frames).

    Args:
        run_id: Id of the run.
        table: Columns `split`, `clip`, `score`, `estimated`; only rows with a score.
        training_mean: Mean score of the training images.
    """
    frames, clips = {}, {}
    for split, part in table.groupby("split"):
        frames[str(split)] = measure(part, training_mean)
        means = part.groupby("clip", as_index=False)[["score", "estimated"]].mean()
        clips[str(split)] = measure(means, training_mean)
    return RegressionReport(run_id=run_id, frames=frames, clips=clips)


def _estimate(value: float, resampled: Values) -> Estimate:
    low, high = interval(resampled) if np.isfinite(resampled).any() else (value, value)
    return Estimate(value=value, low=low, high=high)
