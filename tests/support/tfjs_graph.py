"""Writes TensorFlow.js graph models of convolutions, as tests of the face converter need them."""

import base64
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_core.engine.face_weights import FEATURES

Shape = tuple[str, int, int, int]  # what a convolution is: kind, channels in and out, stride

CHANNELS = (64, 128, 128, 256, 256, *[512] * 6, 1024, 1024)
STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)


def mobilenet() -> tuple[Shape, ...]:
    """Howard et al. 2017, table 1."""
    shapes: list[Shape] = [("full", 3, 32, 2)]
    channels = 32
    for made, stride in zip(CHANNELS, STRIDES, strict=True):
        shapes += [("depth", channels, channels, stride), ("point", channels, made, 1)]
        channels = made
    return tuple(shapes)


class GraphFile:
    """Writes a graph model of convolutions, scales, shifts and ReLU6, with random weights."""

    def __init__(self, folder: Path, shapes: tuple[Shape, ...], seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self.constants: dict[str, NDArray[np.float16]] = {}
        self.nodes: list[dict] = [{"name": "input_1", "op": "Placeholder"}]
        self.path = folder / "net.json"
        last = "input_1"
        for number, shape in enumerate(shapes):
            last = self._block(f"b{number}", last, *shape)
        self._constant("axes", np.zeros(0))
        self._node("Mean", FEATURES, last, "axes")
        self.write()

    def _constant(self, name: str, values: NDArray[np.floating]) -> str:
        self.constants[name] = values.astype(np.float16)
        self.nodes.insert(0, {"name": name, "op": "Const", "attr": {}})
        return name

    def _node(self, op: str, name: str, *inputs: str, **attributes: object) -> str:
        self.nodes.append({"name": name, "op": op, "input": list(inputs), "attr": attributes})
        return name

    def _block(
        self, name: str, channels: str, kind: str, inputs: int, outputs: int, step: int
    ) -> str:
        side = 1 if kind == "point" else 3
        shape = (side, side, inputs, 1) if kind == "depth" else (side, side, inputs, outputs)
        fan = side * side * (1 if kind == "depth" else inputs)
        kernel = self._constant(f"{name}/k", self.random.normal(0, fan**-0.5, shape))
        op = "DepthwiseConv2dNative" if kind == "depth" else "Conv2D"
        made = self._node(
            op,
            f"{name}/conv",
            channels,
            kernel,
            padding={"s": base64.b64encode(b"SAME").decode()},
            strides={"list": {"i": ["1", str(step), str(step), "1"]}},
        )
        if kind == "depth":
            scale = self._constant(f"{name}/scale", self.random.uniform(0.5, 1.5, outputs))
            made = self._node("Mul", f"{name}/mul", made, scale)
        shift = self._constant(f"{name}/shift", self.random.normal(0.3, 0.3, outputs))
        made = self._node("Add", f"{name}/add", made, shift)
        made = self._node("Relu", f"{name}/relu", made)
        six, zero = (
            self._constant(f"{name}/6", np.array(6)),
            self._constant(f"{name}/0", np.array(0)),
        )
        made = self._node("Minimum", f"{name}/min", made, six)
        return self._node("Maximum", f"{name}/max", made, zero)

    def write(self, **changes: object) -> None:
        entries = [
            {
                "name": name,
                "shape": list(values.shape),
                "dtype": "float32",
                "quantization": {"dtype": "float16", "original_dtype": "float32"},
            }
            for name, values in self.constants.items()
        ]
        model = {
            "format": "graph-model",
            "modelTopology": {"node": self.nodes},
            "weightsManifest": [{"paths": ["net.bin"], "weights": entries}],
        }
        self.path.write_text(json.dumps(model | changes))
        content = b"".join(values.tobytes() for values in self.constants.values())
        (self.path.parent / "net.bin").write_bytes(content)
