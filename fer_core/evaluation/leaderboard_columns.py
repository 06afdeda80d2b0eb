"""Leaderboard columns: every number that runs can be ranked by, for leaderboard, csv and report."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from fer_core.evaluation import calibration, human_votes, metrics
from fer_core.evaluation.efficiency import Efficiency
from fer_core.evaluation.framing_shifts import FramingResult
from fer_core.evaluation.human_votes import Votes
from fer_core.evaluation.predictions import SplitPredictions
from fer_core.evaluation.report import SplitMetrics, split_metrics
from fer_core.evaluation.robustness import Robustness
from fer_core.evaluation.selective import RiskCoverage, risk_coverage

COVERAGE_RISK = 0.05
"""Selective risk of the coverage column: 95% of the predictions are right."""

_MISSING = "–"  # noqa: RUF001 (the dash that tables use for a missing value)


class Kind(StrEnum):
    """Number format of a column."""

    SHARE = "share"
    NUMBER = "number"
    COUNT = "count"


class Group(StrEnum):
    """Topic of a column; the value is the heading."""

    QUALITY = "Quality"
    HUMAN = "Human agreement"
    CALIBRATION = "Calibration"
    ROBUSTNESS = "Robustness"
    COST = "Cost"
    PROTOCOL = "Protocol"


@dataclass(frozen=True)
class Column:
    """One column of the leaderboard.

    Attributes:
        slug: Key in code, addresses and csv files.
        label: Column header.
        group: Topic.
        kind: Number format.
        higher_is_better: Whether a higher value is better.
        help: One sentence that defines the number.
    """

    slug: str
    label: str
    group: Group
    kind: Kind
    higher_is_better: bool
    help: str

    def text(self, value: float | None) -> str:
        """Returns a value as text; a dash if it is missing."""
        if value is None or np.isnan(value):
            return _MISSING
        if self.kind is Kind.SHARE:
            return f"{value:.1%}"
        if self.kind is Kind.COUNT:
            return f"{value:,.0f}"
        return f"{value:.3f}" if abs(value) < 10 else f"{value:,.1f}"


_ALL = (
    Column(
        "accuracy", "accuracy", Group.QUALITY, Kind.SHARE, True,
        "Share of images that are classified correctly.",
    ),
    Column(
        "standardised_accuracy", "accuracy, test's class frequencies", Group.QUALITY, Kind.SHARE,
        True,
        "Accuracy on the leak-free images with each class weighted by its frequency in test, which "
        "makes it comparable with the accuracy on test.",
    ),
    Column(
        "macro_recall", "macro-recall", Group.QUALITY, Kind.SHARE, True,
        "Mean recall over classes; rare emotions count as much as frequent ones.",
    ),
    Column(
        "macro_f1", "macro-F1", Group.QUALITY, Kind.SHARE, True,
        "Mean over classes of the harmonic mean of precision and recall.",
    ),
    Column(
        "log_loss", "log loss", Group.QUALITY, Kind.NUMBER, False,
        "Mean negative log probability of the true class before temperature scaling, in nats; "
        "punishes confident errors.",
    ),
    Column(
        "annotator_supported_errors", "annotator-supported errors", Group.HUMAN, Kind.SHARE, True,
        "Share of the errors whose predicted class at least one annotator chose.",
    ),
    Column(
        "vote_distance", "distance to votes", Group.HUMAN, Kind.NUMBER, False,
        "Mean Jensen-Shannon distance between the predicted probabilities, before temperature "
        "scaling, and the annotators' votes.",
    ),
    Column(
        "vote_log_loss", "vote log loss", Group.HUMAN, Kind.NUMBER, False,
        "Cross entropy between the annotators' votes and the predicted probabilities, before "
        "temperature scaling, in nats.",
    ),
    Column(
        "human_agreement", "human agreement", Group.HUMAN, Kind.SHARE, True,
        "How often the prediction equals the majority of the annotators when one of them is left "
        "out; compare it with the agreement of the left-out annotator.",
    ),
    Column(
        "ece", "ECE", Group.CALIBRATION, Kind.NUMBER, False,
        "Expected calibration error before temperature scaling: mean gap between confidence and "
        "accuracy over 15 bins of equal width.",
    ),
    Column(
        "adaptive_ece", "adaptive ECE", Group.CALIBRATION, Kind.NUMBER, False,
        "Expected calibration error before temperature scaling, over 15 bins with equal numbers "
        "of images.",
    ),
    Column(
        "brier_score", "Brier score", Group.CALIBRATION, Kind.NUMBER, False,
        "Mean squared distance between the predicted probabilities, before temperature scaling, "
        "and the one-hot label, 0 to 2.",
    ),
    Column(
        "temperature", "temperature", Group.CALIBRATION, Kind.NUMBER, False,
        "Temperature fitted on validation: above 1 the model is overconfident, below 1 "
        "underconfident.",
    ),
    Column(
        "scaled_ece", "ECE after scaling", Group.CALIBRATION, Kind.NUMBER, False,
        "ECE after temperature scaling; the temperature is fitted on validation.",
    ),
    Column(
        "aurc", "AURC", Group.CALIBRATION, Kind.NUMBER, False,
        "Area under the risk-coverage curve: mean error rate over all coverages. It depends on the "
        "accuracy and on how well confidence ranks errors below correct predictions.",
    ),
    Column(
        "coverage_at_5_risk", "coverage at 5% risk", Group.CALIBRATION, Kind.SHARE, True,
        "Largest share of images, most confident first, of which 95% are right.",
    ),
    Column(
        "corrupted_accuracy", "corrupted accuracy", Group.ROBUSTNESS, Kind.SHARE, True,
        "Mean accuracy over all corruptions and severities, on a random sample of test (1,000 "
        "images by default). Runs that were measured on other images have no value.",
    ),
    Column(
        "accuracy_retained", "accuracy retained", Group.ROBUSTNESS, Kind.SHARE, True,
        "Corrupted accuracy divided by clean accuracy.",
    ),
    Column(
        "mce", "mCE", Group.ROBUSTNESS, Kind.NUMBER, False,
        "Mean corruption error relative to ResNet-34; below 1 is better than ResNet-34.",
    ),
    Column(
        "relative_mce", "relative mCE", Group.ROBUSTNESS, Kind.NUMBER, False,
        "mCE of the error increase over clean images.",
    ),
    Column(
        "framing_accuracy", "accuracy, framing shifted", Group.ROBUSTNESS, Kind.SHARE, True,
        "Mean accuracy over images with margins of -10%, +10% and +20% and images rotated by 10 "
        "and 20 degrees.",
    ),
    Column(
        "framing_drop", "accuracy lost at +10% margin", Group.ROBUSTNESS, Kind.SHARE, False,
        "Accuracy on the stored images minus accuracy with a tenth of the side added on each "
        "side.",
    ),
    Column(
        "parameters_m", "parameters (M)", Group.COST, Kind.NUMBER, False,
        "Number of parameters in millions.",
    ),
    Column(
        "gflops", "GFLOPs", Group.COST, Kind.NUMBER, False,
        "Floating-point operations for one image, in billions; a multiply-add counts as two.",
    ),
    Column(
        "weights_mb", "weights (MB)", Group.COST, Kind.NUMBER, False, "Size of the weight files."
    ),
    Column(
        "latency_ms", "latency (ms)", Group.COST, Kind.NUMBER, False,
        "Median time for one image after warm-up, with ONNX Runtime where a run ships a graph.",
    ),
    Column(
        "throughput_32", "images/s (batch 32)", Group.COST, Kind.COUNT, True,
        "Throughput at batch size 32.",
    ),
    Column(
        "memory_mb", "memory (MB)", Group.COST, Kind.COUNT, False,
        "Peak memory above what the process used before the model was loaded.",
    ),
    Column(
        "test_readings", "test readings", Group.PROTOCOL, Kind.COUNT, False,
        "Number of evaluations on test in this lineage: of the run and earlier trainings of its "
        "id, the run that it started from, its teachers or members, and the ensembles of it.",
    ),
)  # fmt: skip

COLUMNS: Mapping[str, Column] = {column.slug: column for column in _ALL}
"""All columns by slug, in the order of the table."""

DEFAULT_COLUMNS = (
    "accuracy", "standardised_accuracy", "macro_recall", "log_loss", "ece", "parameters_m",
    "test_readings",
)  # fmt: skip
"""Slugs of the columns that a leaderboard shows by default, if they have values."""


def label_of(slug: str) -> str:
    """Returns the header of a column; the slug itself if there is no such column."""
    return COLUMNS[slug].label if slug in COLUMNS else slug


@dataclass(frozen=True)
class RunMetrics:
    """Metrics of a run on one set of samples.

    Attributes:
        split: Accuracy and recalls with their intervals.
        values: Values by column slug; columns without a value are missing.
        annotator_agreement: Agreement of one left-out annotator with the others' majority on the
            same images; None without votes.
    """

    split: SplitMetrics
    values: Mapping[str, float]
    annotator_agreement: float | None


def prediction_metrics(
    predictions: SplitPredictions,
    validation: SplitPredictions | None,
    votes: Votes | None,
    curve: RiskCoverage | None = None,
    persons: NDArray[np.object_] | None = None,
) -> RunMetrics:
    """Computes the columns that follow from a run's predictions.

    Args:
        predictions: Predictions for at least one sample.
        validation: Validation predictions, to fit the temperature; None omits its columns.
        votes: Votes aligned with the predictions; None omits the columns on human agreement.
        curve: Risk-coverage curve of the predictions, if it is known.
        persons: Person of each sample, for the intervals, as `split_metrics` takes them.
    """
    split = split_metrics(predictions, persons)
    curve = curve or risk_coverage(predictions.stored_confidence, predictions.right)
    coverage = curve.coverage_at(COVERAGE_RISK)
    values = {
        "accuracy": split.accuracy.value,
        "macro_recall": split.macro_recall.value,
        "macro_f1": float(np.nanmean(metrics.f1(split.matrix))),
        "log_loss": split.log_loss,
        "ece": split.ece,
        "adaptive_ece": calibration.adaptive_reliability(curve).ece,
        "brier_score": calibration.brier_score(predictions.truth, predictions.stored),
        "aurc": curve.area,
        "coverage_at_5_risk": coverage[0] if coverage else 0.0,
    }
    values |= _temperature_values(predictions, validation)
    agreement = None
    if votes is not None:
        human, agreement = _human_values(predictions, votes)
        values |= human
    return RunMetrics(split, values, agreement)


def _temperature_values(
    predictions: SplitPredictions, validation: SplitPredictions | None
) -> dict[str, float]:
    if validation is None or not len(validation):
        return {}
    temperature = calibration.fit_temperature(validation)
    confidence = calibration.scaled_confidence(predictions.stored, temperature)
    return {
        "temperature": temperature,
        "scaled_ece": metrics.confidence_ece(confidence, predictions.right),
    }


def _human_values(
    predictions: SplitPredictions, votes: Votes
) -> tuple[dict[str, float], float | None]:
    """Returns the human agreement columns, and the agreement of one left-out annotator."""
    vote_metrics = human_votes.vote_metrics(predictions, votes)
    values = {
        "vote_distance": vote_metrics.distance,
        "vote_log_loss": vote_metrics.cross_entropy,
    }
    if not np.isnan(vote_metrics.supported_errors):
        values["annotator_supported_errors"] = vote_metrics.supported_errors
    agreement = human_votes.human_agreement(votes, predictions.predicted)
    if agreement is None:
        return values, None
    return values | {"human_agreement": agreement.model}, agreement.annotator


def robustness_values(robustness: Robustness) -> dict[str, float]:
    """Returns the columns that follow from a robustness table, by slug."""
    values = {
        "corrupted_accuracy": robustness.corrupted,
        "accuracy_retained": robustness.retained,
    }
    if robustness.mce is not None:
        values["mce"] = robustness.mce
    if robustness.relative_mce is not None:
        values["relative_mce"] = robustness.relative_mce
    return values


def framing_values(result: FramingResult) -> dict[str, float]:
    """Returns the columns that follow from a table of framing shifts, by slug."""
    values = {"framing_accuracy": result.shifted}
    if result.drop is not None:
        values["framing_drop"] = result.drop
    return values


def efficiency_values(efficiency: Efficiency) -> dict[str, float]:
    """Returns the columns that follow from an efficiency record, by slug."""
    values = {"weights_mb": efficiency.weight_bytes / 1e6}
    if efficiency.flops is not None:
        values["gflops"] = efficiency.flops / 1e9
    single, batch = efficiency.milliseconds(1), efficiency.milliseconds(32)
    if single is not None:
        values["latency_ms"] = single
    if batch:
        values["throughput_32"] = 32_000 / batch
    if efficiency.peak_memory_bytes is not None:
        values["memory_mb"] = efficiency.peak_memory_bytes / 1e6
    return values


def pareto_front(cost: Mapping[str, float], gain: Mapping[str, float]) -> list[str]:
    """Returns the Pareto-optimal runs, cheapest first.

    Args:
        cost: Cost by run id; lower is better.
        gain: Gain by run id; higher is better. Runs without both values are ignored.
    """
    both = sorted(set(cost) & set(gain), key=lambda run: (cost[run], -gain[run], run))
    front: list[str] = []
    for run in both:
        if not front or gain[run] > gain[front[-1]]:
            front.append(run)
    return front
