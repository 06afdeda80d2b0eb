"""Agreement of models with annotators, based on all votes and not only the majority label."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial.distance import jensenshannon

from fer_core.artifacts import VOTE_PREFIX
from fer_core.evaluation.intervals import wilson
from fer_core.evaluation.metrics import Indices, Probabilities
from fer_core.evaluation.predictions import SplitPredictions
from fer_core.labels import LabelSet

AGREEMENT_EDGES = (0.0, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Edges of the agreement bins; a bin includes its upper edge, the last one 10 of 10 votes."""

_SMALLEST = 1e-12


@dataclass(frozen=True)
class Votes:
    """Annotators' votes, aligned with some samples by position.

    Attributes:
        counts: Votes for each class, shape (N, K).
        others: Votes for options that are no class (contempt, unknown, not a face), shape (N, M).
    """

    counts: NDArray[np.float64]
    others: NDArray[np.float64]

    @classmethod
    def of(
        cls, samples: pd.DataFrame, ids: NDArray[np.object_], labels: LabelSet
    ) -> "Votes | None":
        """Returns the votes for some samples; None if the benchmark has no votes for these classes.

        Args:
            samples: Samples indexed by id, with a column `votes_<option>` for each option.
            ids: Ids of the samples, shape (N,).
            labels: Evaluated classes; votes for other classes count as others.
        """
        columns = [f"{VOTE_PREFIX}{name}" for name in labels.names]
        if not set(columns) <= set(samples.columns):
            return None
        other_columns = [
            name for name in samples.columns if name.startswith(VOTE_PREFIX) and name not in columns
        ]
        rows = samples.index.get_indexer(pd.Index(ids))
        known = (rows >= 0)[:, None]
        counts = samples[columns].to_numpy(dtype=np.float64)[rows]
        others = samples[other_columns].to_numpy(dtype=np.float64)[rows]
        votes = cls(
            np.nan_to_num(np.where(known, counts, 0)), np.nan_to_num(np.where(known, others, 0))
        )
        return votes if votes.counts.any() else None

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def annotators(self) -> NDArray[np.float64]:
        """Number of votes per sample, shape (N,)."""
        total: NDArray[np.float64] = self.counts.sum(axis=1) + self.others.sum(axis=1)
        return total

    @property
    def distribution(self) -> NDArray[np.float64]:
        """Shares of the votes for the classes, shape (N, K); NaN rows without votes."""
        total = self.counts.sum(axis=1, keepdims=True)
        empty = np.full(self.counts.shape, np.nan)
        shares: NDArray[np.float64] = np.divide(self.counts, total, out=empty, where=total > 0)
        return shares

    @property
    def agreement(self) -> NDArray[np.float64]:
        """Share of annotators who chose the most frequent class, shape (N,); NaN without votes."""
        total = self.annotators
        empty = np.full(len(total), np.nan)
        share: NDArray[np.float64] = np.divide(
            self.counts.max(axis=1), total, out=empty, where=total > 0
        )
        return share

    def agreement_groups(self) -> tuple[NDArray[np.int64], list[str]]:
        """Groups samples by annotator agreement.

        Returns:
            Group index of each sample, shape (N,), -1 without votes; and the names of the groups,
            such as `over 70 to 80%`, lowest agreement first.
        """
        share = self.agreement
        # 7 / 10 is not always the float 0.7, so round before comparing with an edge
        group = np.searchsorted(AGREEMENT_EDGES[1:-1], np.round(share, 9), side="left")
        edges = [f"{100 * edge:.0f}" for edge in AGREEMENT_EDGES]
        names = [f"up to {edges[1]}%"]
        names += [f"over {low} to {high}%" for low, high in pairwise(edges[1:])]
        return np.where(np.isnan(share), -1, group).astype(np.int64), names

    def select(self, mask: NDArray[np.bool_]) -> "Votes":
        """Returns the samples where the mask, of shape (N,), is true."""
        return Votes(self.counts[mask], self.others[mask])


@dataclass(frozen=True)
class VoteMetrics:
    """Predictions compared with the annotators' votes.

    Attributes:
        cross_entropy: Mean of -sum(q log p) over samples in nats, with vote shares q; at least
            the entropy of the votes.
        vote_entropy: Mean entropy of the votes in nats.
        distance: Mean Jensen-Shannon distance of p and q, base 2, 0 to 1.
        supported_errors: Share of the errors on images with votes whose predicted class at least
            one annotator chose; NaN without such errors.
    """

    cross_entropy: float
    vote_entropy: float
    distance: float
    supported_errors: float


