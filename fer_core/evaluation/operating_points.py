"""Operating points: below which probability a model is unsure.

A model predicts its most probable class if the calibrated probability of this class reaches
the class's threshold; otherwise it is unsure. Thresholds are chosen on validation, by hand or by
`risk_limits`, and confirmed on test. Intervals are 95% Wilson intervals.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, model_validator

from fer_core.errors import ArtifactError
from fer_core.evaluation.calibration import fit_temperature, scale_predictions
from fer_core.evaluation.few_labels.set_adjustment import SetAdjustment
from fer_core.evaluation.intervals import wilson
from fer_core.evaluation.predictions import SplitPredictions
from fer_core.evaluation.prior_shift import shift_logits
from fer_core.evaluation.report import Estimate
from fer_core.evaluation.risk_limits import RiskLimits
from fer_core.records import Record, RunInfo

CURVE_POINTS = 60
"""Largest number of points of a curve."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ClassOperation(_Frozen):
    """One class at an operating point.

    Attributes:
        label: The class.
        answers: Number of images that are predicted as it; named as in the file.
        precision: Share of these predictions that are right; None without any.
        recall: Share of the class's images that are predicted as it; None without images.
    """

    label: str
    answers: int
    precision: Estimate | None
    recall: Estimate | None

    def text(self, least: float) -> str:
        """Returns precision and recall on test in one sentence.

        Args:
            least: Minimum precision, 0 to 1; the sentence says if it is not reached.
        """
        recall = "no image of it" if self.recall is None else f"recall {self.recall.text}"
        if self.precision is None:
            return f"{self.label} on test: never predicted, {recall}."
        short = f", below the limit of {100 * least:g}%" if self.precision.value < least else ""
        return (
            f"{self.label} on test: precision {self.precision.text} of {self.answers:,} "
            f"predictions{short}; {recall}."
        )


class Operation(_Frozen):
    """Result of a model at an operating point on one split.

    Attributes:
        samples: Number of images.
        coverage: Share of images with a prediction.
        risk: Error rate of the predictions; None without any.
        classes: Precision and recall by class, in label order.
    """

    samples: int
    coverage: Estimate
    risk: Estimate | None
    classes: tuple[ClassOperation, ...]

    @property
    def text(self) -> str:
        """Coverage and risk in words."""
        if self.risk is None:
            return "predicts no image"
        return (
            f"predicts {self.coverage.value:.1%} of {self.samples:,} images, {self.risk.text} of "
            "the predictions wrong"
        )

    def of_class(self, label: str) -> ClassOperation:
        """Returns the result of a class."""
        return next(row for row in self.classes if row.label == label)


