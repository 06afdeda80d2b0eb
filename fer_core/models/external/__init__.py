"""Architectures of timm, transformers and torchvision, by a name such as `timm:convnext_tiny`.

`resolved` reads what the name stands for, once; the result is recorded in a run, which can then be
built anywhere. Parts that this project needs to know, such as the CAM layer, are found by `probe`.
"""

from collections.abc import Mapping
from functools import lru_cache

import torch
from torch import nn

from fer_core.config import ModelConfig
from fer_core.errors import RecipeError
from fer_core.models.external.base import Library, LogitsOnly
from fer_core.models.external.probe import probe, supports_size
from fer_core.models.external.timm_library import TimmLibrary
from fer_core.models.external.torchvision_library import TorchvisionLibrary
from fer_core.models.external.transformers_library import TransformersLibrary, hub_values
from fer_core.models.registry import HALF, ModelSpec

LIBRARIES: Mapping[str, Library] = {
    "timm": TimmLibrary(),
    "hf": TransformersLibrary(),
    "torchvision": TorchvisionLibrary(),
}
"""Libraries by the prefix of an architecture's name."""

__all__ = [
    "LIBRARIES", "LogitsOnly", "build", "default_size", "hub_values", "resolved", "spec",
    "takes_size",
]  # fmt: skip

_MAX_PARAMETERS = 2_000_000_000
_PROBED_CLASSES = 11  # a number that no layer has by accident


def resolved(config: ModelConfig) -> ModelConfig:
    """Returns a configuration that builds its network without a hub.

    Raises:
        RecipeError: If the library has no such architecture.
    """
    return _library(config).resolved(config)


def build(config: ModelConfig, classes: int) -> nn.Module:
    """Builds a network with random weights, in training mode.

    Raises:
        RecipeError: If the architecture is unknown, too large or refuses its options.
    """
    library = _library(config)
    model = library.build(library.resolved(config), classes)
    return model.train()


def spec(config: ModelConfig) -> ModelSpec:
    """Returns an architecture's facts for one configuration.

    Raises:
        RecipeError: If the architecture is unknown, or its network does not map images of this
            size to logits.
    """
    return _spec(_library(config).resolved(config).model_dump_json())


def takes_size(config: ModelConfig, size: int) -> bool:
    """Whether the network of a configuration also takes images of another size."""
    return supports_size(_on_meta(_library(config).resolved(config)), size)


def default_size(architecture: str) -> int | None:
    """Returns the input side that an architecture was designed for; None if it is unknown.

    Those of this project's own architectures are in recipes only.
    """
    library = LIBRARIES.get(architecture.partition(":")[0])
    return None if library is None else library.default_size(architecture)


def _library(config: ModelConfig) -> Library:
    return LIBRARIES[config.architecture.partition(":")[0]]


@lru_cache(maxsize=64)
def _spec(content: str) -> ModelSpec:
    config = ModelConfig.model_validate_json(content)
    library = _library(config)
    model = _on_meta(config)
    try:
        probed = probe(model, config.image_size, _PROBED_CLASSES)
    except RecipeError as error:
        raise RecipeError(f"{config.architecture} cannot be used: {error}") from error
    facts = library.facts(config, model)
    return ModelSpec(
        key=config.architecture,
        title=facts.title,
        family=probed.family,
        build=library.build,
        mean=config.mean or HALF,
        std=config.std or HALF,
        cam_layer=probed.cam_layer,
        head=probed.head,
        min_size=1,
        licence=facts.licence,
        reference=facts.reference,
        pretrained=facts.pretrained,
        prefix_tokens=probed.prefix_tokens,
        patch=None if probed.grid is None else config.image_size // probed.grid,
        lora_targets=probed.lora_targets,
        adapt=facts.adapt,
        layout=probed.layout,
        inverts_layer_cam=probed.inverts_layer_cam,
        inverts_ablation_cam=probed.inverts_ablation_cam,
        more_heads=probed.more_heads,
        mean_pooled=facts.mean_pooled or not probed.prefix_tokens,
    )


def _on_meta(config: ModelConfig) -> nn.Module:
    """Builds a network without memory.

    Raises:
        RecipeError: If it has too many parameters.
    """
    library = _library(config)
    try:
        with torch.device("meta"):
            model = library.build(config, _PROBED_CLASSES)
    except RecipeError:  # some constructors compute with values
        model = library.build(config, _PROBED_CLASSES).to("meta")
    model.eval()
    count = sum(weight.numel() for weight in model.parameters())
    if count > _MAX_PARAMETERS:
        raise RecipeError(
            f"{config.architecture} has {count:,} parameters; at most {_MAX_PARAMETERS:,} are "
            "supported."
        )
    return model
