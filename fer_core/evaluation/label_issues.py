"""Labels that are probably wrong, found from answers to images that no model was trained on.

Confident learning (Northcutt, Jiang & Chuang 2021, arXiv:1911.00068; the cleanlab library): a
label is suspect if the models give another class a probability as high as images of that class
usually get. Answers are averaged over runs, so that one model's weakness is not taken for the
annotators'.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_core.artifacts import VOTE_PREFIX
from fer_core.evaluation.predictions import Predictions, SplitPredictions
from fer_core.labels import LabelSet

SPLITS = ("validation", "test")
"""Splits that no model was trained on."""


@dataclass(frozen=True)
class LabelIssues:
    """How trustworthy each label is.

    Attributes:
        scores: The samples with their given labels and the averaged probabilities.
        split: Split of each sample, shape (N,).
        quality: 0 to 1, low for a label that the answers speak against: half of one plus the
            given label's probability minus the best other's; shape (N,).
        suspect: Whether the label is likely wrong, shape (N,).
    """

    scores: SplitPredictions
    split: NDArray[np.object_]
    quality: NDArray[np.float64]
    suspect: NDArray[np.bool_]

    @property
    def suspects(self) -> frozenset[str]:
        """Ids of the samples whose label is likely wrong."""
        return frozenset(self.scores.ids[self.suspect].tolist())

    def table(self) -> pd.DataFrame:
        """Lists the suspect labels, worst first.

        Returns:
            Columns `id`, `split`, `given`, `suggested`, `quality`, `confidence` (of the suggested
            class) and `given_probability`.
        """
        rows = np.flatnonzero(self.suspect)
        rows = rows[np.argsort(self.quality[rows], kind="stable")]
        names = np.array(self.scores.labels.names, dtype=object)
        suggested = self.scores.predicted[rows]
        given = self.scores.truth[rows]
        return pd.DataFrame(
            {
                "id": self.scores.ids[rows],
                "split": self.split[rows],
                "given": names[given],
                "suggested": names[suggested],
                "quality": self.quality[rows],
                "confidence": self.scores.probabilities[rows, suggested],
                "given_probability": self.scores.probabilities[rows, given],
            }
        )


@dataclass(frozen=True)
class Cleared:
    """A run's test score with and without labels that are likely wrong.

    Attributes:
        run_id: The run.
        samples: Test images.
        errors: Of these, answers that differ from the label.
        suspect: Test images whose label is likely wrong, as the judges see it.
        suspect_errors: Errors among them.
        accuracy: On all test images, 0 to 1.
        accuracy_without: On those whose label is not suspect, 0 to 1.
        judged_by_others: Whether the run had no say in what is suspect.
    """

    run_id: str
    samples: int
    errors: int
    suspect: int
    suspect_errors: int
    accuracy: float
    accuracy_without: float
    judged_by_others: bool

    @property
    def share(self) -> float:
        """Share of the errors that are likely errors of the label, 0 to 1."""
        return self.suspect_errors / self.errors if self.errors else 0.0


def find_label_issues(runs: Sequence[Predictions]) -> LabelIssues:
    """Judges the labels of validation and test by the average answer of runs.

    Args:
        runs: At least one; all of them on the same samples with the same labels.

    Raises:
        ArtifactError: If the runs differ in samples, labels or classes, or lack a split.
    """
    from cleanlab.filter import find_label_issues as confident_learning
    from cleanlab.rank import get_label_quality_scores

    parts = {split: average([run.split(split) for run in runs]) for split in SPLITS}
    labels = runs[0].labels
    scores = SplitPredictions(
        labels,
        np.concatenate([part.ids for part in parts.values()]),
        np.concatenate([part.truth for part in parts.values()]),
        np.concatenate([part.probabilities for part in parts.values()]),
    )
    split = np.repeat(np.array(SPLITS, dtype=object), [len(part) for part in parts.values()])
    present = np.unique(scores.truth)
    # cleanlab asks that each class it hears of has a label.
    truth = np.searchsorted(present, scores.truth)
    probabilities = _normalised(scores.probabilities[:, present])
    suspect = np.asarray(confident_learning(truth, probabilities, n_jobs=1), dtype=bool)
    # Where the models agree with the label there is nothing to suggest.
    suspect &= scores.predicted != scores.truth
    quality = get_label_quality_scores(truth, probabilities, method="normalized_margin")
    return LabelIssues(scores, split, np.asarray(quality, dtype=np.float64), suspect)


def average(runs: Sequence[SplitPredictions]) -> SplitPredictions:
    """Returns the mean of runs' probabilities, in the first one's order of samples.

    Raises:
        ArtifactError: If they differ in samples, labels or classes.
    """
    aligned = [run.aligned_with(runs[0]).probabilities for run in runs]
    first = runs[0]
    return SplitPredictions(
        first.labels, first.ids, first.truth, _normalised(np.mean(aligned, axis=0))
    )


def clear_scores(
    runs: Mapping[str, Predictions],
    judges: Mapping[str, Predictions],
    members: Mapping[str, Collection[str]],
) -> list[Cleared]:
    """Scores runs on the test images whose labels are not suspect.

    A run must not judge the labels of its own errors: each is judged by the others, an ensemble by
    those that are none of its members, if there are any. Even so the score without suspect labels
    is no better measurement: models err alike, so that hard images are left out with the wrong
    labels.

    Args:
        runs: What is scored, by run id.
        judges: What judges; ensembles are best left out, as they answer for their members.
        members: Each ensemble's members, by its run id.
    """
    found: dict[frozenset[str], frozenset[str]] = {}
    cleared = []
    for run_id, run in runs.items():
        own = {run_id, *members.get(run_id, ())}
        others = frozenset(judges) - own or frozenset({run_id})
        if others not in found:
            found[others] = find_label_issues(
                [judges.get(name, run) for name in sorted(others)]
            ).suspects
        test = run.split("test")
        suspect = np.array([name in found[others] for name in test.ids], dtype=bool)
        wrong = test.predicted != test.truth
        cleared.append(
            Cleared(
                run_id=run_id,
                samples=len(test),
                errors=int(wrong.sum()),
                suspect=int(suspect.sum()),
                suspect_errors=int((wrong & suspect).sum()),
                accuracy=float((~wrong).mean()),
                accuracy_without=float((~wrong[~suspect]).mean()) if (~suspect).any() else 0.0,
                judged_by_others=run_id not in others,
            )
        )
    return cleared


def expected_votes(samples: pd.DataFrame, table: pd.DataFrame, labels: LabelSet) -> pd.DataFrame:
    """Adds what annotators said of suspect samples, where votes exist.

    Args:
        samples: Indexed by id, with columns `votes_<class>`.
        table: As `LabelIssues.table` gives it.
        labels: The classes.

    Returns:
        The table with `votes_given` and `votes_suggested` (shares of all votes, 0 to 1; NaN where
        an image has none), or as it was where there are no votes.
    """
    columns = [name for name in samples.columns if name.startswith(VOTE_PREFIX)]
    if not {f"{VOTE_PREFIX}{name}" for name in labels.names} <= set(columns):
        return table
    votes = samples.loc[table["id"], columns].to_numpy(dtype=np.float64)
    total = votes.sum(axis=1, keepdims=True)
    shares = np.divide(votes, total, out=np.full_like(votes, np.nan), where=total > 0)
    added = table.copy()
    for kind in ("given", "suggested"):
        place = [columns.index(f"{VOTE_PREFIX}{name}") for name in table[kind]]
        added[f"votes_{kind}"] = shares[np.arange(len(table)), place]
    return added


def _normalised(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    total = probabilities.sum(axis=1, keepdims=True)
    unit: NDArray[np.float64] = probabilities / np.where(total > 0, total, 1)
    return unit
