"""Temperature and class priors of a set from a few labels, judged on labels left out."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

import numpy as np
from pydantic import BaseModel, ConfigDict
from scipy import stats

from fer_core.evaluation.few_labels.pool import Floats, Labelled
from fer_core.evaluation.few_labels.set_calibration import (
    TEMPERATURES,
    set_calibration,
)
from fer_core.evaluation.intervals import LEVEL, interval
from fer_core.evaluation.predictions import SplitPredictions
from fer_core.evaluation.report import Estimate

FOLDS = 100
"""Up to this number of labels each is left out by itself."""

_COARSE = TEMPERATURES[::2]
_RESAMPLES = 500
_SMALLEST = 1e-12


class Fitted(StrEnum):
    """What is fitted to the labels; the value is its name."""

    TEMPERATURE = "temperature"
    PRIORS = "temperature and class priors"


class SetAdjustment(BaseModel):
    """A run's temperature and prior shift on a set, from labels of the set.

    Attributes:
        set_name: The set.
        labels: Number of clear labels.
        fitted: What was fitted.
        temperature: Interval of the temperature (bootstrap over labels).
        shares: Share of each class in the set with its interval, in label order.
        logit_shift: Logarithm of the set's class priors over the benchmark's, shape (K,); added to
            the logits after the temperature. Zeros if only the temperature was fitted.
        gain: Decrease of the log loss in nats on labels left out, against the run's temperature of
            validation. Its interval holds for both kinds of `Fitted` together.
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
        """What was fitted and what it gains, in one sentence."""
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
        weights = 1 / labelled.probability[clear]
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
    validation: SplitPredictions,
    temperature: float,
) -> SetAdjustment:
    """Fits temperature and priors to labels, and judges both on labels left out.

    Of the two kinds of `Fitted` the one with the higher gain is returned; it may not help.

    Args:
        set_name: The set.
        probabilities: A run's probabilities of all N images of the set, shape (N, K).
        labelled: The labels with their sampling probabilities.
        validation: The run's predictions of the benchmark's validation split.
        temperature: Temperature fitted on validation.

    Raises:
        DataError: If there are fewer than `LEAST_LABELS` clear labels.
    """
    shares = set_calibration(probabilities, labelled)  # refuses too few labels
    known = _Known.of(probabilities, labelled)
    counts = np.bincount(validation.truth, minlength=len(validation.labels))
    base = (counts + 1) / (counts.sum() + len(counts))
    judged = {fitted: _gain(known, base, temperature, fitted) for fitted in Fitted}
    best = max(judged, key=lambda fitted: judged[fitted].value)
    value, shift = known.fit(base, best)
    bounds = zip(shares.shares, shares.shares_low, shares.shares_high, strict=True)
    return SetAdjustment(
        set_name=set_name,
        labels=len(known),
        fitted=best,
        temperature=_temperature(known, value, shift),
        shares=tuple(Estimate(value=v, low=low, high=high) for v, low, high in bounds),
        logit_shift=tuple(shift.tolist()),
        gain=judged[best],
    )


def _gain(known: _Known, base: Floats, temperature: float, fitted: Fitted) -> Estimate:
    """Returns the decrease of the weighted log loss on labels left out."""
    before = known.losses(np.zeros(len(base)), np.array([temperature]))[:, 0]
    after = np.zeros(len(known))
    fold = np.arange(len(known)) % min(len(known), FOLDS)
    for index in np.unique(fold):
        out = fold == index
        value, shift = known.select(~out).fit(base, fitted)
        after[out] = known.select(out).losses(shift, np.array([value]))[:, 0]
    gains = known.weights * (before - after)
    quantile = float(stats.t.ppf(1 - (1 - LEVEL) / 2 / len(Fitted), len(gains) - 1))
    half = quantile * float(gains.std(ddof=1)) / np.sqrt(len(gains))
    mean = float(gains.mean())
    return Estimate(value=mean, low=mean - half, high=mean + half)


def _temperature(known: _Known, value: float, shift: Floats) -> Estimate:
    weighted = known.weights[:, None] * known.losses(shift, TEMPERATURES)
    shares = np.full(len(known), 1 / len(known))
    counts = np.random.default_rng(0).multinomial(len(known), shares, size=_RESAMPLES)
    low, high = interval(TEMPERATURES[(counts @ weighted).argmin(axis=1)])
    return Estimate(value=value, low=min(low, value), high=max(high, value))
