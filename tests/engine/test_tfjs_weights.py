"""Binary weights of TensorFlow.js: float16 and quantised values, by hand."""

import numpy as np
import pytest

from fer_core.engine.tfjs_weights import unpacked


def test_uint8_is_scaled_and_shifted_by_the_minimum():
    entry = {
        "name": "k",
        "shape": [2, 2],
        "dtype": "float32",
        "quantization": {"dtype": "uint8", "scale": 0.5, "min": -3.0},
    }
    weights = unpacked([entry], bytes([0, 1, 6, 255]))
    assert weights["k"].dtype == np.float32
    assert weights["k"].tolist() == [[-3.0, -2.5], [0.0, 124.5]]


def test_tensors_of_several_types_follow_each_other():
    entries = [
        {"name": "a", "shape": [2], "dtype": "float32", "quantization": {"dtype": "float16"}},
        {"name": "b", "shape": [1], "dtype": "float32"},
        {"name": "c", "shape": [2], "dtype": "int32"},
    ]
    content = (
        np.array([1.5, -2], "<f2").tobytes()
        + np.array([0.1], "<f4").tobytes()
        + np.array([7, -7], "<i4").tobytes()
    )
    weights = unpacked(entries, content)
    assert weights["a"].tolist() == [1.5, -2]
    assert weights["a"].dtype == np.float32
    assert weights["b"].tolist() == [np.float32(0.1)]
    assert weights["c"].tolist() == [7, -7]


@pytest.mark.parametrize("content", [bytes(3), bytes(5)])
def test_another_length_is_refused(content):
    with pytest.raises(ValueError, match=r"4|buffer"):
        unpacked([{"name": "a", "shape": [1], "dtype": "float32"}], content)
