"""Calibration: whether 80% sure is right 80 times in 100.

Conventions: `confidence` is a probability that a model gave to something, `right` whether it
came true; both of shape (N,). Bins of equal width cut 0 to 1 evenly; bins of equal mass hold
about as many samples each, so that none is empty and none rules.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from fer_core.evaluation import metrics
from fer_core.evaluation.intervals import interval, resampled_counts, wilson
from fer_core.evaluation.metrics import Indices, Probabilities
from fer_core.evaluation.predictions import SplitPredictions

BINS = 15
ECE_RESAMPLES = 500

_SMALLEST = 1e-12
_CELLS = 1000
_TEMPERATURES = (0.05, 20.0)


class Binning(StrEnum):
    """How confidence is cut into bins."""

    WIDTH = "equal width"
    MASS = "equal mass"


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram: one entry a bin that has samples, lowest confidence first.

    Attributes:
        count: Samples, shape (B,).
        confidence: Mean probability given, shape (B,).
        frequency: Share that came true, shape (B,).
        low: Lower end of the frequency's 95% interval (Wilson), shape (B,).
        high: Upper end.
    """

    count: NDArray[np.int64]
    confidence: NDArray[np.float64]
    frequency: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @property
    def error(self) -> float:
        """The expected calibration error: mean gap over samples (Naeini et al. 2015)."""
        gap = np.abs(self.confidence - self.frequency)
        return float((gap * self.count).sum() / self.count.sum())


def bin_of(
    confidence: NDArray[np.float64], bins: int = BINS, how: Binning = Binning.WIDTH
) -> NDArray[np.int64]:
    """Returns the bin of each sample, shape (N,), 0 to bins - 1.

    Equal mass cuts at quantiles: samples of one confidence always share a bin, so the order of
    samples plays no part.
    """
    if how is Binning.WIDTH:
        place = np.ceil(confidence * bins).astype(np.int64) - 1
        return np.clip(place, 0, bins - 1)
    edges = np.quantile(confidence, np.linspace(0, 1, bins + 1)[1:-1], method="inverted_cdf")
    return np.searchsorted(edges, confidence, side="left").astype(np.int64)


def reliability(
    confidence: NDArray[np.float64],
    right: NDArray[np.bool_],
    bins: int = BINS,
    how: Binning = Binning.WIDTH,
) -> Reliability:
    """Returns the reliability diagram of at least one sample."""
    place = bin_of(confidence, bins, how)
    count = np.bincount(place, minlength=bins)
    filled = count > 0
    total = np.bincount(place, weights=confidence, minlength=bins)[filled]
    hits = np.bincount(place, weights=right, minlength=bins)[filled].astype(np.int64)
    count = count[filled].astype(np.int64)
    low, high = wilson(hits, count)
    return Reliability(count, total / count, hits / count, low, high)


def class_reliability(
    scores: SplitPredictions, label: str, bins: int = BINS, how: Binning = Binning.WIDTH
) -> Reliability:
    """Returns one class's diagram: the probability given to it against how often it was true."""
    index = scores.labels.index(label)
    return reliability(scores.probabilities[:, index], scores.truth == index, bins, how)


@dataclass(frozen=True)
class CalibrationError:
    """Expected calibration error with its 95% bootstrap interval, 0 to 1."""

    value: float
    low: float
    high: float


