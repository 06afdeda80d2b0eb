"""Where a run fails: its worst slices and most costly confusions on test."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fer_core.evaluation.error_costs import ErrorCosts
from fer_core.evaluation.human_votes import Votes
from fer_core.evaluation.intervals import wilson
from fer_core.evaluation.metrics import confusion_matrix
from fer_core.evaluation.predictions import SplitPredictions
from fer_core.evaluation.slices import Slice, facets, worst_slices

SHOWN = 3
"""Number of slices and of confusions in a verdict."""


@dataclass(frozen=True)
class Confusion:
    """Images of one class that a run takes for another.

    Attributes:
        truth: True class.
        predicted: Predicted class.
        images: Number of such images.
        total: Number of images of the true class.
        share: Their share of the true class, 0 to 1.
        low: Lower end of the 95% Wilson interval of this share.
        high: Upper end of this interval.
        cost_share: Share of the run's total cost, 0 to 1.
    """

    truth: str
    predicted: str
    images: int
    total: int
    share: float
    low: float
    high: float
    cost_share: float


@dataclass(frozen=True)
class Weaknesses:
    """The worst slices and confusions of a run on test.

    Attributes:
        slices: Slices with a higher error rate than elsewhere, most significant first.
        confusions: Confusions with the largest share of the cost, largest first.
    """

    slices: tuple[Slice, ...]
    confusions: tuple[Confusion, ...]


def slices_of(test: SplitPredictions, samples: pd.DataFrame) -> list[Slice]:
    """Returns the slices on which a run has more errors than elsewhere, most significant first.

    Args:
        test: The run's test predictions.
        samples: The benchmark's samples, indexed by id.
    """
    votes = Votes.of(samples, test.ids, test.labels)
    return worst_slices(test.predicted != test.truth, facets(samples, test, votes))


def costly_confusions(
    predictions: SplitPredictions, costs: ErrorCosts, count: int = SHOWN
) -> tuple[Confusion, ...]:
    """Returns the confusions with the largest share of the total cost, largest first."""
    names = predictions.labels.names
    matrix = confusion_matrix(predictions.truth, predictions.predicted, len(names))
    totals = matrix.sum(axis=1)
    weights = np.divide(1.0, totals, out=np.zeros(len(names)), where=totals > 0)
    cost = matrix * costs.matrix(predictions.labels)
    if costs.balanced:
        cost = cost * weights[:, None]
    pairs = [(int(i), int(j)) for i, j in np.argwhere(cost > 0)]
    pairs.sort(key=lambda pair: (-cost[pair], -matrix[pair] * weights[pair[0]], pair))
    return tuple(
        _confusion(names, pair, int(matrix[pair]), int(totals[pair[0]]), cost[pair] / cost.sum())
        for pair in pairs[:count]
    )


def _confusion(
    names: Sequence[str], pair: tuple[int, int], images: int, total: int, cost_share: float
) -> Confusion:
    low, high = wilson(np.array([images]), np.array([total]))
    return Confusion(
        truth=names[pair[0]],
        predicted=names[pair[1]],
        images=images,
        total=total,
        share=images / total,
        low=float(low[0]),
        high=float(high[0]),
        cost_share=float(cost_share),
    )
