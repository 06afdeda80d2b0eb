"""Accuracies and class shares from images that were sampled with known, unequal probabilities.

The estimator is unbiased for every adaptive sampling whose probabilities are known and positive:
the weights of Farquhar et al. 2021 (arXiv:2101.11665), which active testing uses (LURE; Kossen et
al. 2021, arXiv:2103.05331), applied to the difference between a run's result and what the consensus
expects (difference estimator, Särndal et al. 1992). The interval is Wilson's with the effective
number of labels and Student's quantile.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from fer_core.evaluation.few_labels.pool import Floats, Labelled, LabelPool
from fer_core.evaluation.intervals import CONFIDENCE_LEVEL
from fer_core.evaluation.report import Estimate

_EDGE = 1e-3  # an estimate of 0 or 1 still has an interval
_ONE_LABEL = 0.25  # variance of one more label: equal results of a few labels prove nothing


@dataclass(frozen=True)
class AccuracyEstimates:
    """Accuracies with 95% intervals, each of shape (R,), 0 to 1."""

    value: Floats
    low: Floats
    high: Floats


def estimate_accuracies(pool: LabelPool, labelled: Labelled) -> AccuracyEstimates:
    """Estimates every run's accuracy on the clear images of the pool and those with known labels.

    With fewer than two labels the results on the pool are between none and all right.
    """
    unknown, share_clear = _unknown_accuracies(pool, labelled)
    if not pool.known_images:
        return unknown
    images = share_clear * len(pool)

    def of_all(share: Floats) -> Floats:
        return np.asarray((pool.known_right + images * share) / (pool.known_images + images))

    return AccuracyEstimates(*map(of_all, (unknown.value, unknown.low, unknown.high)))


def _unknown_accuracies(pool: LabelPool, labelled: Labelled) -> tuple[AccuracyEstimates, float]:
    """Returns the accuracies on the images of the pool, and the share of clear ones among them."""
    runs = pool.runs
    expected = pool.expected.mean(axis=1, dtype=np.float64)
    if len(labelled) < 2:
        return AccuracyEstimates(expected, np.zeros(runs), np.ones(runs)), 1.0
    clear = labelled.clear.astype(np.float64)[:, None]
    surprise = labelled.right(pool) - pool.expected[:, labelled.rows].T
    totals, deviations = lure(np.hstack([surprise, clear - 1]), labelled.probability, len(pool))
    share_clear = max(1 + float(totals[-1]), _EDGE)
    value = np.clip((expected + totals[:-1]) / share_clear, 0, 1)
    if len(labelled) >= len(pool):
        return AccuracyEstimates(value, value, value), share_clear
    return _with_interval(value, deviations, share_clear), share_clear


def estimate_shares(labelled: Labelled, images: int) -> tuple[Estimate, ...]:
    """Estimates the share of each class among the clear images, with 95% intervals.

    Args:
        labelled: At least two labels, one of them clear.
        images: Number of images, N.
    """
    clear = labelled.clear.astype(np.float64)[:, None]
    values = np.hstack([labelled.shares, clear])
    totals, deviations = lure(values, labelled.probability, images)
    share_clear = max(totals[-1], _EDGE)
    shares = np.clip(totals[:-1] / share_clear, 0, 1)
    found = _with_interval(shares, deviations, share_clear)
    low, high = (shares, shares) if len(labelled) >= images else (found.low, found.high)
    return tuple(
        Estimate(value=v, low=a, high=b)
        for v, a, b in zip(shares.tolist(), low.tolist(), high.tolist(), strict=True)
    )


def lure(values: Floats, probability: Floats, total: int) -> tuple[Floats, Floats]:
    """Returns LURE's estimate of the values' mean over all images, and each label's deviation.

    The deviations are uncorrelated given the labels before them; the sum of their squares divided
    by M (M - 1) is the variance of the estimate.

    Args:
        values: Values of the labelled images in sampling order, shape (M, F).
        probability: Probability of each, given those before it, shape (M,).
        total: Number of images, N.

    Returns:
        Estimates, shape (F,), and deviations, shape (M, F).
    """
    count = len(values)
    if count >= total:
        return values.mean(axis=0), np.zeros_like(values)
    step = np.arange(1, count + 1)
    before = np.cumsum(values, axis=0) - values
    unbiased = (before + values / probability[:, None]) / total  # each is an estimate by itself
    weight = (total * (total - count) / ((total - step) * (total - step + 1.0)))[:, None]
    mean = (weight * unbiased).mean(axis=0)
    return mean, weight * (unbiased - mean)


def lure_weights(probability: Floats, total: int) -> Floats:
    """Returns LURE's weight of each label, shape (M,), at least 0.

    The weighted mean of the labels' values is LURE's estimate of the mean over all images, which
    `lure` computes. Unlike 1 / probability, the weights allow for sampling without replacement.

    Args:
        probability: Probability of each label in sampling order, given those before it; with those
            of unclear images, which were drawn too.
        total: Number of images, N.
    """
    count = len(probability)
    if count >= total:
        return np.ones(count)
    step = np.arange(1, count + 1)
    left = total - step
    weights = 1 + (total - count) / left * (1 / ((left + 1) * probability) - 1)
    return np.asarray(np.maximum(weights, 0))  # below 0 by rounding only


def _with_interval(value: Floats, deviations: Floats, share_clear: float) -> AccuracyEstimates:
    """Adds Wilson's interval of a proportion with the number of labels that has its variance.

    Args:
        value: Shares of the clear images, shape (F,).
        deviations: Deviations of their images, and of the clear ones, by label; shape (M, F + 1).
        share_clear: Share of clear images.
    """
    degrees = len(deviations) - 1
    # linearised ratio: these images over clear images
    ratio = (deviations[:, :-1] - value * deviations[:, -1:]) / share_clear
    variance = ((ratio**2).sum(axis=0) + _ONE_LABEL) / (len(deviations) * degrees)
    quantile = float(stdtrit(degrees, (1 + CONFIDENCE_LEVEL) / 2))
    inner = np.clip(value, _EDGE, 1 - _EDGE)
    # as Agresti and Coull: at 0 and 1 the variance of a proportion vanishes
    smoothed = (value * (degrees + 1) + quantile**2 / 2) / (degrees + 1 + quantile**2)
    labels = smoothed * (1 - smoothed) / variance
    square = quantile**2 / labels
    centre = (inner + square / 2) / (1 + square)
    half = np.sqrt(square * (inner * (1 - inner) + square / 4)) / (1 + square)
    low, high = np.clip(centre - half, 0, 1), np.clip(centre + half, 0, 1)
    return AccuracyEstimates(value, np.minimum(low, value), np.maximum(high, value))
