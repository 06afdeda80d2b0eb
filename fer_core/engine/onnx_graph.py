"""ONNX graphs without weights: they read a run's `model.safetensors`, and need no torch.

A graph names its weights as external data: the offset and length of each tensor in
`model.safetensors`. ONNX Runtime reads them there, so nothing is copied or kept up to date.
"""

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fer_core.artifacts import RunDir
from fer_core.data.imaging import SampleFormat
from fer_core.engine.onnx import checked_difference, copy_facts, current_copy, exported_copy
from fer_core.engine.onnx_network import FACTS, OnnxNetwork, read_onnx
from fer_core.errors import WeightsError
from fer_core.files import content_hash
from fer_core.records import SCALE

if TYPE_CHECKING:
    import onnx

    from fer_core.engine.networks import Network

TOLERANCE = 1e-5
"""Largest difference of a probability between a network and its graph."""

MOST_BYTES = 1_000_000
"""Largest size of a graph; it is kept in git."""


def write_graph(network: "Network", run: RunDir, images: NDArray[np.uint8]) -> float:
    """Writes the graph of a run's network beside its weights, and checks its predictions.

    Args:
        network: The network.
        run: The network's run.
        images: Stored images for the comparison, shape (n, H, W) or (n, H, W, 3).

    Returns:
        The largest difference of a probability between the network and the graph.

    Raises:
        ArtifactError: If a probability differs by more than `TOLERANCE`.
        WeightsError: If weights of the network are in other files, as those of an adapter are, or
            the network cannot be exported.
    """
    import onnx

    if run.weights_path.parent != run.root:
        raise WeightsError(f"{run.run_id} was transferred; its graph is beside the weights.")
    # In the same folder: ONNX Runtime looks for the weights beside the graph.
    temporary = run.graph_path.with_suffix(".tmp")
    try:
        model = _exported(network, temporary)
        _refer_to_weights(model, run.weights_path)
        size = model.ByteSize()
        if size > MOST_BYTES:
            raise WeightsError(
                f"The graph of {run.run_id} would be {size / 1e6:.1f} MB: not all of its weights "
                f"are in {run.weights_path.name}, as with an adapter. It predicts with PyTorch."
            )
        facts = copy_facts(network, content_hash(run.weights_path))
        onnx.helper.set_model_props(model, {FACTS: facts})
        onnx.save(model, str(temporary))
        copy = read_onnx(temporary, network.preprocessing.format)
        difference = checked_difference(network, copy, images, TOLERANCE)
        temporary.replace(run.graph_path)
    finally:
        temporary.unlink(missing_ok=True)
    return difference


def graph_copy(run: RunDir, stored: SampleFormat, threads: int | None = None) -> OnnxNetwork | None:
    """Returns a run's graph with its weights; None without one, or if the weights have changed.

    Args:
        run: The run, with `graph.onnx` beside `model.safetensors`.
        stored: Format of the images to predict.
        threads: Threads of ONNX Runtime; its default if None.
    """
    if not (run.graph_path.is_file() and run.weights_path.is_file()):
        return None
    return current_copy(run, run.graph_path, stored, threads)


def onnx_copy(run: RunDir, stored: SampleFormat, threads: int | None = None) -> OnnxNetwork | None:
    """Returns a network's current weights as ONNX: its export or its graph; None without either."""
    return exported_copy(run, stored, threads) or graph_copy(run, stored, threads)


def _exported(network: "Network", path: Path) -> "onnx.ModelProto":
    """Returns the network's graph, whose initializers have the names and values of its weights.

    The exporter based on TorchScript keeps them as they are and takes a tenth of the other's time.
    """
    import onnx
    import torch

    size = network.preprocessing.image_size
    example = torch.zeros(2, 3, size, size, device=next(network.model.parameters()).device)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                network.model.eval(),
                (example,),
                path,
                dynamo=False,
                training=torch.onnx.TrainingMode.PRESERVE,  # else convolutions absorb batch norms
                do_constant_folding=False,
                input_names=["images"],
                output_names=["logits"],
                dynamic_axes={"images": {0: "batch"}, "logits": {0: "batch"}},
                opset_version=18,
            )
    except Exception as error:  # the exporter raises many kinds
        raise WeightsError(
            f"{network.info.run_id} cannot be exported as ONNX: {type(error).__name__}: {error}"
        ) from error
    model = onnx.load(str(path))
    for node in model.graph.node:
        node.doc_string = ""
    return model


def _refer_to_weights(model: "onnx.ModelProto", weights: Path) -> None:
    """Replaces the initializers that are in a weight file by references to it."""
    import onnx
    from safetensors.numpy import load_file

    stored, positions = load_file(weights), _positions(weights)
    conversions, scales = [], []
    for item in model.graph.initializer:
        name, value = item.name, stored.get(item.name)
        scale = stored.get(name + SCALE)
        if value is None or not _same(value, scale, onnx.numpy_helper.to_array(item)):
            continue
        if value.dtype != np.float32:
            item.name = f"{name}.stored"
            conversions += _conversion(name, value, scale)
        _refer(item, value, weights, positions[name])
        if scale is not None:
            scales.append(onnx.TensorProto(name=name + SCALE, dims=scale.shape))
            _refer(scales[-1], scale, weights, positions[name + SCALE])
    model.graph.initializer.extend(scales)
    nodes = [*conversions, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _conversion(
    name: str, stored: NDArray[Any], scale: NDArray[Any] | None
) -> "list[onnx.NodeProto]":
    """Returns the nodes that make a weight of its stored values, once, when a session starts."""
    from onnx import TensorProto, helper

    if scale is None:
        return [helper.make_node("Cast", [f"{name}.stored"], [name], to=TensorProto.FLOAT)]
    return [
        helper.make_node("Cast", [f"{name}.stored"], [f"{name}.cast"], to=TensorProto.FLOAT),
        helper.make_node("Mul", [f"{name}.cast", name + SCALE], [name]),
    ]


def _refer(
    item: "onnx.TensorProto", value: NDArray[Any], weights: Path, position: tuple[int, int]
) -> None:
    """Makes a tensor of a graph refer to its bytes in a weight file."""
    import onnx

    item.data_type = onnx.helper.np_dtype_to_tensor_dtype(value.dtype)
    item.ClearField("raw_data")
    item.ClearField("float_data")
    item.data_location = onnx.TensorProto.EXTERNAL
    facts = {"location": weights.name, "offset": str(position[0]), "length": str(position[1])}
    for key, text in facts.items():
        item.external_data.add(key=key, value=text)


def _same(stored: NDArray[Any], scale: NDArray[Any] | None, value: NDArray[Any]) -> bool:
    """Whether a tensor of a graph is what a weight file holds."""
    kinds = (np.float32, np.float16) if scale is None else (np.int8,)
    if value.dtype != np.float32 or stored.dtype not in kinds or stored.shape != value.shape:
        return False
    weights = stored.astype(np.float32)
    return bool(np.array_equal(weights if scale is None else weights * scale, value))


def _positions(path: Path) -> Mapping[str, tuple[int, int]]:
    """Returns the offset and length in bytes of each tensor of a .safetensors file."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    return {
        name: (8 + length + entry["data_offsets"][0], int(np.diff(entry["data_offsets"])[0]))
        for name, entry in header.items()
        if name != "__metadata__"
    }
