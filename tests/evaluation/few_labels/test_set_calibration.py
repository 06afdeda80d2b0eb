import numpy as np
import pytest

from fer_core.errors import DataError
from fer_core.evaluation.few_labels.pool import Labelled
from fer_core.evaluation.few_labels.set_calibration import set_calibration


def overconfident(images=4000, classes=3):
    """Returns probabilities whose logits were tripled, and classes that follow the true ones."""
    random = np.random.default_rng(0)
    logits = random.normal(0, 1.2, (images, classes))
    true = np.exp(logits)
    true /= true.sum(axis=1, keepdims=True)
    truth = (random.random((images, 1)) > true.cumsum(axis=1)).sum(axis=1)
    raised = np.exp(3 * logits)
    return raised / raised.sum(axis=1, keepdims=True), truth


def drawn(truth, count, weights, seed=1):
    """Draws labels one by one by weights."""
    random, labelled = np.random.default_rng(seed), Labelled.none(3)
    weights = weights.copy()
    for _ in range(count):
        probability = weights / weights.sum()
        row = int(random.choice(len(truth), p=probability))
        labelled = labelled.add(row, np.eye(3)[truth[row]], probability[row])
        weights[row] = 0
    return labelled


def test_temperature_and_class_shares_of_unequally_drawn_labels():
    probabilities, truth = overconfident()
    weights = np.where(truth == 0, 4.0, 1.0)  # one class is drawn four times as often
    result = set_calibration(probabilities, drawn(truth, 600, weights))
    assert result.temperature_low < 3 < result.temperature_high
    assert result.gain_low > 0
    assert result.shares.sum() == pytest.approx(1)


def test_intervals_of_class_shares_contain_them_in_95_percent_of_repeats():
    probabilities, truth = overconfident(1000)
    weights = np.where(truth == 0, 4.0, 1.0)
    shares, covered = np.bincount(truth) / len(truth), []
    for seed in range(60):
        result = set_calibration(probabilities, drawn(truth, 100, weights, seed))
        covered.append((result.shares_low < shares) & (shares < result.shares_high))
    assert 0.89 <= np.mean(covered) <= 0.995


def test_a_calibrated_run_gains_nothing():
    probabilities, truth = overconfident()
    calibrated = probabilities ** (1 / 3)
    calibrated /= calibrated.sum(axis=1, keepdims=True)
    result = set_calibration(calibrated, drawn(truth, 300, np.ones(len(truth))))
    assert result.temperature_low < 1 < result.temperature_high
    assert result.gain_low < 0.005


def test_few_labels_are_refused():
    probabilities, truth = overconfident(50)
    with pytest.raises(DataError, match="20 clear labels"):
        set_calibration(probabilities, drawn(truth, 19, np.ones(50)))
