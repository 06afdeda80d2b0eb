"""Detection of wrong labels from predictions for images that no model was trained on.

Confident learning (Northcutt, Jiang and Chuang 2021, arXiv:1911.00068; the cleanlab library): a
label is suspect if another class gets a probability as high as images of that class usually get.
Probabilities are averaged over runs, so that a weakness of one model does not count as a label
error.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_core.artifacts import VOTE_PREFIX
from fer_core.errors import ArtifactError
from fer_core.evaluation.predictions import Predictions, SplitPredictions
from fer_core.labels import LabelSet
from fer_core.tables import read_table, write_table

SPLITS = ("validation", "test")
"""Splits on which no model is trained."""

ISSUE_COLUMNS = (
    "id", "split", "given", "suggested", "quality", "confidence", "given_probability",
)  # fmt: skip
"""Columns of `LabelIssues.table`."""

_FACTS = "out_of_fold"
"""Metadata of the file that holds the attributes of `TrainLabelIssues`."""


@dataclass(frozen=True)
class LabelIssues:
    """Label quality of each sample.

    Attributes:
        predictions: Samples with their labels and the averaged probabilities.
        split: Split of each sample, shape (N,).
        quality: Label quality, shape (N,), 0 to 1: (1 + probability of the label - largest
            probability of another class) / 2. Low values indicate wrong labels.
        suspect: Whether the label is probably wrong, shape (N,).
    """

    predictions: SplitPredictions
    split: NDArray[np.object_]
    quality: NDArray[np.float64]
    suspect: NDArray[np.bool_]

    @property
    def suspects(self) -> frozenset[str]:
        """Ids of the samples with suspect labels."""
        return frozenset(self.predictions.ids[self.suspect].tolist())

    def table(self) -> pd.DataFrame:
        """Returns the suspect labels, lowest quality first.

        Returns:
            Columns `id`, `split`, `given`, `suggested`, `quality`, `confidence` (of the suggested
            class) and `given_probability`.
        """
        rows = np.flatnonzero(self.suspect)
        rows = rows[np.argsort(self.quality[rows], kind="stable")]
        names = np.array(self.predictions.labels.names, dtype=object)
        suggested = self.predictions.predicted[rows]
        labels = self.predictions.truth[rows]
        return pd.DataFrame(
            {
                "id": self.predictions.ids[rows],
                "split": self.split[rows],
                "given": names[labels],
                "suggested": names[suggested],
                "quality": self.quality[rows],
                "confidence": self.predictions.probabilities[rows, suggested],
                "given_probability": self.predictions.probabilities[rows, labels],
            }
        )


@dataclass(frozen=True)
class LabelNoiseReport:
    """Test accuracy of a run with and without suspect labels.

    Attributes:
        run_id: Id of the run.
        samples: Number of test images.
        errors: Number of errors on them.
        suspect: Number of test images with a suspect label.
        suspect_errors: Number of errors on images with a suspect label.
        accuracy: Accuracy on all test images, 0 to 1.
        accuracy_without: Accuracy on the images without a suspect label, 0 to 1.
        judged_by_others: Whether suspect labels were determined without this run.
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
        """Share of the errors on images with a suspect label, 0 to 1."""
        return self.suspect_errors / self.errors if self.errors else 0.0


def find_label_issues(runs: Sequence[Predictions]) -> LabelIssues:
    """Finds label issues in validation and test from the averaged probabilities of runs.

    Args:
        runs: Predictions of at least one run, all for the same samples with the same labels.

    Raises:
        ArtifactError: If the runs differ in samples, labels or classes, or lack a split.
    """
    parts = {split: average([run.split(split) for run in runs]) for split in SPLITS}
    labels = runs[0].labels
    predictions = SplitPredictions(
        labels,
        np.concatenate([part.ids for part in parts.values()]),
        np.concatenate([part.truth for part in parts.values()]),
        np.concatenate([part.probabilities for part in parts.values()]),
    )
    split = np.repeat(np.array(SPLITS, dtype=object), [len(part) for part in parts.values()])
    return issues_of(predictions, split)


def issues_of(predictions: SplitPredictions, split: NDArray[np.object_]) -> LabelIssues:
    """Finds label issues from probabilities of models that were not trained on the samples.

    Args:
        predictions: Labels and probabilities.
        split: Split of each sample, shape (N,).
    """
    from cleanlab.filter import find_label_issues as confident_learning
    from cleanlab.rank import get_label_quality_scores

    present = np.unique(predictions.truth)
    # cleanlab requires at least one label of each class.
    truth = np.searchsorted(present, predictions.truth)
    probabilities = _normalised(predictions.probabilities[:, present])
    suspect = np.asarray(confident_learning(truth, probabilities, n_jobs=1), dtype=bool)
    # Where the models agree with the label there is nothing to suggest.
    suspect &= ~predictions.right
    quality = get_label_quality_scores(truth, probabilities, method="normalized_margin")
    return LabelIssues(predictions, split, np.asarray(quality, dtype=np.float64), suspect)


