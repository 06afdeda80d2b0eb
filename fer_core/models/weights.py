"""Loading initial weights. A source that is missing is an error, never replaced by another."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from fer_core.artifacts import ArtifactStore
from fer_core.config import ModelConfig
from fer_core.errors import WeightsError
from fer_core.models.head_weights import classifier_rows
from fer_core.models.registry import ModelSpec, spec_of
from fer_core.models.regression_head import without_regression_head
from fer_core.models.state_dicts import shown, without_common_prefix
from fer_core.models.weight_sources import WeightSource, read_weights


@dataclass(frozen=True)
class InitialWeights:
    """Initialisation of a network.

    Attributes:
        init: `scratch`, `imagenet`, `face` or `checkpoint`.
        source: The package, repository, file or run; empty for scratch.
        notes: Sentences on the source's classifier, and on tensors that are not used.
    """

    init: str
    source: str
    notes: tuple[str, ...] = ()


def initialise(
    model: nn.Module,
    config: ModelConfig,
    labels: tuple[str, ...],
    store: ArtifactStore | None = None,
) -> InitialWeights:
    """Loads initial weights into a network in place.

    The classifier is loaded as `config.head` says; the result says what was done.

    Args:
        model: Network built from `config`.
        config: The recipe's model section; `init` names the source.
        labels: Classes of the network.
        store: Store in which runs are looked up.

    Raises:
        WeightsError: If the source cannot be read or does not fit; lists the alternatives.
    """
    spec = spec_of(config)
    kind, _, where = config.init.partition(":")
    if kind == "scratch":
        return InitialWeights("scratch", "")
    try:
        read = read_weights(spec, kind, where, store)
        read = replace(read, tensors=without_regression_head(read.tensors, spec))
        fitted = read if kind == "run" else _adapted(spec, read, model)
        notes = _load(model, spec, fitted, config.head, labels)
    except WeightsError as error:
        others = (other for other in spec.inits if other.partition(":")[0] != kind)
        alternatives = ", ".join(
            f"model.init={other}" for other in others if not (config.lora and other == "scratch")
        )
        raise WeightsError(f"{error} Alternatives: {alternatives}.") from error
    return InitialWeights(
        kind if kind in ("imagenet", "face") else "checkpoint",
        read.source,
        (*notes, *(note.rstrip(".") for note in read.notes)),
    )


def _adapted(spec: ModelSpec, read: WeightSource, model: nn.Module) -> WeightSource:
    """Renames and resamples tensors of another library; files of this project need no change."""
    state = model.state_dict()
    if _fits(state, read.tensors, spec):
        return read
    read = replace(read, tensors=without_common_prefix(read.tensors, state))
    if spec.adapt is None or _fits(state, read.tensors, spec):
        return read
    try:
        return replace(read, tensors=spec.adapt(read.tensors, model))
    except (ValueError, KeyError, RuntimeError) as error:
        raise WeightsError(
            f"The weights of {read.source} do not fit {spec.title}: {error}."
        ) from error


def _fits(state: Mapping[str, Tensor], tensors: Mapping[str, Tensor], spec: ModelSpec) -> bool:
    return all(
        key in tensors and tensors[key].shape == value.shape
        for key, value in state.items()
        if not spec.is_head(key)
    )


def _load(
    model: nn.Module,
    spec: ModelSpec,
    read: WeightSource,
    head: Literal["auto", "keep", "replace"],
    labels: tuple[str, ...],
) -> tuple[str, ...]:
    """Copies tensors into a network; returns notes on the others."""
    state = model.state_dict()
    classifier, note = classifier_rows(read, spec, head, labels)
    tensors = {
        key: value for key, value in read.tensors.items() if not spec.is_head(key)
    } | classifier
    names = [key for key in state if classifier or not spec.is_head(key)]
    mismatches = [
        key for key in names if key not in tensors or tensors[key].shape != state[key].shape
    ]
    if mismatches:
        raise WeightsError(
            f"The weights of {read.source} do not fit {spec.title} at this image size: "
            f"{len(mismatches)} tensors are missing or have another shape: {shown(mismatches)}."
        )
    with torch.no_grad():
        for key in names:
            state[key].copy_(tensors[key])
    if not classifier:
        _reset_head(model, spec)
    unused = sorted(set(tensors) - set(state))
    if not unused:
        return (note,)
    return (note, f"{len(unused)} tensors are not used: {shown(unused)}")


def _reset_head(model: nn.Module, spec: ModelSpec) -> None:
    """Draws a new classifier with torch's bounds of 1 / sqrt(features).

    Some libraries draw it by the number of classes: timm's EfficientNet and MobileNet within 1 /
    sqrt(classes), which gives logits of several units on pretrained features. Their gradients
    damage the backbone before the classifier has learned anything.
    """
    for head in spec.heads:
        for module in model.get_submodule(head).modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                module.reset_parameters()
