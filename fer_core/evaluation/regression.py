"""How well a score is estimated: errors and concordance, by frame and by clip. No torch."""

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

    1 only if all estimates equal the truth; a shift or another scale lowers it, which a plain
    correlation does not see. NaN if neither varies.
    """
    covariance = float(((truth - truth.mean()) * (estimated - estimated.mean())).mean())
    shift = float(truth.mean() - estimated.mean())
    spread = float(truth.var() + estimated.var()) + shift**2
    return 2 * covariance / spread if spread > 0 else float("nan")


class RegressionMetrics(BaseModel):
    """Errors on one set of images or clips.

    Attributes:
        count: Images or clips with a score.
        mae, rmse: In the score's units, with 95% intervals.
        concordance: Lin's coefficient; None where nothing varies.
        mae_of_mean: Error of always answering the training mean: what has to be beaten.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: int
    mae: Estimate
    rmse: Estimate
    concordance: Estimate | None
    mae_of_mean: float


class RegressionReport(Record):
    """`score_report.json`: by split, over frames and over clips."""

    run_id: str
    frames: dict[str, RegressionMetrics]
    clips: dict[str, RegressionMetrics]


def measure(table: pd.DataFrame, training_mean: float, seed: int = 0) -> RegressionMetrics:
    """Measures estimates; intervals resample whole clips, since frames of one are alike.

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
    drawn = []
    for _ in range(RESAMPLES):
        rows = np.concatenate(
            [members[i] for i in random.integers(len(members), size=len(members))]
        )
        one, other = truth[rows], estimated[rows]
        drawn.append(
            (
                mean_absolute_error(one, other),
                root_mean_squared_error(one, other),
                concordance(one, other),
            )
        )
    resampled = np.array(drawn)
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
    """Measures each split over frames, and over clips by the mean of their frames.

    Args:
        run_id: The run.
        table: Columns `split`, `clip`, `score`, `estimated`; rows with a score alone.
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
