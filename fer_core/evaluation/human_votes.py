"""Agreement of models with annotators, based on all votes and not only the majority label."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_core.artifacts import VOTE_PREFIX
from fer_core.evaluation.columns import chunks
from fer_core.evaluation.intervals import wilson
from fer_core.evaluation.metrics import Indices, Stored
from fer_core.evaluation.predictions import SplitPredictions
from fer_core.evaluation.sample_rows import sample_rows
from fer_core.labels import LabelSet

AGREEMENT_EDGES = (0.0, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Edges of the agreement bins; a bin includes its upper edge, the last one 10 of 10 votes."""

_SMALLEST = 1e-12
_LOG_2 = math.log(2)  # of numpy, it would turn single into double precision


@dataclass(frozen=True)
class ClassShares:
    """Images in which a class has votes.

    Attributes:
        rows: Positions of the images, shape (M,).
        values: Share of the votes for the class, above 0, shape (M,).
    """

    rows: NDArray[np.int64]
    values: NDArray[np.float64]

    @cached_property
    def information(self) -> NDArray[np.float64]:
        """Share times its natural logarithm, shape (M,)."""
        information: NDArray[np.float64] = self.values * np.log(self.values)
        return information

    @cached_property
    def scaled_information(self) -> NDArray[np.float64]:
        """Share times the natural logarithm of twice the share, shape (M,)."""
        return self.information + _LOG_2 * self.values


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
        rows = sample_rows(samples.index, ids)
        votes = cls(*(_counted(samples[names], rows) for names in (columns, other_columns)))
        return votes if votes.counts.any() else None

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def annotators(self) -> NDArray[np.float64]:
        """Number of votes per sample, shape (N,)."""
        total: NDArray[np.float64] = self.counts.sum(axis=1) + self.others.sum(axis=1)
        return total

    @cached_property
    def distribution(self) -> NDArray[np.float64]:
        """Shares of the votes for the classes, shape (N, K); NaN rows without votes."""
        total = self.counts.sum(axis=1, keepdims=True)
        empty = np.full(self.counts.shape, np.nan)
        shares: NDArray[np.float64] = np.divide(self.counts, total, out=empty, where=total > 0)
        return shares

    @cached_property
    def shares(self) -> "tuple[ClassShares, ...]":
        """The shares above 0 by class; most classes have none in most images."""
        distribution = np.nan_to_num(self.distribution)
        rows = [np.flatnonzero(distribution[:, index]) for index in range(distribution.shape[1])]
        return tuple(
            ClassShares(found, distribution[found, index]) for index, found in enumerate(rows)
        )

    @cached_property
    def known(self) -> NDArray[np.bool_]:
        """Whether a sample has a vote for a class, shape (N,)."""
        known: NDArray[np.bool_] = self.counts.sum(axis=1) > 0
        return known

    @property
    def entropy(self) -> float:
        """Sum of the entropies of the shares over samples, in nats."""
        return -sum(float(shares.information.sum()) for shares in self.shares)

    @property
    def agreement(self) -> NDArray[np.float64]:
        """Share of annotators who chose the most frequent class, shape (N,); NaN without votes."""
        total = self.annotators
        empty = np.full(len(total), np.nan)
        share: NDArray[np.float64] = np.divide(
            self.counts.max(axis=1), total, out=empty, where=total > 0
        )
        return share

    @cached_property
    def left_out(self) -> "LeftOut":
        """Majorities of the other annotators when each annotator in turn is left out."""
        return LeftOut.of(self)

    def compute_shared(self) -> None:
        """Computes the properties that all models need, so that threads do not do it twice."""
        _ = self.shares, self.known, self.left_out

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


def _counted(table: pd.DataFrame, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Returns some rows of a table of votes; no votes where a row is -1 or a number is missing."""
    counts: NDArray[np.float64] = table.to_numpy(dtype=np.float64)[rows]
    np.nan_to_num(counts, copy=False)
    counts[rows < 0] = 0
    return counts


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
    known = votes.known
    wrong = np.flatnonzero(known & ~predictions.right)
    supported = votes.counts[wrong, predictions.predicted[wrong]] > 0
    cross_entropy, distances = _compared(predictions.stored, votes.shares)
    count = int(known.sum())
    return VoteMetrics(
        cross_entropy=_mean(cross_entropy, count),
        vote_entropy=_mean(votes.entropy, count),
        distance=_mean(float(distances.sum(where=known, dtype=np.float64)), count),
        supported_errors=float(supported.mean()) if len(wrong) else float("nan"),
    )


def _compared(stored: Stored, votes: Sequence[ClassShares]) -> tuple[float, Stored]:
    """Returns the summed cross entropy, and each image's Jensen-Shannon distance of base 2.

    Logarithms are taken only of classes with votes, a few of each image: a class of probability p
    without votes adds p log(p / (p / 2)) = p log 2 to the divergence. All is computed in the
    precision of the probabilities: single precision is several times as fast as double, and puts
    the distance of equal distributions at up to 5e-4 instead of 0.
    """
    cross_entropy, divergence = 0.0, np.zeros(len(stored), dtype=stored.dtype)
    for shares, column in zip(votes, stored.T, strict=True):
        for part in chunks(len(stored)):
            divergence[part] += _LOG_2 * column[part]
        for part in chunks(len(shares.rows)):
            rows = shares.rows[part]
            first, second = column[rows], shares.values[part].astype(stored.dtype)
            logarithm = np.log(np.clip(first, _SMALLEST, 1))
            # @ starts threads, which wait
            cross_entropy -= float((second * logarithm).sum(dtype=np.float64))
            total = first + second
            total *= np.log(total)
            first *= logarithm
            first -= total
            first += shares.scaled_information[part].astype(stored.dtype)
            divergence[rows] += first
    return cross_entropy, np.sqrt(np.maximum(divergence, 0) / (2 * _LOG_2))


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


@dataclass(frozen=True)
class LeftOut:
    """Majorities of the other annotators, in the mean over the annotators that are left out.

    Attributes:
        weight: Share of the annotators without whom the others have a majority for a class, shape
            (N, K).
        decidable: Sum of these shares by class, shape (K,).
        agreed: Share of the annotators who chose this class themselves, summed, shape (K,).
    """

    weight: NDArray[np.float64]
    decidable: NDArray[np.float64]
    agreed: NDArray[np.float64]

    @classmethod
    def of(cls, votes: Votes) -> Self:
        """Leaves out each annotator of each image."""
        total = votes.annotators
        majority = np.zeros(votes.counts.shape[::-1]).T  # each class is contiguous in memory
        agreed = np.zeros(votes.counts.shape[1])
        for label, chosen in enumerate(votes.counts.T):
            # each annotator who chose it leaves one vote less for it
            same = np.where(2 * (chosen - 1) > total - 1, chosen, 0)
            other = np.where(2 * chosen > total - 1, total - chosen, 0)
            majority[:, label] = (same + other) / np.maximum(total, 1)
            agreed[label] = float((same / np.maximum(total, 1)).sum())
        return cls(majority, majority.sum(axis=0), agreed)


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
    others = votes.left_out
    images = float(others.decidable.sum())
    if images == 0:
        return None
    empty = np.full(len(others.decidable), np.nan)
    return HumanAgreement(
        annotator=float(others.agreed.sum()) / images,
        by_class=np.divide(others.agreed, others.decidable, out=empty, where=others.decidable > 0),
        model=float(others.weight[np.arange(len(predicted)), predicted].sum()) / images,
        images=images,
    )


def _mean(total: float, count: int) -> float:
    return total / count if count else float("nan")
