"""Temperature and class priors of a set from a few labels, judged on labels left out."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

import numpy as np
from pydantic import BaseModel, ConfigDict
from scipy.special import stdtrit

from fer_core.errors import DataError
from fer_core.evaluation.calibration import fit_temperature
from fer_core.evaluation.few_labels.accuracy import estimate_shares, lure_weights
from fer_core.evaluation.few_labels.pool import Floats, Labelled
from fer_core.evaluation.intervals import CONFIDENCE_LEVEL, interval, resampled_counts
from fer_core.evaluation.predictions import SplitPredictions
from fer_core.evaluation.report import Estimate

LEAST_LABELS = 20
FOLDS = 100
"""Up to this number of labels each is left out by itself."""

TEMPERATURES = np.exp(np.linspace(np.log(0.3), np.log(6), 61))
"""Candidates of the temperature."""

_COARSE = TEMPERATURES[::2]
_RESAMPLES = 500
_SMALLEST = 1e-12


class Fitted(StrEnum):
    """Parameters that are fitted to the labels; the value is their name."""

    TEMPERATURE = "temperature"
    PRIORS = "temperature and class priors"


class SetAdjustment(BaseModel):
    """A run's temperature and prior shift on a set, from labels of the set.

    Attributes:
        set_name: The set.
        labels: Number of clear labels.
        fitted: The fitted parameters.
        temperature: Interval of the temperature (bootstrap over labels).
        shares: Share of each class in the set with its interval, in label order.
        logit_shift: Logarithm of the set's class priors over the benchmark's, shape (K,); added to
            the logits after the temperature. Zeros if only the temperature was fitted.
        gain: Decrease of the log loss in nats on labels left out, against the run's temperature of
            validation. Its interval holds for all kinds of `Fitted` that were compared.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    set_name: str
    labels: int
    fitted: Fitted
    temperature: Estimate
    shares: tuple[Estimate, ...]
    logit_shift: tuple[float, ...]
    gain: Estimate

    @property
    def helps(self) -> bool:
        """Whether the gain is significant."""
        return self.gain.low > 0

    @property
    def text(self) -> str:
        """One sentence on the fitted parameters and their gain."""
        gain = self.gain
        return (
            f"{self.fitted.value.capitalize()} from {self.labels:,} labels of {self.set_name}: "
            f"temperature {self.temperature.value:.2f} ({self.temperature.low:.2f} to "
            f"{self.temperature.high:.2f}); on labels left out the log loss falls by "
            f"{gain.value:.3f} ({gain.low:.3f} to {gain.high:.3f})."
        )


@dataclass(frozen=True)
class _Known:
    """Labelled images: log probabilities (M, K), class shares (M, K), mean weight 1 (M,)."""

    logs: Floats
    shares: Floats
    weights: Floats

    @classmethod
    def of(cls, probabilities: Floats, labelled: Labelled) -> Self:
        clear = labelled.clear
        weights = lure_weights(labelled.probability, len(probabilities))[clear]
        logs = np.log(np.maximum(probabilities[labelled.rows[clear]], _SMALLEST))
        return cls(logs, labelled.shares[clear], weights / weights.mean())

    def __len__(self) -> int:
        return len(self.weights)

    def select(self, mask: Floats) -> Self:
        return type(self)(self.logs[mask], self.shares[mask], self.weights[mask])

    def losses(self, shift: Floats, temperatures: Floats) -> Floats:
        """Returns the log loss of each label at each temperature, shape (M, temperatures)."""
        logits = self.logs / temperatures[:, None, None] + shift  # (temperatures, M, K)
        top = logits.max(axis=2, keepdims=True)
        normaliser = np.log(np.exp(logits - top).sum(axis=2)) + top[:, :, 0]
        given = np.einsum("tmk,mk->tm", logits, self.shares)
        return np.asarray((normaliser - given).T)

    def fit(self, base: Floats, fitted: Fitted) -> tuple[float, Floats]:
        """Returns temperature and logit shift, shape (K,)."""
        shift = np.zeros(len(base))
        if fitted is Fitted.PRIORS:
            shift = np.log(self._priors(base) / base)
        losses = self.weights @ self.losses(shift, _COARSE)
        return float(_COARSE[losses.argmin()]), shift

    def _priors(self, base: Floats) -> Floats:
        """Returns the weighted class shares, as if K more labels had the benchmark's shares."""
        effective = self.weights.sum() ** 2 / np.square(self.weights).sum()
        mean = self.weights @ self.shares / self.weights.sum()
        classes = len(base)
        return np.asarray((effective * mean + classes * base) / (effective + classes))


