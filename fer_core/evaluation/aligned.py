"""Predictions of several runs for the same samples in the same order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fer_core.errors import ArtifactError
from fer_core.evaluation.calibration import scaled_confidence
from fer_core.evaluation.predictions import SplitPredictions
from fer_core.labels import LabelSet


@dataclass(frozen=True)
class AlignedPredictions:
    """Predictions of at least one run, all in the sample order of the first run.

    Attributes:
        predictions: Predictions by run id.
        predicted: Class indices by run and sample, shape (R, N).
        confidence: Largest probabilities, shape (R, N); calibrated after `with_temperatures`.
    """

    predictions: Mapping[str, SplitPredictions]
    predicted: NDArray[np.int64]
    confidence: NDArray[np.float64]

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
        return cls(
            aligned,
            np.stack([part.predicted for part in aligned.values()]),
            np.stack([part.confidence for part in aligned.values()]),
        )

    def with_temperatures(self, temperatures: Mapping[str, float | None]) -> Self:
        """Returns the same predictions with calibrated confidence.

        Probabilities stay as they are, because the metrics of calibration need them.

        Args:
            temperatures: Temperature of each run; None leaves its confidence unchanged.
        """
        rows = [
            scaled_confidence(part.stored, temperatures[run_id] or 1.0)
            for run_id, part in self.predictions.items()
        ]
        return replace(self, confidence=np.stack(rows))

    def only(self, runs: Sequence[str]) -> Self:
        """Returns the predictions of some of the runs, in the order given.

        Raises:
            ArtifactError: If there are no predictions of one of them.
        """
        if tuple(runs) == self.runs:
            return self
        rows = [self.row(run_id) for run_id in runs]
        return type(self)(
            {run_id: self.predictions[run_id] for run_id in runs},
            self.predicted[rows],
            self.confidence[rows],
        )

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

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether each prediction is right, shape (R, N)."""
        right: NDArray[np.bool_] = self.predicted == self.truth
        return right

    def row(self, run_id: str) -> int:
        """Returns the row index of a run.

        Raises:
            ArtifactError: If there are no predictions of this run.
        """
        if run_id not in self.predictions:
            raise ArtifactError(f"There are no predictions of {run_id!r} to compare.")
        return self.runs.index(run_id)

    @property
    def _first(self) -> SplitPredictions:
        return next(iter(self.predictions.values()))
