"""Class priors of a set without labels, under the label-shift model: p(x | y) stays, p(y) changes.

BBSE solves for the priors with the confusion matrix of validation (Lipton et al. 2018,
arXiv:1802.03916). EM re-estimates them from calibrated probabilities (Saerens et al. 2002).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from fer_core.evaluation.predictions import SplitPredictions

Floats = NDArray[np.float64]
RESAMPLES = 200
_ROUNDS = 200
_RIDGE = 1e-3


@dataclass(frozen=True)
class Priors:
    """Estimated class priors with 95% bootstrap intervals; each has shape (K,)."""

    value: Floats
    low: Floats
    high: Floats


def priors_of(truth: NDArray[np.int64], classes: int) -> Floats:
    """Returns the share of each class, shape (classes,)."""
    counts = np.bincount(truth, minlength=classes).astype(np.float64)
    shares: Floats = counts / max(1.0, counts.sum())
    return shares


def bbse(validation: SplitPredictions, predicted: NDArray[np.int64]) -> Floats:
    """Returns class priors by black-box shift estimation.

    Args:
        validation: Labelled predictions of the benchmark's validation split.
        predicted: Predicted classes of the new set, shape (N,).

    Returns:
        Non-negative shares that sum to 1, shape (K,).
    """
    count = len(validation.labels)
    joint = np.zeros((count, count))  # [predicted, true]
    np.add.at(joint, (validation.predicted, validation.truth), 1.0 / len(validation))
    source = priors_of(validation.truth, count)
    target = priors_of(predicted, count)
    # the ridge keeps weights near 1 where a class is too rare to solve for (Azizzadenesheli 2019)
    system = joint.T @ joint + _RIDGE * np.diag(np.maximum(source, 1e-6) ** 2 + 1e-6)
    weights = np.linalg.solve(system, joint.T @ (target - joint.sum(axis=1))) + 1
    return _normalised(weights * source)


def em_priors(probabilities: Floats, source: Floats) -> Floats:
    """Returns class priors by expectation maximisation.

    It assumes that the probabilities are calibrated for each class, not only those of the predicted
    one.

    Args:
        probabilities: Calibrated probabilities of the new set, shape (N, K).
        source: Class priors under which they hold, shape (K,).

    Returns:
        Shares that sum to 1, shape (K,).
    """
    known = np.maximum(source, 1e-6)
    priors: Floats = known / known.sum()
    for _ in range(_ROUNDS):
        updated = reweighted(probabilities, priors / known).mean(axis=0)
        if float(np.abs(updated - priors).max()) < 1e-6:
            break
        priors = updated
    return priors


@dataclass(frozen=True)
class AgreementCheck:
    """Agreement of networks on a set, and what class shares alone would make of it.

    If only class shares differ, each class has the agreement that it has on validation.

    Attributes:
        observed: Mean agreement of pairs of networks on the set, 0 to 1.
        expected: Mean agreement on validation at the estimated class shares.
        p_value: One-sided test of a lower agreement than expected.
    """

    observed: float
    expected: float
    p_value: float

    @classmethod
    def of(
        cls, known: Floats, truth: NDArray[np.int64], shares: Floats, new: Floats
    ) -> "AgreementCheck":
        """Compares the agreement by image on validation and on the set.

        Args:
            known: Agreement of the networks on each validation image, shape (N,).
            truth: Class of each validation image, shape (N,).
            shares: Estimated class shares of the set, shape (K,).
            new: Agreement on each face of the set, shape (M,).
        """
        weights = (shares / np.maximum(priors_of(truth, len(shares)), 1e-6))[truth]
        weights = weights / weights.sum()
        expected = float(weights @ known)
        variance = float(weights @ (known - expected) ** 2)
        error = np.sqrt(variance * (1 / len(new) + float(weights @ weights)))
        observed = float(new.mean())
        score = (observed - expected) / error if error > 0 else 0.0
        return cls(observed, expected, float(ndtr(score)))


def reweighted(probabilities: Floats, weights: Floats) -> Floats:
    """Returns probabilities under other priors: multiplied by weights and normalised."""
    product = probabilities * weights
    total = product.sum(axis=1, keepdims=True)
    result: Floats = np.divide(product, total, out=probabilities.copy(), where=total > 0)
    return result


def with_interval(
    validation: SplitPredictions, predicted: NDArray[np.int64], seed: int = 0
) -> Priors:
    """Returns the priors by BBSE, with intervals over samples of both sets.

    EM has no interval: resampling leaves out its error where probabilities are not calibrated per
    class, which is the larger one.

    Args:
        validation: Labelled predictions of the benchmark's validation split.
        predicted: Predicted classes of the new set, shape (N,).
        seed: Seed of the bootstrap.
    """
    random = np.random.default_rng(seed)
    draws = np.empty((RESAMPLES, len(validation.labels)))
    for index in range(RESAMPLES):
        rows = random.integers(0, len(predicted), len(predicted))
        source_rows = random.integers(0, len(validation), len(validation))
        resampled = SplitPredictions(
            validation.labels,
            validation.ids[source_rows],
            validation.truth[source_rows],
            validation.probabilities[source_rows],
        )
        draws[index] = bbse(resampled, predicted[rows])
    low, high = np.quantile(draws, (0.025, 0.975), axis=0)
    value = bbse(validation, predicted)
    return Priors(value, np.minimum(value, low), np.maximum(value, high))


def _normalised(values: Floats) -> Floats:
    clipped: Floats = np.maximum(values, 0)
    return clipped / clipped.sum() if clipped.sum() > 0 else np.full_like(values, 1 / len(values))
