"""LoRA: small trained additions to a network whose own weights stay as they are.

Hu et al. 2021 (arXiv:2106.09685), by the library peft.
"""

import hashlib
from collections.abc import Mapping

import torch
from peft import LoraConfig as PeftConfig
from peft import inject_adapter_in_model
from torch import Tensor, nn

from fer_core.config import ModelConfig
from fer_core.errors import RecipeError
from fer_core.models.registry import ModelSpec, spec_of

_MARK = ".lora_"
_WRAPPED = ".base_layer."


def add_adapter(model: nn.Module, config: ModelConfig) -> None:
    """Puts low-rank additions into a network in place; only they and the classifier train.

    A fresh adapter changes no answer: its second factor starts at zero.

    Args:
        model: As built from `config`, with its initial weights loaded.
        config: Its `lora` part says how large the additions are.

    Raises:
        RecipeError: If the architecture names no layers for an adapter.
    """
    spec = spec_of(config.architecture)
    if config.lora is None:
        return
    if not spec.lora_targets:
        raise RecipeError(
            f"{spec.title} has no layers for an adapter; model.lora suits attention layers. "
            "Remove model.lora, or choose a ViT."
        )
    inject_adapter_in_model(
        PeftConfig(
            r=config.lora.rank,
            lora_alpha=config.lora.alpha,
            lora_dropout=config.lora.dropout,
            target_modules=list(spec.lora_targets),
        ),
        model,
    )
    model.get_submodule(spec.head).requires_grad_(True)


def adapter_part(state: Mapping[str, Tensor], spec: ModelSpec) -> dict[str, Tensor]:
    """Returns the tensors that an adapter's training changes: its factors and the classifier."""
    return {
        key: value
        for key, value in state.items()
        if _MARK in key or key.startswith(f"{spec.head}.")
    }


def base_hash(model: nn.Module, spec: ModelSpec) -> str:
    """Returns a hash of all weights below an adapter and its classifier.

    Weights count as float16, so that a base keeps its hash when its float16 copy is published.
    """
    digest = hashlib.sha256()
    for key, value in sorted(_base_names(model.state_dict(), spec).items()):
        digest.update(key.encode())
        digest.update(value.detach().cpu().to(torch.float16).contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _base_names(state: Mapping[str, Tensor], spec: ModelSpec) -> dict[str, Tensor]:
    changed = adapter_part(state, spec)
    return {key.replace(_WRAPPED, "."): value for key, value in state.items() if key not in changed}
