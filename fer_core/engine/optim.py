"""AdamW with parameter groups, its learning-rate schedule and its state by parameter name."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from fer_core.config import OptimConfig


def make_optimizer(model: nn.Module, heads: Sequence[str], config: OptimConfig) -> AdamW:
    """Returns AdamW over all parameters that require a gradient.

    Biases, normalisation layers and other vectors have no weight decay. Each group's `share`
    scales the learning rate: 1 for the classifiers, `backbone_lr` for the rest. On a CUDA GPU one
    kernel updates all weights.
    """
    prefixes = tuple(f"{head}." for head in heads)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, weight in model.named_parameters():
        if not weight.requires_grad:
            continue
        decay = config.weight_decay if weight.ndim >= 2 else 0.0
        share = 1.0 if name.startswith(prefixes) else config.backbone_lr
        groups.setdefault((decay, share), []).append(weight)
    return AdamW(
        [
            {"params": weights, "weight_decay": decay, "share": share}
            for (decay, share), weights in groups.items()
        ],
        lr=config.lr,
        fused=next(model.parameters()).is_cuda or None,
    )


def learning_rate(step: int, config: OptimConfig, warmup: int, total: int) -> float:
    """Returns the learning rate at a global step: linear warm-up, then cosine decay to `min_lr`."""
    if step < warmup:
        return config.lr * (step + 1) / warmup
    share = (step - warmup) / max(1, total - warmup)
    return config.min_lr + (config.lr - config.min_lr) * (1 + math.cos(math.pi * share)) / 2


def set_learning_rate(optimizer: AdamW, rate: float) -> None:
    """Sets each group's learning rate to its share of `rate`."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["share"]


def named_state(model: nn.Module, optimizer: AdamW) -> dict[str, Tensor]:
    """Returns the optimizer's state as `<parameter>.<moment>`; empty before the first step."""
    return {
        f"{name}.{key}": value
        for name, weight in model.named_parameters()
        for key, value in optimizer.state.get(weight, {}).items()
    }


def load_named_state(model: nn.Module, optimizer: AdamW, tensors: Mapping[str, Tensor]) -> None:
    """Restores the result of `named_state`.

    Raises:
        KeyError: If a tensor belongs to no weight of the model.
    """
    weights = dict(model.named_parameters())
    for key, value in tensors.items():
        name, _, moment = key.rpartition(".")
        weight = weights[name]
        state: dict[str, Any] = optimizer.state[weight]
        # moments need the parameter's device and memory layout, the step counter of the fused
        # kernel only the device
        if value.ndim:
            state[moment] = torch.empty_like(weight).copy_(value)
        else:
            state[moment] = value.to(
                weight.device if optimizer.defaults["fused"] else "cpu"
            ).clone()
