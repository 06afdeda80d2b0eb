"""Image classifiers in Hugging Face repositories, of transformers or of timm."""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import torch
from torch import Tensor

from fer_core.config import ModelConfig, Rgb
from fer_core.errors import WeightsError
from fer_core.models.checkpoint import load_tensors, read_facts
from fer_core.models.external import LogitsOnly, default_size, hub_values
from fer_core.models.external.base import as_rgb
from fer_core.models.external.timm_library import RESERVED, pooling_of
from fer_core.models.external.transformers_library import silent
from fer_core.models.processor import CROPS_CENTRE, read_processor
from fer_core.models.published import InputOptions, PublishedModel
from fer_core.models.registry import build_model, spec_of
from fer_core.models.repository import (
    ADAPTER,
    CONFIG,
    MissingFileError,
    Repository,
    names_by_index,
    output_names,
)
from fer_core.models.state_dicts import shown
from fer_core.models.weight_files import SUFFIXES, fit_network, fit_weights

_ADAPTER_REMEDY = (
    "An adapter of peft cannot be imported without its network. Merge both with merge_and_unload() "
    "and save them with save_pretrained into another folder."
)

TIMM_WRAPPER = "timm_wrapper"
"""`model_type` of networks of timm that transformers saved."""


def read_repository(
    repository: Repository, options: InputOptions, outputs: tuple[str, ...] = ()
) -> PublishedModel:
    """Reads a classifier of transformers, or one of timm as the hub stores it.

    Args:
        repository: A repository or a folder.
        options: Input, where the files do not say it or the user knows better.
        outputs: Classes in output order; those of `config.json` if empty.

    Raises:
        WeightsError: If a file is missing, damaged, a pickle, or does not fit; says which.
    """
    repository = repository.pinned()
    try:
        config = repository.json(CONFIG)
    except MissingFileError as error:
        raise WeightsError(f"{error} {_instead(repository.listed())}") from error
    if repository.folder is not None and (repository.folder / ADAPTER).is_file():
        raise WeightsError(f"{repository.name} has {ADAPTER}. {_ADAPTER_REMEDY}")
    for file in repository.weight_files():
        read_facts(file)  # a damaged header is an error here
    if "architecture" in config and config.get("model_type", TIMM_WRAPPER) == TIMM_WRAPPER:
        return _read_timm(repository, config, options, outputs)
    return _read_transformers(repository, config, options, outputs)


def _instead(files: list[str]) -> str:
    """Returns what to import of a repository without `config.json`."""
    if ADAPTER in files:
        return _ADAPTER_REMEDY
    folders = [str(path.parent) for path in map(PurePosixPath, files) if path.name == CONFIG]
    if folders:
        return f"It is in {shown(folders)}. Give one of these folders."
    sources = [name for name in files if name.endswith((*SUFFIXES, ".onnx"))]
    found = f" It has {shown(sources)}: give one of these files." if sources else ""
    return (
        "That file names the architecture and the classes. Give a folder of transformers' "
        f"save_pretrained, or a file of weights with --architecture.{found}"
    )


def _read_transformers(
    repository: Repository,
    config: Mapping[str, Any],
    options: InputOptions,
    outputs: tuple[str, ...],
) -> PublishedModel:
    """Reads a repository of transformers' `save_pretrained`."""
    name = repository.name
    if "auto_map" in config:
        raise WeightsError(
            f"{name} needs code from its repository (auto_map in {CONFIG}), which is not run. Only "
            "architectures of transformers itself can be imported."
        )
    if options.network:
        raise WeightsError(
            f"{CONFIG} of {name} has all options of its network. Remove --model-arg."
        )
    processor = repository.processor()
    flips = bool(processor.pop("do_flip_channel_order", False))
    preprocessing, notes = read_processor(processor, config, options, name)
    assert preprocessing.image_size is not None  # noqa: S101 (read_processor returns it)
    classes = outputs or _classes(config, name)
    model, unused = _load(repository, config, len(classes))
    if unused:
        notes.append(f"Tensors that the network does not have were left out: {shown(unused)}.")
    if not outputs:
        notes += _doubts(config)
    built = ModelConfig(
        architecture=f"hf:{name}",
        init=_init(repository),
        image_size=preprocessing.image_size,
        mean=preprocessing.mean,
        std=preprocessing.std,
        hub_config=hub_values(model),
    )
    fitted = fit_weights(
        model.state_dict(), build_model(built, len(classes)), spec_of(built), name,
        options.image_size,
    )  # fmt: skip
    tensors, notes = fitted.tensors, [*notes, *fitted.notes]
    if flips:
        tensors, note = _reading_rgb(tensors)
        notes.append(note)
    return PublishedModel(built, classes, tensors, _source(repository), tuple(notes))


def _doubts(config: Mapping[str, Any]) -> list[str]:
    """Returns a sentence if `config.json` has two orders of the classes."""
    names, others = output_names(config), names_by_index(config.get("label2id"))
    if not others or tuple(others) == names:
        return []
    return [
        f"id2label and label2id of {CONFIG} differ ({', '.join(others)}); id2label was read. Pass "
        "--labels if it is wrong."
    ]