def adjust_to_set(
    set_name: str,
    probabilities: Floats,
    labelled: Labelled,
    validation: SplitPredictions | None,
) -> SetAdjustment:
    """Fits temperature and priors to labels, and judges both on labels left out.

    Of the two kinds of `Fitted` the one with the higher gain is returned; it may not help.

    Args:
        set_name: The set.
        probabilities: A run's probabilities of all N images of the set, shape (N, K).
        labelled: The labels with their sampling probabilities; unclear images are left out.
        validation: The run's predictions of the benchmark's validation split. Without them the
            temperature alone is fitted, and compared with the probabilities as they are.

    Raises:
        DataError: If there are fewer than `LEAST_LABELS` clear labels.
    """
    if (count := int(labelled.clear.sum())) < LEAST_LABELS:
        raise DataError(
            f"Temperature and class shares need {LEAST_LABELS} clear labels; there are {count}."
        )
    known = _Known.of(probabilities, labelled)
    start = _Start.of(validation, probabilities.shape[1])
    judged = {fitted: _gain(known, start, fitted) for fitted in start.compared}
    best = max(judged, key=lambda fitted: judged[fitted].value)
    value, shift = known.fit(start.shares, best)
    return SetAdjustment(
        set_name=set_name,
        labels=len(known),
        fitted=best,
        temperature=_temperature(known, value, shift),
        shares=estimate_shares(labelled, len(probabilities)),
        logit_shift=tuple(shift.tolist()),
        gain=judged[best],
    )


@dataclass(frozen=True)
class _Start:
    """Start values, which hold without the set's labels.

    Attributes:
        temperature: Temperature of validation.
        shares: Class shares of the benchmark, shape (K,).
        compared: Sets of parameters that can be fitted.
    """

    temperature: float
    shares: Floats
    compared: tuple[Fitted, ...]

    @classmethod
    def of(cls, validation: SplitPredictions | None, classes: int) -> Self:
        if validation is None:
            return cls(1.0, np.full(classes, 1 / classes), (Fitted.TEMPERATURE,))
        counts = np.bincount(validation.truth, minlength=classes)
        shares = (counts + 1) / (counts.sum() + classes)
        return cls(fit_temperature(validation), shares, tuple(Fitted))


def _gain(known: _Known, start: _Start, fitted: Fitted) -> Estimate:
    """Returns the decrease of the weighted log loss on labels left out."""
    unshifted, temperature = np.zeros(len(start.shares)), np.array([start.temperature])
    before = known.losses(unshifted, temperature)[:, 0]
    after = np.zeros(len(known))
    fold = np.arange(len(known)) % min(len(known), FOLDS)
    for index in np.unique(fold):
        out = fold == index
        value, shift = known.select(~out).fit(start.shares, fitted)
        after[out] = known.select(out).losses(shift, np.array([value]))[:, 0]
    gains = known.weights * (before - after)
    level = 1 - (1 - CONFIDENCE_LEVEL) / len(start.compared)
    quantile = float(stdtrit(len(gains) - 1, (1 + level) / 2))
    half = quantile * float(gains.std(ddof=1)) / np.sqrt(len(gains))
    mean = float(gains.mean())
    return Estimate(value=mean, low=mean - half, high=mean + half)


def _temperature(known: _Known, value: float, shift: Floats) -> Estimate:
    weighted = known.weights[:, None] * known.losses(shift, TEMPERATURES)
    counts = resampled_counts(np.ones(len(known), dtype=np.int64), _RESAMPLES)
    low, high = interval(TEMPERATURES[(counts @ weighted).argmin(axis=1)])
    return Estimate(value=value, low=min(low, value), high=max(high, value))
