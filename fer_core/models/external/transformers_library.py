"""Image classifiers of transformers, such as `hf:google/vit-base-patch16-224` or `hf:<folder>`."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from fer_core.config import ModelConfig
from fer_core.errors import RecipeError, WeightsError
from fer_core.models.external.base import Facts, LogitsOnly, plain_options
from fer_core.models.external.probe import supports_size
from fer_core.models.processor import read_processor
from fer_core.models.published import InputOptions
from fer_core.models.registry import HALF, State
from fer_core.models.repository import CONFIG, Repository
from fer_core.models.resampling import resampled

_IGNORED = (
    "id2label", "label2id", "num_labels", "architectures", "auto_map", "quantization_config",
    "dtype", "torch_dtype", "transformers_version", "problem_type", "attn_implementation",
    "use_kernels",
)  # fmt: skip
"""Keys of `config.json` that name classes, code, kernels or storage, not the network."""

_DROPOUT = ("hidden_dropout_prob", "dropout_rate", "classifier_dropout_prob")
_WRAPPED = "model."
"""Prefix of the tensors of a classifier in `LogitsOnly`."""

_MEAN_POOLED = ("beit", "data2vec-vision", "swin", "swinv2")


class TransformersLibrary:
    """Every `AutoModelForImageClassification`."""

    def resolved(self, config: ModelConfig) -> ModelConfig:
        """Reads `config.json` and `preprocessor_config.json`, once."""
        if not config.hub_config:
            config = _read(config)
        _check(config)
        return config

    def build(self, config: ModelConfig, classes: int) -> nn.Module:
        """Builds the network; one of a fixed input size is built for `image_size`."""
        return LogitsOnly(_create(_sized(config), classes))

    def default_size(self, architecture: str) -> int | None:
        """Returns None: the size is in the files of a repository."""
        return None

    def facts(self, config: ModelConfig, model: nn.Module) -> Facts:
        """Returns what is known of a repository without its model card."""
        name = config.architecture.removeprefix("hf:").partition("@")[0].rstrip("/")
        network = _network(config)
        kind = network["model_type"]
        return Facts(
            title=f"{name.rpartition('/')[2]} (transformers)",
            licence="Apache-2.0 (transformers); weights: see their repository",
            reference=f"https://huggingface.co/docs/transformers/model_doc/{kind}",
            pretrained=f"hub:{config.architecture.removeprefix('hf:')}",
            mean_pooled=kind in _MEAN_POOLED and bool(network.get("use_mean_pooling", True)),
            adapt=lambda state, target: _converted(state, config, target),
        )


def hub_values(model: nn.Module) -> dict[str, Any]:
    """Returns `model.hub_config` of a `LogitsOnly`: what is needed to build it again."""
    network: Any = model.model
    return _without_ignored(json.loads(network.config.to_json_string(use_diff=True)))


def _without_ignored(content: Mapping[str, Any]) -> dict[str, Any]:
    kept = {
        key: value
        for key, value in content.items()
        if key not in _IGNORED and not key.startswith("_")
    }
    choices = _supported().get(str(content.get("model_type")))
    if isinstance(choices, tuple):  # the name tells the classes apart, as for DeiT's teacher
        named = [name for name in content.get("architectures") or () if name in choices]
        kept["architectures"] = named[:1] or [choices[0]]
    return kept


def _supported() -> Mapping[str, Any]:
    """Returns transformers' image classifiers, one class or several, by model type."""
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES as SUPPORTED,
    )

    supported: Mapping[str, Any] = SUPPORTED
    return supported


def _network(config: ModelConfig) -> dict[str, Any]:
    """Returns the values of transformers' configuration."""
    return {**_without_ignored(config.hub_config), **config.options}


def _read(config: ModelConfig) -> ModelConfig:
    name = config.architecture.removeprefix("hf:")
    try:
        repository = Repository.parse(name)
        content = repository.json(CONFIG)
        network_input = _input(repository, content, config)
    except WeightsError as error:
        raise RecipeError(f"{config.architecture}: {error}") from error
    if "model_type" not in content:
        if architecture := content.get("architecture"):
            raise RecipeError(
                f"{name} holds weights of timm. Set model.architecture=timm:{architecture} and "
                f"model.init=hub:{name}."
            )
        raise RecipeError(f"config.json of {name} has no model_type.")
    return config.model_copy(
        update={
            "hub_config": _without_ignored(content),
            "mean": network_input.mean,
            "std": network_input.std,
        }
    )


