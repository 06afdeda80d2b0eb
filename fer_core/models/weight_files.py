"""Weights of a network in a file of their own."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from fer_core.config import ModelConfig
from fer_core.errors import RecipeError, WeightsError
from fer_core.models.checkpoint import load_tensors, read_facts
from fer_core.models.external import LIBRARIES, default_size, resolved
from fer_core.models.file_contents import is_safetensors, is_torch, require_content
from fer_core.models.published import InputOptions, PublishedModel
from fer_core.models.registry import ModelSpec, build_model, spec_of
from fer_core.models.state_dicts import FittedState, fit_state, shown, without_common_prefix
from fer_core.models.torch_files import read_torch_file

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".tar", ".ckpt")


def read_weights_file(
    path: Path, architecture: str, outputs: tuple[str, ...], options: InputOptions
) -> PublishedModel:
    """Reads a file of weights.

    Args:
        path: safetensors, or a state dict of torch, which is read without running code from it.
        architecture: `timm:<name>`, `torchvision:<name>`, or a name of a recipe's architecture.
        outputs: Classes in output order; those in the file's header if empty.
        options: Input; the architecture's where None.

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
    tensors, labels, read_notes = _read(path)
    classes = outputs or labels
    if not classes:
        raise WeightsError(
            f"{path.name} does not name its classes. Pass --labels with the classes in output "
            "order."
        )
    size = options.image_size or default_size(architecture)
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
    )
    spec = spec_of(config)
    config = config.model_copy(update={"mean": spec.mean_of(config), "std": spec.std_of(config)})
    fitted = fit_weights(
        tensors, build_model(config, len(classes)), spec, path.name, options.image_size
    )
    notes = [
        *read_notes,
        *fitted.notes,
        *_assumed(options, config),
    ]
    return PublishedModel(config, classes, fitted.tensors, path.name, tuple(notes))


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


def _read(path: Path) -> tuple[Mapping[str, Tensor], tuple[str, ...], tuple[str, ...]]:
    """Returns tensors, the classes that the header names, and notes."""
    if not path.is_file():
        raise WeightsError(f"There is no weight file {path}.")
    require_content(path)
    named = path.suffix.lower() == ".safetensors"
    if is_safetensors(path) or (named and not is_torch(path)):
        read_facts(path)  # a damaged header is an error here
        tensors, facts = load_tensors(path)
        labels = facts.get("labels")
        return tensors, tuple(map(str, labels)) if isinstance(labels, list) else (), ()
    read = read_torch_file(path)
    return read.tensors, (), read.notes
