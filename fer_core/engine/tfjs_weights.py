"""Weights in the binary files of TensorFlow.js: float32, float16, or quantised to uint8."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_DTYPES = {"float32": "<f4", "int32": "<i4", "float16": "<f2", "uint8": "u1"}


def unpacked(
    entries: Sequence[Mapping[str, Any]], content: bytes
) -> dict[str, NDArray[np.generic]]:
    """Splits a weight file into tensors by name; float16 and uint8 are converted to float32.

    Args:
        entries: Entries of a manifest: name, shape, dtype and, if any, quantization.
        content: All weight files of the manifest, joined.

    Raises:
        ValueError: If the length of the content differs.
        KeyError: If a dtype is not supported, or an entry is incomplete.
    """
    weights: dict[str, NDArray[np.generic]] = {}
    at = 0
    for entry in entries:
        packing = entry.get("quantization", {})
        dtype = np.dtype(_DTYPES[packing.get("dtype", entry["dtype"])])
        count = math.prod(entry["shape"])
        values = np.frombuffer(content, dtype, count, at).reshape(entry["shape"])
        restored = values.astype(_DTYPES[entry["dtype"]])
        if "scale" in packing:
            restored = restored * np.float32(packing["scale"]) + np.float32(packing["min"])
        weights[entry["name"]] = restored
        at += count * dtype.itemsize
    if at != len(content):
        raise ValueError(f"{len(content)} bytes of weights, expected {at}")
    return weights
