"""LoRA adapters (Hu et al. 2021, arXiv:2106.09685), with the library peft.

peft is imported where it is used: it takes a quarter of the time of all imports of a training.
"""

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from fer_core.config import ModelConfig
from fer_core.errors import RecipeError
from fer_core.models.registry import ModelSpec, spec_of

_MARK = ".lora_"
_WRAPPED = ".base_layer."


def add_adapter(model: nn.Module, config: ModelConfig) -> None:
    """Adds a LoRA adapter to a network in place; only the adapter and the classifier train.

    A new adapter does not change predictions, because its second factor is initialised to zero.
    Does nothing without `config.lora`.

    Args:
        model: Network built from `config`, with its initial weights loaded.
        config: The recipe's model section.

    Raises:
        RecipeError: If the architecture supports no adapter.
    """
    spec = spec_of(config)
    if config.lora is None:
        return
    if not spec.lora_targets:
        raise RecipeError(
            f"{spec.title} does not support LoRA, which adapts attention layers. "
            "Remove model.lora, or choose a ViT."
        )
    from peft import LoraConfig, inject_adapter_in_model

    inject_adapter_in_model(
        LoraConfig(
            r=config.lora.rank,
            lora_alpha=config.lora.alpha,
            lora_dropout=config.lora.dropout,
            target_modules=list(spec.lora_targets),
        ),
        model,
    )
    for head in spec.heads:
        model.get_submodule(head).requires_grad_(True)


def merge_adapters(model: nn.Module) -> nn.Module:
    """Adds each adapter to the weights that it adapts, in place, and returns the model.

    Predictions stay the same up to rounding; names of tensors are those of the base again.
    """
    from peft.tuners.lora import LoraLayer

    for name, module in list(model.named_modules()):
        if isinstance(module, LoraLayer):
            module.merge()
            model.set_submodule(name, module.get_base_layer())
    return model


def adapter_part(state: Mapping[str, Tensor], spec: ModelSpec) -> dict[str, Tensor]:
    """Returns the trained tensors of an adapter: its factors and the classifiers."""
    return {key: value for key, value in state.items() if _MARK in key or spec.is_head(key)}


def base_hash(model: nn.Module, spec: ModelSpec) -> str:
    """Returns a hash of an adapter's base: all weights except adapter and classifier.

    It hashes float16 values, so that publishing the base in float16 does not change the hash.
    """
    digest = hashlib.sha256()
    for key, value in sorted(_base_names(model.state_dict(), spec).items()):
        digest.update(key.encode())
        digest.update(value.detach().cpu().to(torch.float16).contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _base_names(state: Mapping[str, Tensor], spec: ModelSpec) -> dict[str, Tensor]:
    changed = adapter_part(state, spec)
    return {key.replace(_WRAPPED, "."): value for key, value in state.items() if key not in changed}
