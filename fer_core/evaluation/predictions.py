"""`Predictions`: the seam between whatever made scores and whatever reads them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_core.artifacts import read_table, write_table
from fer_core.errors import ArtifactError
from fer_core.labels import LabelSet

PREFIX = "p_"
SUM_TOLERANCE = 1e-3

EVALUATED = ("validation", "test")
"""The splits that every run predicts."""


@dataclass(frozen=True)
class SplitPredictions:
    """Truth and probabilities of some samples, aligned by position.

    Attributes:
        labels: Column `i` of `probabilities` belongs to `labels.names[i]`.
        ids: Sample ids, shape (N,).
        truth: Class indices, shape (N,).
        probabilities: Shape (N, K), rows sum to 1.
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

        This is the answer that a model would give if it knew that the face shows one of these
        classes. Where it gave all of them no probability at all, each gets the same.

        Args:
            names: At least two of the classes, in any order.

        Raises:
            DataError: If a name is no class, or there are fewer than two.
        """
        labels = LabelSet.of(names)
        if labels == self.labels:
            return self
        columns = np.array([self.labels.index(name) for name in labels.names])
        place = np.full(len(self.labels), -1, dtype=np.int64)
        place[columns] = np.arange(len(columns))
        truth = place[self.truth]
        kept = truth >= 0
        given = self.probabilities[kept][:, columns]
        total = given.sum(axis=1, keepdims=True)
        even = np.full_like(given, 1 / len(columns))
        shares = np.divide(given, total, out=even, where=total > 0)
        return SplitPredictions(labels, self.ids[kept], truth[kept], shares)

    def relabelled(self, names: pd.Series) -> "SplitPredictions":
        """Returns the samples that another annotation labels, with its labels as the truth.

        Args:
            names: Class names by sample id; missing or unknown ones leave the sample out.
        """
        position = pd.Index(list(self.labels.names))
        truth = position.get_indexer(pd.Index(names.reindex(self.ids))).astype(np.int64)
        known = truth >= 0
        return SplitPredictions(
            self.labels, self.ids[known], truth[known], self.probabilities[known]
        )

    def aligned_with(self, other: "SplitPredictions") -> "SplitPredictions":
        """Returns these scores in the sample order of others.

        Raises:
            ArtifactError: If the two differ in classes, samples or truth.
        """
        if self.labels != other.labels:
            raise ArtifactError("Runs can be set side by side only if they have the same classes.")
        scores = self
        if len(self) == len(other) and not np.array_equal(self.ids, other.ids):
            order = np.argsort(self.ids)[np.argsort(np.argsort(other.ids))]
            scores = SplitPredictions(
                self.labels, self.ids[order], self.truth[order], self.probabilities[order]
            )
        if not (
            np.array_equal(scores.ids, other.ids) and np.array_equal(scores.truth, other.truth)
        ):
            raise ArtifactError(
                "Runs can be set side by side only if they scored the same samples with the same "
                "labels. Train or evaluate them on the same benchmark."
            )
        return scores


@dataclass(frozen=True)
class Predictions:
    """A run's scores for validation and test.

    Attributes:
        splits: `SplitPredictions` by split name.
    """

    splits: dict[str, SplitPredictions]

    @property
    def labels(self) -> LabelSet:
        """The classes; the same for every split."""
        return next(iter(self.splits.values())).labels

    def split(self, name: str) -> SplitPredictions:
        """Returns one split's scores.

        Raises:
            ArtifactError: If the run has none for it.
        """
        if name not in self.splits:
            raise ArtifactError(f"These predictions hold no {name} split.")
        return self.splits[name]

    @classmethod
    def read(cls, path: Path, labels: LabelSet) -> "Predictions":
        """Reads `predictions.parquet` and checks ids, labels, and that rows sum to 1.

        Raises:
            ArtifactError: If the file is missing, corrupt, or holds something else.
        """
        columns = [f"{PREFIX}{name}" for name in labels.names]
        table = read_table(path, ("id", "split", "y_true", *columns))
        where = f"{path.name} of {path.parent.name!r}"
        if table.empty:
            raise ArtifactError(f"{where} is empty.")
        if extra := [c for c in table.columns if c.startswith(PREFIX) and c not in columns]:
            raise ArtifactError(f"{where} has scores for unknown classes: {', '.join(extra)}.")
        if table["id"].duplicated().any():
            twice = table.loc[table["id"].duplicated(), "id"].iloc[0]
            raise ArtifactError(f"{where} holds the sample {twice} twice.")
        truth = pd.Index(list(labels.names)).get_indexer(pd.Index(table["y_true"]))
        if (truth < 0).any():
            wrong = table["y_true"].iloc[int(np.argmax(truth < 0))]
            raise ArtifactError(f"{where} has the unknown label {wrong!r}.")
        probabilities = table[columns].to_numpy(dtype=np.float64)
        off = ~(np.abs(probabilities.sum(axis=1) - 1) <= SUM_TOLERANCE)
        off |= (probabilities < 0).any(axis=1)
        if off.any():
            row = table["id"].iloc[int(np.argmax(off))]
            raise ArtifactError(f"{where}: the probabilities of {row} are not a distribution.")
        ids = table["id"].to_numpy(dtype=object)
        splits = table["split"].to_numpy(dtype=object)
        return cls(
            {
                str(name): SplitPredictions(
                    labels,
                    ids[splits == name],
                    truth[splits == name].astype(np.int64),
                    probabilities[splits == name],
                )
                for name in pd.unique(table["split"])
            }
        )

    def write(self, path: Path) -> None:
        """Writes `predictions.parquet` (probabilities as float32), atomically."""
        tables = []
        for split, scores in self.splits.items():
            names = np.array(scores.labels.names, dtype=object)
            table = pd.DataFrame({"id": scores.ids, "split": split, "y_true": names[scores.truth]})
            for index, name in enumerate(scores.labels.names):
                table[f"{PREFIX}{name}"] = scores.probabilities[:, index].astype(np.float32)
            tables.append(table)
        write_table(path, pd.concat(tables, ignore_index=True))