class OperatingPoint(Record):
    """`operating_point.json`: thresholds of one run, which `predict` and the service apply.

    Attributes:
        benchmark: Name of the benchmark.
        split_hash: Hash of its splits.
        run_id: The run.
        run_created: Creation time of the run; the thresholds are not valid for a later training.
        labels: The classes.
        temperature: Temperature of the calibrated probabilities, fitted on validation, or on the
            labels of `adjustment`.
        thresholds: Least calibrated probability of a prediction, by class, 0 to 1.
        validation: Result on validation, where the thresholds were chosen.
        test: Result on test, which confirms them.
        adjustment: Temperature and prior shift from labels of another set; None without.
        limits: Limits by which the thresholds were chosen; None if they were set by hand.
    """

    benchmark: str
    split_hash: str
    run_id: str
    run_created: str
    labels: tuple[str, ...]
    temperature: float
    thresholds: Mapping[str, float]
    validation: Operation
    test: Operation
    adjustment: SetAdjustment | None = None
    limits: RiskLimits | None = None

    @model_validator(mode="after")
    def _thresholds_fit_the_labels(self) -> Self:
        if set(self.thresholds) != set(self.labels):
            raise ValueError("there must be one threshold for each class")
        if not all(0 <= threshold <= 1 for threshold in self.thresholds.values()):
            raise ValueError("thresholds must be between 0 and 1")
        if self.logit_shift and len(self.logit_shift) != len(self.labels):
            raise ValueError("there must be one logit shift for each class")
        return self

    @property
    def logit_shift(self) -> tuple[float, ...]:
        """Terms added to the logits after the temperature, by class; empty for none."""
        return () if self.adjustment is None else self.adjustment.logit_shift

    @property
    def unsure_below(self) -> float | None:
        """The threshold of every class; None if classes differ."""
        distinct = set(self.thresholds.values())
        return distinct.pop() if len(distinct) == 1 else None

    @property
    def statement(self) -> str:
        """Thresholds and results in one sentence."""
        if self.adjustment is not None:
            return self.adjustment.text
        promise = "" if self.limits is None else self.limits.text
        risks = (self.test.risk, self.validation.risk)
        if not any(self.thresholds.values()) and None not in risks:
            test, validation = (risk.text for risk in risks if risk is not None)
            return (
                f"It predicts every image: {test} of the predictions are wrong on test, "
                f"{validation} on validation. {promise}"
            ).rstrip()
        same = self.unsure_below
        where = (
            f"below {same:.1%}"
            if same is not None
            else "below " + ", ".join(f"{t:.1%} for {name}" for name, t in self.thresholds.items())
        )
        return (
            f"Unsure {where}: {self.test.text} on test; {self.validation.text} on validation. "
            f"{promise}"
        ).rstrip()

    @property
    def class_texts(self) -> tuple[str, ...]:
        """Precision and recall on test of each class whose precision is limited, in words."""
        least = {} if self.limits is None else self.limits.min_precision
        return tuple(self.test.of_class(label).text(share) for label, share in least.items())

    @property
    def scope(self) -> str:
        """Says that the limits do not choose the run; empty without limits."""
        if self.limits is None or not self.limits.text:
            return ""
        return "These limits do not choose the model: they are applied to the recommended one."

    def check(self, benchmark: str, info: RunInfo) -> None:
        """Checks that the operating point belongs to a run.

        Raises:
            ArtifactError: If it was chosen for another benchmark, run, or training of the run.
        """
        if (self.benchmark, self.run_id) != (benchmark, info.run_id):
            raise ArtifactError(
                f"The operating point was chosen for {self.benchmark}/{self.run_id}, not for "
                f"{benchmark}/{info.run_id}. Choose one for this run on the page Verdict or with "
                "`python -m training recommend`."
            )
        if self.run_created != info.created or self.labels != info.labels:
            raise ArtifactError(
                f"The operating point was chosen for another training of {self.run_id} "
                f"({self.run_created}, now {info.created}). Choose it again on the page Verdict or "
                "with `python -m training recommend`."
            )


def calibrated_splits(
    validation: SplitPredictions, test: SplitPredictions
) -> tuple[float, SplitPredictions, SplitPredictions]:
    """Returns the temperature fitted on validation, and both splits scaled by it."""
    temperature = fit_temperature(validation)
    scaled = [scale_predictions(split, temperature) for split in (validation, test)]
    return temperature, scaled[0], scaled[1]


def operate(predictions: SplitPredictions, thresholds: Mapping[str, float]) -> Operation:
    """Returns the result of thresholds on at least one sample.

    Args:
        predictions: Calibrated predictions.
        thresholds: Least probability of a prediction by class; 0 for classes that are missing.
    """
    names = predictions.labels.names
    limits = np.array([thresholds.get(name, 0.0) for name in names])
    predicted = predictions.predicted
    accepted = predictions.confidence >= limits[predicted]
    right = accepted & (predicted == predictions.truth)
    rows = []
    for index, name in enumerate(names):
        given_label = accepted & (predicted == index)
        correct, count = int((given_label & right).sum()), int(given_label.sum())
        present = int((predictions.truth == index).sum())
        rows.append(
            ClassOperation(
                label=name,
                answers=count,
                precision=Estimate.of_share(correct, count),
                recall=Estimate.of_share(correct, present),
            )
        )
    coverage = Estimate.of_share(int(accepted.sum()), len(predictions))
    assert coverage is not None  # noqa: S101 (there is at least one sample)
    return Operation(
        samples=len(predictions),
        coverage=coverage,
        risk=Estimate.of_share(int((accepted & ~right).sum()), int(accepted.sum())),
        classes=tuple(rows),
    )


