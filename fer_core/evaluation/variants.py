"""Runs that differ in a few parameters: which differ, and their effect on each class. No torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_core.config import recipe_values
from fer_core.errors import ArtifactError
from fer_core.evaluation.predictions import SplitPredictions
from fer_core.evaluation.report import Estimate

RESAMPLES = 1000

_NAMES = frozenset({"name", "run_name", "profile", "kind"})


def parameters(recipe: Mapping[str, Any]) -> dict[str, str]:
    """Returns a recipe's values as text by dotted key, such as `optim.lr`; no names, no seed.

    Args:
        recipe: A resolved recipe from `run.json`; empty for imported predictions.
    """
    values = recipe_values(recipe)
    flat = dict(_flatten({key: value for key, value in values.items() if key not in _NAMES}))
    flat.pop("train.seed", None)
    return flat


def differing_parameters(
    recipes: Mapping[str, Mapping[str, Any]],
) -> dict[str, dict[str, str]]:
    """Returns the parameters in which runs differ.

    Args:
        recipes: Resolved recipes by run id. Runs without a recipe are left out.

    Returns:
        By dotted key, in the order of the recipe: the value as text by run id; a run whose recipe
        lacks the key has no value.
    """
    flat = {run_id: parameters(recipe) for run_id, recipe in recipes.items() if recipe}
    keys = dict.fromkeys(key for values in flat.values() for key in values)
    columns = {
        key: {run_id: values[key] for run_id, values in flat.items() if key in values}
        for key in keys
    }
    return {
        key: column
        for key, column in columns.items()
        if len(set(column.values())) > 1 or len(column) < len(flat)
    }


def _flatten(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    items: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            items += _flatten(value, f"{prefix}{key}.")
        elif value not in (None, {}, [], ()):
            items.append((f"{prefix}{key}", _text(value)))
    return items


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


@dataclass(frozen=True)
class Effect:
    """Effect of a change on one metric; the metric is a mean over the runs (seeds) of each side.

    Attributes:
        metric: `accuracy`, `macro-recall`, or the name of a class, for its recall.
        samples: Number of images that the metric is measured on.
        before, after: The metric without and with the change, 0 to 1.
        difference: `after` minus `before`, with its 95% interval.
    """

    metric: str
    samples: int
    before: float
    after: float
    difference: Estimate


def effects(
    before: Sequence[SplitPredictions],
    after: Sequence[SplitPredictions],
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[Effect]:
    """Compares runs without and with a change on the same images.

    The intervals are percentile intervals of a bootstrap over images and over the runs of each
    side. With few seeds they include only a part of the spread between trainings: with three on
    each side, nominal 95% intervals held the true difference in 81% of simulated comparisons. With
    one run on each side they hold for these two networks only.

    Args:
        before: Predictions of the runs without the change, one per seed.
        after: Runs with the change.
        resamples: Number of resamples.
        seed: Random seed of the resampling.

    Returns:
        Accuracy, macro-recall, then the recall of each class that has images, in canonical order.

    Raises:
        ArtifactError: If a side is empty or the predictions are of different images.
    """
    first, second = _right(before, after)
    truth = before[0].truth
    names = before[0].labels.names
    present = [index for index in range(len(names)) if (truth == index).any()]
    random = np.random.default_rng(seed)
    ones = np.ones(len(truth))
    resampled = np.array(
        [
            _metrics(_resampled(second, random), truth, present, weights)
            - _metrics(_resampled(first, random), truth, present, weights)
            for weights in random.multinomial(len(truth), ones / len(truth), size=resamples)
        ]
    )
    values = [_metrics(side.mean(axis=0), truth, present, ones) for side in (first, second)]
    counts = [len(truth), len(truth), *(int((truth == index).sum()) for index in present)]
    titles = ["accuracy", "macro-recall", *(names[index] for index in present)]
    result = []
    for number, (title, count) in enumerate(zip(titles, counts, strict=True)):
        was, now = float(values[0][number]), float(values[1][number])
        difference = Estimate.of_resamples(now - was, resampled[:, number])
        result.append(Effect(title, count, was, now, difference))
    return result


def _right(
    before: Sequence[SplitPredictions], after: Sequence[SplitPredictions]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns whether each prediction is right, shapes (runs, N)."""
    if not before or not after:
        raise ArtifactError(
            "A comparison needs at least one run with each value. Train the missing one."
        )
    everything = [*before, *after]
    ids, truth = everything[0].ids, everything[0].truth
    for other in everything[1:]:
        if not np.array_equal(other.ids, ids) or not np.array_equal(other.truth, truth):
            raise ArtifactError("The runs were evaluated on different images. Evaluate them again.")
    return (
        np.array([item.predicted == truth for item in before], dtype=np.float64),
        np.array([item.predicted == truth for item in after], dtype=np.float64),
    )


def _resampled(right: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    """Returns the mean over runs that are drawn with replacement, shape (N,)."""
    mean: NDArray[np.float64] = right[random.integers(len(right), size=len(right))].mean(axis=0)
    return mean


def _metrics(
    right: NDArray[np.float64],
    truth: NDArray[np.int64],
    present: Sequence[int],
    weights: NDArray[Any],
) -> NDArray[np.float64]:
    """Returns accuracy, macro-recall and recalls; a class that was not drawn counts as NaN."""
    classes = int(truth.max()) + 1
    drawn = np.bincount(truth, weights=weights, minlength=classes)[list(present)]
    hits = np.bincount(truth, weights=weights * right, minlength=classes)[list(present)]
    recalls = np.divide(hits, drawn, out=np.full(len(drawn), np.nan), where=drawn > 0)
    return np.array([hits.sum() / drawn.sum(), np.nanmean(recalls), *recalls])
