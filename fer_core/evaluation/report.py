"""A run's report: its metrics and the protocol under which they were measured."""

from typing import Annotated, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    model_validator,
)

from fer_core.evaluation import metrics
from fer_core.evaluation.intervals import Bootstrap, interval, wilson
from fer_core.evaluation.persons import (
    have_several_images,
    person_numbers,
    persons_at,
    resampled_sums,
)
from fer_core.evaluation.predictions import Predictions, SplitPredictions
from fer_core.records import Record


class _FrozenModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


Measured = Annotated[
    float,
    BeforeValidator(lambda value: np.nan if value is None else value),
    PlainSerializer(lambda value: None if np.isnan(value) else float(value)),
]
"""A metric; NaN where no image is labelled, which is null in the file."""


class Estimate(_FrozenModel):
    """A value with its 95% bootstrap interval; shares are in 0 to 1.

    Per-class recalls use the Wilson interval instead (`of_share`): classes can be small, and a
    bootstrap of a recall of 0% or 100% has zero width.
    """

    value: Measured
    low: Measured
    high: Measured

    @classmethod
    def of_share(cls, successes: int, trials: int) -> Self | None:
        """Returns a share with its Wilson interval; None without trials."""
        if not trials:
            return None
        low, high = wilson(np.array([successes]), np.array([trials]))
        value = successes / trials
        return cls(value=value, low=min(value, float(low[0])), high=max(value, float(high[0])))

    @classmethod
    def of_resamples(cls, value: float, resampled: NDArray[np.float64]) -> Self:
        """Returns a value with the percentile interval of its resamples, without those of NaN."""
        low, high = interval(resampled)
        return cls(value=value, low=low, high=high)

    def widened_to(self, other: Self) -> Self:
        """Returns this value with an interval that holds that of another estimate as well."""
        low, high = min(self.low, other.low), max(self.high, other.high)
        return type(self)(value=self.value, low=low, high=high)

    @property
    def text(self) -> str:
        """A share with its interval in percent, such as `88.1% [86.9, 89.2]`."""
        return f"{self.value:.1%} [{100 * self.low:.1f}, {100 * self.high:.1f}]"


class ClassMetrics(_FrozenModel):
    """Metrics of one class; None where the denominator is zero."""

    label: str
    samples: int
    precision: float | None
    recall: Estimate | None
    f1: float | None


class SplitMetrics(_FrozenModel):
    """Metrics of one set of samples.

    Attributes:
        samples: Number of samples.
        accuracy: Accuracy.
        macro_recall: Mean recall over the classes that have samples.
        log_loss: Mean negative log probability of the true class, in nats.
        ece: Expected calibration error, 15 bins of equal width. The key in `report.json` is
            `calibration_error`.
        classes: Metrics by class, in label order.
        confusion: Confusion matrix: `confusion[i][j]` counts samples of true class i that were
            predicted as class j.
    """

    samples: int
    accuracy: Estimate
    macro_recall: Estimate
    log_loss: Measured
    ece: Measured = Field(alias="calibration_error")
    classes: tuple[ClassMetrics, ...]
    confusion: tuple[tuple[int, ...], ...]

    @model_validator(mode="after")
    def _confusion_adds_up(self) -> Self:
        if sum(map(sum, self.confusion)) != self.samples:
            raise ValueError("the confusion matrix does not add up to the number of samples")
        return self

    @property
    def matrix(self) -> NDArray[np.int64]:
        """Confusion matrix as an array, shape (K, K)."""
        return np.array(self.confusion, dtype=np.int64)

    @property
    def recalls(self) -> tuple[float | None, ...]:
        """Recall by class; None for a class without samples."""
        return tuple(row.recall.value if row.recall else None for row in self.classes)


class Protocol(_FrozenModel):
    """Evaluation protocol of a run; only runs that agree in `comparable` are ranked together.

    Attributes:
        missing_classes: Classes of the benchmark that a model from elsewhere cannot predict.
    """

    label_source: str
    split_hash: str
    test_samples: int
    test_time_augmentation: bool = False
    init: str
    seed: int
    image_size: int | None
    preprocessing_hash: str
    missing_classes: tuple[str, ...] = ()

    @property
    def comparable(self) -> tuple[str, str, int, bool, tuple[str, ...]]:
        """Fields that must agree for two runs to be ranked together."""
        return (
            self.label_source,
            self.split_hash,
            self.test_samples,
            self.test_time_augmentation,
            self.missing_classes,
        )


class Report(Record):
    """Metrics of a run on each split, as stored in `report.json`."""

    run_id: str
    labels: tuple[str, ...]
    protocol: Protocol
    validation: SplitMetrics
    test: SplitMetrics
    test_leak_free: SplitMetrics | None

    @property
    def leak_free_accuracy(self) -> float | None:
        """Accuracy on the leak-free images, each class weighted by its frequency in test.

        The leak-free images have other class frequencies than test, so only this accuracy is
        comparable with that on test. None if a class has no leak-free images.
        """
        if self.test_leak_free is None:
            return None
        counts = self.test.matrix.sum(axis=1)
        value = metrics.standardised_accuracy(self.test_leak_free.matrix, counts)
        return None if np.isnan(value) else value


