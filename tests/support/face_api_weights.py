"""Writes dlib's face network with random weights, in the format of face-api.js."""

import json
from pathlib import Path

import numpy as np

from fer_core.engine.dlib_weights import BLOCKS

NAME = "face_recognition_model-weights_manifest.json"


def _shapes() -> dict[str, tuple[int, ...]]:
    """Shapes of the kernels, by name."""
    kernels: dict[str, tuple[int, ...]] = {"conv32_down": (7, 7, 3, 32)}
    inputs = 32
    for block in BLOCKS:
        channels = int(block.removeprefix("conv").partition("_")[0])
        kernels[f"{block}/conv1"] = (3, 3, inputs, channels)
        kernels[f"{block}/conv2"] = (3, 3, channels, channels)
        inputs = channels
    return kernels


def write_face_network(folder: Path, seed: int = 0) -> Path:
    """Writes random weights as uint8 with a scale and a minimum for each tensor."""
    random = np.random.default_rng(seed)
    entries, content = [], b""
    for name, shape in _shapes().items():
        fan = np.prod(shape[:3])
        parts = {
            "conv/filters": random.normal(0, np.sqrt(2 / fan), shape),
            "conv/bias": random.normal(0, 0.1, shape[3:]),
            "scale/weights": random.uniform(0.5, 1.0, shape[3:]),
            "scale/biases": random.normal(0, 0.1, shape[3:]),
        }
        for part, values in parts.items():
            least, scale = float(values.min()), float(np.ptp(values)) / 255
            packing = {"dtype": "uint8", "scale": scale, "min": least}
            entries.append(
                {
                    "name": f"{name}/{part}",
                    "shape": list(values.shape),
                    "dtype": "float32",
                    "quantization": packing,
                }
            )
            content += ((values - least) / scale).round().astype(np.uint8).tobytes()
    entries.append({"name": "fc", "shape": [256, 128], "dtype": "float32"})
    content += np.zeros((256, 128), "<f4").tobytes()
    manifest = [{"weights": entries, "paths": ["face_recognition_model.bin"]}]
    (folder / NAME).write_text(json.dumps(manifest))
    (folder / "face_recognition_model.bin").write_bytes(content)
    return folder / NAME
