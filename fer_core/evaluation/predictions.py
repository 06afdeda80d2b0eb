"""`Predictions`: what models write, and all that metrics, statistics and pages read."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_core.artifacts import RunDir
from fer_core.errors import ArtifactError
from fer_core.evaluation.columns import best_column
from fer_core.evaluation.metrics import Stored
from fer_core.evaluation.prediction_file import (
    PREFIX,
    UNLABELLED,
    SharedSamples,
    read_prediction_file,
)
from fer_core.labels import LabelSet
from fer_core.tables import write_table

EVALUATED = ("validation", "test")
"""Splits for which every run has predictions."""


@dataclass(frozen=True)
class SplitPredictions:
    """True classes and probabilities of some samples, aligned by position.

    Attributes:
        labels: Column `i` of `probabilities` belongs to `labels.names[i]`.
        ids: Sample ids, shape (N,).
        truth: True class indices, shape (N,); `UNLABELLED` for an image without a label.
        stored: Probabilities in the precision of their file, shape (N, K); rows sum to 1.
    """

    labels: LabelSet
    ids: NDArray[np.object_]
    truth: NDArray[np.int64]
    stored: Stored

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """Probabilities in double precision, shape (N, K); a copy of those of a file."""
        return self.stored.astype(np.float64, copy=False)

    @property
    def predicted(self) -> NDArray[np.int64]:
        """Most probable class of each sample, shape (N,)."""
        return self._best[0].astype(np.int64)

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        """Whether each prediction is right, shape (N,)."""
        right: NDArray[np.bool_] = self._best[0] == self.truth
        return right

    @property
    def confidence(self) -> NDArray[np.float64]:
        """Largest probability of each sample, shape (N,)."""
        return self._best[1].astype(np.float64)

    @property
    def stored_confidence(self) -> Stored:
        """Largest probability of each sample in the precision of its file, shape (N,)."""
        return self._best[1]

    @cached_property
    def _best(self) -> tuple[NDArray[np.int16], Stored]:
        return best_column(self.stored)

    def select(self, mask: NDArray[np.bool_]) -> "SplitPredictions":
        """Returns the samples where the mask, of shape (N,), is true."""
        return SplitPredictions(
            self.labels, self.ids[mask], self.truth[mask], _rows(self.stored, mask)
        )

    def subset(self, names: Sequence[str]) -> "SplitPredictions":
        """Returns the samples of some classes, with probabilities renormalised over them.

        These are the probabilities given that the face shows one of these classes. If all of them
        have probability 0, they become uniform.

        Args:
            names: At least two of the classes, in any order.

        Raises:
            DataError: If a class is unknown, or there are fewer than two.
        """
        labels = LabelSet.of(names)
        if labels == self.labels:
            return self
        columns = np.array([self.labels.index(name) for name in labels.names])
        new_index = np.full(len(self.labels), -1, dtype=np.int64)
        new_index[columns] = np.arange(len(columns))
        truth = new_index[self.truth]
        selected_rows = truth >= 0
        selected = self.probabilities[selected_rows][:, columns]
        total = selected.sum(axis=1, keepdims=True)
        uniform = np.full_like(selected, 1 / len(columns))
        renormalised = np.divide(selected, total, out=uniform, where=total > 0)
        return SplitPredictions(labels, self.ids[selected_rows], truth[selected_rows], renormalised)

    def relabelled(self, names: pd.Series) -> "SplitPredictions":
        """Returns the samples with labels from another annotation.

        Args:
            names: Class names by sample id; samples without a known class are dropped.
        """
        truth = label_codes(names, self.ids, self.labels)
        known = np.flatnonzero(truth >= 0)
        return self.take(known, self.ids[known], truth[known])

    def take(
        self,
        rows: NDArray[np.int64],
        ids: NDArray[np.object_],
        truth: NDArray[np.int64] | None = None,
    ) -> "SplitPredictions":
        """Returns some rows.

        Args:
            rows: Row numbers, shape (M,).
            ids: Sample ids of these rows, shape (M,); runs can share one array.
            truth: True class indices of these rows, shape (M,); None leaves them as they are.
        """
        kept = self.truth[rows] if truth is None else truth
        return SplitPredictions(self.labels, ids, kept, _rows(self.stored, rows))

    def same_ids(self, other: "SplitPredictions") -> bool:
        """Returns whether others are for the same samples in the same order."""
        return _equal(self.ids, other.ids)

    def with_ids_of(self, other: "SplitPredictions") -> "SplitPredictions":
        """Returns these predictions with the equal id array of others, which saves memory."""
        return self if self.ids is other.ids else replace(self, ids=other.ids)

    def aligned_with(self, other: "SplitPredictions") -> "SplitPredictions":
        """Returns these predictions in the sample order of others.

        Raises:
            ArtifactError: If the two differ in classes, samples or labels.
        """
        if self.labels != other.labels:
            raise ArtifactError(
                "Only runs with the same classes can be compared. Select other runs."
            )
        ordered = self
        if len(self) == len(other) and not _equal(self.ids, other.ids):
            order = np.argsort(self.ids)[np.argsort(np.argsort(other.ids))]
            ordered = SplitPredictions(
                self.labels, self.ids[order], self.truth[order], _rows(self.stored, order)
            )
        if not (_equal(ordered.ids, other.ids) and _equal(ordered.truth, other.truth)):
            raise ArtifactError(
                "Only runs that have predictions for the same samples with the same labels can be "
                "compared. Train or evaluate them on the same benchmark."
            )
        return ordered


@dataclass(frozen=True)
class Predictions:
    """Predictions of a run for validation and test.

    Attributes:
        splits: Predictions by split name.
        shared: Ids and labels of the file; other files with the same ones use them as well.

    Examples:
        >>> import fer_core
        >>> benchmark = fer_core.open_benchmark("synthetic")
        >>> run = benchmark.run("efficientnet_lite0-cpu-s0")
        >>> labels = benchmark.info().label_set
        >>> predictions = fer_core.Predictions.read(run.predictions_path, labels)
        >>> test = predictions.split("test")
        >>> test.probabilities.shape == (len(test), 7)
        True
    """

    splits: dict[str, SplitPredictions]
    shared: SharedSamples | None = field(default=None, repr=False, compare=False)

    @property
    def labels(self) -> LabelSet:
        """Label set of all splits."""
        return next(iter(self.splits.values())).labels

    def split(self, name: str) -> SplitPredictions:
        """Returns the predictions for one split.

        Raises:
            ArtifactError: If there are none.
        """
        if name not in self.splits:
            raise ArtifactError(
                f"There are no predictions for the split {name!r}. Known: {', '.join(self.splits)}."
            )
        return self.splits[name]

    @classmethod
    def read(cls, path: Path, labels: LabelSet, *, unlabelled: bool = False) -> "Predictions":
        """Reads `predictions.parquet` and checks ids, labels, and that rows sum to 1.

        Args:
            path: The file.
            labels: The run's classes.
            unlabelled: Whether to return images without a label as well. By default they are left
                out, so that metrics come from labelled images only.

        Raises:
            ArtifactError: If the file is missing, corrupt, or not a table of predictions.
        """
        file = read_prediction_file(path, labels)
        samples = file.samples
        splits = {}
        for split, probabilities in file.probabilities.items():
            part = SplitPredictions(labels, samples.ids[split], samples.truth[split], probabilities)
            rows = None if unlabelled else samples.labelled(split)
            splits[split] = part if rows is None else part.take(rows, part.ids[rows])
        return cls(
            splits,
            samples,
        )

    def write(self, path: Path) -> None:
        """Writes `predictions.parquet` (probabilities as float32), atomically."""
        tables = []
        for split, part in self.splits.items():
            names = np.array(part.labels.names, dtype=object)
            truth = names[part.truth]
            truth[part.truth == UNLABELLED] = None
            table = pd.DataFrame({"id": part.ids, "split": split, "y_true": truth})
            table["y_true"] = table["y_true"].astype("str")
            for index, name in enumerate(part.labels.names):
                table[f"{PREFIX}{name}"] = part.probabilities[:, index].astype(np.float32)
            tables.append(table)
        write_table(path, pd.concat(tables, ignore_index=True))


def read_predictions(run: RunDir, labels: LabelSet, *, unlabelled: bool = False) -> Predictions:
    """Reads a run's predictions; those of a transferred run have its original validation split.

    What validation chooses (temperature, thresholds, prior shift) is thus chosen on the benchmark
    that the run comes from, and applied to the transferred set.

    Args:
        run: The run.
        labels: Classes of the run.
        unlabelled: Whether to return images without a label as well.

    Raises:
        ArtifactError: If the predictions are missing or damaged.
    """
    predictions = Predictions.read(run.predictions_path, labels, unlabelled=unlabelled)
    if run.origin is None or not run.origin.predictions_path.is_file():
        return predictions
    original = Predictions.read(run.origin.predictions_path, labels)
    splits = {"validation": original.split("validation"), **predictions.splits}
    return Predictions(splits, predictions.shared)


def _rows(values: Stored, rows: NDArray[np.bool_] | NDArray[np.int64]) -> Stored:
    """Returns some rows; each column stays contiguous in memory."""
    selected: Stored = np.stack([column[rows] for column in values.T]).T
    return selected


def _equal(first: NDArray[Any], second: NDArray[Any]) -> bool:
    return first is second or np.array_equal(first, second)


def label_codes(names: pd.Series, ids: NDArray[np.object_], labels: LabelSet) -> NDArray[np.int64]:
    """Returns the class index of each sample in another annotation, -1 without a known class.

    Args:
        names: Class names by sample id.
        ids: Sample ids, shape (N,).
        labels: The classes.

    Returns:
        Shape (N,).
    """
    position = pd.Index(list(labels.names))
    return position.get_indexer(pd.Index(names.reindex(ids))).astype(np.int64)
