"""Samples and classes of an evaluation."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_core.errors import ArtifactError
from fer_core.evaluation.predictions import Predictions, SplitPredictions, label_codes

TEST, LEAK_FREE, VALIDATION, SECOND_LABEL = (
    "test",
    "test_leak_free",
    "validation",
    "test_second_label",
)
EVAL_SETS = (TEST, LEAK_FREE, VALIDATION, SECOND_LABEL)
"""Evaluation sets; `SECOND_LABEL` is the test images with their second annotation."""

EVAL_SET_TITLES: Mapping[str, str] = {
    TEST: "Test",
    LEAK_FREE: "Test, leak-free",
    VALIDATION: "Validation",
    SECOND_LABEL: "Test, second labels",
}
"""Titles of the evaluation sets."""


@dataclass(frozen=True)
class SampleSet:
    """A named set of samples, such as a saved slice.

    Attributes:
        name: Name of the set.
        ids: Ids of its samples.
    """

    name: str
    ids: frozenset[str]

    @cached_property
    def content_key(self) -> str:
        """Hash of the ids, for keys of caches."""
        text = "\n".join(sorted(self.ids))
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True)
class Scope:
    """Samples on which runs are evaluated.

    Attributes:
        eval_set: One of `EVAL_SETS`.
        classes: Classes to evaluate; empty for all.
        within: Samples to evaluate; all if None.
    """

    eval_set: str = TEST
    classes: tuple[str, ...] = ()
    within: SampleSet | None = None

    @property
    def split(self) -> str:
        """Split of the evaluated samples."""
        return VALIDATION if self.eval_set == VALIDATION else TEST

    @property
    def is_whole_set(self) -> bool:
        """Whether no sample of the evaluation set is left out."""
        return not self.classes and self.within is None

    @property
    def is_full_test(self) -> bool:
        """Whether this is the whole test set; robustness is measured only there."""
        return self.eval_set == TEST and self.is_whole_set

    @property
    def framing_split(self) -> str | None:
        """Split whose framing shifts belong to this scope; None if they were not measured on it."""
        whole_splits = (TEST, VALIDATION)
        return self.eval_set if self.eval_set in whole_splits and self.is_whole_set else None


@dataclass(frozen=True)
class _SelectedRows:
    """The selected rows of predictions with these ids.

    Attributes:
        whole: Ids of all samples of the split.
        rows: Selected row numbers, shape (M,).
        ids: Ids of the selected samples, shape (M,).
        truth: True class indices of the rows, shape (M,); None if the predictions have them.
    """

    whole: NDArray[np.object_]
    rows: NDArray[np.int64]
    ids: NDArray[np.object_]
    truth: NDArray[np.int64] | None


class ScopeSelection:
    """Selects the samples of a scope; runs that share their ids share the selection.

    Leak-free are test images without a duplicate in the original training or validation data.

    Args:
        samples: The benchmark's samples, indexed by id.
        scope: Samples to select.
    """

    def __init__(self, samples: pd.DataFrame, scope: Scope) -> None:
        self._samples = samples
        self._scope = scope
        self._known: list[_SelectedRows] = []

    def of(self, predictions: Predictions) -> SplitPredictions:
        """Returns the predictions of a run within the scope.

        Raises:
            ArtifactError: If the predictions lack the split, or no sample is left.
        """
        whole = predictions.split(self._scope.split)
        selected = whole
        if self._scope.eval_set in (LEAK_FREE, SECOND_LABEL) or self._scope.within is not None:
            selection = next((item for item in self._known if item.whole is whole.ids), None)
            if selection is None:
                selection = self._select_rows(whole)
                self._known.append(selection)
            selected = whole.take(selection.rows, selection.ids, selection.truth)
        if self._scope.classes:
            selected = selected.subset(self._scope.classes)
        if not len(selected):
            remedy = (
                "Select more classes." if self._scope.within is None else "Select another slice."
            )
            raise ArtifactError(f"There is no sample of these classes to evaluate. {remedy}")
        return selected

    def _select_rows(self, whole: SplitPredictions) -> _SelectedRows:
        kept = np.ones(len(whole.ids), dtype=bool)
        truth = None
        if self._scope.eval_set == LEAK_FREE:
            leaks = self._samples["leak"].reindex(whole.ids, fill_value=False)
            kept &= ~leaks.to_numpy(dtype=bool)
        elif self._scope.eval_set == SECOND_LABEL:
            truth = label_codes(self._samples["second_label"], whole.ids, whole.labels)
            kept &= truth >= 0
        if self._scope.within is not None:
            kept &= np.array(
                [str(name) in self._scope.within.ids for name in whole.ids], dtype=bool
            )
        rows = np.flatnonzero(kept)
        return _SelectedRows(
            whole.ids, rows, whole.ids[rows], None if truth is None else truth[rows]
        )


def select_predictions(
    predictions: Predictions, samples: pd.DataFrame, scope: Scope
) -> SplitPredictions:
    """Returns the predictions of a run within a scope; see `ScopeSelection`.

    Args:
        predictions: Predictions of the run.
        samples: The benchmark's samples, indexed by id.
        scope: Samples to select.

    Raises:
        ArtifactError: If the predictions lack the split, or no sample is left.
    """
    return ScopeSelection(samples, scope).of(predictions)


def validation_predictions(
    predictions: Predictions, samples: pd.DataFrame, classes: Sequence[str] = ()
) -> SplitPredictions | None:
    """Returns a run's validation predictions; None if no validation sample has these classes."""
    try:
        return select_predictions(predictions, samples, Scope(VALIDATION, tuple(classes)))
    except ArtifactError:
        return None
