"""Predictions and explanations of runs for faces."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fer_core.evaluation.calibration import scale_confidence
from fer_core.evaluation.ensemble import average_probabilities
from fer_core.evaluation.prior_shift import shift_logits
from fer_core.explain.evidence import MapEvidence
from fer_core.labels import LabelSet

Probabilities = NDArray[np.float64]

Thresholds: TypeAlias = float | Mapping[str, float]
"""Least calibrated probability of a prediction, 0 to 1: of every class, or by class."""


class Backend(StrEnum):
    """Inference backend of a prediction."""

    TORCH = "PyTorch"
    ONNX = "ONNX Runtime"
    MEMBERS = "its members"


def calibrated(probabilities: Probabilities, temperature: float | None) -> Probabilities:
    """Returns temperature-scaled probabilities; None leaves them unchanged.

    Args:
        probabilities: Probabilities, shape (..., K); sum to 1.
        temperature: Temperature above 0, fitted on validation.
    """
    return probabilities if temperature is None else scale_confidence(probabilities, temperature)


def decide(probabilities: Probabilities, labels: LabelSet, unsure_below: Thresholds) -> str | None:
    """Returns the most probable class, or None if its probability is below a threshold.

    Args:
        probabilities: Class probabilities, shape (K,).
        labels: The classes.
        unsure_below: Threshold, 0 to 1, of every class or by class; with 0, and for classes that
            are missing, the class is always returned.
    """
    best = int(probabilities.argmax())
    name = labels.names[best]
    threshold = unsure_below.get(name, 0.0) if isinstance(unsure_below, Mapping) else unsure_below
    return name if probabilities[best] >= threshold else None


@dataclass(frozen=True)
class TargetEstimates:
    """A regression head's estimates of one target for N faces.

    Attributes:
        values: Estimates in the target's units, shape (N,).
        margin: Half the width of their 90% intervals
            (`fer_core.evaluation.regression.conformal_margin`); None if it is unknown.
    """

    values: NDArray[np.float64]
    margin: float | None

    def interval(self, face: int = 0) -> tuple[float, float] | None:
        """Returns the interval of one face's estimate; None if the margin is unknown."""
        if self.margin is None:
            return None
        return float(self.values[face] - self.margin), float(self.values[face] + self.margin)

    def text(self, face: int = 0) -> str:
        """Returns one face's estimate with its interval, such as `3.1 (90%: 2.0 to 4.2)`."""
        bounds = self.interval(face)
        ends = "interval unknown" if bounds is None else f"90%: {bounds[0]:.3g} to {bounds[1]:.3g}"
        return f"{self.values[face]:.3g} ({ends})"


@dataclass(frozen=True)
class BasePrediction:
    """Prediction of one run for one face or N faces.

    Attributes:
        run_id: The run.
        title: Name of the model.
        labels: The classes.
        probabilities: Uncalibrated probabilities, shape (K,) or (N, K); rows sum to 1.
        temperature: Fitted on the run's validation predictions; None if they are missing.
        estimates: Estimates of a regression head by target; empty without one.
        logit_shift: Prior shift of an operating point, one value per class; empty for none.
    """

    run_id: str
    title: str
    labels: LabelSet
    probabilities: Probabilities
    temperature: float | None
    estimates: Mapping[str, TargetEstimates] = field(default_factory=dict, kw_only=True)
    logit_shift: tuple[float, ...] = field(default=(), kw_only=True)

    @property
    def calibrated(self) -> Probabilities:
        """Temperature-scaled probabilities, of the same shape, with the operating point's shift."""
        return shift_logits(calibrated(self.probabilities, self.temperature), self.logit_shift)


@dataclass(frozen=True)
class Prediction(BasePrediction):
    """Prediction of one run for N faces.

    Attributes:
        backend: Inference backend.
        seconds: Inference time for all N faces without loading; summed over an ensemble's members.
    """

    backend: Backend
    seconds: float

    def of_face(self, face: int) -> BasePrediction:
        """Returns the prediction for one of the faces."""
        estimates = {
            name: TargetEstimates(item.values[face : face + 1], item.margin)
            for name, item in self.estimates.items()
        }
        row = self.probabilities[face]
        return BasePrediction(
            self.run_id, self.title, self.labels, row, self.temperature, estimates=estimates,
            logit_shift=self.logit_shift,
        )  # fmt: skip


@dataclass(frozen=True)
class ExplainedPrediction(BasePrediction):
    """Prediction of one run for one face, with its explanation.

    Attributes:
        explained: Class that the saliency map explains.
        saliency: Signed saliency map, shape (MAP_SIDE, MAP_SIDE). For an ensemble the weighted
            mean of its members' maps, each scaled to a largest magnitude of 1.
        method: Title of the saliency method.
        evidence: Measured faithfulness of such maps on this run; shown beside the map.
        seconds: Time of prediction and explanation, without loading.
    """

    explained: str
    saliency: NDArray[np.float32]
    method: str
    evidence: MapEvidence
    seconds: float

    @property
    def top(self) -> str:
        """The most probable class, after the prior shift of an operating point."""
        return self.labels.names[int(self.calibrated.argmax())]


def ensemble_prediction(
    members: Sequence[Prediction],
    weights: Sequence[float],
    shift: Sequence[float] = (),
    *,
    run_id: str,
    title: str,
    temperature: float | None,
) -> Prediction:
    """Returns an ensemble's prediction from its members' predictions of the same faces.

    Args:
        members: Predictions of at least one member.
        weights: One weight per member, summing to 1.
        shift: Prior shift added to the logits of the mean, one value per class; empty for none.
        run_id: Id of the ensemble.
        title: Name of the ensemble.
        temperature: Temperature of the ensemble.
    """
    mean = average_probabilities([member.probabilities for member in members], weights, shift)
    seconds = sum(member.seconds for member in members)
    labels = members[0].labels
    return Prediction(run_id, title, labels, mean, temperature, Backend.MEMBERS, seconds)
