"""Temperature and class priors from labels: planted shifts are found, and noise is not."""

import re

import numpy as np
import pytest
from scipy import stats

from fer_core.errors import DataError
from fer_core.evaluation.few_labels import set_adjustment
from fer_core.evaluation.few_labels.pool import Labelled
from fer_core.evaluation.few_labels.set_adjustment import Fitted, adjust_to_set
from fer_core.evaluation.predictions import SplitPredictions
from fer_core.labels import LabelSet
from tests.support.constructed import make_scores
from tests.support.pools import drawn_labels

LABELS = LabelSet.of(["angry", "happy", "sad"])


def world(priors, images=6000, sharper=1.0, seed=0):
    """Returns probabilities that are right under equal priors, and classes with other priors."""
    random = np.random.default_rng(seed)
    truth = random.choice(3, images, p=priors)
    logits = random.normal(0, 1, (images, 3)) + 1.5 * np.eye(3)[truth]
    raised = np.exp(sharper * 1.5 * logits)  # 1.5: the log density ratio of the normal
    return raised / raised.sum(axis=1, keepdims=True), truth


def adjust(priors, sharper=1.0, labels=100, seed=0):
    known, classes = world(np.ones(3) / 3, seed=99)
    ids = np.array([f"v/{index}" for index in range(len(known))], dtype=object)
    validation = SplitPredictions(LABELS, ids, classes, known)
    probabilities, truth = world(priors, sharper=sharper, seed=seed)
    rows = np.random.default_rng(seed).choice(len(truth), labels, replace=False)
    drawn = Labelled(rows, np.eye(3)[truth[rows]], 1 / (len(truth) - np.arange(labels)))
    return adjust_to_set("mine", probabilities, drawn, validation)


def test_other_class_shares_are_found_and_help():
    result = adjust(np.array([0.85, 0.1, 0.05]), labels=150)
    assert result.fitted is Fitted.PRIORS
    assert result.helps
    shift = np.array(result.logit_shift)
    assert shift[0] - shift[1] == pytest.approx(np.log(8.5), abs=0.6)
    assert result.shares[0].low < 0.85 < result.shares[0].high
    assert result.temperature.low <= 1 <= result.temperature.high


def test_overconfidence_is_found_and_helps():
    result = adjust(np.ones(3) / 3, sharper=4.0, labels=60)
    assert result.helps
    assert result.temperature.low < 4 < result.temperature.high


def test_the_same_set_gains_nothing():
    helps = [adjust(np.ones(3) / 3, labels=40, seed=seed).helps for seed in range(6)]
    assert not any(helps)


def tripled(images=4000, classes=3):
    """Returns probabilities whose logits were tripled, and classes that follow the true ones."""
    random = np.random.default_rng(0)
    logits = random.normal(0, 1.2, (images, classes))
    true = np.exp(logits)
    true /= true.sum(axis=1, keepdims=True)
    truth = (random.random((images, 1)) > true.cumsum(axis=1)).sum(axis=1)
    raised = np.exp(3 * logits)
    return raised / raised.sum(axis=1, keepdims=True), truth


def test_a_run_without_validation_has_a_temperature_against_its_own_probabilities():
    probabilities, truth = tripled()
    weights = np.where(truth == 0, 4.0, 1.0)  # one class is drawn four times as often
    result = adjust_to_set("mine", probabilities, drawn_labels(truth, 600, weights), None)
    assert result.fitted is Fitted.TEMPERATURE
    assert result.temperature.low < 3 < result.temperature.high
    assert result.helps
    assert sum(share.value for share in result.shares) == pytest.approx(1)
    assert result.logit_shift == (0.0, 0.0, 0.0)


def test_the_interval_of_the_gain_holds_for_both_fits(monkeypatch):
    """Bonferroni: the quantiles of Student's distribution are those of 95% and of 97.5%."""
    probabilities, truth = tripled()
    labels = drawn_labels(truth, 60, np.ones(len(truth)))
    monkeypatch.setattr(set_adjustment, "fit_temperature", lambda validation: 1.0)
    known = make_scores(truth, probabilities)
    one, two = (
        adjust_to_set("mine", probabilities, labels, validation) for validation in (None, known)
    )
    assert two.fitted is Fitted.TEMPERATURE
    assert two.gain.value == one.gain.value
    narrow, wide = (result.gain.high - result.gain.value for result in (one, two))
    assert wide / narrow == pytest.approx(stats.t.ppf(0.9875, 59) / stats.t.ppf(0.975, 59))


def test_a_calibrated_run_without_validation_gains_nothing():
    probabilities, truth = tripled()
    calibrated = probabilities ** (1 / 3)
    calibrated /= calibrated.sum(axis=1, keepdims=True)
    labels = drawn_labels(truth, 300, np.ones(len(truth)))
    result = adjust_to_set("mine", calibrated, labels, None)
    assert result.temperature.low < 1 < result.temperature.high
    assert result.gain.low < 0.005


def test_the_order_of_labels_drawn_with_equal_probability_does_not_matter():
    """Of 60 images 50 are drawn: the last with probability 1/11, which is no reason to weigh less.

    An unclear label counts as drawn.
    """
    probabilities, truth = tripled(images=60)
    rows, chance = np.arange(50), 1 / (60 - np.arange(50))
    shares = np.eye(3)[truth[rows]]
    shares[20] = 0
    first, second = (
        adjust_to_set("mine", probabilities, Labelled(rows[order], shares[order], chance), None)
        for order in (slice(None), slice(None, None, -1))
    )
    assert first.gain.value == pytest.approx(second.gain.value)
    assert first.temperature.value == second.temperature.value


def test_few_labels_are_refused():
    message = "Temperature and class shares need 20 clear labels; there are 19."
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        adjust(np.ones(3) / 3, labels=19)


def test_a_run_that_is_as_overconfident_on_validation_gains_nothing():
    (known, classes), (probabilities, truth) = (
        world(np.ones(3) / 3, sharper=4.0, seed=seed) for seed in (99, 0)
    )
    labels = drawn_labels(truth, 100, np.ones(len(truth)))
    result = adjust_to_set("mine", probabilities, labels, make_scores(classes, known))
    assert not result.helps
    assert result.gain.value < 0.05
    # without validation the start is a temperature of 1
    assert adjust_to_set("mine", probabilities, labels, None).helps


def test_class_shares_are_drawn_to_the_benchmarks_by_a_label_per_class():
    logs = np.log(np.full((20, 3), 1 / 3))
    base = np.array([0.5, 0.25, 0.25])
    shares = np.tile([1.0, 0.0, 0.0], (20, 1))
    _, shift = set_adjustment._Known(logs, shares, np.ones(20)).fit(base, Fitted.PRIORS)
    assert np.exp(shift) * base == pytest.approx([21.5 / 23, 0.75 / 23, 0.75 / 23])
    # every second label counts three times: as (20 * 2)^2 / (10 + 10 * 9) = 16 equal ones
    weights = np.tile([1.0, 3.0], 10)
    _, shift = set_adjustment._Known(logs, shares, weights).fit(base, Fitted.PRIORS)
    assert np.exp(shift) * base == pytest.approx([17.5 / 19, 0.75 / 19, 0.75 / 19])
