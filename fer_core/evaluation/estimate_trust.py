"""Choice of the estimate without labels, its trustworthiness, and its measured error.

Two conditions must hold. The set must be like those on which the methods are known to hold: the
limits were chosen on `estimate_checks.parquet` (`python -m benchmarks --only estimates`), which
uses validation only, and are narrow on purpose. And the error's 95% interval, for all runs at once,
must lie within `LARGEST_ERROR`: it comes from chance (the set and validation have few images) and
from the methods' error in the checks. A check is itself judged by the error in the other sets.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import ndtri

from fer_core.errors import ArtifactError
from fer_core.evaluation.accuracy_estimates import Estimator
from fer_core.evaluation.intervals import CONFIDENCE_LEVEL
from fer_core.evaluation.shift import ErrorOfEstimates, RunShift
from fer_core.tables import read_table

LARGEST_ERROR = 0.05
"""An estimate is shown if the 95% interval of its error lies within this, for all runs at once."""

MOST_OUTSIDE = 0.05
MOST_SPREAD = 0.05
MOST_LOSS = 0.08
MOST_MOVED = 0.15
MOST_MISPLACED = 0.2
"""An estimate is trusted up to this share of faces far out in the embedding, this difference
between methods, this estimated loss of accuracy, this share of predictions that moved to other
classes, and this share of faces whose size, position or roll is beyond 98% of the benchmark's."""

LABELS_ENOUGH = (
    "Labels of faces drawn at random give the accuracy instead: about 100 give it within 10 "
    "points, about 400 within 5."
)
"""Half the width of the 95% interval of a share of 50%, the widest."""

SHOWN = (Estimator.CONFIDENCE, Estimator.LABEL_SHIFT)
"""The shown estimate is the mean of these methods, as far as they are available."""

CHECK_COLUMNS = (
    "set",
    "kind",
    "run_id",
    "samples",
    "validation",
    "accuracy",
    "outside",
    "moved",
    *map(str, Estimator),
)


@dataclass(frozen=True)
class Signals:
    """Signals of how far an estimate without labels can be trusted.

    Attributes:
        faces: Number of faces.
        margin: Half the width of the interval of the estimates' errors, see `margin_of`; None if
            they were never checked on this benchmark.
        outside: Share of faces far out in the embedding; None if it was not measured.
        spread: Difference between the largest and the smallest estimate of a run, over all runs
            the median.
        loss: Estimated loss of accuracy against validation, over all runs the median.
        moved: Share of predictions that moved to other classes, see `moved_share`.
        misplaced: Largest share of faces beyond 98% of the benchmark's in size, position or roll;
            0 if it was not measured.
        contradicted: Runs whose labels contradict their estimate, see `contradicted_by_labels`.
        enough: Number of faces from which the margin is small enough, see `faces_needed`.
    """

    faces: int
    margin: float | None
    outside: float | None
    spread: float
    loss: float
    moved: float
    misplaced: float
    contradicted: tuple[RunShift, ...] = ()
    enough: int | None = None


def shown_estimate(estimates: Mapping[str, float]) -> float:
    """Returns the estimate that is shown of all methods' estimates."""
    return float(np.mean([estimates[name] for name in SHOWN if name in estimates]))


def spread_of(estimates: Mapping[str, float]) -> float:
    """Returns the difference between the largest and the smallest estimate."""
    return max(estimates.values()) - min(estimates.values())


def margin_of(
    estimates: Sequence[float], faces: int, method: float, validation: float = np.inf
) -> float:
    """Returns half the width of the 95% interval of the estimates' errors, for all runs at once.

    The interval is normal, with Bonferroni's correction for the number of runs. Its variance is the
    largest binomial variance of the runs' accuracies on the faces and on validation, which the
    estimates start from, plus that of the method.

    Args:
        estimates: Estimated accuracy of each run, at least one.
        faces: Number of faces, at least one.
        method: Standard deviation of the method's error, from `method_error`.
        validation: Number of validation images; infinite leaves their part out.
    """
    variance, quantile = _variance_and_quantile(estimates)
    return quantile * float(np.sqrt(variance * (1 / faces + 1 / validation) + method**2))


def faces_needed(
    estimates: Sequence[float], method: float, validation: float = np.inf
) -> int | None:
    """Returns from how many faces `margin_of` is at most `LARGEST_ERROR`; None if it never is."""
    variance, quantile = _variance_and_quantile(estimates)
    left = (LARGEST_ERROR / quantile) ** 2 - method**2 - variance / validation
    return math.ceil(variance / left) if left > 0 else None


def _variance_and_quantile(estimates: Sequence[float]) -> tuple[float, float]:
    """Returns the largest variance of one face, and the normal quantile for all runs at once."""
    values = np.asarray(estimates)
    quantile = float(ndtri(1 - (1 - CONFIDENCE_LEVEL) / 2 / len(values)))
    return float((values * (1 - values)).max()), quantile


def method_error(checks: pd.DataFrame) -> float | None:
    """Returns the standard deviation of the method's error over sets, beyond that of chance.

    Args:
        checks: Rows of sets within the limits, with `estimate`, `error`, `samples` and `source`
            (see `read_checks`).

    Returns:
        A share; None without checks.
    """
    if checks.empty:
        return None
    chance = checks["estimate"] * (1 - checks["estimate"])
    chance *= 1 / checks["samples"] + 1 / checks["source"]
    beyond = (checks["error"] ** 2 - chance).groupby(checks["set"]).mean()
    return float(np.sqrt(max(0.0, float(beyond.mean()))))


