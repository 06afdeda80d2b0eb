"""Adapting a run to a set from few labels, and whether that helps.

Three remedies, each a convex fit of new logits `scale * logits + features @ weights + bias`:
recalibration (only the scale; temperature scaling, Guo et al. 2017), prior shift (scale and bias;
bias-corrected temperature scaling, Alexandari et al. 2020, arXiv:1901.06852), and a linear head on
frozen features (all three). Every remedy is judged by cross-fitting: each label is predicted by a
fit that has not seen its group, so that no gain comes from what was learned by heart.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats
from scipy.special import log_softmax

from fer_core.errors import DataError
from fer_core.evaluation.intervals import CONFIDENCE_LEVEL
from fer_core.evaluation.significance import LEVEL, holm

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

LEAST_LABELS = 50
FOLDS = 5
PENALTIES = (1.0, 10.0, 100.0)
"""Candidates for the penalty of the head's weights; inner folds choose."""

_INNER_FOLDS = 3
_DIRECTIONS = 64  # principal components of the features that the head uses at most
_FLIPS = 4999
_SMALLEST = 1e-12


class Remedy(StrEnum):
    """Methods that adapt a run; the value is the name."""

    RECALIBRATION = "recalibration"
    PRIOR_SHIFT = "prior shift"
    LINEAR_HEAD = "linear head"


@dataclass(frozen=True)
class AdaptationData:
    """Labelled images of a set; M images, K classes, D features.

    Attributes:
        probabilities: The run's, shape (M, K).
        truth: Class indices, shape (M,).
        groups: Person or source of each image, or its position: never divided, shape (M,).
        features: Input of the run's classifier, shape (M, D); None without a network.
    """

    probabilities: Floats
    truth: Indices
    groups: Indices
    features: Floats | None = None

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def logits(self) -> Floats:
        """Log probabilities, shape (M, K)."""
        return np.log(np.maximum(self.probabilities, _SMALLEST))

    def select(self, rows: NDArray[np.bool_]) -> "AdaptationData":
        """Returns the images where a mask is true."""
        features = None if self.features is None else self.features[rows]
        return AdaptationData(
            self.probabilities[rows], self.truth[rows], self.groups[rows], features
        )


@dataclass(frozen=True)
class AdaptedLogits:
    """A fitted remedy, which changes a run's logits.

    Attributes:
        scale: Factor of the logits: 1 / temperature.
        bias: Term added to the logits, shape (K,).
        weights: Weights of the features, shape (D, K); None without a head.
    """

    scale: float
    bias: Floats
    weights: Floats | None = None

    def probabilities(self, data: AdaptationData) -> Floats:
        """Returns the adapted probabilities, shape (M, K)."""
        logits = self.scale * data.logits + self.bias
        if self.weights is not None and data.features is not None:
            logits = logits + data.features @ self.weights
        return np.asarray(np.exp(log_softmax(logits, axis=1)))


@dataclass(frozen=True)
class Gain:
    """Mean difference to the run as it is, with its 95% interval and p-value.

    Attributes:
        value: Positive if the remedy is better.
        low: Lower end of the interval.
        high: Upper end.
        p_value: P-value of a sign-flip test over groups, Holm-corrected over the remedies.
    """

    value: float
    low: float
    high: float
    p_value: float

    @property
    def significant(self) -> bool:
        """Whether the remedy is significantly better."""
        return self.value > 0 and self.p_value < LEVEL


@dataclass(frozen=True)
class JudgedRemedy:
    """A remedy with its gains on labels that its fits have not seen.

    Attributes:
        remedy: The remedy.
        accuracy: Gain in accuracy, -1 to 1.
        log_loss: Decrease of the log loss, in nats.
        probabilities: Cross-fitted probabilities of the labelled images, shape (M, K).
    """

    remedy: Remedy
    accuracy: Gain
    log_loss: Gain
    probabilities: Floats


