"""`Predictions`: what models write, and all that metrics, statistics and pages read."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_core.artifacts import RunDir, read_table, write_table
from fer_core.errors import ArtifactError
from fer_core.labels import LabelSet

PREFIX = "p_"
SUM_TOLERANCE = 1e-3

EVALUATED = ("validation", "test")
"""Splits for which every run has predictions."""

UNLABELLED = -1
"""Truth of an image without a label; only `Predictions.read` with `unlabelled` returns any."""


@dataclass(frozen=True)
class SplitPredictions:
    """True classes and probabilities of some samples, aligned by position.

    Attributes:
        labels: Column `i` of `probabilities` belongs to `labels.names[i]`.
        ids: Sample ids, shape (N,).
        truth: True class indices, shape (N,); `UNLABELLED` for an image without a label.
        probabilities: Probabilities, shape (N, K); rows sum to 1.
    """

    labels: LabelSet
    ids: NDArray[np.object_]
    truth: NDArray[np.int64]
    probabilities: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def predicted(self) -> NDArray[np.int64]:
        """Most probable class of each sample, shape (N,)."""
        best: NDArray[np.int64] = self.probabilities.argmax(axis=1).astype(np.int64)
        return best

    @property
    def confidence(self) -> NDArray[np.float64]:
        """Largest probability of each sample, shape (N,)."""
        peak: NDArray[np.float64] = self.probabilities.max(axis=1)
        return peak

    def select(self, mask: NDArray[np.bool_]) -> "SplitPredictions":
        """Returns the samples where the mask, of shape (N,), is true."""
        return SplitPredictions(
            self.labels, self.ids[mask], self.truth[mask], self.probabilities[mask]
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
        position = pd.Index(list(self.labels.names))
        truth = position.get_indexer(pd.Index(names.reindex(self.ids))).astype(np.int64)
        known = truth >= 0
        return SplitPredictions(
            self.labels, self.ids[known], truth[known], self.probabilities[known]
        )

    def aligned_with(self, other: "SplitPredictions") -> "SplitPredictions":
        """Returns these predictions in the sample order of others.

        Raises:
            ArtifactError: If the two differ in classes, samples or labels.
        """
        if self.labels != other.labels:
            raise ArtifactError("Only runs with the same classes can be compared.")
        ordered = self
        if len(self) == len(other) and not np.array_equal(self.ids, other.ids):
            order = np.argsort(self.ids)[np.argsort(np.argsort(other.ids))]
            ordered = SplitPredictions(
                self.labels, self.ids[order], self.truth[order], self.probabilities[order]
            )
        if not (
            np.array_equal(ordered.ids, other.ids) and np.array_equal(ordered.truth, other.truth)
        ):
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
    """

    splits: dict[str, SplitPredictions]

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
            raise ArtifactError(f"There are no predictions for the split {name!r}.")
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
        columns = [f"{PREFIX}{name}" for name in labels.names]
        table = read_table(path, ("id", "split", "y_true", *columns))
        where = f"{path.name} of {path.parent.name!r}"
        if table.empty:
            raise ArtifactError(f"{where} is empty.")
        if extra := [c for c in table.columns if c.startswith(PREFIX) and c not in columns]:
            raise ArtifactError(
                f"{where} has probabilities for unknown classes: {', '.join(extra)}."
            )
        if table["id"].duplicated().any():
            duplicate = table.loc[table["id"].duplicated(), "id"].iloc[0]
            raise ArtifactError(f"{where} has sample {duplicate} twice.")
        truth = pd.Index(list(labels.names)).get_indexer(pd.Index(table["y_true"]))
        wrong = (truth < 0) & table["y_true"].notna().to_numpy()
        if wrong.any():
            unknown = table["y_true"].iloc[int(np.argmax(wrong))]
            raise ArtifactError(f"{where} has the unknown label {unknown!r}.")
        probabilities = table[columns].to_numpy(dtype=np.float64)
        off = ~(np.abs(probabilities.sum(axis=1) - 1) <= SUM_TOLERANCE)
        off |= (probabilities < 0).any(axis=1)
        if off.any():
            row = table["id"].iloc[int(np.argmax(off))]
            raise ArtifactError(
                f"{where}: the probabilities of {row} do not sum to 1 or are negative."
            )
        ids = table["id"].to_numpy(dtype=object)
        splits = table["split"].to_numpy(dtype=object)
        kept = truth != UNLABELLED if not unlabelled else np.ones(len(table), dtype=bool)
        whole = SplitPredictions(labels, ids, truth.astype(np.int64), probabilities)
        return cls(
            {str(name): whole.select((splits == name) & kept) for name in pd.unique(table["split"])}
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
        labels: Its classes.
        unlabelled: Whether to return images without a label as well.

    Raises:
        ArtifactError: If the predictions are missing or damaged.
    """
    own = Predictions.read(run.predictions_path, labels, unlabelled=unlabelled)
    if run.origin is None or not run.origin.predictions_path.is_file():
        return own
    original = Predictions.read(run.origin.predictions_path, labels)
    return Predictions({"validation": original.split("validation"), **own.splits})
