"""Accuracy on a set without labels, and whether such an estimate can be trusted.

Each method compares the new set with the benchmark's labelled validation split:

- Average thresholded confidence (Garg et al. 2022, arXiv:2201.04234).
- Difference of confidences (Guillory et al. 2021, arXiv:2107.03315).
- Disagreement between runs: agreement on the line (Baek et al. 2022, arXiv:2206.13089).
- The label-shift model: recalls of validation under the estimated class priors.

All of them assume something that cannot be checked without labels, so an estimate is shown with
the error that it had where labels exist (`EstimateCheck`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from fer_core.evaluation.label_shift import bbse
from fer_core.evaluation.predictions import SplitPredictions

Floats = NDArray[np.float64]
_CLIP = 0.005


class Estimator(StrEnum):
    """Methods of estimating accuracy without labels."""

    CONFIDENCE = "thresholded confidence"
    DIFFERENCE = "difference of confidences"
    DISAGREEMENT = "disagreement between runs"
    LABEL_SHIFT = "label-shift model"


@dataclass(frozen=True)
class RunPredictions:
    """A run's calibrated predictions of the labelled validation split and of the new set.

    Attributes:
        validation: Validation of the benchmark, calibrated.
        probabilities: Predictions for the new set, with the same temperature, shape (N, K).
    """

    validation: SplitPredictions
    probabilities: Floats

    @property
    def accuracy(self) -> float:
        """Accuracy on validation."""
        return float(self.validation.right.mean())

    @property
    def predicted(self) -> NDArray[np.int64]:
        """Predicted classes of the new set, shape (N,)."""
        predicted: NDArray[np.int64] = self.probabilities.argmax(axis=1).astype(np.int64)
        return predicted


def thresholded_confidence(run: RunPredictions) -> float:
    """Returns the share of the new set above the confidence that validation's errors lie below."""
    known = np.sort(run.validation.confidence)
    errors = round((1 - run.accuracy) * len(known))
    threshold = known[min(errors, len(known) - 1)]
    return float((run.probabilities.max(axis=1) >= threshold).mean())


def difference_of_confidences(run: RunPredictions) -> float:
    """Returns validation's accuracy less the loss of mean confidence."""
    lost = float(run.validation.confidence.mean() - run.probabilities.max(axis=1).mean())
    return float(np.clip(run.accuracy - lost, 0, 1))


def label_shift_accuracy(run: RunPredictions) -> float:
    """Returns the recalls of validation, weighted by the new set's estimated class priors."""
    priors = bbse(run.validation, run.predicted)
    truth, right = run.validation.truth, run.validation.right
    recalls = np.array(
        [
            right[truth == index].mean() if (truth == index).any() else run.accuracy
            for index in range(len(priors))
        ]
    )
    return float(priors @ recalls)


@dataclass(frozen=True)
class AgreementLine:
    """Line through the agreements of pairs of runs: validation against the new set, in probits.

    Attributes:
        slope: Slope; 1 with fewer than four runs.
        intercept: Intercept.
    """

    slope: float
    intercept: float

    @classmethod
    def of(cls, runs: Mapping[str, RunPredictions]) -> Self | None:
        """Fits the line; None with fewer than two runs.

        Args:
            runs: Networks of different training, not ensembles of each other.
        """
        pairs = list(combinations(runs.values(), 2))
        if not pairs:
            return None
        x = _probit([_agreement(a.validation.predicted, b.validation.predicted) for a, b in pairs])
        y = _probit([_agreement(a.predicted, b.predicted) for a, b in pairs])
        slope = 1.0
        if len(runs) >= 4 and x.std() > 0.02:
            slope = float(np.clip(np.polyfit(x, y, 1)[0], 0.3, 2.0))
        return cls(slope, float(y.mean() - slope * x.mean()))

    def accuracy(self, validation: float) -> float:
        """Returns the accuracy on the new set of a run with this accuracy on validation."""
        return float(norm.cdf(self.slope * _probit([validation])[0] + self.intercept))


def estimate(run: RunPredictions, line: AgreementLine | None) -> dict[Estimator, float]:
    """Returns every estimate of a run's accuracy.

    Args:
        run: The run.
        line: Line of the networks' agreements; None leaves that estimate out.
    """
    estimates = {
        Estimator.CONFIDENCE: thresholded_confidence(run),
        Estimator.DIFFERENCE: difference_of_confidences(run),
        Estimator.LABEL_SHIFT: label_shift_accuracy(run),
    }
    if line is not None:
        estimates[Estimator.DISAGREEMENT] = line.accuracy(run.accuracy)
    return estimates


def moved_share(runs: Sequence[RunPredictions]) -> float:
    """Returns the share of predictions that moved to other classes against validation, 0 to 1.

    The total variation distance between the shares of predicted classes, the median over runs. It
    grows if the set has other class shares, and if the runs predict one class for want of evidence.
    """
    distances = []
    for run in runs:
        count = len(run.validation.labels)
        known = np.bincount(run.validation.predicted, minlength=count) / len(run.validation)
        new = np.bincount(run.predicted, minlength=count) / max(1, len(run.predicted))
        distances.append(float(np.abs(known - new).sum() / 2))
    return float(np.median(distances))


def mean_agreement(predicted: Sequence[NDArray[np.int64]]) -> float:
    """Returns the mean agreement over pairs of runs, 0 to 1; NaN with fewer than two."""
    pairs = list(combinations(predicted, 2))
    return float(np.mean([_agreement(a, b) for a, b in pairs])) if pairs else float("nan")


def agreement_by_image(predicted: Sequence[NDArray[np.int64]]) -> Floats:
    """Returns the share of pairs of runs that agree on each image, shape (N,); two runs or more."""
    agreeing: Floats = np.mean([a == b for a, b in combinations(predicted, 2)], axis=0)
    return agreeing


def _agreement(first: NDArray[np.int64], second: NDArray[np.int64]) -> float:
    return float((first == second).mean())


def _probit(shares: Sequence[float]) -> Floats:
    values: Floats = norm.ppf(np.clip(np.asarray(shares), _CLIP, 1 - _CLIP))
    return values
