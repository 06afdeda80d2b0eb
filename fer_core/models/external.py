"""Architectures of other libraries: `timm:<name>`, `torchvision:<name>`, `hf:<owner/name>`.

The `ModelSpec` is found by running the network once on shapes alone (meta tensors).
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from fer_core.config import ModelConfig
from fer_core.errors import FerscopeError, RecipeError
from fer_core.models.registry import HALF, IMAGENET_MEAN, IMAGENET_STD, Family, ModelSpec, Rgb

LIBRARIES = ("timm", "torchvision", "hf")
"""Prefixes of `model.architecture`."""

_CAM_SIDE = 4
"""Smallest side of the map that a CAM should read; smaller maps are too coarse to localise."""

_PROBE_CLASSES = 13
"""Number of classes of the probed network; unlikely to be another layer's width."""

_LICENCES = {
    "timm": "Apache-2.0 (timm)",
    "torchvision": "BSD-3-Clause (torchvision)",
    "hf": "Apache-2.0 (transformers)",
}


class LogitsOnly(nn.Module):
    """Wraps a transformers classifier to return only logits."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.model = classifier

    def forward(self, images: Tensor) -> Tensor:
        """Maps (N, 3, S, S) to logits (N, K)."""
        logits: Tensor = self.model(pixel_values=images).logits
        return logits


def is_external(architecture: str) -> bool:
    """Whether an architecture is another library's rather than a registered one."""
    return architecture.partition(":")[0] in LIBRARIES and ":" in architecture


def external_spec(config: ModelConfig) -> ModelSpec:
    """Returns the specification of another library's architecture.

    Raises:
        RecipeError: If the library has no such architecture, or it does not fit the options.
    """
    options = json.dumps(dict(config.hub_config), sort_keys=True)
    return _spec(config.architecture, config.image_size, options)


def default_size(architecture: str) -> int | None:
    """Returns the input side that an architecture was designed for; None if it is unknown."""
    library, _, name = architecture.partition(":")
    if library == "torchvision":
        return 224
    if library != "timm":
        return None
    import timm

    facts = timm.get_pretrained_cfg(name)
    return None if facts is None else int(facts.input_size[-1])


@lru_cache(maxsize=64)
def _spec(architecture: str, image_size: int, hub_config: str) -> ModelSpec:
    library, _, name = architecture.partition(":")
    config = ModelConfig(
        architecture=architecture, image_size=image_size, hub_config=json.loads(hub_config)
    )
    with torch.device("meta"):
        model = _build(config, _PROBE_CLASSES).eval()
    try:
        probed = _probe(model, image_size)
    except FerscopeError:
        raise
    except Exception as error:  # networks raise many exception types
        raise RecipeError(
            f"{architecture} cannot read images of {image_size} px: {error}. Set another image "
            "size."
        ) from error
    mean, std = _normalisation(library, model)
    return ModelSpec(
        key=architecture,
        title=_title(name, model),
        family=probed.family,
        build=_build,
        mean=mean,
        std=std,
        cam_layer=probed.cam_layer,
        head=probed.head,
        min_size=16,
        licence=_LICENCES[library],
        reference=architecture,
        prefix_tokens=probed.prefix_tokens,
        patch=probed.patch,
    )


def _build(config: ModelConfig, classes: int) -> nn.Module:
    """Builds a network with random weights.

    Raises:
        RecipeError: If the library has no such architecture or refuses the options.
    """
    library, _, name = config.architecture.partition(":")
    builders: Mapping[str, Callable[[str, ModelConfig, int], nn.Module]] = {
        "timm": _timm,
        "torchvision": _torchvision,
        "hf": _transformers,
    }
    try:
        return builders[library](name, config, classes)
    except FerscopeError:
        raise
    except Exception as error:  # the libraries raise many exception types
        raise RecipeError(f"{config.architecture} cannot be built: {error}") from error


def _timm(name: str, config: ModelConfig, classes: int) -> nn.Module:
    import timm

    if name.partition(".")[0] not in timm.list_models():
        raise RecipeError(f"timm has no architecture {name!r}.")
    options: dict[str, Any] = {"num_classes": classes, "drop_rate": config.drop_rate}
    if config.drop_path:
        options["drop_path_rate"] = config.drop_path
    try:  # transformers have a fixed grid; convolutional networks take no size
        model: nn.Module = timm.create_model(
            name, pretrained=False, img_size=config.image_size, **options
        )
    except TypeError:
        model = timm.create_model(name, pretrained=False, **options)
    return model


