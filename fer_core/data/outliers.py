"""Samples that stand far from the rest in light, contrast, sharpness or framing."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

LIMIT = 3.5
"""Of the modified z-score; Iglewicz & Hoaglin 1993, How to Detect and Handle Outliers."""

_TO_DEVIATION = 0.6745  # of a normal distribution's median absolute deviation


@dataclass(frozen=True)
class ImageStatistic:
    """A column of the samples and what its extremes mean; an empty text is no fault.

    Attributes:
        title: What the column measures.
        low: What a very low value means.
        high: What a very high value means.
        ratio: Whether twice as much matters like half as much: compared as logarithms.
    """

    title: str
    low: str
    high: str
    ratio: bool = False


MEASURES: Mapping[str, ImageStatistic] = {
    "brightness": ImageStatistic("Brightness", "very dark", "very bright"),
    "contrast": ImageStatistic("Contrast", "hardly any contrast", "very hard contrast", ratio=True),
    "sharpness": ImageStatistic("Sharpness", "very blurred", "very grainy", ratio=True),
    "outlier": ImageStatistic("Distance from face space", "", "unlike the other faces"),
}


def outliers(samples: pd.DataFrame, limit: float = LIMIT) -> pd.DataFrame:
    """Lists samples with an extreme value, the most extreme first.

    Args:
        samples: Columns `id` and any of `MEASURES`.
        limit: Least modified z-score, 0.6745 (value - median) / median absolute deviation.

    Returns:
        Columns `id`, `reason`, `measure`, `value` and `score`; one row a sample and reason.
    """
    found = []
    for name, measure in MEASURES.items():
        if name not in samples.columns:
            continue
        values = samples[name].to_numpy(dtype=np.float64)
        scores = modified_z(np.log1p(values) if measure.ratio else values)
        for reason, mask in ((measure.low, scores < -limit), (measure.high, scores > limit)):
            rows = np.flatnonzero(mask & bool(reason))
            found.append(
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
    table = pd.concat(found, ignore_index=True) if found else pd.DataFrame()
    if table.empty:
        return pd.DataFrame(columns=["id", "reason", "measure", "value", "score"])
    return table.sort_values(["score", "id"], ascending=[False, True], ignore_index=True)


def modified_z(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns how many deviations a value is from the median, by the median absolute deviation.

    Args:
        values: Shape (N,); NaN stays NaN.

    Returns:
        Shape (N,); all 0 where at least half of the values are equal.
    """
    if not np.isfinite(values).any():
        return np.full(len(values), np.nan)
    away = values - np.nanmedian(values)
    spread = np.nanmedian(np.abs(away))
    if spread == 0:
        return np.where(np.isnan(values), np.nan, 0.0)
    scores: NDArray[np.float64] = _TO_DEVIATION * away / spread
    return scores
