"""Models against people: the distribution of annotators' votes, not only its winner."""

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
"""Upper edges belong to their bin: the last one holds the images on which 10 of 10 agree."""

_SMALLEST = 1e-12


@dataclass(frozen=True)
class Votes:
    """Annotators' votes, aligned with some samples by position.

    Attributes:
        counts: Votes for the classes, shape (N, K).
        others: Votes for anything else (contempt, unknown, not a face), by option, shape (N, M).
    """

    counts: NDArray[np.float64]
    others: NDArray[np.float64]

    @classmethod
    def of(
        cls, samples: pd.DataFrame, ids: NDArray[np.object_], labels: LabelSet
    ) -> "Votes | None":
        """Returns the votes of samples, or None if the benchmark has none for these classes.

        Args:
            samples: Indexed by id, with a column `votes_<option>` for each option.
            ids: Of the samples wanted, shape (N,).
            labels: The classes in question; votes for other classes count as others.
        """
        columns = [f"{VOTE_PREFIX}{name}" for name in labels.names]
        if not set(columns) <= set(samples.columns):
            return None
        rest = [
            name for name in samples.columns if name.startswith(VOTE_PREFIX) and name not in columns
        ]
        rows = samples.index.get_indexer(pd.Index(ids))
        found = (rows >= 0)[:, None]
        counts = samples[columns].to_numpy(dtype=np.float64)[rows]
        others = samples[rest].to_numpy(dtype=np.float64)[rows]
        votes = cls(
            np.nan_to_num(np.where(found, counts, 0)), np.nan_to_num(np.where(found, others, 0))
        )
        return votes if votes.counts.any() else None

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def annotators(self) -> NDArray[np.float64]:
        """Number of votes a sample, shape (N,)."""
        total: NDArray[np.float64] = self.counts.sum(axis=1) + self.others.sum(axis=1)
        return total

    @property
    def distribution(self) -> NDArray[np.float64]:
        """Votes as shares of those for the classes, shape (N, K); NaN rows without any vote."""
        total = self.counts.sum(axis=1, keepdims=True)
        empty = np.full(self.counts.shape, np.nan)
        shares: NDArray[np.float64] = np.divide(self.counts, total, out=empty, where=total > 0)
        return shares

    @property
    def agreement(self) -> NDArray[np.float64]:
        """Share of the annotators who gave the most frequent class, shape (N,); NaN without any."""
        total = self.annotators
        empty = np.full(len(total), np.nan)
        share: NDArray[np.float64] = np.divide(
            self.counts.max(axis=1), total, out=empty, where=total > 0
        )
        return share

    def agreement_groups(self) -> tuple[NDArray[np.int64], list[str]]:
        """Cuts samples by how many annotators agreed.

        Returns:
            The group of each sample, shape (N,), -1 without votes; and the groups' names, such as
            `over 70 to 80%`, lowest agreement first.
        """
        share = self.agreement
        # 7 of 10 as a float is not always 0.7: round before comparing with an edge
        group = np.searchsorted(AGREEMENT_EDGES[1:-1], np.round(share, 9), side="left")
        edges = [f"{100 * edge:.0f}" for edge in AGREEMENT_EDGES]
        names = [f"up to {edges[1]}%"]
        names += [f"over {low} to {high}%" for low, high in pairwise(edges[1:])]
        return np.where(np.isnan(share), -1, group).astype(np.int64), names

    def select(self, mask: NDArray[np.bool_]) -> "Votes":
        """Returns the samples where the mask, of shape (N,), is true."""
        return Votes(self.counts[mask], self.others[mask])


@dataclass(frozen=True)
class AgainstPeople:
    """A model's answers against the annotators' votes.

    Attributes:
        cross_entropy: Mean of -sum(q log p) over samples, q the votes' shares, in nats; at best
            the entropy of the votes.
        vote_entropy: That best.
        distance: Mean Jensen-Shannon distance of p and q, base 2, 0 to 1.
        defensible: Of the wrong answers on images with votes, the share that at least one annotator
            gave too; NaN without such answers.
    """

    cross_entropy: float
    vote_entropy: float
    distance: float
    defensible: float


