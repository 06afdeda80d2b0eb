"""Many runs over the same samples, aligned: what comparing pages and statistics read."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fer_core.errors import ArtifactError
from fer_core.evaluation.predictions import SplitPredictions
from fer_core.labels import LabelSet


@dataclass(frozen=True)
class AlignedPredictions:
    """Scores of at least one run, all in the sample order of the first.

    Attributes:
        scores: By run id.
        predicted: Class indices by run and sample, shape (R, N).
        confidence: Largest probabilities, shape (R, N).
    """

    scores: Mapping[str, SplitPredictions]
    predicted: NDArray[np.int64]
    confidence: NDArray[np.float64]

    @classmethod
    def of(cls, scores: Mapping[str, SplitPredictions]) -> Self:
        """Aligns the scores of at least one run.

        Raises:
            ArtifactError: If there is none, or runs differ in classes, samples or truth.
        """
        if not scores:
            raise ArtifactError("There are no predictions to set side by side.")
        first = next(iter(scores.values()))
        aligned = {run_id: part.aligned_with(first) for run_id, part in scores.items()}
        return cls(
            aligned,
            np.stack([part.predicted for part in aligned.values()]),
            np.stack([part.confidence for part in aligned.values()]),
        )

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def runs(self) -> tuple[str, ...]:
        """Run ids, in the order of the rows."""
        return tuple(self.scores)

    @property
    def labels(self) -> LabelSet:
        """The classes."""
        return self._first.labels

    @property
    def ids(self) -> NDArray[np.object_]:
        """Sample ids, shape (N,)."""
        return self._first.ids

    @property
    def truth(self) -> NDArray[np.int64]:
        """Class indices, shape (N,)."""
        return self._first.truth

    @property
    def right(self) -> NDArray[np.bool_]:
        """Where each run is right, shape (R, N)."""
        right: NDArray[np.bool_] = self.predicted == self.truth
        return right

    def row(self, run_id: str) -> int:
        """Returns a run's row.

        Raises:
            ArtifactError: If the panel lacks it.
        """
        if run_id not in self.scores:
            raise ArtifactError(f"There are no predictions of {run_id} to set side by side.")
        return self.runs.index(run_id)

    @property
    def _first(self) -> SplitPredictions:
        return next(iter(self.scores.values()))