def _reading_rgb(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], str]:
    """Returns the weights of a network of BGR for RGB, and a sentence on the change."""
    stem = next(name for name, value in tensors.items() if value.ndim == 4 and value.shape[1] == 3)
    converted = {**tensors, stem: tensors[stem].flip(1)}
    return converted, f"{stem} reads BGR images; it was converted to read RGB."


def _init(repository: Repository) -> str:
    """Returns the value of `model.init` that names the repository."""
    if repository.folder is not None:
        return f"file:{repository.name}"
    return f"hub:{repository.name}@{repository.revision}"


def _source(repository: Repository) -> str:
    return repository.source if repository.folder is None else f"folder {repository.name}"


def _load(
    repository: Repository, config: Mapping[str, Any], classes: int
) -> tuple[LogitsOnly, list[str]]:
    """Loads a network with its weights; returns it and the names of unused tensors."""
    from transformers import AutoModelForImageClassification

    kind = config.get("model_type")
    try:
        with silent():  # what does not fit is an error below
            model, info = AutoModelForImageClassification.from_pretrained(
                repository.weight_files()[0].parent,
                num_labels=classes,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
                dtype=torch.float32,
            )
    except Exception as error:  # transformers raises many exception types
        raise WeightsError(
            f"{repository.name} cannot be loaded as an image classifier (model_type {kind!r}): "
            f"{_first_line(error)}"
        ) from error
    _require_fit(info, type(model).__name__, repository.name, classes)
    return LogitsOnly(model.eval()), sorted(info["unexpected_keys"])


def _require_fit(info: Mapping[str, Any], architecture: str, name: str, classes: int) -> None:
    """Refuses weights that are not those of the network.

    Args:
        info: What transformers reports of the loading.
        architecture: Class of the network.
        name: The repository.
        classes: Number of outputs of the network.

    Raises:
        WeightsError: If tensors are missing or have another shape; names them.
    """
    missing, differing = sorted(info["missing_keys"]), sorted(info["mismatched_keys"])
    counts = {found[0] for _, found, wanted in differing if wanted[:1] == (classes,)}
    if not missing and len(counts) == 1:
        raise WeightsError(
            f"{name} has {counts.pop():,} outputs for {classes:,} classes (--labels, or id2label "
            f"in {CONFIG}). Pass --labels with the classes in output order."
        )
    if missing or differing:
        parts = [f"missing: {shown(missing)}"] if missing else []
        parts += [f"other shape: {shown(str(item[0]) for item in differing)}"] if differing else []
        raise WeightsError(
            f"The weights of {name} do not fit {architecture} ({'; '.join(parts)}). A backbone "
            "without a trained classifier cannot be imported; train it from these weights with "
            "model.init."
        )


def _read_timm(
    repository: Repository,
    config: Mapping[str, Any],
    options: InputOptions,
    outputs: tuple[str, ...],
) -> PublishedModel:
    """Reads a repository of timm's `push_to_hf_hub`, or of timm in transformers."""
    classes = outputs or _classes(config, repository.name)
    facts, arguments = config.get("pretrained_cfg") or {}, dict(config.get("model_args") or {})
    own = {key: value for key, value in arguments.items() if key not in RESERVED}
    architecture = f"timm:{config['architecture']}"
    stated = _side(arguments.get("img_size")) or _side((facts.get("input_size") or [])[1:])
    size = options.image_size or stated or default_size(architecture)
    if not isinstance(size, int):
        raise WeightsError(
            f"The files of {repository.name} do not say the input size. Pass --image-size."
        )
    built = ModelConfig(
        architecture=architecture,
        init=_init(repository),
        image_size=size,
        mean=options.mean or _rgb(facts.get("mean")),
        std=options.std or _rgb(facts.get("std")),
        options={**own, **options.network},
    )
    model, pooling = build_model(built, len(classes)), config.get("global_pool")
    chosen = "global_pool" in options.network
    if isinstance(pooling, str) and not chosen and pooling_of(model, pooling) != pooling:
        built = built.model_copy(update={"options": {**built.options, "global_pool": pooling}})
    tensors, name = _tensors(repository), repository.name
    built, fitted = fit_network(tensors, built, len(classes), name, options.image_size)
    notes = fitted.notes
    if options.image_size is None and (facts.get("crop_pct") or 1.0) < 1:
        notes = (*notes, CROPS_CENTRE)
    return PublishedModel(built, classes, fitted.tensors, _source(repository), notes)


def _rgb(values: object) -> Rgb | None:
    """Returns three values of `pretrained_cfg`, also of a network of one channel."""
    return None if values is None else as_rgb(values)


def _side(size: object) -> int | None:
    """Returns the side of a square size, written as one number or as two."""
    if isinstance(size, list) and len(set(size)) == 1:
        size = size[0]
    return size if isinstance(size, int) else None


def _tensors(repository: Repository) -> dict[str, torch.Tensor]:
    return {
        key: value
        for file in repository.weight_files()
        for key, value in load_tensors(file)[0].items()
    }


def _classes(config: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Returns the class names in output order."""
    names = output_names(config)
    if not names:
        raise WeightsError(
            f"{CONFIG} of {name} does not name its classes (id2label). Pass --labels with the "
            "classes in output order."
        )
    return names


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).strip() or '?').splitlines()[0]}"