def _input(repository: Repository, content: Mapping[str, Any], config: ModelConfig) -> InputOptions:
    """Returns mean and standard deviation; 0.5 where the repository has no image processor."""
    processor = repository.processor() or {"image_mean": list(HALF), "image_std": list(HALF)}
    options = InputOptions(config.image_size, config.mean, config.std)
    return read_processor(processor, content, options, repository.name)[0]


def _check(config: ModelConfig) -> None:
    network, supported = _network(config), _supported()
    kind = network.get("model_type")
    if kind == "timm_wrapper":
        raise RecipeError(
            f"{config.architecture} wraps a network of timm. Set model.architecture=timm:<name>."
        )
    if kind not in supported:
        raise RecipeError(
            f"transformers has no image classifier of model_type {kind!r}. Known: "
            f"{', '.join(sorted(supported))}."
        )
    refused = [key for key in config.options if key in _IGNORED or key.startswith("_")]
    if refused or not plain_options(network):
        raise RecipeError(
            f"model.options of {config.architecture} must be plain values, without "
            f"{', '.join(refused) or 'objects'}."
        )
    if config.pool != "token":
        raise RecipeError(f"Remove model.pool: {config.architecture} has a pooling of its own.")


def _shape(config: ModelConfig, classes: int) -> Any:  # noqa: ANN401 (transformers' configurations)
    """Returns transformers' configuration of the network."""
    from transformers import CONFIG_MAPPING

    options = _network(config)
    if config.patch_size:
        options["patch_size"] = config.patch_size
    if config.drop_path:
        options["drop_path_rate"] = config.drop_path
    if config.drop_rate:
        key = next((key for key in _DROPOUT if key in options), "hidden_dropout_prob")
        options[key] = config.drop_rate
    try:
        return CONFIG_MAPPING[options["model_type"]].from_dict({**options, "num_labels": classes})
    except Exception as error:  # transformers validates with several exception types
        raise RecipeError(
            f"transformers cannot read the configuration of {config.architecture}: {error}"
        ) from error


def _create(config: ModelConfig, classes: int) -> nn.Module:
    from transformers import AutoModelForImageClassification

    try:
        model: nn.Module = AutoModelForImageClassification.from_config(
            _shape(config, classes), trust_remote_code=False
        )
    except RecipeError:
        raise
    except Exception as error:  # constructors raise many exception types
        raise RecipeError(
            f"transformers cannot build {config.architecture} with these options: {error}"
        ) from error
    return model


def _sized(config: ModelConfig) -> ModelConfig:
    """Sets the network's image size where it does not take images of `image_size` as it is."""
    size, options = {"image_size": config.image_size}, _network(config)
    nested = options.get("vision_config")
    configured = nested.get("image_size") if isinstance(nested, dict) else options.get("image_size")
    if configured in (None, config.image_size):
        return config
    with torch.device("meta"):
        original = LogitsOnly(_create(config, 2)).eval()
    if supports_size(original, config.image_size):
        return config
    options |= {"vision_config": {**nested, **size}} if isinstance(nested, dict) else size
    return config.model_copy(update={"options": options})


@contextmanager
def silent() -> Iterator[None]:
    """Turns off transformers' messages and progress bars."""
    from transformers.utils import logging

    bar, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity(logging.CRITICAL)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()


def _converted(state: State, config: ModelConfig, target: nn.Module) -> Mapping[str, Tensor]:
    """Loads a state dict as transformers does, with its classifier.

    transformers renames tensors of former versions. Tensors that it does not use are returned
    under their own names.

    Raises:
        ValueError: If tensors are missing or have another shape; names them.
    """
    network: Any = target.model
    if all(key.startswith(_WRAPPED) for key in state):
        state = {key.removeprefix(_WRAPPED): value for key, value in state.items()}
    fitted = resampled(state, network.state_dict())
    heads = [
        value
        for key, value in state.items()
        if "classifier" in key and key.endswith(".weight") and value.ndim == 2
    ]
    shape = _shape(_sized(config), len(heads[-1]) if heads else 2)
    with silent():  # what does not fit is reported here
        donor, report = type(network).from_pretrained(
            None, config=shape, state_dict=fitted, output_loading_info=True,
            ignore_mismatched_sizes=True,
        )  # fmt: skip
    missing = set(report["missing_keys"])
    if wrong := sorted({str(key[0]) for key in report["mismatched_keys"]}):
        raise ValueError(f"other shapes: {', '.join(wrong)}")
    loaded = {
        _WRAPPED + key: value for key, value in donor.state_dict().items() if key not in missing
    }
    return loaded | {key: fitted[key] for key in report["unexpected_keys"] if key in fitted}
