"""Made-up runs with known accuracies, for choosing a run from few labels."""

import numpy as np

from fer_core.evaluation.few_labels.pool import Labelled, LabelPool


def made_up_runs(accuracies, images=400, classes=4, seed=0):
    """Returns probabilities by run, each (images, classes), and the truth."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, classes, images)
    runs = []
    for accuracy in accuracies:
        right = random.random(images) < accuracy
        shift = random.integers(1, classes, images)
        predicted = np.where(right, truth, (truth + shift) % classes)
        logits = random.normal(0, 0.5, (images, classes))
        logits[np.arange(images), predicted] += 2.5 + random.exponential(0.5, images)
        # the largest logit is that of the predicted class
        raised = np.exp(logits)
        runs.append(raised / raised.sum(axis=1, keepdims=True))
    return runs, truth


def labels_of(pool: LabelPool, rows, truth, probability=None) -> Labelled:
    """Returns labels of some rows, drawn with equal probabilities unless given."""
    rows = np.asarray(rows, dtype=np.int64)
    equal = 1 / (len(pool) - np.arange(len(rows)))
    return Labelled(
        rows, np.eye(pool.classes)[truth[rows]], equal if probability is None else probability
    )


def drawn_labels(truth, count, weights, seed=1) -> Labelled:
    """Draws labels one by one by weights, each image at most once."""
    classes = int(truth.max()) + 1
    random, labelled = np.random.default_rng(seed), Labelled.none(classes)
    weights = weights.copy()
    for _ in range(count):
        probability = weights / weights.sum()
        row = int(random.choice(len(truth), p=probability))
        labelled = labelled.add(row, np.eye(classes)[truth[row]], probability[row])
        weights[row] = 0
    return labelled
