"""Ensembles: predictions computed from other predictions."""

from collections.abc import Sequence

import numpy as np

from fer_core.errors import ArtifactError
from fer_core.evaluation.predictions import Predictions, Scores


def average(members: Sequence[Predictions]) -> Predictions:
    """Averages the members' probabilities, sample by sample (soft voting, equal weights).

    Raises:
        ArtifactError: If members differ in classes, samples or truth.
    """
    if len(members) < 2:
        raise ArtifactError("An ensemble needs at least two members.")
    return Predictions(
        {
            name: _average([_aligned(member, members[0], name) for member in members])
            for name in members[0].splits
        }
    )


def _average(scores: Sequence[Scores]) -> Scores:
    mean = np.mean([part.probabilities for part in scores], axis=0)
    return Scores(scores[0].labels, scores[0].ids, scores[0].truth, mean)


def _aligned(member: Predictions, first: Predictions, split: str) -> Scores:
    """Returns a member's scores in the sample order of the first member."""
    scores, wanted = member.split(split), first.split(split)
    if scores.labels != wanted.labels:
        raise ArtifactError("The members of an ensemble must have the same classes.")
    if len(scores) == len(wanted):
        order = np.argsort(scores.ids)[np.argsort(np.argsort(wanted.ids))]
        scores = Scores(
            scores.labels, scores.ids[order], scores.truth[order], scores.probabilities[order]
        )
    if not np.array_equal(scores.ids, wanted.ids) or not np.array_equal(scores.truth, wanted.truth):
        raise ArtifactError(
            f"The members of an ensemble must have scored the same {split} samples with the same "
            "labels. Train or evaluate them on the same benchmark."
        )
    return scores