def contradicted_by_labels(runs: Sequence[RunShift], margin: float | None) -> tuple[RunShift, ...]:
    """Returns the runs whose labelled accuracy is not where the estimate says.

    The 95% interval of the labelled accuracy and that of the estimate do not overlap.

    Args:
        runs: Runs on the set.
        margin: Half the width of the estimates' interval; None contradicts nothing.
    """
    if margin is None:
        return ()
    return tuple(
        run
        for run in runs
        if run.accuracy is not None
        and not run.accuracy.low - margin <= run.estimate <= run.accuracy.high + margin
    )


def _contradiction(signals: Signals) -> list[str]:
    """Returns a sentence on the run whose labels contradict its estimate most."""
    pairs = [(run, run.accuracy) for run in signals.contradicted if run.accuracy is not None]
    if not pairs:
        return []
    run, accuracy = max(pairs, key=lambda pair: abs(pair[1].value - pair[0].estimate))
    return [
        f"The labels contradict the estimate: {run.run_id} is estimated at {run.estimate:.1%} "
        f"± {100 * (signals.margin or 0):.1f} points, its accuracy on labelled faces is "
        f"{accuracy.text}."
    ]


def reasons_against(signals: Signals) -> tuple[str, ...]:
    """Returns why an estimate cannot be trusted, as sentences; empty if it can."""
    reasons = _contradiction(signals)
    if signals.margin is None:
        reasons.append("The estimate was not checked on this benchmark.")
    elif signals.margin > LARGEST_ERROR:
        reasons.append(
            f"With {signals.faces:,} faces the estimate of one of the runs can be "
            f"{100 * signals.margin:.1f} points off, because of sampling and the error of the "
            f"method; estimates are shown up to {100 * LARGEST_ERROR:.0f} points{_enough(signals)}."
        )
    if signals.outside is None:
        reasons.append(
            "The faces could not be compared with the benchmark's, whose statistics are missing."
        )
    elif signals.outside > MOST_OUTSIDE:
        reasons.append(
            f"{signals.outside:.0%} of the faces have a larger embedding distance than 99% of the "
            f"benchmark's faces; estimates were validated up to {MOST_OUTSIDE:.0%}."
        )
    if signals.spread > MOST_SPREAD:
        reasons.append(
            f"The methods disagree by {100 * signals.spread:.0f} points; estimates were validated "
            f"up to {100 * MOST_SPREAD:.0f}."
        )
    if signals.loss > MOST_LOSS:
        reasons.append(
            f"The estimated loss is {100 * signals.loss:.0f} points; estimates were validated up "
            f"to {100 * MOST_LOSS:.0f}."
        )
    if signals.moved > MOST_MOVED:
        reasons.append(
            f"{signals.moved:.0%} of the predictions moved to other classes: the set has other "
            "class shares, or the runs recognise no expressions in it."
        )
    if signals.misplaced > MOST_MISPLACED:
        reasons.append(
            f"{signals.misplaced:.0%} of the faces are framed differently from the benchmark's."
        )
    return tuple(reasons)


def _enough(signals: Signals) -> str:
    if signals.enough is None:
        return ", which no number of faces reaches with so few validation images"
    return f", from about {signals.enough:,} faces"


def read_checks(path: Path) -> pd.DataFrame | None:
    """Returns the checks of the estimates with the shown one and its error; None without any.

    Columns are those of the file, and `estimate`, `error`, `spread`, `loss`, `within` (the limits),
    `margin` (NaN outside them), `source` and `trusted`. What is known of a set comes from the other
    sets.

    `source` is the number of validation images that the estimates started from. Files of earlier
    versions lack it; then it is infinite, and only the set's own size counts as chance.
    """
    try:
        table = read_table(path, CHECK_COLUMNS)
    except ArtifactError:
        return None
    methods = [str(name) for name in Estimator]
    table = table.assign(
        estimate=table[[str(name) for name in SHOWN]].mean(axis=1),
        spread=table[methods].max(axis=1) - table[methods].min(axis=1),
    )
    table["error"] = (table["estimate"] - table["accuracy"]).abs()
    table["loss"] = table["validation"] - table["estimate"]
    if "source" not in table.columns:
        table["source"] = np.inf
    by_set = table.groupby("set")[["spread", "loss"]].transform("median")
    near = table["outside"].isna() | (table["outside"] <= MOST_OUTSIDE)
    near &= table["moved"] <= MOST_MOVED
    table["within"] = near & (by_set["spread"] <= MOST_SPREAD) & (by_set["loss"] <= MOST_LOSS)
    table["margin"] = _margins(table[table["within"]]).reindex(table["set"]).to_numpy()
    table["trusted"] = table["within"] & (table["margin"] <= LARGEST_ERROR)
    return table


def _margins(checks: pd.DataFrame) -> pd.Series:
    """Returns the margin of each set, by its name; the method's error is that of the others."""
    margins: dict[str, float] = {}
    for name, rows in checks.groupby("set"):
        method = method_error(checks[checks["set"] != name])
        if method is not None:
            faces, source = int(rows["samples"].iloc[0]), float(rows["source"].iloc[0])
            margins[str(name)] = margin_of(rows["estimate"].tolist(), faces, method, source)
    return pd.Series(margins, dtype=np.float64)


def error_of(checks: pd.DataFrame | None) -> ErrorOfEstimates | None:
    """Returns the error of estimates in checks within the limits; None without any."""
    if checks is None or not checks["within"].any():
        return None
    within = checks[checks["within"]]
    return ErrorOfEstimates(
        mean=float(within["error"].mean()),
        most=float(within["error"].quantile(0.95)),
        checks=len(within),
        sets=within["set"].nunique(),
    )
