"""Image classifiers of transformers: from the Hugging Face hub or a local folder."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from fer_core.config import ModelConfig
from fer_core.errors import WeightsError
from fer_core.models.checkpoint import load_tensors
from fer_core.models.external import LogitsOnly, hub_values
from fer_core.models.processor import read_processor
from fer_core.models.published import InputOptions, PublishedModel
from fer_core.models.registry import build_model
from fer_core.models.state_dicts import fit_state, shown

PREFIX = "hub:"
CONFIG, PROCESSOR, WEIGHTS = "config.json", "preprocessor_config.json", "model.safetensors"

_FILES = (CONFIG, PROCESSOR, WEIGHTS, "model.safetensors.index.json", "model-*.safetensors")
_MOST_JSON = 8 * 2**20
"""Largest size of a JSON file in bytes."""


@dataclass(frozen=True)
class ModelFolder:
    """A folder with `config.json` and weights.

    Attributes:
        path: The folder.
        name: `owner/name` on the hub, or the folder's name.
        source: Where it comes from, with the commit.
    """

    path: Path
    name: str
    source: str


def open_folder(source: str) -> ModelFolder:
    """Returns a local folder, or that of a hub repository after downloading it.

    The hub's own environment variables apply: `HF_HOME`, `HF_HUB_OFFLINE`, `HF_TOKEN`.

    Args:
        source: A path, or `hub:owner/name`, optionally with `@` and a revision.

    Raises:
        WeightsError: If it is missing, or cannot be downloaded; says why.
    """
    if not source.startswith(PREFIX):
        path = Path(source)
        return ModelFolder(path, path.resolve().name, f"folder {path.resolve().name}")
    name, _, revision = source.removeprefix(PREFIX).partition("@")
    path = _download(name, revision or None)
    return ModelFolder(path, name, f"hub {name}@{path.name}")


def read_folder(
    folder: ModelFolder, options: InputOptions, outputs: tuple[str, ...] = ()
) -> PublishedModel:
    """Reads a classifier of transformers, or one of timm as the hub stores it.

    Args:
        folder: The folder.
        options: Input, where the folder's files do not say it or the user knows better.
        outputs: Classes in output order; those of `config.json` if empty.

    Raises:
        WeightsError: If a file is missing, damaged, a pickle, or does not fit; says which.
    """
    config = _read_json(folder, CONFIG)
    if config is None:
        raise WeightsError(
            f"{folder.name} has no {CONFIG}, which names the architecture and the classes. Give a "
            "folder of transformers' save_pretrained, or a file of weights with --architecture."
        )
    _require_safetensors(folder)
    if "pretrained_cfg" in config and "architecture" in config:
        return _read_timm(folder, config, options, outputs)
    if "auto_map" in config:
        raise WeightsError(
            f"{folder.name} needs code from its repository (auto_map in {CONFIG}), which is not "
            "run. Only architectures of transformers itself can be imported."
        )
    processor = _read_json(folder, PROCESSOR) or {}
    given, notes = read_processor(processor, config, options, folder.name)
    assert given.image_size is not None  # noqa: S101 (read_processor returns it)
    model, unused = _load(folder, config)
    if unused:
        notes.append(f"Tensors that the network does not have were left out: {shown(unused)}.")
    built = ModelConfig(
        architecture=f"hf:{folder.name}",
        init=_init(folder),
        image_size=given.image_size,
        mean=given.mean,
        std=given.std,
        hub_config=hub_values(model),
    )
    classes = outputs or _classes(config.get("id2label"), folder.name)
    return PublishedModel(built, classes, model.state_dict(), folder.source, tuple(notes))


def _init(folder: ModelFolder) -> str:
    """Returns the value of `model.init` that names the folder."""
    on_hub = folder.source.startswith("hub ")
    return f"hub:{folder.source.removeprefix('hub ')}" if on_hub else f"file:{folder.name}"


def _load(folder: ModelFolder, config: Mapping[str, Any]) -> tuple[LogitsOnly, list[str]]:
    """Loads a network with its weights; returns it and the names of unused tensors."""
    from transformers import AutoModelForImageClassification
    from transformers.utils import logging

    kind = config.get("model_type")
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # what does not fit is an error below
    try:
        model, info = AutoModelForImageClassification.from_pretrained(
            folder.path,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            dtype=torch.float32,
        )
    except Exception as error:  # transformers raises many exception types
        raise WeightsError(
            f"{folder.name} cannot be loaded as an image classifier (model_type {kind!r}): "
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
            f"The weights of {folder.name} do not fit {type(model).__name__} ({'; '.join(parts)}). "
            "A backbone without a trained classifier cannot be imported; train it from these "
            "weights with model.init."
        )
    return LogitsOnly(model.eval()), sorted(info["unexpected_keys"])


def _read_timm(
    folder: ModelFolder, config: Mapping[str, Any], options: InputOptions, outputs: tuple[str, ...]
) -> PublishedModel:
    """Reads a folder of timm's `push_to_hf_hub`."""
    facts = config["pretrained_cfg"]
    names = config.get("label_names") or config.get("id2label")
    classes = outputs or _classes(names, folder.name)
    built = ModelConfig(
        architecture=f"timm:{config['architecture']}",
        init=_init(folder),
        image_size=options.image_size or facts["input_size"][-1],
        mean=options.mean or facts["mean"],
        std=options.std or facts["std"],
    )
    model = build_model(built, len(classes))
    fitted = fit_state(load_tensors(folder.path / WEIGHTS)[0], model, folder.name)
    return PublishedModel(built, classes, fitted.tensors, folder.source, fitted.notes)