def fit_remedy(remedy: Remedy, data: AdaptationData, seed: int = 0) -> AdaptedLogits:
    """Fits a remedy to all labels.

    Args:
        remedy: The remedy.
        data: The labelled images; a linear head needs their features.
        seed: Seed of the inner folds.

    Raises:
        DataError: If a linear head is requested without features.
    """
    if remedy is not Remedy.LINEAR_HEAD:
        return _fit_logits(data, with_bias=remedy is Remedy.PRIOR_SHIFT)
    if data.features is None:
        raise DataError("A linear head needs the features of the run's network.")
    losses = np.zeros(len(PENALTIES))
    for inside, outside in _folds(data.groups, _INNER_FOLDS, seed):
        for index, penalty in enumerate(PENALTIES):
            adapted = _fit_head(data.select(inside), penalty)
            losses[index] += _loss(adapted, data.select(outside)).sum()
    return _fit_head(data, PENALTIES[int(losses.argmin())])


def judge_remedies(
    data: AdaptationData, remedies: Sequence[Remedy] = tuple(Remedy), seed: int = 0
) -> tuple[JudgedRemedy, ...]:
    """Judges remedies by cross-fitting; a linear head is left out without features.

    Args:
        data: The labelled images.
        remedies: Remedies to judge.
        seed: Seed of folds and sign flips.

    Raises:
        DataError: If there are fewer than `LEAST_LABELS` labels, one class or fewer than `FOLDS`
            groups.
    """
    _check(data)
    remedies = [r for r in remedies if r is not Remedy.LINEAR_HEAD or data.features is not None]
    before = data.probabilities
    judged = []
    for remedy in remedies:
        after = np.zeros_like(before)
        for inside, outside in _folds(data.groups, FOLDS, seed):
            adapted = fit_remedy(remedy, data.select(inside), seed)
            after[outside] = adapted.probabilities(data.select(outside))
        right = (after.argmax(axis=1) == data.truth) * 1.0 - (before.argmax(axis=1) == data.truth)
        loss = _log_loss(before, data.truth) - _log_loss(after, data.truth)
        gains = [gain_of(difference, data.groups, seed) for difference in (right, loss)]
        judged.append(JudgedRemedy(remedy, gains[0], gains[1], after))
    # one family: a remedy is chosen by accuracy, and if none gains any, by log loss
    corrected = holm([gain.p_value for item in judged for gain in (item.accuracy, item.log_loss)])
    return tuple(
        replace(
            item,
            accuracy=replace(item.accuracy, p_value=float(first)),
            log_loss=replace(item.log_loss, p_value=float(second)),
        )
        for item, first, second in zip(judged, corrected[::2], corrected[1::2], strict=True)
    )


def best_remedy(judged: Sequence[JudgedRemedy]) -> JudgedRemedy | None:
    """Returns the remedy with the largest significant gain in accuracy.

    Without one, that with the largest significant gain in log loss that does not lose accuracy;
    None if no gain is significant.
    """
    accurate = [item for item in judged if item.accuracy.significant]
    if accurate:
        return max(accurate, key=lambda item: item.accuracy.value)
    calibrated = [x for x in judged if x.log_loss.significant and x.accuracy.value >= 0]
    return max(calibrated, key=lambda item: item.log_loss.value, default=None)


def gain_of(differences: Floats, groups: Indices, seed: int = 0) -> Gain:
    """Returns the mean of differences, with an interval and a test that respect groups.

    The test flips the signs of whole groups: without a gain both signs are equally probable.

    Args:
        differences: One per image, shape (M,).
        groups: Group of each, shape (M,).
        seed: Seed of the flips.
    """
    _, position = np.unique(groups, return_inverse=True)
    sums = np.bincount(position, weights=differences)
    value = float(differences.mean())
    signs = np.random.default_rng(seed).integers(0, 2, (_FLIPS, len(sums))) * 2 - 1
    flipped = np.abs(signs @ sums)
    p_value = (1 + int((flipped >= abs(sums.sum()) - 1e-9).sum())) / (_FLIPS + 1)
    count = len(sums)
    centred = sums - value * np.bincount(position)
    error = np.sqrt((centred**2).sum() * count / max(count - 1, 1)) / len(differences)
    half = float(stats.t.ppf((1 + CONFIDENCE_LEVEL) / 2, max(count - 1, 1)) * error)
    return Gain(value, value - half, value + half, p_value)


