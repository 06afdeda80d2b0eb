"""Metrics of the regression head: errors and concordance, by frame and by clip. No torch."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, model_validator

from fer_core.artifacts import RunDir
from fer_core.evaluation.report import Estimate
from fer_core.records import Record
from fer_core.tables import read_table

RESAMPLES = 500

COVERAGE = 0.9
"""Share of new images whose true value should lie in the interval of an estimate."""

FORMER_TARGET = "score"
"""Target of files that were written when there was only one."""

CAVEAT = (
    "An estimate describes the picture as the authors of the targets would rate it. It is no "
    "diagnosis and says nothing about the health, feelings or state of a person."
)
"""Limits of estimates; shown wherever one is shown."""

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


class TargetReport(BaseModel):
    """Metrics of one target by split, over frames and over clips (means over their frames).

    Attributes:
        frames, clips: Metrics by split.
        margin: Half the width of the interval of an estimate (`conformal_margin`); None if there
            are too few validation images.
        test_coverage: Share of the test images whose true value is in that interval, with the
            95% interval of a bootstrap over clips; None without a margin.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    frames: dict[str, RegressionMetrics]
    clips: dict[str, RegressionMetrics]
    margin: float | None = None
    test_coverage: Estimate | None = None

    def rows(self) -> Iterator[tuple[str, str, RegressionMetrics]]:
        """Yields split, `frames` or `clips`, and metrics."""
        for kind, splits in (("frames", self.frames), ("clips", self.clips)):
            for split, metrics in splits.items():
                yield split, kind, metrics


class RegressionReport(Record):
    """`score_report.json`: regression metrics by target.

    Files of earlier versions have one target and no `targets`; it is called `FORMER_TARGET`.
    """

    run_id: str
    targets: dict[str, TargetReport]

    @model_validator(mode="before")
    @classmethod
    def _from_one_target(cls, content: Any) -> Any:  # noqa: ANN401 (whatever is validated)
        if isinstance(content, Mapping) and "targets" not in content and "frames" in content:
            counts = {key: content[key] for key in ("frames", "clips") if key in content}
            rest = {key: value for key, value in content.items() if key not in counts}
            return {**rest, "targets": {FORMER_TARGET: counts}}
        return content


def read_estimates(run: RunDir) -> pd.DataFrame:
    """Reads `scores.parquet`: columns `id`, `split`, `clip`, `target`, `score`, `estimated`.

    Raises:
        ArtifactError: If it is missing or damaged.
    """
    table = read_table(run.regression_path, ("id", "split", "clip", "score", "estimated"))
    return table if "target" in table else table.assign(target=FORMER_TARGET)


def margins(run: RunDir) -> dict[str, float | None]:
    """Returns the margin of a run's estimates by target, from its saved validation estimates.

    Raises:
        ArtifactError: If the run has none, or they are damaged.
    """
    table = read_estimates(run)
    validation = table[table["split"] == "validation"]
    return {
        str(target): conformal_margin(part["score"], part["estimated"])
        for target, part in validation.groupby("target", sort=False)
    }


def conformal_margin(truth: "pd.Series[Any]", estimated: "pd.Series[Any]") -> float | None:
    """Returns the half-width of an interval that holds `COVERAGE` of new images.

    Split conformal prediction (Papadopoulos et al. 2002; Lei et al. 2018): the
    ceil((n + 1) * COVERAGE)-th smallest absolute error on n validation images. It holds for images
    like these; frames of one clip count as separate images, so it is too narrow for new persons if
    there are few clips.

    Returns:
        In the target's units; None if n is too small for this coverage.
    """
    errors = np.sort(np.abs(np.asarray(truth, float) - np.asarray(estimated, float)))
    rank = math.ceil((len(errors) + 1) * COVERAGE)
    return float(errors[rank - 1]) if 1 <= rank <= len(errors) else None


def measure(table: pd.DataFrame, training_mean: float, seed: int = 0) -> RegressionMetrics:
    """Returns metrics of estimates; the bootstrap resamples clips, whose frames are correlated.

    Args:
        table: Columns `score`, `estimated`, `clip`; at least one row.
        training_mean: Mean score of the training images.
        seed: Seed of the resampling.
    """
    truth = table["score"].to_numpy(dtype=np.float64)
    estimated = table["estimated"].to_numpy(dtype=np.float64)
    resamples = []
    for rows in _clip_resamples(table["clip"], seed):
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
    run_id: str, table: pd.DataFrame, training_means: Mapping[str, float]
) -> RegressionReport:
    """Returns metrics of each target and split over frames, and over clips (mean over frames).

    Args:
        run_id: Id of the run.
        table: Columns `split`, `clip`, `target`, `score`, `estimated`; only rows with a score.
        training_means: Mean of each target over the training images.
    """
    targets = {
        name: _target_report(table[table["target"] == name], mean)
        for name, mean in training_means.items()
    }
    return RegressionReport(run_id=run_id, targets=targets)


def _target_report(table: pd.DataFrame, training_mean: float) -> TargetReport:
    frames, clips = {}, {}
    for split, part in table.groupby("split"):
        frames[str(split)] = measure(part, training_mean)
        means = part.groupby("clip", as_index=False)[["score", "estimated"]].mean()
        clips[str(split)] = measure(means, training_mean)
    validation = table[table["split"] == "validation"]
    margin = conformal_margin(validation["score"], validation["estimated"])
    test = table[table["split"] == "test"]
    covered = None if margin is None or test.empty else _coverage(test, margin)
    return TargetReport(frames=frames, clips=clips, margin=margin, test_coverage=covered)


def _coverage(table: pd.DataFrame, margin: float) -> Estimate:
    """Returns the share of images within a margin, with its interval over clips."""
    inside = ((table["score"] - table["estimated"]).abs() <= margin).to_numpy(dtype=np.float64)
    resampled = [float(inside[rows].mean()) for rows in _clip_resamples(table["clip"], 0)]
    return _estimate(float(inside.mean()), np.array(resampled))


def _clip_resamples(clips: "pd.Series[Any]", seed: int) -> Iterator[NDArray[np.int64]]:
    """Yields the rows of clips that are drawn with replacement."""
    codes, names = pd.factorize(clips)
    order = np.argsort(codes, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(codes, minlength=len(names)))[:-1])
    random = np.random.default_rng(seed)
    for _ in range(RESAMPLES):
        drawn = random.integers(len(members), size=len(members))
        yield np.concatenate([members[index] for index in drawn])


def _estimate(value: float, resampled: Values) -> Estimate:
    if np.isfinite(resampled).any():
        return Estimate.of_resamples(value, resampled)
    return Estimate(value=value, low=value, high=value)
