"""The registry: one `ModelSpec` an architecture. Nothing else branches on a model's name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import nn

from fer_core.config import ModelConfig
from fer_core.errors import RecipeError

Family = Literal["cnn", "vit"]
Rgb = tuple[float, float, float]

IMAGENET_MEAN: Rgb = (0.485, 0.456, 0.406)
IMAGENET_STD: Rgb = (0.229, 0.224, 0.225)
HALF: Rgb = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class ModelSpec:
    """What the rest of the project must know of an architecture.

    Attributes:
        key: The registry's name.
        title: The name that people read.
        family: `cnn` or `vit`.
        build: Makes the network, with random weights, for a number of classes.
        mean: Input mean per channel, for values in 0 to 1.
        std: Input deviation per channel.
        cam_layer: Path of the module whose output Grad-CAM reads.
        min_size: Smallest input side in pixels.
        inits: Where weights may start from.
        licence: Licence of the architecture's code and of its pretrained weights.
        reference: The paper.
        prefix_tokens: Tokens before the patches (class token); 0 for a CNN.
        patch: Side of a patch in pixels; None for a CNN.
    """

    key: str
    title: str
    family: Family
    build: Callable[[ModelConfig, int], nn.Module]
    mean: Rgb
    std: Rgb
    cam_layer: str
    min_size: int
    inits: tuple[str, ...]
    licence: str
    reference: str
    prefix_tokens: int = 0
    patch: int | None = None


_REGISTRY: dict[str, ModelSpec] = {}


def register(spec: ModelSpec) -> ModelSpec:
    """Adds an architecture; a key can be taken once."""
    if spec.key in _REGISTRY:
        raise ValueError(f"The architecture {spec.key!r} is registered twice.")
    _REGISTRY[spec.key] = spec
    return spec


def architectures() -> list[str]:
    """Returns the registered keys, sorted."""
    return sorted(_REGISTRY)


def spec_of(key: str) -> ModelSpec:
    """Returns an architecture's spec.

    Raises:
        RecipeError: If it is not registered; lists those that are.
    """
    try:
        return _REGISTRY[key]
    except KeyError:
        raise RecipeError(
            f"There is no architecture {key!r}. Known: {', '.join(architectures())}."
        ) from None


def build_model(config: ModelConfig, classes: int) -> nn.Module:
    """Builds the network of a recipe with random weights, in training mode.

    Args:
        config: The recipe's model part.
        classes: Number of logits.

    Raises:
        RecipeError: If the architecture is unknown or the image size does not suit it.
    """
    spec = spec_of(config.architecture)
    if config.image_size < spec.min_size:
        raise RecipeError(
            f"{spec.title} needs images of at least {spec.min_size} px, "
            f"not {config.image_size}; set model.image_size."
        )
    if spec.patch and config.image_size % spec.patch:
        raise RecipeError(
            f"{spec.title} cuts images into patches of {spec.patch} px, which does not divide "
            f"{config.image_size}; set model.image_size to a multiple of {spec.patch}."
        )
    return spec.build(config, classes)
