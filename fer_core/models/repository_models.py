"""Image classifiers in Hugging Face repositories, of transformers or of timm."""

from collections.abc import Mapping
from typing import Any

import torch

from fer_core.config import ModelConfig
from fer_core.errors import WeightsError
from fer_core.models.checkpoint import load_tensors, read_facts
from fer_core.models.external import LogitsOnly, default_size, hub_values
from fer_core.models.external.timm_library import RESERVED
from fer_core.models.processor import CROPS_CENTRE, read_processor
from fer_core.models.published import InputOptions, PublishedModel
from fer_core.models.registry import build_model, spec_of
from fer_core.models.repository import (
    CONFIG,
    PROCESSOR,
    MissingFileError,
    Repository,
    output_names,
)
from fer_core.models.state_dicts import fit_state, shown

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
        raise WeightsError(
            f"{error} That file names the architecture and the classes. Give a folder of "
            "transformers' save_pretrained, or a file of weights with --architecture."
        ) from error
    for file in repository.weight_files():
        read_facts(file)  # a damaged header is an error here
    if "architecture" in config and config.get("model_type", TIMM_WRAPPER) == TIMM_WRAPPER:
        return _read_timm(repository, config, options, outputs)
    return _read_transformers(repository, config, options, outputs)


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
    try:
        processor = repository.json(PROCESSOR)
    except MissingFileError:
        processor = {}
    preprocessing, notes = read_processor(processor, config, options, name)
    assert preprocessing.image_size is not None  # noqa: S101 (read_processor returns it)
    model, unused = _load(repository, config)
    if unused:
        notes.append(f"Tensors that the network does not have were left out: {shown(unused)}.")
    own = int(getattr(model.model.config, "num_labels", len(outputs)))
    if outputs and len(outputs) != own:
        raise WeightsError(f"{name} has {own:,} outputs for {len(outputs):,} --labels.")
    built = ModelConfig(
        architecture=f"hf:{name}",
        init=_init(repository),
        image_size=preprocessing.image_size,
        mean=preprocessing.mean,
        std=preprocessing.std,
        hub_config=hub_values(model),
    )
    return PublishedModel(
        built,
        outputs or _classes(config, name),
        model.state_dict(),
        _source(repository),
        tuple(notes),
    )


def _init(repository: Repository) -> str:
    """Returns the value of `model.init` that names the repository."""
    if repository.folder is not None:
        return f"file:{repository.name}"
    return f"hub:{repository.name}@{repository.revision}"


def _source(repository: Repository) -> str:
    return repository.source if repository.folder is None else f"folder {repository.name}"


def _load(repository: Repository, config: Mapping[str, Any]) -> tuple[LogitsOnly, list[str]]:
    """Loads a network with its weights; returns it and the names of unused tensors."""
    from transformers import AutoModelForImageClassification
    from transformers.utils import logging

    kind = config.get("model_type")
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # what does not fit is an error below
    try:
        model, info = AutoModelForImageClassification.from_pretrained(
            repository.weight_files()[0].parent,
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
    finally:
        logging.set_verbosity(verbosity)
    missing = sorted(info["missing_keys"])
    differing = sorted(str(item[0]) for item in info["mismatched_keys"])
    if missing or differing:
        parts = [f"missing: {shown(missing)}"] if missing else []
        parts += [f"other shape: {shown(differing)}"] if differing else []
        raise WeightsError(
            f"The weights of {repository.name} do not fit {type(model).__name__} "
            f"({'; '.join(parts)}). A backbone without a trained classifier cannot be imported; "
            "train it from these weights with model.init."
        )
    return LogitsOnly(model.eval()), sorted(info["unexpected_keys"])


def _read_timm(
    repository: Repository,
    config: Mapping[str, Any],
    options: InputOptions,
    outputs: tuple[str, ...],
) -> PublishedModel:
    """Reads a repository of timm's `push_to_hf_hub`, or of timm in transformers."""
    classes = outputs or _classes(config, repository.name)
    facts, arguments = config.get("pretrained_cfg") or {}, dict(config.get("model_args") or {})
    architecture = f"timm:{config['architecture']}"
    stated = arguments.get("img_size") or (facts.get("input_size") or [None])[-1]
    size = options.image_size or stated or default_size(architecture)
    if not isinstance(size, int):
        raise WeightsError(
            f"The files of {repository.name} do not say the input size. Pass --image-size."
        )
    built = ModelConfig(
        architecture=architecture,
        init=_init(repository),
        image_size=size,
        mean=options.mean or facts.get("mean"),
        std=options.std or facts.get("std"),
        options={key: value for key, value in arguments.items() if key not in RESERVED},
    )
    model = build_model(built, len(classes))
    pooling = config.get("global_pool")
    if isinstance(pooling, str) and getattr(model, "global_pool", pooling) != pooling:
        built = built.model_copy(update={"options": {**built.options, "global_pool": pooling}})
        model = build_model(built, len(classes))
    spec = spec_of(built)
    built = built.model_copy(update={"mean": spec.mean_of(built), "std": spec.std_of(built)})
    fitted = fit_state(_tensors(repository), model, repository.name)
    notes = fitted.notes
    if options.image_size is None and (facts.get("crop_pct") or 1.0) < 1:
        notes = (*notes, CROPS_CENTRE)
    return PublishedModel(built, classes, fitted.tensors, _source(repository), notes)


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