def _classes(names: object, name: str) -> tuple[str, ...]:
    """Returns the class names in output order."""
    if isinstance(names, list) and names:
        return tuple(map(str, names))
    if isinstance(names, Mapping) and names:
        try:
            by_index = {int(key): str(value) for key, value in names.items()}
        except ValueError:
            by_index = {}
        if sorted(by_index) == list(range(len(names))):
            return tuple(by_index[index] for index in range(len(names)))
    raise WeightsError(
        f"{CONFIG} of {name} does not name its classes (id2label). Pass --labels with the classes "
        "in output order."
    )


def _require_safetensors(folder: ModelFolder) -> None:
    files = {path.name for path in folder.path.iterdir()}
    if WEIGHTS in files or f"{WEIGHTS}.index.json" in files:
        for path in folder.path.glob("*.safetensors"):
            _check_header(path)
        return
    pickles = sorted(
        name for name in files if name.endswith((".bin", ".pt", ".pth", ".pkl", ".ckpt"))
    )
    found = f" but {', '.join(pickles)}" if pickles else ""
    raise WeightsError(
        f"{folder.name} has no {WEIGHTS}{found}. Pickled weights are refused, because opening them "
        "can run any code. Convert them on a machine that you trust: "
        "model.save_pretrained(folder, safe_serialization=True)."
    )


def _check_header(path: Path) -> None:
    """Opens a safetensors file without reading its tensors.

    Raises:
        WeightsError: If its header is damaged or impossibly large.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt"):
            pass
    except (SafetensorError, ValueError, OSError) as error:
        raise WeightsError(f"{path.name} is not a safetensors file: {error}.") from error


def _read_json(folder: ModelFolder, name: str) -> dict[str, Any] | None:
    """Reads a JSON file of a folder; None if it is missing."""
    path = folder.path / name
    if not path.is_file():
        return None
    if path.stat().st_size > _MOST_JSON:
        raise WeightsError(f"{name} of {folder.name} is larger than 8 MiB.")
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise WeightsError(f"{name} of {folder.name} is damaged: {error}.") from error
    if not isinstance(content, dict):
        raise WeightsError(f"{name} of {folder.name} is not a JSON object.")
    return content


def _download(name: str, revision: str | None) -> Path:
    """Downloads a repository's configuration and safetensors, or finds them in the local cache."""
    from huggingface_hub import errors, snapshot_download

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(_FILES)))
    except errors.RevisionNotFoundError as error:
        raise WeightsError(f"{name} has no revision {revision!r}. Check it on the hub.") from error
    except errors.GatedRepoError as error:
        raise WeightsError(
            f"{name} needs its owner's permission. Accept its terms on the hub and set HF_TOKEN."
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise WeightsError(
            f"There is no repository {name} on the hub, or it is private. Check the name, or set "
            "HF_TOKEN."
        ) from error
    except errors.LocalEntryNotFoundError as error:
        wanted = f"{name}@{revision}" if revision else name
        raise WeightsError(
            f"{wanted} is not in the local cache, and the hub cannot be reached (or HF_HUB_OFFLINE "
            "is set). Download it elsewhere and give the folder."
        ) from error
    except Exception as error:  # the client raises many exception types
        raise WeightsError(
            f"{name} cannot be downloaded from the hub: {_first_line(error)}"
        ) from error


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).strip() or '?').splitlines()[0]}"
