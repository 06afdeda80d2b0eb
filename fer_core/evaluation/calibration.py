"""Calibration: does confidence match accuracy?

Conventions: `confidence` is a predicted probability, `right` whether the prediction is correct;
both have shape (N,). Bins of equal width split 0 to 1 evenly. Adaptive bins have about equal
numbers of samples, so that no bin is empty or dominates.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from fer_core.evaluation import metrics
from fer_core.evaluation.columns import chunks
from fer_core.evaluation.intervals import interval, resampled_counts, wilson
from fer_core.evaluation.metrics import Indices, Probabilities, Stored
from fer_core.evaluation.predictions import SplitPredictions
from fer_core.evaluation.report import Estimate
from fer_core.evaluation.selective import RiskCoverage

BINS = 15
ECE_RESAMPLES = 500

_SMALLEST = 1e-12
_CELLS = 1000
_TEMPERATURES = (0.05, 20.0)
_PRECISION = 1e-5


class Binning(StrEnum):
    """Ways to split confidence into bins; the value is the title."""

    WIDTH = "equal width"
    ADAPTIVE = "adaptive"


@dataclass(frozen=True)
class Reliability:
    """Reliability diagram: one entry per bin that has samples, lowest confidence first.

    Attributes:
        count: Number of samples, shape (B,).
        confidence: Mean confidence, shape (B,).
        frequency: Accuracy, shape (B,).
        low: Lower end of the 95% Wilson interval of the accuracy, shape (B,).
        high: Upper end of this interval, shape (B,).
    """

    count: NDArray[np.int64]
    confidence: NDArray[np.float64]
    frequency: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @property
    def ece(self) -> float:
        """Expected calibration error: mean gap over samples (Naeini et al. 2015)."""
        gap = np.abs(self.confidence - self.frequency)
        return float((gap * self.count).sum() / self.count.sum())


def bin_of(
    confidence: NDArray[np.float64], bins: int = BINS, how: Binning = Binning.WIDTH
) -> NDArray[np.int64]:
    """Returns the bin of each sample, shape (N,), 0 to bins - 1.

    Adaptive bins are split at quantiles. Samples of equal confidence always share a bin, so the
    result does not depend on the order of samples.
    """
    if how is Binning.WIDTH:
        bin_index = np.ceil(confidence * bins).astype(np.int64) - 1
        return np.clip(bin_index, 0, bins - 1)
    edges = np.quantile(confidence, np.linspace(0, 1, bins + 1)[1:-1], method="inverted_cdf")
    return np.searchsorted(edges, confidence, side="left").astype(np.int64)


def reliability(
    confidence: NDArray[np.float64],
    right: NDArray[np.bool_],
    bins: int = BINS,
    how: Binning = Binning.WIDTH,
) -> Reliability:
    """Returns the reliability diagram of at least one sample."""
    bin_index = bin_of(confidence, bins, how)
    count = np.bincount(bin_index, minlength=bins)
    filled = count > 0
    total = np.bincount(bin_index, weights=confidence, minlength=bins)[filled]
    hits = np.bincount(bin_index, weights=right, minlength=bins)[filled].astype(np.int64)
    count = count[filled].astype(np.int64)
    low, high = wilson(hits, count)
    return Reliability(count, total / count, hits / count, low, high)


def adaptive_reliability(curve: RiskCoverage, bins: int = BINS) -> Reliability:
    """Returns the diagram with adaptive bins from the ranking of a risk-coverage curve.

    It equals `reliability` with `Binning.ADAPTIVE`, without sorting the samples once more.
    """
    confidence = curve.threshold[::-1]
    samples = len(confidence)
    last = np.ceil(samples * np.linspace(0, 1, bins + 1)[1:-1] - 1).astype(np.int64)
    edges = confidence[np.maximum(last, 0)]  # as `method="inverted_cdf"` of numpy.quantile
    ends = np.unique([0, *np.searchsorted(confidence, edges, side="right"), samples])
    accepted = samples - ends  # samples of higher confidence
    errors = np.where(accepted > 0, curve.risk[accepted - 1] * accepted, 0)
    count = np.diff(ends).astype(np.int64)
    hits = count + np.rint(np.diff(errors)).astype(np.int64)
    low, high = wilson(hits, count)
    total = np.add.reduceat(confidence, ends[:-1])
    return Reliability(count, total / count, hits / count, low, high)


def class_reliability(
    predictions: SplitPredictions, label: str, bins: int = BINS, how: Binning = Binning.WIDTH
) -> Reliability:
    """Returns the diagram of one class: its predicted probability against its frequency."""
    index = predictions.labels.index(label)
    return reliability(predictions.probabilities[:, index], predictions.truth == index, bins, how)


def ece_with_interval(
    confidence: NDArray[np.float64],
    right: NDArray[np.bool_],
    bins: int = BINS,
    how: Binning = Binning.WIDTH,
    *,
    seed: int = 0,
) -> Estimate:
    """Returns the ECE with a basic bootstrap interval.

    Resampling adds noise to the gap of each bin, and the absolute value turns this noise into an
    upward bias. The basic bootstrap interval (2 * value - percentiles, clipped at 0; Davison and
    Hinkley 1997) removes it. The bins are fixed. Samples of one bin and outcome whose confidence
    agrees to a thousandth are drawn together, so 300,000 samples cost little more than 3,000.
    """
    bin_index = bin_of(confidence, bins, how)
    fine = np.minimum((confidence * _CELLS).astype(np.int64), _CELLS - 1)
    _, first, cell = np.unique(
        (bin_index * _CELLS + fine) * 2 + right, return_index=True, return_inverse=True
    )
    count = np.bincount(cell).astype(np.int64)
    gap = np.bincount(cell, weights=right - confidence) / count
    resampled = resampled_counts(count, ECE_RESAMPLES, seed)
    # one column per bin, one row per cell: the gap that the cell adds to its bin
    member = np.zeros((len(count), bins))
    member[np.arange(len(count)), bin_index[first]] = gap
    sums = np.abs(np.concatenate([count[None], resampled]) @ member).sum(axis=1) / len(confidence)
    value, (low, high) = float(sums[0]), interval(sums[1:])
    return Estimate(value=value, low=max(0.0, 2 * value - high), high=max(0.0, 2 * value - low))


def brier_score(truth: Indices, probabilities: Stored) -> float:
    """Returns the Brier score, 0 to 2 (Brier 1950).

    Args:
        truth: True class indices, shape (N,).
        probabilities: Predicted probabilities, shape (N, K).
    """
    total = 0.0
    for rows in chunks(len(truth)):
        part = probabilities.T[:, rows]
        of_truth = part[truth[rows], np.arange(part.shape[1])]
        total += float(np.square(part).sum(dtype=np.float64))
        total -= 2 * float(of_truth.sum(dtype=np.float64))
    return total / len(truth) + 1


def fit_temperature(validation: SplitPredictions) -> float:
    """Returns the temperature that minimises the log loss on validation (Guo et al. 2017).

    Above 1 the model is overconfident, below 1 underconfident. No logits are needed: the softmax
    of logits divided by T equals the probabilities to the power of 1 / T, renormalised.

    Args:
        validation: Validation predictions of the run; never the predictions that are reported.
    """
    logits = _logits(validation.stored)
    of_truth = float(logits[validation.truth, np.arange(len(validation))].mean(dtype=np.float64))
    # Newton's method for the inverse of the temperature, in which the loss is convex; a step that
    # leaves the bracket is replaced by its middle. scipy.optimize would take 0.3 s to import.
    low, high = (1 / temperature for temperature in reversed(_TEMPERATURES))
    inverse = 1.0
    while high / low > 1 + _PRECISION:
        mean, variance = _logit_moments(logits, inverse)
        slope = mean - of_truth
        low, high = (low, inverse) if slope > 0 else (inverse, high)
        step = slope / variance if variance > 0 else math.inf
        if abs(step) < _PRECISION * inverse:
            break
        middle = math.sqrt(low * high)
        inverse = inverse - step if low < inverse - step < high else middle
    return 1 / inverse


def _logits(probabilities: Stored) -> Stored:
    """Returns logits whose largest is 0, shape (K, N)."""
    logs: Stored = np.log(np.maximum(probabilities.T, _SMALLEST))
    logs -= logs.max(axis=0)
    return logs


def _logit_moments(logits: Stored, factor: float) -> tuple[float, float]:
    """Returns mean and variance of the logit under softmax(factor * logits), over all samples.

    Args:
        logits: Shape (K, N); the largest of each sample is 0.
        factor: Inverse of the temperature.
    """
    mean, variance, samples = 0.0, 0.0, len(logits.T)
    for rows in chunks(samples):
        part = logits[:, rows]
        weights = np.exp(factor * part)
        weights /= weights.sum(axis=0)
        weights *= part
        expected = weights.sum(axis=0)
        mean += float(expected.sum(dtype=np.float64))
        weights *= part
        variance += float((weights.sum(axis=0) - expected**2).sum(dtype=np.float64))
    return mean / samples, variance / samples


def scale_confidence(probabilities: Probabilities, temperature: float) -> Probabilities:
    """Returns temperature-scaled probabilities; the predicted class does not change.

    Args:
        probabilities: Probabilities, shape (..., K); sum to 1.
        temperature: Temperature above 0; 1 changes nothing.
    """
    logits = np.log(np.clip(probabilities, _SMALLEST, 1)) / temperature
    scaled: Probabilities = softmax(logits, axis=-1)
    return scaled


def scaled_confidence(probabilities: Stored, temperature: float) -> NDArray[np.float64]:
    """Returns the largest temperature-scaled probability of each sample, see `scale_confidence`.

    Args:
        probabilities: Probabilities, shape (N, K); rows sum to 1.
        temperature: Temperature above 0; 1 changes nothing.
    """
    confidence = np.empty(len(probabilities))
    for rows in chunks(len(probabilities)):
        logits = _logits(probabilities[rows])
        logits /= temperature
        confidence[rows] = 1 / np.exp(logits, out=logits).sum(axis=0)
    return confidence


def scale_predictions(predictions: SplitPredictions, temperature: float) -> SplitPredictions:
    """Returns temperature-scaled predictions, see `scale_confidence`."""
    scaled = scale_confidence(predictions.probabilities, temperature)
    return SplitPredictions(predictions.labels, predictions.ids, predictions.truth, scaled)


@dataclass(frozen=True)
class Calibration:
    """Calibration metrics of a run, with or without temperature scaling.

    Attributes:
        ece: ECE of the top label, bins of equal width.
        adaptive_ece: ECE of the top label, adaptive bins.
        brier: Brier score.
        log_loss: Log loss in nats.
    """

    ece: Estimate
    adaptive_ece: Estimate
    brier: float
    log_loss: float


def calibration_metrics(predictions: SplitPredictions) -> Calibration:
    """Returns the calibration metrics of predictions for at least one sample."""
    confidence, right = predictions.confidence, predictions.right
    return Calibration(
        ece_with_interval(confidence, right),
        ece_with_interval(confidence, right, how=Binning.ADAPTIVE),
        brier_score(predictions.truth, predictions.stored),
        metrics.log_loss(predictions.truth, predictions.stored),
    )
