"""Parameter groups, rates, and the optimiser's state by name."""

import pytest
import torch
from torch import nn

from fer_core.config import OptimConfig
from fer_core.engine.optim import (
    learning_rate,
    load_named_state,
    make_optimizer,
    named_state,
    set_learning_rate,
)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.ModuleDict({"body": nn.Linear(3, 3), "head": nn.Linear(3, 2)})


def test_vectors_have_no_weight_decay_and_the_backbone_has_its_learning_rate():
    model = network()
    config = OptimConfig(lr=1.0, weight_decay=0.1, backbone_lr=0.25)
    optimizer = make_optimizer(model, ["head"], config)
    set_learning_rate(optimizer, 0.8)
    result = {
        name: (group["weight_decay"], group["lr"])
        for group in optimizer.param_groups
        for name, weight in model.named_parameters()
        if any(weight is member for member in group["params"])
    }
    assert result == {
        "body.weight": (0.1, 0.2),
        "body.bias": (0.0, 0.2),
        "head.weight": (0.1, 0.8),
        "head.bias": (0.0, 0.8),
    }


def test_every_classifier_has_the_full_learning_rate():
    model = nn.ModuleDict({"body": nn.Linear(3, 3), "head": nn.Linear(3, 2)})
    model["head_dist"] = nn.Linear(3, 2)
    for heads in (["head", "head_dist"], ["head"]):  # a name that only starts alike is no head
        optimizer = make_optimizer(model, heads, OptimConfig(backbone_lr=0.25))
        full = [group["params"] for group in optimizer.param_groups if group["share"] == 1.0]
        expected = {weight for head in heads for weight in model[head].parameters()}
        assert {weight for weights in full for weight in weights} == expected


def test_learning_rate_by_hand():
    config = OptimConfig(lr=1.0, min_lr=0.2)
    rates = [learning_rate(step, config, warmup=2, total=6) for step in range(7)]
    assert rates == pytest.approx([0.5, 1.0, 1.0, 0.8828427, 0.6, 0.3171573, 0.2])


def test_optimizer_state_is_restored_to_the_same_weights():
    one, other = network(), network()
    first = make_optimizer(one, ["head"], OptimConfig())
    inputs = torch.randn(5, 3)
    for _ in range(3):
        one["head"](one["body"](inputs)).square().mean().backward()
        first.step()
        first.zero_grad()
    second = make_optimizer(other, ["head"], OptimConfig())
    load_named_state(other, second, named_state(one, first))
    other.load_state_dict(one.state_dict())
    for model, optimizer in ((one, first), (other, second)):
        model["head"](model["body"](inputs)).square().mean().backward()
        optimizer.step()
    for key, value in one.state_dict().items():
        assert torch.equal(other.state_dict()[key], value)


def test_optimizer_state_of_another_network_is_refused():
    model = network()
    with pytest.raises(KeyError):
        load_named_state(
            model, make_optimizer(model, ["head"], OptimConfig()), {"x.step": torch.ones(1)}
        )