def _torchvision(name: str, config: ModelConfig, classes: int) -> nn.Module:
    from torchvision.models import get_model, list_models

    if name not in list_models():
        raise RecipeError(f"torchvision has no architecture {name!r}.")
    options = {"image_size": config.image_size} if name.startswith("vit_") else {}
    model: nn.Module = get_model(name, weights=None, num_classes=classes, **options)
    return model


def _transformers(name: str, config: ModelConfig, classes: int) -> nn.Module:
    from transformers import AutoConfig, AutoModelForImageClassification

    values = dict(config.hub_config)
    if not values:
        raise RecipeError(f"hf:{name} needs model.hub_config, the content of its config.json.")
    shape = AutoConfig.for_model(values.pop("model_type", None), **values, num_labels=classes)
    return LogitsOnly(AutoModelForImageClassification.from_config(shape))


_NOT_BUILT = (
    "id2label",
    "label2id",
    "num_labels",
    "transformers_version",
    "dtype",
    "_name_or_path",
)
"""Keys of config.json that do not describe how a network is built."""


def hub_values(model: LogitsOnly) -> dict[str, Any]:
    """Returns `model.hub_config` of a transformers network: what is needed to build it again."""
    values: dict[str, Any] = json.loads(model.model.config.to_json_string(use_diff=True))  # type: ignore[union-attr, operator]
    return {key: value for key, value in values.items() if key not in _NOT_BUILT}


@dataclass(frozen=True)
class _Probed:
    family: Family
    cam_layer: str
    head: str
    prefix_tokens: int
    patch: int | None


def _probe(model: nn.Module, image_size: int) -> _Probed:
    """Runs a network on meta tensors and reads its layers from the shapes of their outputs."""
    names = {module: name for name, module in model.named_modules()}
    heads: list[str] = []
    maps: list[tuple[str, int]] = []
    tokens: list[tuple[str, int]] = []

    def note(module: nn.Module, _: object, output: object) -> None:
        value = output[0] if isinstance(output, tuple) and output else output
        if not isinstance(value, Tensor):
            return
        if isinstance(module, nn.Linear | nn.Conv2d) and value.shape[1:2] == (_PROBE_CLASSES,):
            heads.append(names[module])
        if value.ndim == 4 and value.shape[-1] == value.shape[-2] > 1:
            maps.append((names[module], value.shape[-1]))
        if value.ndim == 3 and value.shape[1] > 1:
            tokens.append((names[module], value.shape[1]))

    handles = [module.register_forward_hook(note) for module in model.modules()]
    try:
        with torch.no_grad():
            model(torch.zeros(1, 3, image_size, image_size, device="meta"))
    finally:
        for handle in handles:
            handle.remove()
    if not heads:
        raise RecipeError("The classifier of this network is not found: no layer gives the logits.")
    blocks = _blocks(model, tokens)
    if len(blocks) > 1:
        patches = math.isqrt(blocks[0][1])
        return _Probed(
            "vit", blocks[-2][0], heads[-1], blocks[0][1] - patches**2, image_size // patches
        )
    spatial = [name for name, side in maps if side >= _CAM_SIDE] or [name for name, _ in maps]
    if not spatial:
        raise RecipeError("This network has no spatial layer that a CAM could read.")
    return _Probed("cnn", spatial[-1], heads[-1], 0, None)


def _blocks(model: nn.Module, tokens: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Returns a ViT's blocks: members of one list of modules that keep the number of tokens."""
    counts = dict(tokens)
    for name, module in model.named_modules():
        if isinstance(module, nn.ModuleList | nn.Sequential) and len(module) > 1:
            paths = [f"{name}.{child}" for child, _ in module.named_children()]
            found = [(path, counts[path]) for path in paths if path in counts]
            if len(found) == len(paths) and len({count for _, count in found}) == 1:
                return found
    return []


def _normalisation(library: str, model: nn.Module) -> tuple[Rgb, Rgb]:
    if library == "timm":
        facts = getattr(model, "pretrained_cfg", {})
        return tuple(facts.get("mean", IMAGENET_MEAN)), tuple(facts.get("std", IMAGENET_STD))
    return (HALF, HALF) if library == "hf" else (IMAGENET_MEAN, IMAGENET_STD)


def _title(name: str, model: nn.Module) -> str:
    if isinstance(model, LogitsOnly):
        return f"{type(model.model).__name__} ({name})"
    return name
