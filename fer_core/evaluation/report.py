"""A run's report: every number with the protocol it was measured under."""

from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, model_validator

from fer_core.evaluation import metrics
from fer_core.evaluation.intervals import Bootstrap, wilson
from fer_core.evaluation.predictions import Predictions, SplitPredictions
from fer_core.records import Record


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Estimate(_Part):
    """A measured value with its 95% interval, by bootstrap; shares are in 0 to 1.

    A class's recall has Wilson's, as classes are small: resampling never leaves 0% or 100%.
    """

    value: float
    low: float
    high: float


class ClassScores(_Part):
    """One class; None where a ratio has no denominator."""

    label: str
    samples: int
    precision: float | None
    recall: Estimate | None
    f1: float | None


class SplitScores(_Part):
    """Metrics over one set of samples. `confusion[i][j]`: true class i, predicted class j."""

    samples: int
    accuracy: Estimate
    macro_recall: Estimate
    log_loss: float
    calibration_error: float
    classes: tuple[ClassScores, ...]
    confusion: tuple[tuple[int, ...], ...]

    @model_validator(mode="after")
    def _confusion_adds_up(self) -> Self:
        if sum(map(sum, self.confusion)) != self.samples:
            raise ValueError("the confusion matrix does not add up to the number of samples")
        return self

    @property
    def matrix(self) -> NDArray[np.int64]:
        """The confusion matrix as an array, shape (K, K)."""
        return np.array(self.confusion, dtype=np.int64)

    @property
    def recalls(self) -> tuple[float | None, ...]:
        """Each class's recall, None where it has no samples."""
        return tuple(row.recall.value if row.recall else None for row in self.classes)


class Protocol(_Part):
    """What a number stands on; only runs that agree in `comparable` are ranked together."""

    label_source: str
    split_hash: str
    test_samples: int
    test_time_augmentation: bool = False
    init: str
    seed: int
    image_size: int | None
    preprocessing_hash: str

    @property
    def comparable(self) -> tuple[str, str, int, bool]:
        """The part that must agree for two runs to be ranked together."""
        return (
            self.label_source,
            self.split_hash,
            self.test_samples,
            self.test_time_augmentation,
        )


class Report(Record):
    """`report.json`."""

    run_id: str
    labels: tuple[str, ...]
    protocol: Protocol
    validation: SplitScores
    test: SplitScores
    test_leak_free: SplitScores | None


def score(scores: SplitPredictions) -> SplitScores:
    """Measures one set of samples; at least one sample."""
    matrix = metrics.confusion_matrix(scores.truth, scores.predicted, len(scores.labels))
    bootstrap = Bootstrap.of(matrix)
    accuracy_low, accuracy_high = bootstrap.accuracy()
    recall_low, recall_high = bootstrap.macro_recall()
    return SplitScores(
        samples=len(scores),
        accuracy=Estimate(value=metrics.accuracy(matrix), low=accuracy_low, high=accuracy_high),
        macro_recall=Estimate(value=metrics.macro_recall(matrix), low=recall_low, high=recall_high),
        log_loss=metrics.log_loss(scores.truth, scores.probabilities),
        calibration_error=metrics.expected_calibration_error(scores.truth, scores.probabilities),
        classes=_class_scores(scores, matrix),
        confusion=tuple(tuple(int(cell) for cell in row) for row in matrix),
    )


def build_report(
    run_id: str, predictions: Predictions, samples: pd.DataFrame, protocol: Protocol
) -> Report:
    """Scores validation, test, and the test images without a duplicate in the original train.

    The last is None where every test image has one.

    Args:
        run_id: The run.
        predictions: Its scores for `validation` and `test`.
        samples: The benchmark's samples, with columns `id` and `leak`.
        protocol: What the numbers stand on.
    """
    test = predictions.split("test")
    leaked = set(samples.loc[samples["leak"], "id"])
    clean = np.array([sample not in leaked for sample in test.ids], dtype=bool)
    return Report(
        run_id=run_id,
        labels=predictions.labels.names,
        protocol=protocol,
        validation=score(predictions.split("validation")),
        test=score(test),
        test_leak_free=score(test.select(clean)) if clean.any() else None,
    )


def _class_scores(scores: SplitPredictions, matrix: NDArray[np.int64]) -> tuple[ClassScores, ...]:
    precision, recall, f1 = (
        metrics.precision(matrix),
        metrics.recall(matrix),
        metrics.f1(matrix),
    )
    found, samples = np.diag(matrix), matrix.sum(axis=1)
    low, high = wilson(found, samples)
    rows = []
    for index, label in enumerate(scores.labels.names):
        estimate = None
        if samples[index]:
            value = float(recall[index])
            estimate = Estimate(
                value=value, low=min(value, float(low[index])), high=max(value, float(high[index]))
            )
        rows.append(
            ClassScores(
                label=label,
                samples=int(samples[index]),
                precision=_number(precision[index]),
                recall=estimate,
                f1=_number(f1[index]),
            )
        )
    return tuple(rows)


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