@dataclass(frozen=True)
class TrainLabelIssues:
    """`train_labels.parquet`: likely label errors of train, from out-of-fold predictions.

    Attributes:
        split_hash: Split of the benchmark; issues of another split are out of date.
        features: Source of the features.
        saw_labels: Whether the features come from a network that was trained on these labels. It
            may have memorised wrong labels, so fewer of them stand out.
        folds: Number of folds; duplicates are in one fold.
        images: Number of training images.
        accuracy: Out-of-fold accuracy of the classifier, 0 to 1.
        table: Suspect labels, lowest quality first, with the columns of `LabelIssues.table`.
    """

    split_hash: str
    features: str
    saw_labels: bool
    folds: int
    images: int
    accuracy: float
    table: pd.DataFrame = field(compare=False)

    def write(self, path: Path) -> None:
        """Writes the table atomically; the other attributes are in its metadata."""
        table = self.table.copy()
        facts = {item.name: getattr(self, item.name) for item in fields(self) if item.compare}
        table.attrs[_FACTS] = facts
        write_table(path, table)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads the file.

        Raises:
            ArtifactError: If it is missing, corrupt or no such file.
        """
        table = read_table(path, ISSUE_COLUMNS)
        try:
            return cls(table=table, **table.attrs[_FACTS])
        except (KeyError, TypeError) as error:
            raise ArtifactError(
                f"{path.name} of {path.parent.name!r} is not from this version of FERscope. Run "
                "`python -m training check-labels` again."
            ) from error


def fold_of_each(
    truth: NDArray[np.int64], groups: NDArray[np.int64], folds: int, seed: int = 0
) -> NDArray[np.int64]:
    """Returns each sample's fold, shape (N,); stratified by class, without splitting duplicates.

    Args:
        truth: Class indices, shape (N,).
        groups: Duplicate group, -1 for none; shape (N,).
        folds: Number of folds, at least 2.
        seed: Seed of the shuffle.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    alone = np.arange(len(groups)) + groups.max(initial=0) + 1
    keys = np.where(groups < 0, alone, groups)
    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    fold = np.zeros(len(truth), dtype=np.int64)
    for number, (_, held_out) in enumerate(splitter.split(keys, truth, keys)):
        fold[held_out] = number
    return fold


def predict_fold(
    features: NDArray[np.float32],
    truth: NDArray[np.int64],
    held_out: NDArray[np.bool_],
    classes: int,
) -> NDArray[np.float64]:
    """Trains a linear classifier on the other folds and predicts one.

    Args:
        features: Shape (N, D).
        truth: Class indices, shape (N,).
        held_out: Samples of the fold, shape (N,).
        classes: Number of classes.

    Returns:
        Probabilities of the fold's samples, shape (held out, classes); 0 for a class that the other
        folds lack.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=300))
    classifier.fit(features[~held_out], truth[~held_out])
    probabilities = np.zeros((int(held_out.sum()), classes))
    probabilities[:, classifier.classes_] = classifier.predict_proba(features[held_out])
    return probabilities


def average(runs: Sequence[SplitPredictions]) -> SplitPredictions:
    """Returns the mean probabilities of runs, in the sample order of the first run.

    Raises:
        ArtifactError: If they differ in samples, labels or classes.
    """
    aligned = [run.aligned_with(runs[0]).probabilities for run in runs]
    first = runs[0]
    return SplitPredictions(
        first.labels, first.ids, first.truth, _normalised(np.mean(aligned, axis=0))
    )


def accuracy_without_suspects(
    runs: Mapping[str, Predictions],
    judges: Mapping[str, Predictions],
    members: Mapping[str, Collection[str]],
) -> list[LabelNoiseReport]:
    """Measures runs on test with and without suspect labels.

    A run must not judge the labels of its own errors. Suspect labels for a run therefore come
    from the other judges, and for an ensemble from judges that are not its members, if there are
    any. Accuracy without suspect labels is still biased upwards: models make similar errors, so
    hard images are removed together with the wrong labels.

    Args:
        runs: Predictions of the runs to measure, by run id.
        judges: Predictions that determine suspect labels, by run id; leave out ensembles, which
            repeat their members.
        members: Member ids by ensemble id.
    """
    suspects: dict[frozenset[str], frozenset[str]] = {}
    rows = []
    for run_id, run in runs.items():
        involved = {run_id, *members.get(run_id, ())}
        others = frozenset(judges) - involved or frozenset({run_id})
        if others not in suspects:
            suspects[others] = find_label_issues(
                [judges.get(name, run) for name in sorted(others)]
            ).suspects
        test = run.split("test")
        suspect = np.array([name in suspects[others] for name in test.ids], dtype=bool)
        wrong = ~test.right
        rows.append(
            LabelNoiseReport(
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
    return rows


def expected_votes(samples: pd.DataFrame, table: pd.DataFrame, labels: LabelSet) -> pd.DataFrame:
    """Adds the annotators' votes for the label and the suggested class.

    Args:
        samples: Samples indexed by id, with columns `votes_<class>`.
        table: Table from `LabelIssues.table`.
        labels: Label set of the benchmark.

    Returns:
        The table with `votes_given` and `votes_suggested` (shares of all votes, 0 to 1; NaN for an
        image without votes), or the unchanged table if the benchmark has no votes.
    """
    columns = [name for name in samples.columns if name.startswith(VOTE_PREFIX)]
    if not {f"{VOTE_PREFIX}{name}" for name in labels.names} <= set(columns):
        return table
    votes = samples.loc[table["id"], columns].to_numpy(dtype=np.float64)
    total = votes.sum(axis=1, keepdims=True)
    shares = np.divide(votes, total, out=np.full_like(votes, np.nan), where=total > 0)
    added = table.copy()
    for kind in ("given", "suggested"):
        positions = [columns.index(f"{VOTE_PREFIX}{name}") for name in table[kind]]
        added[f"votes_{kind}"] = shares[np.arange(len(table)), positions]
    return added


def _normalised(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    total = probabilities.sum(axis=1, keepdims=True)
    unit: NDArray[np.float64] = probabilities / np.where(total > 0, total, 1)
    return unit
