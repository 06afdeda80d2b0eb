"""Outliers in brightness, contrast, sharpness or framing."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

RULES: Mapping[str, float] = {"modified-z": 3.5, "z-score": 3.0, "iqr": 1.5}
"""Default limit by rule: Iglewicz & Hoaglin 1993, How to Detect and Handle Outliers; three standard
deviations; Tukey 1977, Exploratory Data Analysis."""

LIMIT = RULES["modified-z"]

_TO_DEVIATION = 0.6745  # scales the MAD to a normal standard deviation


@dataclass(frozen=True)
class ImageStatistic:
    """An image statistic and the meaning of its extremes; an empty text means no problem.

    Attributes:
        title: Display name.
        low: Meaning of a very low value.
        high: Meaning of a very high value.
        ratio: Whether values are compared on a log scale.
    """

    title: str
    low: str
    high: str
    ratio: bool = False


MEASURES: Mapping[str, ImageStatistic] = {
    "brightness": ImageStatistic("Brightness", "very dark", "very bright"),
    "contrast": ImageStatistic("Contrast", "very low contrast", "very high contrast", ratio=True),
    "sharpness": ImageStatistic("Sharpness", "very blurred", "very noisy", ratio=True),
    "outlier": ImageStatistic("Distance from face space", "", "unlike the other faces"),
}


def outliers(
    samples: pd.DataFrame,
    limit: float = LIMIT,
    rule: str = "modified-z",
    among: NDArray[np.bool_] | None = None,
) -> pd.DataFrame:
    """Lists outliers, the most extreme first.

    Args:
        samples: Table with `id` and any columns of `MEASURES`.
        limit: Largest absolute score of an image that is no outlier.
        rule: One of `RULES`; see `outlier_scores`.
        among: The samples that all are compared with, shape (N,); None for all.

    Returns:
        Columns `id`, `reason`, `measure`, `value` and `score`; one row per sample and reason.
    """
    tables = []
    for name, measure in MEASURES.items():
        if name not in samples.columns:
            continue
        values = samples[name].to_numpy(dtype=np.float64)
        scores = outlier_scores(np.log1p(values) if measure.ratio else values, rule, among)
        for reason, mask in ((measure.low, scores < -limit), (measure.high, scores > limit)):
            rows = np.flatnonzero(mask & bool(reason))
            tables.append(
                pd.DataFrame(
                    {
                        "id": samples["id"].to_numpy()[rows],
                        "reason": reason,
                        "measure": name,
                        "value": values[rows],
                        "score": np.abs(scores[rows]),
                    }
                )
            )
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    if table.empty:
        return pd.DataFrame(columns=["id", "reason", "measure", "value", "score"])
    return table.sort_values(["score", "id"], ascending=[False, True], ignore_index=True)


def outlier_scores(
    values: NDArray[np.float64], rule: str, among: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """Returns the outlier scores of values; negative for low ones.

    Args:
        values: Shape (N,); NaN stays NaN.
        rule: `modified-z`: 0.6745 (value - median) / MAD. `z-score`: (value - mean) / standard
            deviation. `iqr`: distance below the first or above the third quartile, in interquartile
            ranges; 0 between them.
        among: The values that median, mean, quartiles and deviations are of, shape (N,); None for
            all.

    Returns:
        Shape (N,); all 0 if these values do not vary, for `modified-z` if half of them are equal.
    """
    known = values if among is None else values[among]
    if not np.isfinite(known).any():
        return np.full(len(values), np.nan)
    if rule == "modified-z":
        median = np.nanmedian(known)
        distance = _TO_DEVIATION * (values - median)
        spread = float(np.nanmedian(np.abs(known - median)))
    elif rule == "z-score":
        distance, spread = values - np.nanmean(known), float(np.nanstd(known))
    else:
        low, high = np.nanquantile(known, (0.25, 0.75))
        distance = np.maximum(values - high, 0) - np.maximum(low - values, 0)
        spread = float(high - low)
    return distance / spread if spread > 0 else np.where(np.isnan(values), np.nan, 0.0)