def against_people(scores: SplitPredictions, votes: Votes) -> AgainstPeople:
    """Measures a model against the distribution of votes.

    Args:
        scores: Of samples, in the order of the votes.
        votes: Samples without a vote for any class are left out.
    """
    given = votes.distribution
    known = ~np.isnan(given[:, 0])
    shares, answer = given[known], scores.probabilities[known]
    wrong = known & (scores.predicted != scores.truth)
    backed = votes.counts[np.arange(len(votes)), scores.predicted] > 0
    return AgainstPeople(
        cross_entropy=_mean(-(shares * np.log(np.clip(answer, _SMALLEST, 1))).sum(axis=1)),
        vote_entropy=_mean(-(shares * np.log(np.where(shares > 0, shares, 1))).sum(axis=1)),
        distance=_mean(vote_distance(answer, shares)),
        defensible=float(backed[wrong].mean()) if wrong.any() else float("nan"),
    )


def vote_distance(first: Probabilities, second: Probabilities) -> NDArray[np.float64]:
    """Returns the Jensen-Shannon distance of distributions, row by row, base 2; shape (N,)."""
    if not len(first):
        return np.zeros(0)
    distance: NDArray[np.float64] = np.asarray(jensenshannon(first, second, base=2, axis=1))
    return np.nan_to_num(distance)  # rounding below zero under the root: the same distribution


def accuracy_by_agreement(right: NDArray[np.bool_], votes: Votes) -> pd.DataFrame:
    """Returns the accuracy by how many of the annotators agreed.

    Args:
        right: Where the model is right, shape (N,).
        votes: In the same order.

    Returns:
        Columns `agreement` (such as `70 to 80%`), `images`, `accuracy`, `low`, `high` (Wilson's
        95% interval); only bins that have images.
    """
    place, names = votes.agreement_groups()
    known = place >= 0
    images = np.bincount(place[known], minlength=len(names)).astype(np.int64)
    found = np.bincount(place[known & right], minlength=len(names)).astype(np.int64)
    low, high = wilson(found, images)
    with np.errstate(invalid="ignore", divide="ignore"):
        accuracy = found / images
    table = pd.DataFrame(
        {"agreement": names, "images": images, "accuracy": accuracy, "low": low, "high": high}
    )
    return table[table["images"] > 0].reset_index(drop=True)


@dataclass(frozen=True)
class HumanReference:
    """One annotator against the strict majority of the others.

    Attributes:
        people: Expected share of annotators who say what most of the others say.
        by_class: The same by the others' majority class, shape (K,); NaN where there is none.
        model: Share of the same questions that a model answers like the others' majority.
        images: Expected number of questions: images on which the others have a majority.
    """

    people: float
    by_class: NDArray[np.float64]
    model: float
    images: float


def human_reference(votes: Votes, predicted: Indices) -> HumanReference | None:
    """Returns what one person reaches on the same images, and a model on the same terms.

    Each annotator in turn is set aside; the others' label counts if more than half of them gave
    one of the classes. The mean over annotators has a closed form in the counts: the annotators
    who gave option j leave the same counts behind, and are counts[j] of all.

    Args:
        votes: An annotator's vote for something that is no class is an answer like any other,
            and wrong where the others agree on a class.
        predicted: The model's class indices, shape (N,).

    Returns:
        None if no image has a majority of the others.
    """
    counts = np.concatenate([votes.counts, votes.others], axis=1)
    total = counts.sum(axis=1)
    classes = votes.counts.shape[1]
    asked, agreed, answered = np.zeros(classes), np.zeros(classes), 0.0
    for option in range(counts.shape[1]):
        weight = np.divide(counts[:, option], total, out=np.zeros(len(total)), where=total > 0)
        rest = counts.copy()
        rest[:, option] -= 1
        label = rest.argmax(axis=1)
        decided = (rest.max(axis=1) > (total - 1) / 2) & (label < classes) & (weight > 0)
        asked += np.bincount(label[decided], weights=weight[decided], minlength=classes)
        answered += float(weight[decided & (label == predicted)].sum())
        if option < classes:
            agreed[option] += float(weight[decided & (label == option)].sum())
    if asked.sum() == 0:
        return None
    empty = np.full(classes, np.nan)
    return HumanReference(
        people=float(agreed.sum() / asked.sum()),
        by_class=np.divide(agreed, asked, out=empty, where=asked > 0),
        model=answered / float(asked.sum()),
        images=float(asked.sum()),
    )


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else float("nan")