def _check(data: AdaptationData) -> None:
    if len(data) < LEAST_LABELS:
        raise DataError(
            f"Adapting needs at least {LEAST_LABELS} labels; there are {len(data)}. Label more "
            "faces on the page Label a few faces."
        )
    if len(np.unique(data.truth)) < 2:
        raise DataError(
            "All labels are of one class. Adapting needs at least two classes: label more faces."
        )
    if len(np.unique(data.groups)) < FOLDS:
        raise DataError(
            f"Adapting needs images of at least {FOLDS} persons or sources. Label faces of others."
        )


def _folds(
    groups: Indices, count: int, seed: int
) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """Yields masks of the images inside and outside of each fit; groups stay together."""
    names, position = np.unique(groups, return_inverse=True)
    fold = np.random.default_rng(seed).permutation(len(names)) % count
    for number in range(count):
        outside = fold[position] == number
        yield ~outside, outside


def _loss(adapted: AdaptedLogits, data: AdaptationData) -> Floats:
    return _log_loss(adapted.probabilities(data), data.truth)


def _log_loss(probabilities: Floats, truth: Indices) -> Floats:
    of_truth = probabilities[np.arange(len(truth)), truth]
    return np.asarray(-np.log(np.maximum(of_truth, _SMALLEST)))


def _fit_logits(data: AdaptationData, *, with_bias: bool) -> AdaptedLogits:
    nothing = np.zeros((len(data), 0))
    scale, bias, _ = _minimise(data, nothing, 1.0, with_bias=with_bias)
    return AdaptedLogits(scale, bias)


def _fit_head(data: AdaptationData, penalty: float) -> AdaptedLogits:
    """Fits weights of the features' principal components, and expresses them in the features."""
    assert data.features is not None  # noqa: S101 (checked by the caller)
    mean = data.features.mean(axis=0)
    spread = data.features.std(axis=0) + 1e-6 * (1 + np.abs(mean))
    size = np.sqrt(data.features.shape[1])
    standard = (data.features - mean) / spread / size
    _, _, directions = np.linalg.svd(standard, full_matrices=False)
    directions = directions[:_DIRECTIONS].T
    scale, bias, weights = _minimise(data, standard @ directions, penalty, with_bias=True)
    of_features = directions @ weights / spread[:, None] / size
    return AdaptedLogits(scale, bias - mean @ of_features, of_features)


def _minimise(
    data: AdaptationData, inputs: Floats, penalty: float, *, with_bias: bool
) -> tuple[float, Floats, Floats]:
    """Minimises the penalised log loss; returns scale, bias (K,) and weights (inputs, K)."""
    logits, truth = data.logits, data.truth
    classes, width = logits.shape[1], inputs.shape[1]
    targets = np.eye(classes)[truth]

    def unpack(values: Floats) -> tuple[float, Floats, Floats]:
        bias = values[1 : 1 + classes] if with_bias else np.zeros(classes)
        return values[0], bias, values[1 + classes :].reshape(width, classes)

    def loss(values: Floats) -> tuple[float, Floats]:
        scale, bias, weights = unpack(values)
        logs = log_softmax(scale * logits + inputs @ weights + bias, axis=1)
        slope = np.exp(logs) - targets
        bias_slope = slope.sum(axis=0) + bias if with_bias else np.zeros(classes)
        gradient = np.concatenate(
            [[(slope * logits).sum() + (scale - 1)], bias_slope,
             (inputs.T @ slope + penalty * weights).ravel()]
        )  # fmt: skip
        penalised = 0.5 * ((scale - 1) ** 2 + (bias**2).sum() + penalty * (weights**2).sum())
        return float(-logs[np.arange(len(truth)), truth].sum() + penalised), gradient

    start = np.concatenate([[1.0], np.zeros(classes * (1 + width))])
    bounds = [(1e-3, None), *[(None, None)] * (len(start) - 1)]
    result = optimize.minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-7}
    )
    scale, bias, weights = unpack(np.asarray(result.x))
    return float(scale), bias, weights