def split_metrics(
    predictions: SplitPredictions, persons: NDArray[np.object_] | None = None
) -> SplitMetrics:
    """Returns the metrics of predictions; without any sample they are NaN.

    The intervals of accuracy and macro-recall are bootstrapped over images. If a person has several
    images, they are bootstrapped over persons, and at least as wide as Wilson's (accuracy) and as
    the bootstrap over images (macro-recall): few persons give too narrow ones.

    Args:
        predictions: The predictions.
        persons: Person of each image, None where none is named; None if no image has one.
    """
    if not len(predictions):
        return _no_metrics(predictions.labels.names)
    matrix = metrics.confusion_matrix(
        predictions.truth, predictions.predicted, len(predictions.labels)
    )
    bootstrap = Bootstrap.of(matrix)
    low, high = bootstrap.accuracy()
    accuracy = Estimate(value=metrics.accuracy(matrix), low=low, high=high)
    low, high = bootstrap.macro_recall()
    macro_recall = Estimate(value=metrics.macro_recall(matrix), low=low, high=high)
    if persons is not None and have_several_images(persons):
        accuracies, recalls = _over_persons(predictions, persons)
        share = Estimate.of_share(int(predictions.right.sum()), len(predictions))
        accuracy = Estimate.of_resamples(accuracy.value, accuracies).widened_to(share or accuracy)
        macro_recall = Estimate.of_resamples(macro_recall.value, recalls).widened_to(macro_recall)
    return SplitMetrics(
        samples=len(predictions),
        accuracy=accuracy,
        macro_recall=macro_recall,
        log_loss=metrics.log_loss(predictions.truth, predictions.stored),
        ece=metrics.confidence_ece(predictions.confidence, predictions.right),
        classes=_class_metrics(predictions, matrix),
        confusion=tuple(tuple(int(cell) for cell in row) for row in matrix),
    )


def scored_split(predictions: SplitPredictions, samples: pd.DataFrame) -> SplitMetrics:
    """Returns `split_metrics` with the persons of a table of samples, indexed by id."""
    return split_metrics(predictions, persons_at(samples, predictions.ids))


def _over_persons(
    predictions: SplitPredictions, persons: NDArray[np.object_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns accuracy and macro-recall in resamples of the persons."""
    classes, numbers = len(predictions.labels), person_numbers(persons)
    counts = np.zeros((int(numbers.max()) + 1, 2, classes), dtype=np.int64)
    np.add.at(counts[:, 0], (numbers, predictions.truth), predictions.right)
    np.add.at(counts[:, 1], (numbers, predictions.truth), 1)
    sums = resampled_sums(counts.reshape(len(counts), -1)).reshape(-1, 2, classes)
    hits, images = sums[:, 0], sums[:, 1]
    recalls = np.divide(hits, images, out=np.full(hits.shape, np.nan), where=images > 0)
    return hits.sum(axis=1) / images.sum(axis=1), np.nanmean(recalls, axis=1)


def build_report(
    run_id: str, predictions: Predictions, samples: pd.DataFrame, protocol: Protocol
) -> Report:
    """Evaluates a run on validation, on test and on the leak-free test images.

    Leak-free test images have no duplicate in the original training data. Their metrics are None
    if every test image has such a duplicate.

    Args:
        run_id: Id of the run.
        predictions: The run's predictions for `validation` and `test`.
        samples: The benchmark's samples, with columns `id` and `leak`, and `group` if persons are
            known.
        protocol: Evaluation protocol of the run.
    """
    by_id = samples.set_index("id")
    test = predictions.split("test")
    leaked = set(samples.loc[samples["leak"], "id"])
    clean = np.array([sample not in leaked for sample in test.ids], dtype=bool)
    return Report(
        run_id=run_id,
        labels=predictions.labels.names,
        protocol=protocol,
        validation=scored_split(predictions.split("validation"), by_id),
        test=scored_split(test, by_id),
        test_leak_free=scored_split(test.select(clean), by_id) if clean.any() else None,
    )


def _class_metrics(
    predictions: SplitPredictions, matrix: NDArray[np.int64]
) -> tuple[ClassMetrics, ...]:
    precision, f1 = metrics.precision(matrix), metrics.f1(matrix)
    samples = matrix.sum(axis=1)
    return tuple(
        ClassMetrics(
            label=label,
            samples=int(samples[index]),
            precision=_number(precision[index]),
            recall=Estimate.of_share(int(matrix[index, index]), int(samples[index])),
            f1=_number(f1[index]),
        )
        for index, label in enumerate(predictions.labels.names)
    )


def _no_metrics(labels: tuple[str, ...]) -> SplitMetrics:
    unknown = Estimate(value=np.nan, low=np.nan, high=np.nan)
    return SplitMetrics(
        samples=0,
        accuracy=unknown,
        macro_recall=unknown,
        log_loss=np.nan,
        ece=np.nan,
        classes=tuple(
            ClassMetrics(label=label, samples=0, precision=None, recall=None, f1=None)
            for label in labels
        ),
        confusion=((0,) * len(labels),) * len(labels),
    )


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
