"""Every number that a run can be ranked by: one catalogue for leaderboard, csv and report."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from fer_core.evaluation import calibration, human_votes, metrics
from fer_core.evaluation.calibration import Binning
from fer_core.evaluation.efficiency import Efficiency
from fer_core.evaluation.human_votes import Votes
from fer_core.evaluation.predictions import SplitPredictions
from fer_core.evaluation.report import SplitScores, score
from fer_core.evaluation.robustness import Robustness
from fer_core.evaluation.selective import risk_coverage

SURE_ENOUGH = 0.05
"""Risk at which coverage is given: answers of which 95% are right."""


class Kind(StrEnum):
    """How a number is written."""

    SHARE = "share"
    NUMBER = "number"
    COUNT = "count"


class Group(StrEnum):
    """What a number is about."""

    QUALITY = "Quality"
    PEOPLE = "Against people"
    CALIBRATION = "Calibration"
    ROBUSTNESS = "Robustness"
    COST = "Cost"


@dataclass(frozen=True)
class Column:
    """One column of the leaderboard.

    Attributes:
        name: Column name, in plain words.
        group: What it is about.
        kind: How it is written.
        higher: Whether more is better.
        help: What it says, in one sentence.
    """

    name: str
    group: Group
    kind: Kind
    higher: bool
    help: str


_ALL = (
    Column("accuracy", Group.QUALITY, Kind.SHARE, True, "Share of right answers."),
    Column(
        "macro-recall", Group.QUALITY, Kind.SHARE, True,
        "Mean of the classes' recalls: rare emotions count as much as frequent ones.",
    ),
    Column(
        "macro-F1", Group.QUALITY, Kind.SHARE, True,
        "Mean over classes of the harmonic mean of precision and recall.",
    ),
    Column(
        "log loss", Group.QUALITY, Kind.NUMBER, False,
        "Mean negative log probability of the truth, in nats; punishes confident errors.",
    ),
    Column(
        "defensible errors", Group.PEOPLE, Kind.SHARE, True,
        "Of the wrong answers, the share that at least one annotator gave too.",
    ),
    Column(
        "distance to votes", Group.PEOPLE, Kind.NUMBER, False,
        "Mean Jensen-Shannon distance between the model's probabilities and the annotators' votes.",
    ),
    Column(
        "vote log loss", Group.PEOPLE, Kind.NUMBER, False,
        "Cross entropy of the votes under the model's probabilities, in nats.",
    ),
    Column(
        "like one person", Group.PEOPLE, Kind.SHARE, True,
        "How often the model says what most of the other annotators say, when one is set aside; "
        "compare with what that one annotator reaches.",
    ),
    Column(
        "calibration error", Group.CALIBRATION, Kind.NUMBER, False,
        "Mean gap of confidence and accuracy (ECE, 15 bins of equal width).",
    ),
    Column(
        "calibration error, equal mass", Group.CALIBRATION, Kind.NUMBER, False,
        "The same over 15 bins that hold equally many images.",
    ),
    Column(
        "Brier score", Group.CALIBRATION, Kind.NUMBER, False,
        "Mean squared distance of the probabilities from the truth, 0 to 2.",
    ),
    Column(
        "temperature", Group.CALIBRATION, Kind.NUMBER, False,
        "Fitted on validation: above 1 the model is too sure, below 1 too timid.",
    ),
    Column(
        "calibration error, scaled", Group.CALIBRATION, Kind.NUMBER, False,
        "Calibration error after scaling by the temperature fitted on validation.",
    ),
    Column(
        "AURC", Group.CALIBRATION, Kind.NUMBER, False,
        "Area under the risk-coverage curve: how well confidence ranks errors last.",
    ),
    Column(
        "answered at 5% risk", Group.CALIBRATION, Kind.SHARE, True,
        "Share of images that can be answered, most confident first, with 95% right.",
    ),
    Column(
        "accuracy corrupted", Group.ROBUSTNESS, Kind.SHARE, True,
        "Mean accuracy over all corruptions and strengths.",
    ),
    Column(
        "accuracy kept", Group.ROBUSTNESS, Kind.SHARE, True,
        "Corrupted over clean accuracy.",
    ),
    Column(
        "mCE", Group.ROBUSTNESS, Kind.NUMBER, False,
        "Mean corruption error relative to ResNet-34's; below 1 is better than it.",
    ),
    Column(
        "relative mCE", Group.ROBUSTNESS, Kind.NUMBER, False,
        "The same of the errors that corruption adds to the clean ones.",
    ),
    Column("parameters (M)", Group.COST, Kind.NUMBER, False, "Weights in millions."),
    Column(
        "operations (G)", Group.COST, Kind.NUMBER, False,
        "Floating-point operations for one image, in billions.",
    ),
    Column("weights (MB)", Group.COST, Kind.NUMBER, False, "Size of the weight files."),
    Column(
        "latency (ms)", Group.COST, Kind.NUMBER, False, "Median time for one image, warmed up."
    ),
    Column(
        "images/s, batches of 32", Group.COST, Kind.COUNT, True, "Throughput at batch size 32."
    ),
    Column("memory (MB)", Group.COST, Kind.COUNT, False, "Peak memory beyond the process's own."),
)  # fmt: skip

MEASURES: Mapping[str, Column] = {measure.name: measure for measure in _ALL}

DEFAULT = ("accuracy", "macro-recall", "log loss", "calibration error", "parameters (M)")
"""What a leaderboard shows unless asked for more."""


@dataclass(frozen=True)
class RunMetrics:
    """All numbers of a run on one set of samples.

    Attributes:
        split: Accuracy and recalls with their intervals.
        values: By measure name; what is not known of a run is left out.
        human: What one annotator reaches on the same images; None without votes.
    """

    split: SplitScores
    values: Mapping[str, float]
    human: float | None


def measure(
    scores: SplitPredictions, validation: SplitPredictions | None, votes: Votes | None
) -> RunMetrics:
    """Computes what follows from a run's predictions.

    Args:
        scores: Of at least one sample.
        validation: The run's validation scores, for the temperature; None leaves it out.
        votes: Aligned with the scores; None leaves out what needs them.
    """
    split = score(scores)
    right = scores.predicted == scores.truth
    f1 = metrics.f1(split.matrix)
    curve = risk_coverage(scores.confidence, right)
    answered = curve.coverage_at(SURE_ENOUGH)
    values = {
        "accuracy": split.accuracy.value,
        "macro-recall": split.macro_recall.value,
        "macro-F1": float(np.nanmean(f1)),
        "log loss": split.log_loss,
        "calibration error": split.calibration_error,
        "calibration error, equal mass": calibration.reliability(
            scores.confidence, right, how=Binning.MASS
        ).error,
        "Brier score": calibration.brier_score(scores.truth, scores.probabilities),
        "AURC": curve.area,
        "answered at 5% risk": answered[0] if answered else 0.0,
    }
    if validation is not None and len(validation):
        temperature = calibration.fit_temperature(validation)
        scaled = calibration.with_temperature(scores, temperature)
        values["temperature"] = temperature
        values["calibration error, scaled"] = metrics.expected_calibration_error(
            scaled.truth, scaled.probabilities
        )
    human = None
    if votes is not None:
        against = human_votes.against_people(scores, votes)
        values["distance to votes"] = against.distance
        values["vote log loss"] = against.cross_entropy
        if not np.isnan(against.defensible):
            values["defensible errors"] = against.defensible
        reference = human_votes.human_reference(votes, scores.predicted)
        if reference is not None:
            values["like one person"] = reference.model
            human = reference.people
    return RunMetrics(split, values, human)


def of_robustness(robustness: Robustness) -> dict[str, float]:
    """Returns the measures that a robustness table gives."""
    values = {"accuracy corrupted": robustness.corrupted, "accuracy kept": robustness.kept}
    if robustness.corruption_error is not None:
        values["mCE"] = robustness.corruption_error
    if robustness.relative_error is not None:
        values["relative mCE"] = robustness.relative_error
    return values


def of_efficiency(efficiency: Efficiency) -> dict[str, float]:
    """Returns the measures that an efficiency record gives."""
    values = {
        "operations (G)": efficiency.operations / 1e9,
        "weights (MB)": efficiency.weight_bytes / 1e6,
    }
    single, batch = efficiency.milliseconds(1), efficiency.milliseconds(32)
    if single is not None:
        values["latency (ms)"] = single
    if batch:
        values["images/s, batches of 32"] = 32_000 / batch
    if efficiency.peak_memory_bytes is not None:
        values["memory (MB)"] = efficiency.peak_memory_bytes / 1e6
    return values


def pareto_front(cost: Mapping[str, float], gain: Mapping[str, float]) -> list[str]:
    """Returns the runs that no other run beats in both, cheapest first.

    Args:
        cost: By run id; lower is better.
        gain: By run id; higher is better. Runs that stand in only one of the two play no part.
    """
    both = sorted(set(cost) & set(gain), key=lambda run: (cost[run], -gain[run], run))
    front: list[str] = []
    for run in both:
        if not front or gain[run] > gain[front[-1]]:
            front.append(run)
    return front