def operating_point(
    benchmark: str,
    info: RunInfo,
    splits: tuple[float, SplitPredictions, SplitPredictions],
    thresholds: Mapping[str, float],
    limits: RiskLimits | None = None,
) -> OperatingPoint:
    """Returns thresholds with their results on validation and test.

    Args:
        benchmark: Name of the benchmark.
        info: Metadata of the run.
        splits: Splits of `calibrated_splits`.
        thresholds: Least probability of a prediction by class; 0 for classes that are missing.
        limits: Limits by which they were chosen; None if they were set by hand.
    """
    temperature, validation, test = splits
    return OperatingPoint(
        benchmark=benchmark,
        split_hash=info.split_hash,
        run_id=info.run_id,
        run_created=info.created,
        labels=info.labels,
        temperature=temperature,
        thresholds={name: float(thresholds.get(name, 0.0)) for name in info.labels},
        validation=operate(validation, thresholds),
        test=operate(test, thresholds),
        limits=limits,
    )


def adjusted_point(
    benchmark: str,
    info: RunInfo,
    splits: tuple[SplitPredictions, SplitPredictions],
    adjustment: SetAdjustment,
) -> OperatingPoint:
    """Returns the operating point of a set's labels, which accepts every image.

    Args:
        benchmark: Name of the benchmark that the run is predicted with.
        info: Metadata of the run.
        splits: Validation and test predictions of the run, not calibrated.
        adjustment: Temperature and prior shift from the labels.
    """
    temperature = adjustment.temperature.value
    adjusted = []
    for split in splits:
        scaled = scale_predictions(split, temperature)
        shifted = shift_logits(scaled.probabilities, adjustment.logit_shift)
        adjusted.append(replace(scaled, stored=shifted))
    point = operating_point(benchmark, info, (temperature, adjusted[0], adjusted[1]), {})
    return point.model_copy(update={"adjustment": adjustment})


def coverage_curve(predictions: SplitPredictions, points: int = CURVE_POINTS) -> pd.DataFrame:
    """Returns risk by coverage for thresholds on the confidence.

    Args:
        predictions: Calibrated predictions for at least one sample.
        points: Largest number of points.

    Returns:
        Columns `threshold`, `coverage` (ascending), `risk`, `low`, `high`; shares in 0 to 1.
    """
    right = predictions.right
    confidence = predictions.confidence
    counts, correct, ends = _accepted(confidence, right, points)
    low, high = wilson(counts - correct, counts)
    return pd.DataFrame(
        {
            "threshold": ends,
            "coverage": counts / len(predictions),
            "risk": 1 - correct / counts,
            "low": low,
            "high": high,
        }
    )


def class_curve(
    predictions: SplitPredictions, label: str, points: int = CURVE_POINTS
) -> pd.DataFrame:
    """Returns precision by recall of one class, for thresholds on its predictions.

    Args:
        predictions: Calibrated predictions.
        label: The class.
        points: Largest number of points.

    Returns:
        Columns `threshold`, `recall`, `precision`, `low`, `high` (of the precision), `recall_low`,
        `recall_high`; recall ascending, empty if the class has no image or no prediction.
    """
    index = predictions.labels.index(label)
    given_label = predictions.predicted == index
    present = int((predictions.truth == index).sum())
    if not present or not given_label.any():
        columns = ("threshold", "recall", "precision", "low", "high", "recall_low", "recall_high")
        return pd.DataFrame(columns=list(columns), dtype=np.float64)
    right = predictions.truth[given_label] == index
    counts, correct, ends = _accepted(predictions.confidence[given_label], right, points)
    low, high = wilson(correct, counts)
    recall_low, recall_high = wilson(correct, np.full(len(correct), present))
    return pd.DataFrame(
        {
            "threshold": ends,
            "recall": correct / present,
            "precision": correct / counts,
            "low": low,
            "high": high,
            "recall_low": recall_low,
            "recall_high": recall_high,
        }
    )


def _accepted(
    confidence: NDArray[np.float64], right: NDArray[np.bool_], points: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Returns accepted samples, right ones among them, and thresholds; most confident first.

    A threshold accepts all samples of equal confidence.
    """
    order = np.argsort(-confidence, kind="stable")
    ranked = confidence[order]
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    picked = ends[np.unique(np.linspace(0, len(ends) - 1, points).round().astype(np.int64))]
    correct = np.cumsum(right[order])[picked].astype(np.int64)
    return (picked + 1).astype(np.int64), correct, ranked[picked]
