"""Predictions of several runs for the same samples in the same order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fer_core.errors import ArtifactError
from fer_core.evaluation.calibration import scaled_confidence
from fer_core.evaluation.metrics import confusion_matrix
from fer_core.evaluation.predictions import SplitPredictions
from fer_core.labels import LabelSet


@dataclass(frozen=True)
class AlignedPredictions:
    """Predictions of at least one run, all in the sample order of the first run.

    Attributes:
        predictions: Predictions by run id.
        predicted: Class indices by run and sample, shape (R, N); 16 bits save memory.
        temperatures: Temperature of `confidence` by run id; 1 where a run is missing.
    """

    predictions: Mapping[str, SplitPredictions]
    predicted: NDArray[np.int16]
    temperatures: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, predictions: Mapping[str, SplitPredictions]) -> Self:
        """Aligns the predictions of at least one run.

        Raises:
            ArtifactError: If there is no run, or runs differ in classes, samples or labels.
        """
        if not predictions:
            raise ArtifactError(
                "There are no predictions to compare. Train or import a model first."
            )
        first = next(iter(predictions.values()))
        aligned = {run_id: part.aligned_with(first) for run_id, part in predictions.items()}
        predicted = np.empty((len(aligned), len(first)), dtype=np.int16)
        for row, part in zip(predicted, aligned.values(), strict=True):
            row[:] = part.predicted
        return cls(aligned, predicted)

    @cached_property
    def confidence(self) -> NDArray[np.float64]:
        """Largest probabilities, shape (R, N); calibrated after `with_temperatures`."""
        return np.stack([self._confidence(run_id) for run_id in self.runs])

    def _confidence(self, run_id: str) -> NDArray[np.float64]:
        part, temperature = self.predictions[run_id], self.temperatures.get(run_id, 1.0)
        return part.confidence if temperature == 1 else scaled_confidence(part.stored, temperature)

    def with_temperatures(self, temperatures: Mapping[str, float | None]) -> Self:
        """Returns the same predictions with calibrated confidence.

        Probabilities stay as they are, because the metrics of calibration need them.

        Args:
            temperatures: Temperature of each run; None leaves its confidence unchanged.
        """
        known = {run_id: value for run_id, value in temperatures.items() if value is not None}
        return replace(self, temperatures=known)

    def only(self, runs: Sequence[str]) -> Self:
        """Returns the predictions of some of the runs, in the order given.

        Raises:
            ArtifactError: If there are no predictions of one of them.
        """
        if tuple(runs) == self.runs:
            return self
        rows = [self.row(run_id) for run_id in runs]
        kept = {run_id: self.predictions[run_id] for run_id in runs}
        return type(self)(kept, self.predicted[rows], self.temperatures)

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def runs(self) -> tuple[str, ...]:
        """Run ids, in the order of the rows."""
        return tuple(self.predictions)

    @property
    def labels(self) -> LabelSet:
        """Label set of all runs."""
        return self._first.labels

    @property
    def ids(self) -> NDArray[np.object_]:
        """Sample ids, shape (N,)."""
        return self._first.ids

    @property
    def truth(self) -> NDArray[np.int64]:
        """True class indices, shape (N,)."""
        return self._first.truth

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        """Whether each prediction is right, shape (R, N)."""
        return np.stack([part.right for part in self.predictions.values()])

    def of_class(self, label: str) -> NDArray[np.bool_]:
        """Returns a mask of the samples with a true class, shape (N,)."""
        inside: NDArray[np.bool_] = self.truth == self.labels.index(label)
        return inside

    def confusion(self, run_id: str, inside: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Counts some samples by true (row) and predicted (column) class, shape (K, K).

        Args:
            run_id: The run that predicted them.
            inside: A mask of the samples, shape (N,).
        """
        predicted = self.predicted[self.row(run_id), inside]
        return confusion_matrix(self.truth[inside], predicted, len(self.labels))

    def row(self, run_id: str) -> int:
        """Returns the row index of a run.

        Raises:
            ArtifactError: If there are no predictions of this run.
        """
        if run_id not in self.predictions:
            raise ArtifactError(
                f"There are no predictions of {run_id!r} to compare. Known: {', '.join(self.runs)}."
            )
        return self.runs.index(run_id)

    @property
    def _first(self) -> SplitPredictions:
        return next(iter(self.predictions.values()))


def failures(
    aligned: AlignedPredictions, run_id: str, compared: Sequence[str]
) -> dict[str, NDArray[np.bool_]]:
    """Returns masks of the samples on which a run fails, alone or with others, shape (N,) each.

    Args:
        aligned: The predictions.
        run_id: The run.
        compared: The runs that it is compared with.

    Returns:
        `errors`: it is wrong; `all`: every run is wrong; `alone`: only it is wrong; `unlike`: only
        it is right.
    """
    runs = list(dict.fromkeys([*compared, run_id]))
    wrong = ~aligned.right[aligned.row(run_id)]
    runs_right = aligned.only(runs).right.sum(axis=0)
    return {
        "errors": wrong,
        "all": runs_right == 0,
        "alone": wrong & (runs_right == len(runs) - 1),
        "unlike": ~wrong & (runs_right == 1),
    }


def outcomes(aligned: AlignedPredictions, new: str, old: str) -> dict[str, NDArray[np.bool_]]:
    """Returns masks of the samples by which of two runs is right on them, shape (N,) each.

    Args:
        aligned: The predictions.
        new: A run.
        old: The run that it is compared with.

    Returns:
        `fixed`: only the new one is right; `broken`: only the old one is; `both_wrong`;
        `both_right`.
    """
    new_right, old_right = aligned.right[aligned.row(new)], aligned.right[aligned.row(old)]
    return {
        "fixed": new_right & ~old_right,
        "broken": old_right & ~new_right,
        "both_wrong": ~new_right & ~old_right,
        "both_right": new_right & old_right,
    }
