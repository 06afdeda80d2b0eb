"""Temperature and class shares of a set, from a few labels that were drawn unequally."""

from dataclasses import dataclass

import numpy as np
from scipy.special import log_softmax

from fer_core.errors import DataError
from fer_core.evaluation.few_labels.accuracy import lure
from fer_core.evaluation.few_labels.pool import Floats, Labelled
from fer_core.evaluation.intervals import interval

LEAST_LABELS = 20
TEMPERATURES = np.exp(np.linspace(np.log(0.3), np.log(6), 61))
"""Candidates of the temperature."""

_RESAMPLES = 500
_SMALLEST = 1e-12
_NORMAL = 1.96


@dataclass(frozen=True)
class SetCalibration:
    """What labels say about a run's confidence and the set's classes.

    Attributes:
        temperature: Of least weighted log loss; above 1 the run is too confident.
        temperature_low: Lower end of its 95% bootstrap interval.
        temperature_high: Upper end.
        gain: Decrease of the log loss by the temperature, leave-one-out, in nats.
        gain_low: Lower end of its 95% interval.
        gain_high: Upper end.
        shares: Share of each class in the set, without bias, shape (K,).
        shares_low: Lower ends of their 95% intervals.
        shares_high: Upper ends.
    """

    temperature: float
    temperature_low: float
    temperature_high: float
    gain: float
    gain_low: float
    gain_high: float
    shares: Floats
    shares_low: Floats
    shares_high: Floats


def set_calibration(probabilities: Floats, labelled: Labelled) -> SetCalibration:
    """Estimates temperature and class shares; unclear images are left out.

    Args:
        probabilities: A run's probabilities of all N images, shape (N, K).
        labelled: The labels with their sampling probabilities.

    Raises:
        DataError: If there are fewer than `LEAST_LABELS` clear labels.
    """
    clear = labelled.clear
    if clear.sum() < LEAST_LABELS:
        raise DataError(f"A temperature needs {LEAST_LABELS} clear labels.")
    losses = _losses(probabilities[labelled.rows[clear]], labelled.shares[clear])
    weights = 1 / labelled.probability[clear]
    weights = weights / weights.mean()
    weighted = weights[:, None] * losses
    total = weighted.sum(axis=0)
    without = (total - weighted).argmin(axis=1)  # each label is judged by the others' temperature
    rows = np.arange(len(weights))
    at_one = int(np.abs(TEMPERATURES - 1).argmin())
    gains = weights * (losses[:, at_one] - losses[rows, without])
    error = float(gains.std(ddof=1) / np.sqrt(len(gains)))
    counts = np.random.default_rng(0).multinomial(
        len(rows), np.full(len(rows), 1 / len(rows)), size=_RESAMPLES
    )
    low, high = interval(TEMPERATURES[(counts @ weighted).argmin(axis=1)])
    shares, half = _shares(labelled, len(probabilities))
    mean = float(gains.mean())
    return SetCalibration(
        float(TEMPERATURES[total.argmin()]),
        low,
        high,
        mean,
        mean - _NORMAL * error,
        mean + _NORMAL * error,
        shares,
        np.clip(shares - half, 0, 1),
        np.clip(shares + half, 0, 1),
    )


def _losses(probabilities: Floats, shares: Floats) -> Floats:
    """Returns the log loss of each label at each temperature, shape (M, temperatures)."""
    logs = np.log(np.maximum(probabilities, _SMALLEST))
    return np.stack(
        [-(shares * log_softmax(logs / value, axis=1)).sum(axis=1) for value in TEMPERATURES],
        axis=1,
    )


def _shares(labelled: Labelled, images: int) -> tuple[Floats, Floats]:
    """Returns the classes' shares among clear images, and half the width of their intervals."""
    clear = labelled.clear.astype(np.float64)[:, None]
    values = np.hstack([labelled.shares, clear])
    totals, deviations = lure(values, labelled.probability, images)
    shares = totals[:-1] / max(totals[-1], _SMALLEST)
    ratio = (deviations[:, :-1] - shares * deviations[:, -1:]) / max(totals[-1], _SMALLEST)
    count = len(labelled)
    half = _NORMAL * np.sqrt((ratio**2).sum(axis=0) / (count * (count - 1)))
    return np.clip(shares, 0, 1), np.asarray(half)
