"""Weaknesses of a run: its worst slices and most costly confusions on test."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_core.evaluation.error_costs import ErrorCosts
from fer_core.evaluation.human_votes import Votes
from fer_core.evaluation.metrics import confusion_matrix
from fer_core.evaluation.predictions import SplitPredictions
from fer_core.evaluation.report import Estimate
from fer_core.evaluation.slices import Slice, facets, slice_mask, worst_slices

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
        share: Share of the true class, with its Wilson interval.
        cost_share: Share of the run's total cost, 0 to 1.
    """

    truth: str
    predicted: str
    images: int
    total: int
    share: Estimate
    cost_share: float


@dataclass(frozen=True)
class Weaknesses:
    """The worst slices and confusions of a run on test.

    Attributes:
        slices: Slices with a higher error rate than elsewhere, most significant first.
        confusions: Confusions with the largest share of the cost, largest first.
        drawn_faces: Sentence on what most changes predictions on drawn faces; empty if the run
            was not probed.
    """

    slices: tuple[Slice, ...]
    confusions: tuple[Confusion, ...]
    drawn_faces: str = ""


def slices_of(test: SplitPredictions, samples: pd.DataFrame) -> list[Slice]:
    """Returns the slices on which a run has more errors than elsewhere, most significant first.

    Args:
        test: The run's test predictions.
        samples: The benchmark's samples, indexed by id.
    """
    votes = Votes.of(samples, test.ids, test.labels)
    return worst_slices(~test.right, facets(samples, test, votes))


def errors_in_slice(test: SplitPredictions, groups: pd.DataFrame, worst: Slice) -> list[int]:
    """Returns the positions of the errors in a slice, most confident first.

    Args:
        test: The run's test predictions.
        groups: Result of `slices.facets`, in the order of the predictions.
        worst: The slice.
    """
    wrong = ~test.right
    return _most_confident_first(test, slice_mask(groups, worst.conditions) & wrong)


def confused_images(test: SplitPredictions, confusion: Confusion) -> list[int]:
    """Returns the positions of the images of a confusion, most confident first."""
    truth, predicted = map(test.labels.index, (confusion.truth, confusion.predicted))
    return _most_confident_first(test, (test.truth == truth) & (test.predicted == predicted))


def _most_confident_first(test: SplitPredictions, mask: NDArray[np.bool_]) -> list[int]:
    positions = np.flatnonzero(mask)
    order = np.argsort(-test.confidence[positions], kind="stable")
    return [int(position) for position in positions[order]]


def costly_confusions(predictions: SplitPredictions, costs: ErrorCosts) -> tuple[Confusion, ...]:
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
        Confusion(
            truth=names[i],
            predicted=names[j],
            images=int(matrix[i, j]),
            total=int(totals[i]),
            share=share,
            cost_share=float(cost[i, j] / cost.sum()),
        )
        for i, j in pairs[:SHOWN]
        if (share := Estimate.of_share(int(matrix[i, j]), int(totals[i]))) is not None
    )
