"""Floating-point operations of an ONNX graph, counted as `torch.utils.flop_counter` counts them.

Only convolutions and matrix products count; a multiply-add counts as two.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

_CONVOLUTIONS = ("Conv", "ConvInteger", "QLinearConv")
_PRODUCTS = ("MatMul", "MatMulInteger", "QLinearMatMul", "Gemm")
_WEIGHT_INPUT = {"QLinearConv": 3, "QLinearMatMul": 3}
"""Position of the second factor among the inputs; 1 for the others."""


def count_onnx_flops(path: Path, shape: Sequence[int]) -> int | None:
    """Counts the floating-point operations of a forward pass.

    Args:
        path: The file.
        shape: Shape of its input, such as (1, 3, 64, 64).

    Returns:
        None if a shape is unknown, or the graph has operators that hide products (fused ones of
        other domains, loops, recurrent layers).
    """
    import onnx

    model = onnx.load(str(path), load_external_data=False)
    axes = model.graph.input[0].type.tensor_type.shape.dim
    for axis, size in zip(axes, shape, strict=True):
        axis.dim_value = size
    try:
        graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    except Exception:  # onnx raises many exception types for graphs that it cannot follow
        return None
    shapes = _shapes(graph)
    total = 0
    for node in graph.node:
        if node.domain not in ("", "ai.onnx") or node.op_type in ("Loop", "If", "Scan", "LSTM"):
            return None
        if node.op_type in (*_CONVOLUTIONS, *_PRODUCTS):
            flops = _flops(node, shapes)
            if flops is None:
                return None
            total += flops
    return total


def _shapes(graph: Any) -> dict[str, tuple[int, ...]]:  # noqa: ANN401 (onnx has no types)
    shapes = {item.name: tuple(item.dims) for item in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        dims = value.type.tensor_type.shape.dim
        shapes.setdefault(value.name, tuple(dim.dim_value for dim in dims))
    return shapes


def _flops(node: Any, shapes: Mapping[str, tuple[int, ...]]) -> int | None:  # noqa: ANN401
    output = shapes.get(node.output[0], ())
    second = shapes.get(node.input[_WEIGHT_INPUT.get(node.op_type, 1)], ())
    if not output or not second or 0 in output or 0 in second:
        return None
    if node.op_type in _CONVOLUTIONS:
        inner = int(np.prod(second[1:]))  # input channels per group times the kernel's area
    elif node.op_type == "Gemm" and any(a.name == "transB" and a.i for a in node.attribute):
        inner = second[1]
    else:
        inner = second[-2] if len(second) > 1 else second[0]
    return 2 * int(np.prod(output)) * inner
