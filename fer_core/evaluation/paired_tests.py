"""Paired tests of two models on the same samples, or on the same persons."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, gammaln

_DRAWS = 9_999
_DIGITS = 12
_TIE = 1e-9
"""Sums that differ by less than this share of the largest difference are equal."""

_LARGEST_SUM = 20_000
"""Up to this sum of sizes, the distribution of whole differences is computed, not drawn."""


def mcnemar(only_first: int, only_second: int) -> float:
    """Returns McNemar's exact two-sided p-value (McNemar 1947).

    Samples on which both models are right or both are wrong carry no information about the
    difference. Under the null hypothesis each model wins half of the others.

    Args:
        only_first: Samples that only the first model gets right.
        only_second: Samples that only the second model gets right.
    """
    discordant = only_first + only_second
    if discordant == 0:
        return 1.0
    return min(1.0, 2 * float(bdtr(min(only_first, only_second), discordant, 0.5)))


def sign_flip_test(differences: NDArray[np.float64], *, seed: int = 0) -> float:
    """Returns the two-sided p-value that paired differences are symmetric around 0 (Pitman 1937).

    Differences of one size give McNemar's exact test, and whole numbers an exact test. Otherwise
    9,999 flips are drawn, and the smallest p-value is 0.0001 (Phipson and Smyth 2010).

    Args:
        differences: Differences by sample or person, shape (N,).
        seed: Seed of the drawn flips.
    """
    gaps = _rounded(differences)
    gaps = gaps[gaps != 0]
    sizes, counts = np.unique(np.abs(gaps), return_counts=True)
    if len(sizes) <= 1:
        return mcnemar(int((gaps < 0).sum()), int((gaps > 0).sum()))
    if np.array_equal(sizes, np.rint(sizes)) and sizes @ counts <= _LARGEST_SUM:
        return _exact(sizes.astype(np.int64), counts, round(abs(gaps.sum())))
    # samples of one size are exchangeable, so only the number of positive signs is drawn
    positive = np.random.default_rng(seed).binomial(counts, 0.5, (_DRAWS, len(sizes)))
    sums = np.abs((2 * positive - counts) @ sizes)
    at_least = np.count_nonzero(sums >= abs(gaps.sum()) - _TIE * sizes[-1])
    return float((1 + at_least) / (1 + _DRAWS))


def _rounded(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rounds away the errors of sums, which grow with the largest difference."""
    largest = float(np.abs(differences).max(initial=1.0))
    rounded: NDArray[np.float64] = np.round(differences, _DIGITS - math.ceil(math.log10(largest)))
    return rounded


def _exact(sizes: NDArray[np.int64], counts: NDArray[np.int64], seen: int) -> float:
    """Returns the probability that a sum of whole numbers with random signs is as far from 0.

    Args:
        sizes: Sizes of the numbers, shape (S,).
        counts: How many numbers have each size, shape (S,).
        seen: Size of the sum that was seen.
    """
    chances = np.ones(1)  # of each sum of the positive numbers
    for size, count in zip(sizes, counts, strict=True):
        positive = np.zeros(size * count + 1)
        positive[::size] = _half_binomial(int(count))
        chances = np.convolve(chances, positive)
    total = len(chances) - 1
    sums = np.abs(2 * np.arange(total + 1) - total)
    return min(1.0, float(chances[sums >= seen].sum()))


def _half_binomial(count: int) -> NDArray[np.float64]:
    """Returns the probability of each number of heads in `count` throws of a coin."""
    heads = np.arange(count + 1)
    logs = gammaln(count + 1) - gammaln(heads + 1) - gammaln(count - heads + 1)
    chances: NDArray[np.float64] = np.exp(logs - count * np.log(2))
    return chances
