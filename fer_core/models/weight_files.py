"""Weights of a network in a file of their own."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from fer_core.config import ModelConfig
from fer_core.errors import RecipeError, WeightsError
from fer_core.labels import canonical_name
from fer_core.models.external import LIBRARIES, default_size, resolved
from fer_core.models.external.timm_library import implied_options
from fer_core.models.published import InputOptions, PublishedModel
from fer_core.models.registry import ModelSpec, build_model, spec_of
from fer_core.models.script_options import ScriptOptions
from fer_core.models.state_dicts import FittedState, fit_state, shown, without_common_prefix
from fer_core.models.weight_sources import WeightSource, read_file

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".tar", ".ckpt")


def read_weights_file(
    path: Path,
    architecture: str,
    outputs: tuple[str, ...],
    options: InputOptions,
    key: str | None = None,
) -> PublishedModel:
    """Reads a file of weights.

    Args:
        path: safetensors, or a state dict of torch, which is read without running code from it.
        architecture: `timm:<name>`, `torchvision:<name>`, or a name of a recipe's architecture.
        outputs: Classes in output order; those that the file names if empty.
        options: Input and options; the training script's, then the architecture's where None.
        key: As in `read_torch_file`.

    Raises:
        WeightsError: If the file is damaged, a pickle with code, or does not fit; names what.
        RecipeError: If there is no such architecture.
    """
    if architecture.startswith("hf:"):
        raise WeightsError(
            "A network of transformers is imported from its folder, which has config.json. Give "
            "the folder, or hub:owner/name."
        )
    _require_architecture(architecture)
    read = read_file(path, key)
    classes, notes = _classes(read, outputs)
    size = options.image_size or read.options.image_size or default_size(architecture)
    if size is None:
        raise WeightsError(
            f"{architecture} takes images of several sizes. Pass --image-size, the side in pixels "
            "of the images that it was trained on."
        )
    config = ModelConfig(
        architecture=architecture,
        init=f"file:{path.name}",
        image_size=size,
        mean=options.mean,
        std=options.std,
        options=options.network,
    )
    config, found = _with_script_options(config, read.options)
    notes += [*read.notes, *found]
    try:
        size, name = options.image_size, path.name
        config, fitted = fit_network(read.tensors, config, len(classes), name, size)
    except WeightsError as error:
        raise WeightsError(" ".join((str(error), *notes))) from error
    given = replace(options, image_size=options.image_size or read.options.image_size)
    if given != options:
        notes.append(
            f"Read from the options of its training script: --image-size {given.image_size}."
        )
    notes += [*fitted.notes, *_assumed(given, config)]
    return PublishedModel(config, classes, fitted.tensors, path.name, tuple(notes))


def _classes(read: WeightSource, outputs: tuple[str, ...]) -> tuple[tuple[str, ...], list[str]]:
    """Returns the classes in output order, and a sentence on those that the file names."""
    listed = ",".join(read.labels)
    if not outputs and not read.labels:
        raise WeightsError(
            f"{read.source} does not name its classes. Pass --labels with the classes in output "
            "order."
        )
    if not outputs:
        return read.labels, [f"{read.source} names its classes: --labels {listed}."]
    if not read.labels or [*map(canonical_name, outputs)] == [*map(canonical_name, read.labels)]:
        return outputs, []
    note = f"{read.source} names other classes, or in another order: {listed}. --labels was used."
    return outputs, [note]


def _with_script_options(
    config: ModelConfig, script: ScriptOptions
) -> tuple[ModelConfig, list[str]]:
    """Returns a configuration with further arguments of the training script, and a note."""
    found = {key: value for key, value in script.network.items() if key not in config.options}
    if not found or not config.architecture.startswith("timm:"):
        return config, []
    completed = config.model_copy(update={"options": {**found, **config.options}})
    try:
        spec_of(completed)
    except RecipeError:
        return config, [f"The network refuses options of its training script: {_text(found)}."]
    return completed, [f"Read from the options of its training script: {_text(found)}."]


def _text(arguments: Mapping[str, Any]) -> str:
    """Returns arguments as they are written on the command line."""
    return " ".join(f"--model-arg {key}={value}" for key, value in arguments.items())


def fit_network(
    tensors: Mapping[str, Tensor],
    config: ModelConfig,
    classes: int,
    source: str,
    image_size: int | None,
) -> tuple[ModelConfig, FittedState]:
    """Returns a configuration with mean, standard deviation and options, and fitted weights.

    If they do not fit the network, options that the tensors show are tried; those of `config` are
    kept. Other arguments are as in `fit_weights`.

    Raises:
        WeightsError: As `fit_weights`.
    """
    spec = spec_of(config)
    config = config.model_copy(update={"mean": spec.mean_of(config), "std": spec.std_of(config)})
    try:
        return config, fit_weights(tensors, build_model(config, classes), spec, source, image_size)
    except WeightsError as error:
        is_timm = spec.key.startswith("timm:")
        found = implied_options(tensors, config.options) if is_timm else {}
        if not found:
            raise
        other = config.model_copy(update={"options": {**config.options, **found}})
        try:
            model = build_model(other, classes)
            fitted = fit_weights(tensors, model, spec_of(other), source, image_size)
        except (WeightsError, RecipeError):
            raise error from None
    note = f"Options that its tensors show or suggest were used: {_text(found)}."
    return other, replace(fitted, notes=(note, *fitted.notes))


def _require_architecture(architecture: str) -> None:
    """Refuses an unknown architecture, before anything else about it is said to be unknown."""
    config = ModelConfig(architecture=architecture)
    if architecture.partition(":")[0] in LIBRARIES:
        resolved(config)
    else:
        spec_of(config)


def fit_weights(
    tensors: Mapping[str, Tensor],
    model: nn.Module,
    spec: ModelSpec,
    source: str,
    image_size: int | None,
) -> FittedState:
    """Fits a state dict; one of a former version of the library, or of another input size, as well.

    Args:
        tensors: State dict that a training script saved.
        model: The network.
        spec: Its architecture.
        source: The file, for messages.
        image_size: Input side that the user asked for; None if the network has that of its
            architecture.

    Raises:
        WeightsError: If it does not fit, or is of another input size and the user did not ask for
            one; names the tensors.
    """
    try:
        return fit_state(tensors, model, source)
    except WeightsError:
        if spec.adapt is None:
            raise
        own = without_common_prefix(tensors, model.state_dict())
        try:
            converted = spec.adapt(own, model)
            fitted = fit_state(converted, model, source)
        except (WeightsError, ValueError, KeyError, RuntimeError, RecipeError):
            fitted = None
        if fitted is None:
            raise
    note = _conversion(own, converted, fitted, source, image_size)
    return FittedState(fitted.tensors, fitted.unused, (note, *fitted.notes))


def _conversion(
    before: Mapping[str, Tensor],
    converted: Mapping[str, Tensor],
    fitted: FittedState,
    source: str,
    image_size: int | None,
) -> str:
    """Returns a note on what a library converted.

    Raises:
        WeightsError: If it resampled tensors to an input size that the user did not ask for.
    """
    reshaped = {
        name: f"{name} {tuple(before[name].shape)} to {tuple(tensor.shape)}"
        for name, tensor in converted.items()
        if name in before and before[name].shape != tensor.shape
    }
    shapes = {tensor.shape for tensor in before.values()}  # those of tensors that were renamed
    resampled = [
        text
        for name, text in reshaped.items()
        if before[name].ndim == converted[name].ndim and converted[name].shape not in shapes
    ]
    if image_size is None and resampled:
        raise WeightsError(
            f"{source} was trained on images of another size than the architecture's "
            f"({shown(resampled)}). Pass --image-size, the side in pixels of those images."
        )
    changed = [name for name in fitted.tensors if name not in before]
    return (
        "Its library converted tensors of another version or input size: "
        f"{shown([*changed, *reshaped.values()])}."
    )


def _assumed(options: InputOptions, config: ModelConfig) -> list[str]:
    """Returns a note on the input that the architecture's defaults gave."""
    assumed = []
    if options.image_size is None:
        assumed.append(f"--image-size {config.image_size}")
    if options.mean is None and config.mean is not None:
        assumed.append(f"--mean {','.join(f'{value:g}' for value in config.mean)}")
    if options.std is None and config.std is not None:
        assumed.append(f"--std {','.join(f'{value:g}' for value in config.std)}")
    if not assumed:
        return []
    return [f"The architecture's defaults were used for its input: {' '.join(assumed)}."]