def vote_metrics(predictions: SplitPredictions, votes: Votes) -> VoteMetrics:
    """Compares predictions with the distribution of votes.

    Args:
        predictions: Predictions in the order of the votes.
        votes: Votes; samples without a vote for any class are skipped.
    """
    distribution = votes.distribution
    known = ~np.isnan(distribution[:, 0])
    shares, probabilities = distribution[known], predictions.probabilities[known]
    wrong = known & (predictions.predicted != predictions.truth)
    supported = votes.counts[np.arange(len(votes)), predictions.predicted] > 0
    return VoteMetrics(
        cross_entropy=_mean(-(shares * np.log(np.clip(probabilities, _SMALLEST, 1))).sum(axis=1)),
        vote_entropy=_mean(-(shares * np.log(np.where(shares > 0, shares, 1))).sum(axis=1)),
        distance=_mean(vote_distance(probabilities, shares)),
        supported_errors=float(supported[wrong].mean()) if wrong.any() else float("nan"),
    )


def vote_distance(first: Probabilities, second: Probabilities) -> NDArray[np.float64]:
    """Returns the Jensen-Shannon distance of each pair of rows, base 2; shape (N,)."""
    if not len(first):
        return np.zeros(0)
    distance: NDArray[np.float64] = np.asarray(jensenshannon(first, second, base=2, axis=1))
    return np.nan_to_num(distance)  # equal rows can round to the root of a negative number


def accuracy_by_agreement(right: NDArray[np.bool_], votes: Votes) -> pd.DataFrame:
    """Returns the accuracy by annotator agreement.

    Args:
        right: Whether the predictions are right, shape (N,).
        votes: Votes in the same order.

    Returns:
        Columns `agreement` (such as `over 70 to 80%`), `images`, `accuracy`, `low`, `high` (95%
        Wilson interval); one row per bin that has images.
    """
    group, names = votes.agreement_groups()
    known = group >= 0
    images = np.bincount(group[known], minlength=len(names)).astype(np.int64)
    correct = np.bincount(group[known & right], minlength=len(names)).astype(np.int64)
    low, high = wilson(correct, images)
    with np.errstate(invalid="ignore", divide="ignore"):
        accuracy = correct / images
    table = pd.DataFrame(
        {"agreement": names, "images": images, "accuracy": accuracy, "low": low, "high": high}
    )
    return table[table["images"] > 0].reset_index(drop=True)


@dataclass(frozen=True)
class HumanAgreement:
    """Agreement with the strict majority of the annotators when one of them is left out.

    Attributes:
        annotator: Expected agreement of the left-out annotator with the others' majority.
        by_class: This agreement by the others' majority class, shape (K,); NaN without images.
        model: Agreement of the model with the others' majority on the same images.
        images: Expected number of images on which the others have a majority.
    """

    annotator: float
    by_class: NDArray[np.float64]
    model: float
    images: float


def human_agreement(votes: Votes, predicted: Indices) -> HumanAgreement | None:
    """Returns the agreement of one annotator, and of a model, with the other annotators.

    Each annotator in turn is left out. An image counts if more than half of the others chose the
    same class. The mean over annotators has a closed form: all counts[j] annotators who chose
    option j leave the same counts behind.

    Args:
        votes: Votes. A vote for an option that is no class is wrong where the others agree on a
            class.
        predicted: Predicted class indices, shape (N,).

    Returns:
        None if no image has a majority of the others.
    """
    counts = np.concatenate([votes.counts, votes.others], axis=1)
    total = counts.sum(axis=1)
    classes = votes.counts.shape[1]
    decidable, agreed, model_agreed = np.zeros(classes), np.zeros(classes), 0.0
    for option in range(counts.shape[1]):
        weight = np.divide(counts[:, option], total, out=np.zeros(len(total)), where=total > 0)
        remaining = counts.copy()
        remaining[:, option] -= 1
        label = remaining.argmax(axis=1)
        decided = (remaining.max(axis=1) > (total - 1) / 2) & (label < classes) & (weight > 0)
        decidable += np.bincount(label[decided], weights=weight[decided], minlength=classes)
        model_agreed += float(weight[decided & (label == predicted)].sum())
        if option < classes:
            agreed[option] += float(weight[decided & (label == option)].sum())
    if decidable.sum() == 0:
        return None
    empty = np.full(classes, np.nan)
    return HumanAgreement(
        annotator=float(agreed.sum() / decidable.sum()),
        by_class=np.divide(agreed, decidable, out=empty, where=decidable > 0),
        model=model_agreed / float(decidable.sum()),
        images=float(decidable.sum()),
    )


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else float("nan")
