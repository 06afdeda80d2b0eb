"""Architectures of timm, such as `timm:convnext_tiny`."""

from collections.abc import Mapping
from inspect import signature
from typing import Any

import timm
from timm.models import get_pretrained_cfg, is_model
from torch import Tensor, nn

from fer_core.config import ModelConfig
from fer_core.errors import RecipeError
from fer_core.models.external.base import Facts, as_rgb, plain_options, similar_names
from fer_core.models.registry import State

RESERVED = ("checkpoint_path", "cache_dir", "num_classes", "in_chans", "features_only", "img_size")
"""Arguments of `timm.create_model` that are not options of a recipe's model."""

_HEADS = ("head.fc", "head", "fc", "classifier", "head.fc2")

_PATCHES = "patch_embed.proj.weight"


def implied_options(tensors: Mapping[str, Tensor], known: Mapping[str, Any]) -> dict[str, Any]:
    """Returns options of a Vision Transformer that its tensors show; empty for other networks.

    Without a class token, or with `fc_norm`, the mean of the patches is assumed. Names may have a
    prefix. Options that are known are not returned.
    """
    root = next((name.removesuffix(_PATCHES) for name in tensors if name.endswith(_PATCHES)), "")
    own = {name.removeprefix(root): tensor for name, tensor in tensors.items()}
    if not {_PATCHES, "blocks.0.attn.qkv.weight"} <= own.keys():
        return {}
    pools = "cls_token" not in own or "fc_norm.weight" in own
    shown = {
        "global_pool": "avg" if pools else None,
        "fc_norm": "fc_norm.weight" in own if pools or known.get("global_pool") else None,
        "class_token": None if "cls_token" in own else False,
    }
    return {key: value for key, value in shown.items() if value is not None and key not in known}


def pooling_of(model: nn.Module, default: str) -> str:
    """Returns the kind of pooling of a network, or a default if it does not tell."""
    for owner in (model, getattr(model, "head", None)):
        pooling = getattr(owner, "global_pool", None)
        kind = getattr(pooling, "pool_type", pooling)
        if isinstance(kind, str):
            return kind
    return default


class TimmLibrary:
    """timm's registry of architectures."""

    def resolved(self, config: ModelConfig) -> ModelConfig:
        """Fills in mean and standard deviation of timm's configuration of the weights."""
        name = config.architecture.removeprefix("timm:")
        if not is_model(name.partition(".")[0]):
            similar = similar_names(name.partition(".")[0], timm.list_models())
            raise RecipeError(
                f"timm has no architecture {name!r}.{similar} Search: "
                "python -c \"import timm; print(timm.list_models('*convnext*'))\"."
            )
        _check(config)
        known = _weights(name)
        if known is None:
            raise RecipeError(f"timm knows no weights {name.partition('.')[2]!r} of {name}.")
        return config.model_copy(
            update={
                "mean": config.mean or as_rgb(known.mean),
                "std": config.std or as_rgb(known.std),
            }
        )

    def build(self, config: ModelConfig, classes: int) -> nn.Module:
        """Builds the network; one of a fixed input size is built for `image_size`."""
        return _create(config, classes)

    def default_size(self, architecture: str) -> int | None:
        """Returns the side of the images that timm's weights were trained on."""
        known = _weights(architecture.removeprefix("timm:"))
        return None if known is None else int(known.input_size[-1])

    def facts(self, config: ModelConfig, model: nn.Module) -> Facts:
        """Returns timm's statements about weights, licence and pooling."""
        name = config.architecture.removeprefix("timm:")
        known: Any = model.pretrained_cfg
        pooling = getattr(model, "global_pool", None)
        return Facts(
            title=f"{name} (timm)",
            licence=f"Apache-2.0 (timm); weights: {known.get('license') or 'not stated'}",
            reference=known.get("paper_ids") or "https://huggingface.co/docs/timm",
            pretrained=f"hub:{known['hf_hub_id']}" if known.get("hf_hub_id") else None,
            mean_pooled=isinstance(pooling, str) and pooling.startswith("avg"),
            adapt=lambda state, target: _converted(state, config, target),
        )


def _weights(name: str) -> Any:  # noqa: ANN401 (timm's)
    """Returns timm's configuration of weights; None without such a tag."""
    try:
        return get_pretrained_cfg(name, allow_unregistered=True)
    except RuntimeError:
        return None


def _check(config: ModelConfig) -> None:
    """Refuses options that read files or change what every network here must have."""
    if config.pool != "token":
        raise RecipeError(
            f"Set the pooling of {config.architecture} with model.options.global_pool, not with "
            "model.pool."
        )
    refused = [
        key for key in config.options if key in RESERVED or key.startswith(("pretrained", "scr"))
    ]
    if refused or not plain_options(config.options):
        raise RecipeError(
            f"model.options of {config.architecture} must be plain values, without "
            f"{', '.join(refused) or 'objects'}."
        )


def _create(config: ModelConfig, classes: int, **more: Any) -> nn.Module:  # noqa: ANN401 (timm's)
    name = config.architecture.removeprefix("timm:")
    options: dict[str, Any] = {**config.options, **more}
    known: Any = get_pretrained_cfg(name, allow_unregistered=True)
    if known.fixed_input_size:
        options["img_size"] = config.image_size
    for key, value in (
        ("patch_size", config.patch_size),
        ("drop_rate", config.drop_rate),
        ("drop_path_rate", config.drop_path),
    ):
        if value:
            options[key] = value
    try:
        model: nn.Module = timm.create_model(name, num_classes=classes, **options)
    except Exception as error:  # constructors raise many exception types
        if more and isinstance(error, RuntimeError):
            raise  # tensors of another size, see `_converted`
        raise RecipeError(f"timm cannot build {name} with these options: {error}") from error
    parameters = signature(type(model)).parameters
    for key, value in config.options.items():
        switch = key in parameters and isinstance(parameters[key].default, bool)
        if switch and not isinstance(value, bool):  # timm would take any text as true
            raise RecipeError(f"{key} of {name} is true or false, not {value!r}.")
    return model


def _converted(state: State, config: ModelConfig, target: nn.Module) -> Mapping[str, Tensor]:
    """Loads a state dict as timm does, with its classifier.

    timm renames tensors of former versions, and resamples position embeddings and windows.

    Raises:
        RuntimeError: If tensors are missing or left over; names them.
    """
    known: Any = target.pretrained_cfg
    names = [known.get("classifier"), *_HEADS]
    weights = (state.get(f"{name}.weight") for name in names if isinstance(name, str))
    classes = next((len(weight) for weight in weights if weight is not None), 0)
    overlay = {
        "state_dict": dict(state),
        "num_classes": classes,
        "label_offset": 0,
        "custom_load": False,
    }
    donor = _create(config, classes, pretrained=True, pretrained_cfg_overlay=overlay)
    return donor.state_dict()
