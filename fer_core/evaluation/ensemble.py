"""Ensembles: weighted averages of other runs' predictions."""

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
        members: Predictions of the runs; of one if greedy selection took no other.
        weights: One weight per member, summing to 1; equal weights by default.
        shift: Prior shift added to the logits of the mean, one value per class; none by default.

    Raises:
        ArtifactError: If there is no member, or members differ in classes, samples or labels.
    """
    if not members:
        raise ArtifactError("An ensemble needs a member. Train the ensemble again.")
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
    members: Sequence[Predictions], rounds: int = 30, least_macro_recall: float = 0.0
) -> tuple[float, ...]:
    """Returns ensemble weights by greedy selection with replacement on validation.

    Each round adds the member that gives the highest accuracy among those that reach the required
    macro-recall, breaking ties by log loss; while none reaches it, the one that comes closest. The
    weights of the best round are returned (Caruana et al. 2004, "Ensemble selection from libraries
    of models").

    Args:
        members: Predictions of the candidates.
        rounds: Number of rounds.
        least_macro_recall: Required macro-recall of the ensemble, 0 to 1; 0 requires nothing.

    Returns:
        One weight per candidate, summing to 1; 0 for candidates that were not selected.
    """
    splits = [member.split("validation") for member in members]
    predictions = [split.aligned_with(splits[0]) for split in splits]
    truth = predictions[0].truth
    counts = np.zeros(len(members), dtype=np.int64)
    total = np.zeros_like(predictions[0].probabilities)
    best: tuple[tuple[float, ...], NDArray[np.int64]] | None = None
    for size in range(1, rounds + 1):
        grades = [
            _grade((total + member.probabilities) / size, truth, least_macro_recall)
            for member in predictions
        ]
        best_member = max(range(len(predictions)), key=grades.__getitem__)
        counts[best_member] += 1
        total += predictions[best_member].probabilities
        if best is None or grades[best_member] > best[0]:
            best = (grades[best_member], counts.copy())
    assert best is not None  # noqa: S101 (there is at least one round)
    return tuple((best[1] / best[1].sum()).tolist())


def _grade(
    probabilities: NDArray[np.float64], truth: NDArray[np.int64], least_macro_recall: float
) -> tuple[float, ...]:
    """Returns what is compared, in order: macro-recall up to the minimum, accuracy, log loss."""
    predicted = probabilities.argmax(axis=1)
    matrix = metrics.confusion_matrix(truth, predicted, probabilities.shape[1])
    return (
        min(metrics.macro_recall(matrix), least_macro_recall) if least_macro_recall else 0.0,
        float((predicted == truth).mean()),
        -metrics.log_loss(truth, probabilities),
    )


def average_probabilities(
    members: Sequence[NDArray[np.float64]], weights: Sequence[float], shift: Sequence[float]
) -> NDArray[np.float64]:
    """Returns an ensemble's probabilities from its members'.

    Args:
        members: Probabilities of each member, shape (..., K).
        weights: One weight per member, summing to 1; empty for equal weights.
        shift: Prior shift added to the logits of the mean, one value per class; empty for none.
    """
    mean = np.average(list(members), axis=0, weights=weights if len(weights) else None)
    return shift_logits(mean, shift)


def _average_split(
    predictions: Sequence[SplitPredictions], weights: Sequence[float], shift: Sequence[float]
) -> SplitPredictions:
    mean = average_probabilities([part.probabilities for part in predictions], weights, shift)
    return SplitPredictions(predictions[0].labels, predictions[0].ids, predictions[0].truth, mean)


def is_outdated(run: RunDir) -> bool:
    """Whether a candidate of an ensemble was retrained or deleted since the selection.

    Another selection might then be better. The ensemble stays valid while its members exist.
    Returns False if the creation times of the candidates are unknown.
    """
    return _changed(run, run.info().teachers)


def members_changed(run: RunDir) -> bool:
    """Whether a member of an ensemble was retrained or deleted since the selection.

    The weights were then selected for other predictions. Returns False if the creation times of
    the members are unknown, and for networks.
    """
    info = run.info()
    members = {name: created for name, created in info.teachers.items() if name in info.members}
    return _changed(run, members)


def require_members(run: RunDir) -> None:
    """Checks that the members of an ensemble are those it was built from; networks pass.

    Raises:
        ArtifactError: If a member was retrained or deleted.
    """
    if members_changed(run):
        raise ArtifactError(
            f"A member of {run.run_id} was retrained or deleted after the ensemble was built. "
            "Train the ensemble again with --overwrite."
        )


def _changed(run: RunDir, creation_times: Mapping[str, str]) -> bool:
    return any(
        (member := run.benchmark.find_run(name)) is None or member.created != created
        for name, created in creation_times.items()
    )
