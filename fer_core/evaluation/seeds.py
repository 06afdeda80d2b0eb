"""Spread of a metric over training seeds."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_core.config import recipe_values
from fer_core.evaluation.intervals import interval, resampled_counts
from fer_core.records import family_of


@dataclass(frozen=True)
class Spread:
    """Statistics of one metric over the seeds of a recipe.

    Attributes:
        family: `<name>-<profile>`.
        runs: Run ids, by name.
        mean: Mean value.
        deviation: Sample standard deviation (n - 1); None for a single run.
        low: Smallest value.
        high: Largest value.
    """

    family: str
    runs: tuple[str, ...]
    mean: float
    deviation: float | None
    low: float
    high: float


def seed_spreads(
    values: Mapping[str, float], recipes: Mapping[str, Mapping[str, Any]]
) -> list[Spread]:
    """Groups runs that differ only in their seed.

    Args:
        values: Values of one metric by run id.
        recipes: Resolved recipe by run id, from `run.json`. Runs of a recipe that changed between
            seeds are in separate groups.

    Returns:
        One entry per recipe and profile, highest mean first.
    """
    families: dict[tuple[str, str], list[str]] = {}
    for run_id in sorted(values):
        key = (family_of(run_id), _without_seed(recipes[run_id]))
        families.setdefault(key, []).append(run_id)
    rows = []
    for (family, _), runs in families.items():
        values_of_runs = np.array([values[run_id] for run_id in runs])
        deviation = float(values_of_runs.std(ddof=1)) if len(runs) > 1 else None
        rows.append(
            Spread(
                family,
                tuple(runs),
                float(values_of_runs.mean()),
                deviation,
                float(values_of_runs.min()),
                float(values_of_runs.max()),
            )
        )
    return sorted(rows, key=lambda row: -row.mean)


def interval_over_seeds(right: NDArray[np.bool_], seed: int = 0) -> tuple[float, float]:
    """Returns the 95% bootstrap interval of the mean accuracy over images and seeds together.

    Each resample draws seeds, and images, with replacement. Images on which the same seeds are
    right are drawn together, which is exact. With few seeds such an interval is too narrow: of S
    seeds, the resamples show (S - 1) / S of the variance between trainings.

    Args:
        right: Whether the prediction of each seed is right, shape (S, N), at most 62 seeds.
        seed: Random seed of the resampling.
    """
    seeds, images = right.shape
    bits = 1 << np.arange(seeds)
    patterns, counts = np.unique(bits @ right, return_counts=True)
    drawn_images = resampled_counts(counts, seed=seed)
    drawn_seeds = resampled_counts(np.ones(seeds, dtype=np.int64), seed=seed + 1)
    right_of_pattern = (patterns[:, None] & bits) > 0
    means = drawn_seeds / seeds @ right_of_pattern.T
    return interval((means * drawn_images).sum(axis=1) / images)


def _without_seed(recipe: Mapping[str, Any]) -> str:
    values = recipe_values(recipe)
    if isinstance(train := values.get("train"), Mapping):
        values["train"] = {key: value for key, value in train.items() if key != "seed"}
    return json.dumps(values, sort_keys=True, default=str)
