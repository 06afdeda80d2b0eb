"""What runs say of faces."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from fer_core.evaluation.calibration import scale_confidence
from fer_core.evaluation.ensemble import average_probabilities
from fer_core.labels import LabelSet

Probabilities = NDArray[np.float64]


class Backend(StrEnum):
    """What computed a run's answer."""

    TORCH = "PyTorch"
    ONNX = "ONNX Runtime"
    MEMBERS = "its members"


def calibrated(probabilities: Probabilities, temperature: float | None) -> Probabilities:
    """Returns probabilities scaled by a temperature; None, where none was fitted, changes nothing.

    Args:
        probabilities: Shape (..., K), sums to 1.
        temperature: Above 0, fitted on validation.
    """
    return probabilities if temperature is None else scale_confidence(probabilities, temperature)


def decide(probabilities: Probabilities, labels: LabelSet, unsure_below: float) -> str | None:
    """Returns the most probable class, or None where its probability lies below a threshold.

    Args:
        probabilities: Shape (K,).
        labels: The classes.
        unsure_below: 0 to 1; 0 always answers.
    """
    best = int(probabilities.argmax())
    return labels.names[best] if probabilities[best] >= unsure_below else None


@dataclass(frozen=True)
class BasePrediction:
    """What one run says of one face, or of N.

    Attributes:
        run_id: The run.
        title: Its model's name.
        labels: The classes.
        probabilities: As the model gives them, shape (K,) or (N, K), rows sum to 1.
        temperature: Fitted on the run's validation predictions; None where these are missing.
    """

    run_id: str
    title: str
    labels: LabelSet
    probabilities: Probabilities
    temperature: float | None

    @property
    def calibrated(self) -> Probabilities:
        """The probabilities at the run's temperature, of the same shape."""
        return calibrated(self.probabilities, self.temperature)


@dataclass(frozen=True)
class Prediction(BasePrediction):
    """What one run says of N faces.

    Attributes:
        backend: What computed it.
        seconds: Time for all N faces, without loading; of an ensemble, its members' together.
    """

    backend: Backend
    seconds: float


@dataclass(frozen=True)
class Answer(BasePrediction):
    """What one run says of one face, and what speaks for it.

    Attributes:
        explained: The class that the map explains.
        saliency: Signed map of that class, shape (MAP_SIDE, MAP_SIDE). Of an ensemble: the
            weighted mean of its members' maps, each scaled to a largest magnitude of 1.
        method: Title of the method that gave the map.
        seconds: Time of prediction and explanation, without loading.
    """

    explained: str
    saliency: NDArray[np.float32]
    method: str
    seconds: float

    @property
    def top(self) -> str:
        """The most probable class."""
        return self.labels.names[int(self.probabilities.argmax())]


def ensemble_prediction(
    members: Sequence[Prediction],
    weights: Sequence[float],
    shift: Sequence[float] = (),
    *,
    run_id: str,
    title: str,
    temperature: float | None,
) -> Prediction:
    """Returns the weighted mean of members' predictions of the same faces.

    Args:
        members: At least one.
        weights: One a member, summing to 1.
        shift: Added to the mean's logits, one value a class; empty for none.
        run_id: The ensemble's run.
        title: Its name.
        temperature: Its own.
    """
    mean = average_probabilities([member.probabilities for member in members], weights, shift)
    seconds = sum(member.seconds for member in members)
    labels = members[0].labels
    return Prediction(run_id, title, labels, mean, temperature, Backend.MEMBERS, seconds)
