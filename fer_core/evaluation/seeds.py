"""Spread of a metric over training seeds."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fer_core.config import recipe_values

_SEEDED = re.compile(r"(?P<family>.+)-s\d+")


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


def family_of(run_id: str) -> str:
    """Returns `<name>-<profile>` of `<name>-<profile>-s<seed>`; other ids are unchanged."""
    match = _SEEDED.fullmatch(run_id)
    return match["family"] if match else run_id


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


def _without_seed(recipe: Mapping[str, Any]) -> str:
    values = recipe_values(recipe)
    if isinstance(train := values.get("train"), Mapping):
        values["train"] = {key: value for key, value in train.items() if key != "seed"}
    return json.dumps(values, sort_keys=True, default=str)
