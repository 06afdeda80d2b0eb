"""A network as a folder that timm or transformers loads by itself, as repositories on the hub are.

The folder has `config.json`, `model.safetensors` in float32 and, for transformers,
`preprocessor_config.json`. Classes have their names.
"""

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from fer_core.config import ModelConfig
from fer_core.errors import WeightsError
from fer_core.files import write_json
from fer_core.models.adapters import merge_adapters
from fer_core.models.external import LogitsOnly
from fer_core.models.registry import ModelSpec
from fer_core.models.regression_head import classifier_of
from fer_core.models.repository import CONFIG, PROCESSOR, WEIGHTS

Library = Literal["timm", "transformers"]


@dataclass(frozen=True)
class Exported:
    """A network to write.

    Attributes:
        model: The network, with or without a regression head; unchanged by all functions here.
        spec: Architecture.
        config: Configuration.
        labels: The class of each output, in order.
    """

    model: nn.Module
    spec: ModelSpec
    config: ModelConfig
    labels: Sequence[str]


def library_of(spec: ModelSpec, config: ModelConfig) -> Library | None:
    """Returns the library that can load an architecture; None for FERscope's own."""
    if spec.timm_call is not None:
        return "timm"
    is_transformers = spec.key.startswith("hf_vit") or config.architecture.startswith("hf:")
    return "transformers" if is_transformers else None


def write_folder(network: Exported, folder: Path) -> Library:
    """Writes a network's files into an existing folder.

    Returns:
        The library that loads them.

    Raises:
        WeightsError: If no library can load this architecture.
    """
    library = library_of(network.spec, network.config)
    if library is None:
        raise WeightsError(
            f"{network.spec.title} cannot be loaded by timm or transformers: its code is part of "
            "FERscope. Export it as ONNX instead."
        )
    model = _plain_classifier(network)
    if library == "timm":
        write_json(folder / CONFIG, _timm_config(network))
        state = model.state_dict()
    else:
        _write_transformers_config(network, model, folder)
        state = {key.removeprefix("model."): value for key, value in model.state_dict().items()}
    tensors = {key: value.detach().cpu().float().contiguous() if value.is_floating_point() else
               value.detach().cpu() for key, value in state.items()}  # fmt: skip
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    return library


@torch.inference_mode()
def logits_of_folder(folder: Path, library: Library, inputs: Tensor) -> Tensor:
    """Loads a folder with its library alone and predicts normalised inputs (N, 3, S, S)."""
    if library == "timm":
        import timm

        loaded: nn.Module = timm.create_model(f"local-dir:{folder}", pretrained=True)
        logits: Tensor = loaded.eval()(inputs)
        return logits
    from transformers import AutoModelForImageClassification

    model: Any = AutoModelForImageClassification.from_pretrained(folder, local_files_only=True)
    result: Tensor = model.eval()(pixel_values=inputs).logits
    return result


def _plain_classifier(network: Exported) -> nn.Module:
    """Returns a copy without the regression head, with adapters merged into its weights."""
    model = merge_adapters(copy.deepcopy(network.model).cpu().eval())
    model.set_submodule(network.spec.head, classifier_of(model, network.spec))
    return model


def _timm_config(network: Exported) -> dict[str, Any]:
    """Returns `config.json` in the form of timm's `save_for_hf`."""
    spec, config = network.spec, network.config
    assert spec.timm_call is not None  # noqa: S101 (library_of says so)
    name, arguments = spec.timm_call(config)
    side = config.image_size
    return {
        "architecture": name,
        "num_classes": len(network.labels),
        "label_names": list(network.labels),
        "model_args": arguments,
        "pretrained_cfg": {
            "num_classes": len(network.labels),
            "input_size": [3, side, side],
            "fixed_input_size": "img_size" in arguments,
            "interpolation": "bilinear",
            "crop_pct": 1.0,
            "crop_mode": "squash",
            "mean": list(spec.mean_of(config)),
            "std": list(spec.std_of(config)),
            "first_conv": None,
            "classifier": spec.head,
        },
    }


def _write_transformers_config(network: Exported, model: nn.Module, folder: Path) -> None:
    """Writes `config.json` and `preprocessor_config.json`."""
    if not isinstance(model, LogitsOnly):
        raise WeightsError(f"{network.spec.title} is no network of transformers.")
    inner: Any = model.model
    content = json.loads(inner.config.to_json_string(use_diff=True))
    names = dict(enumerate(network.labels))
    content |= {
        "architectures": [type(inner).__name__],
        "id2label": {str(index): name for index, name in names.items()},
        "label2id": {name: index for index, name in names.items()},
    }
    content.pop("num_labels", None)
    write_json(folder / CONFIG, content)
    side = network.config.image_size
    write_json(
        folder / PROCESSOR,
        {
            "image_processor_type": "ViTImageProcessor",
            "do_resize": True,
            "size": {"height": side, "width": side},
            "resample": 2,
            "do_rescale": True,
            "rescale_factor": 1 / 255,
            "do_normalize": True,
            "image_mean": list(network.spec.mean_of(network.config)),
            "image_std": list(network.spec.std_of(network.config)),
            "do_convert_rgb": True,
        },
    )
