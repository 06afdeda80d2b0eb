"""CODA: consensus-driven active model selection (Kay et al., ICCV 2025, arXiv:2507.23771).

Each run has a confusion matrix with a Dirichlet distribution per true class. Its prior comes from
the consensus, each label adds one count. The image to label is the one whose label is expected to
lower the entropy of P(run is best) most. This is an implementation of the published idea: runs
are compared class by class, and the expected gain is computed for a random subset of the images on
which runs disagree.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc

from fer_core.evaluation.few_labels.pool import Floats, Labelled, LabelPool, Rows
from fer_core.evaluation.few_labels.posterior import Posterior

CONSENSUS_SHARE = 0.9
"""Share of the prior that comes from the consensus; the rest is set by `_DIAGONAL`."""

PRIOR_LABELS = 2.0
"""Labels per class and run that the prior is worth."""

CANDIDATES = 100
"""Images whose expected gain is computed at each step."""

_DIAGONAL = 0.5
_GRID = 64
_SMALLEST = 1e-12


def coda(
    pool: LabelPool, labelled: Labelled, belief: Posterior, random: np.random.Generator
) -> Floats:
    """Returns weight 1 for the image with the largest expected gain, 0 for all others."""
    open_rows = pool.disagreement.copy()
    open_rows[labelled.rows] = False
    rows = np.flatnonzero(open_rows)
    weights = np.zeros(len(pool))
    if not len(rows):
        return weights
    if len(rows) > CANDIDATES:
        rows = random.choice(rows, CANDIDATES, replace=False)
    counts = confusion_counts(pool, labelled)
    classes = _class_probabilities(pool, counts, np.arange(len(pool)))
    gains = _expected_gains(pool, counts, classes.mean(axis=0), rows)
    weights[rows[gains.argmax()]] = 1
    return weights


def probability_best(pool: LabelPool, labelled: Labelled) -> Floats:
    """Returns P(run is best) of CODA's own model, shape (R,)."""
    counts = confusion_counts(pool, labelled)
    shares = _class_probabilities(pool, counts, np.arange(len(pool))).mean(axis=0)
    best = _best_by_class(*_beta_tables(*_betas(counts)))
    return np.asarray(shares @ best)


def confusion_counts(pool: LabelPool, labelled: Labelled) -> Floats:
    """Returns the Dirichlet parameters, shape (R, K, K): run, true class, predicted class."""
    classes = pool.classes
    counts = np.stack(
        [
            np.stack([np.bincount(predicted, column, classes) for column in pool.consensus.T])
            for predicted in pool.predicted
        ]
    )
    rates = (counts + _SMALLEST) / (counts + _SMALLEST).sum(axis=2, keepdims=True)
    right = np.full((classes, classes), (1 - _DIAGONAL) / max(classes - 1, 1))
    np.fill_diagonal(right, _DIAGONAL)
    prior: Floats = PRIOR_LABELS * (CONSENSUS_SHARE * rates + (1 - CONSENSUS_SHARE) * right)
    for run, predicted in enumerate(pool.predicted[:, labelled.rows]):
        np.add.at(prior[run].T, predicted.astype(np.int64), labelled.shares)
    return prior


def _class_probabilities(pool: LabelPool, counts: Floats, rows: Rows) -> Floats:
    """Returns class probabilities of images by all runs' confusion matrices, (len(rows), K)."""
    rates = counts / counts.sum(axis=2, keepdims=True)
    summed = np.zeros((len(rows), pool.classes))
    for run, predicted in enumerate(pool.predicted[:, rows]):
        summed += rates[run].T[predicted]
    return np.asarray(summed / summed.sum(axis=1, keepdims=True))


def _betas(counts: Floats) -> tuple[Floats, Floats]:
    """Returns the parameters of the recalls' beta distributions, each of shape (R, K)."""
    right = np.diagonal(counts, axis1=1, axis2=2)
    return right, counts.sum(axis=2) - right


def _beta_tables(right: Floats, wrong: Floats) -> tuple[Floats, Floats]:
    """Returns density times width and log distribution on a grid, shapes (R, K, grid)."""
    edges = np.linspace(0, 1, _GRID + 1)
    cumulative = np.asarray(betainc(right[..., None], wrong[..., None], edges))
    centre = (cumulative[..., 1:] + cumulative[..., :-1]) / 2
    return np.diff(cumulative, axis=-1), np.log(np.maximum(centre, _SMALLEST))


def _best_by_class(density: Floats, logs: Floats) -> Floats:
    """Returns P(run has the highest recall) by class; inputs (R, ..., grid), output (..., R)."""
    others = logs.sum(axis=0) - logs
    best = (density * np.exp(others)).sum(axis=-1)
    return np.moveaxis(best / np.maximum(best.sum(axis=0), _SMALLEST), 0, -1)


def _expected_gains(pool: LabelPool, counts: Floats, shares: Floats, rows: Rows) -> Floats:
    """Returns the expected decrease of the entropy of P(best) by labelling each image."""
    right, wrong = _betas(counts)
    present = _best_by_class(*_beta_tables(right, wrong))  # (K, R)
    tables = (_beta_tables(right, wrong + 1), _beta_tables(right + 1, wrong))
    density, logs = (np.stack(pair) for pair in zip(*tables, strict=True))  # (2, R, K, grid)
    overall = shares @ present
    runs = np.arange(pool.runs)[:, None]
    probabilities = _class_probabilities(pool, counts, rows)
    after = np.zeros(len(rows))
    for label in range(pool.classes):
        hits = (pool.predicted[:, rows] == label).astype(np.int64)  # (R, images)
        updated = _best_by_class(density[hits, runs, label], logs[hits, runs, label])
        best = overall + shares[label] * (updated - present[label])
        after += probabilities[:, label] * _entropy(best)
    gains: Floats = _entropy(overall[None])[0] - after
    return gains


def _entropy(probabilities: NDArray[np.float64]) -> Floats:
    clipped = np.maximum(probabilities, _SMALLEST)
    return np.asarray(-(clipped * np.log(clipped)).sum(axis=-1))
