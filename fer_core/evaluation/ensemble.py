"""Ensembles: predictions computed from other predictions."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fer_core.artifacts import RunDir
from fer_core.errors import ArtifactError
from fer_core.evaluation import metrics
from fer_core.evaluation.predictions import Predictions, SplitPredictions
from fer_core.evaluation.prior_shift import shift_logits


def average(
    members: Sequence[Predictions], weights: Sequence[float] = (), shift: Sequence[float] = ()
) -> Predictions:
    """Averages the members' probabilities, sample by sample (soft voting).

    Args:
        members: At least two.
        weights: One a member, summing to 1; equal ones by default.
        shift: Added to the mean's logits, one value a class; none by default.

    Raises:
        ArtifactError: If members differ in classes, samples or truth.
    """
    if len(members) < 2:
        raise ArtifactError("An ensemble needs at least two members.")
    return Predictions(
        {
            name: _average_split(
                [member.split(name).aligned_with(members[0].split(name)) for member in members],
                weights,
                shift,
            )
            for name in members[0].splits
        }
    )


def greedy_weights(
    members: Sequence[Predictions], split: str = "validation", rounds: int = 30
) -> tuple[float, ...]:
    """Chooses and weights members by greedy selection with repetition.

    Each round adds the member that raises the accuracy on the split most, ties going to the
    lower log loss; the best round wins (Caruana et al. 2004, "Ensemble selection from libraries
    of models").

    Args:
        members: Candidates.
        split: Chooses; never the test split of a reported number.
        rounds: How often a member is added at most.

    Returns:
        One weight a member, summing to 1; 0 for those not best_member.
    """
    predictions = [member.split(split).aligned_with(members[0].split(split)) for member in members]
    truth = predictions[0].truth
    counts = np.zeros(len(members), dtype=np.int64)
    total = np.zeros_like(predictions[0].probabilities)
    best: tuple[tuple[float, float], NDArray[np.int64]] | None = None
    for taken in range(1, rounds + 1):
        grades = [_grade((total + part.probabilities) / taken, truth) for part in predictions]
        best_member = max(range(len(predictions)), key=grades.__getitem__)
        counts[best_member] += 1
        total += predictions[best_member].probabilities
        if best is None or grades[best_member] > best[0]:
            best = (grades[best_member], counts.copy())
    assert best is not None  # noqa: S101 (there is at least one round)
    return tuple((best[1] / best[1].sum()).tolist())


def _grade(probabilities: NDArray[np.float64], truth: NDArray[np.int64]) -> tuple[float, float]:
    right = float((probabilities.argmax(axis=1) == truth).mean())
    return right, -metrics.log_loss(truth, probabilities)


def average_probabilities(
    members: Sequence[NDArray[np.float64]], weights: Sequence[float], shift: Sequence[float]
) -> NDArray[np.float64]:
    """Returns an ensemble's probabilities from its members'.

    Args:
        members: Each of shape (..., K).
        weights: One a member, summing to 1; empty for equal ones.
        shift: Added to the mean's logits, one value a class; empty for none.
    """
    mean = np.average(list(members), axis=0, weights=weights if len(weights) else None)
    return shift_logits(mean, shift)


def _average_split(
    predictions: Sequence[SplitPredictions], weights: Sequence[float], shift: Sequence[float]
) -> SplitPredictions:
    mean = average_probabilities([part.probabilities for part in predictions], weights, shift)
    return SplitPredictions(predictions[0].labels, predictions[0].ids, predictions[0].truth, mean)


def is_outdated(run: RunDir) -> bool:
    """Whether a candidate of an ensemble was made anew or deleted since, where that is known.

    Another choice might be better then; the average itself stands as long as its members do.
    """
    return _changed(run, run.info().teachers)


def members_changed(run: RunDir) -> bool:
    """Whether a member of an ensemble was made anew or deleted since, where that is known.

    Its weights were best_member for other answers then. A network has no members.
    """
    info = run.info()
    members = {name: made for name, made in info.teachers.items() if name in info.members}
    return _changed(run, members)


def _changed(run: RunDir, made: Mapping[str, str]) -> bool:
    return any(_created(run.benchmark.run(name)) != created for name, created in made.items())


def _created(run: RunDir) -> str | None:
    try:
        return run.info().created
    except ArtifactError:  # deleted, or damaged
        return None