def calibration_error(
    confidence: NDArray[np.float64],
    right: NDArray[np.bool_],
    bins: int = BINS,
    how: Binning = Binning.WIDTH,
    *,
    seed: int = 0,
) -> CalibrationError:
    """Measures the gap of confidence and accuracy, with its uncertainty.

    Resampling adds noise to each bin's gap, which the absolute value turns into a bias upwards;
    the interval therefore is the basic bootstrap's (2 * value - percentiles, not below 0;
    Davison and Hinkley 1997), which takes that bias off again. Bins stay those of the data.
    Samples of one bin and outcome whose confidence agrees to a thousandth are drawn as one cell:
    300,000 samples cost little more than 3,000.
    """
    place = bin_of(confidence, bins, how)
    fine = np.minimum((confidence * _CELLS).astype(np.int64), _CELLS - 1)
    _, first, cell = np.unique(
        (place * _CELLS + fine) * 2 + right, return_index=True, return_inverse=True
    )
    count = np.bincount(cell).astype(np.int64)
    gap = np.bincount(cell, weights=right - confidence) / count
    drawn = resampled_counts(count, ECE_RESAMPLES, seed)
    # one column a bin: which cells it sums up
    member = np.zeros((len(count), bins))
    member[np.arange(len(count)), place[first]] = gap
    sums = np.abs(np.concatenate([count[None], drawn]) @ member).sum(axis=1) / len(confidence)
    value, (low, high) = float(sums[0]), interval(sums[1:])
    return CalibrationError(value, max(0.0, 2 * value - high), max(0.0, 2 * value - low))


def brier_score(truth: Indices, probabilities: Probabilities) -> float:
    """Returns the mean squared distance of the probabilities from the truth, 0 to 2 (Brier 1950).

    Args:
        truth: Class indices, shape (N,).
        probabilities: Shape (N, K).
    """
    squares = (probabilities**2).sum(axis=1)
    given = probabilities[np.arange(len(truth)), truth]
    return float((squares - 2 * given + 1).mean())


def fit_temperature(validation: SplitPredictions) -> float:
    """Returns the temperature that makes validation's log loss least (Guo et al. 2017).

    Above 1 the model was too sure of itself, below 1 too timid. Softmax of logits divided by T
    is the probabilities to the power of 1 / T, renormalised: no logits are needed.

    Args:
        validation: The run's validation scores; never those that are then reported on.
    """
    logs = np.log(np.clip(validation.probabilities, _SMALLEST, 1))
    rows = np.arange(len(validation))

    def loss(log_temperature: float) -> float:
        scaled = logs / np.exp(log_temperature)
        return float((_log_sum(scaled) - scaled[rows, validation.truth]).mean())

    bounds = (float(np.log(_TEMPERATURES[0])), float(np.log(_TEMPERATURES[1])))
    found = optimize.minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-4})
    return float(np.exp(found.x))


def tempered(probabilities: Probabilities, temperature: float) -> Probabilities:
    """Returns probabilities of scaled confidence; which class is most probable stays.

    Args:
        probabilities: Shape (..., K), sums to 1.
        temperature: Above 0; 1 changes nothing.
    """
    logs = np.log(np.clip(probabilities, _SMALLEST, 1)) / temperature
    raised: Probabilities = np.exp(logs - logs.max(axis=-1, keepdims=True))
    scaled: Probabilities = raised / raised.sum(axis=-1, keepdims=True)
    return scaled


def with_temperature(scores: SplitPredictions, temperature: float) -> SplitPredictions:
    """Returns scores whose confidence is scaled, see `tempered`."""
    scaled = tempered(scores.probabilities, temperature)
    return SplitPredictions(scores.labels, scores.ids, scores.truth, scaled)


def _log_sum(logs: NDArray[np.float64]) -> NDArray[np.float64]:
    peak = logs.max(axis=1)
    total: NDArray[np.float64] = peak + np.log(np.exp(logs - peak[:, None]).sum(axis=1))
    return total


@dataclass(frozen=True)
class Calibration:
    """A run's calibration before or after scaling.

    Attributes:
        error: Top-label calibration error, bins of equal width.
        mass_error: The same with bins of equal mass.
        brier: Brier score.
        log_loss: In nats.
    """

    error: CalibrationError
    mass_error: CalibrationError
    brier: float
    log_loss: float


def measure(scores: SplitPredictions) -> Calibration:
    """Measures the calibration of at least one sample."""
    right = scores.predicted == scores.truth
    return Calibration(
        calibration_error(scores.confidence, right),
        calibration_error(scores.confidence, right, how=Binning.MASS),
        brier_score(scores.truth, scores.probabilities),
        metrics.log_loss(scores.truth, scores.probabilities),
    )
