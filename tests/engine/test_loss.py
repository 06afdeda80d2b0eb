"""The training loss against hand-worked cases and torch's own cross-entropy."""

import math

import pytest
import torch
from torch.nn import functional as F

from fer_core.config import LossConfig
from fer_core.engine.loss import SoftCrossEntropy

LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.0, 1.0, 0.5]])
HARD = torch.eye(3)[[0, 2]]
EVEN = torch.tensor([10, 10, 10])


def test_plain_loss_is_cross_entropy():
    expected = F.cross_entropy(LOGITS, torch.tensor([0, 2]))
    assert SoftCrossEntropy(LossConfig(), EVEN)(LOGITS, HARD) == pytest.approx(float(expected))


def test_smoothing_is_that_of_torch():
    expected = F.cross_entropy(LOGITS, torch.tensor([0, 2]), label_smoothing=0.1)
    loss = SoftCrossEntropy(LossConfig(label_smoothing=0.1), EVEN)(LOGITS, HARD)
    assert loss == pytest.approx(float(expected))


def test_soft_targets_by_hand():
    logits = torch.zeros(1, 2)
    loss = SoftCrossEntropy(LossConfig(), torch.tensor([1, 1]))(logits, torch.tensor([[0.3, 0.7]]))
    assert loss == pytest.approx(math.log(2))


def test_balanced_weights_give_each_class_equal_weight():
    counts = torch.tensor([30, 10])
    loss = SoftCrossEntropy(LossConfig(class_weights="balanced"), counts)
    logits = torch.zeros(1, 2)
    frequent, rare = loss(logits, torch.eye(2)[[0]]), loss(logits, torch.eye(2)[[1]])
    # weights w with .75 w0 + .25 w1 = 1 and w1 = 3 w0
    assert float(frequent) == pytest.approx(math.log(2) * 2 / 3)
    assert float(rare) == pytest.approx(math.log(2) * 2)


def test_square_root_weights_by_hand():
    loss = SoftCrossEntropy(LossConfig(class_weights="sqrt"), torch.tensor([40, 10]))
    logits = torch.zeros(1, 2)
    frequent, rare = loss(logits, torch.eye(2)[[0]]), loss(logits, torch.eye(2)[[1]])
    # weights w with .8 w0 + .2 w1 = 1 and w1 = sqrt(4) w0
    assert float(frequent) == pytest.approx(math.log(2) / 1.2)
    assert float(rare) == pytest.approx(math.log(2) * 2 / 1.2)


def test_logit_adjustment_adds_the_log_prior():
    counts = torch.tensor([30, 10])
    loss = SoftCrossEntropy(LossConfig(logit_adjustment=1.0), counts)
    value = loss(torch.zeros(1, 2), torch.eye(2)[[1]])
    assert float(value) == pytest.approx(-math.log(0.25))
