"""Weights in float16 and int8: which tensors, how far from the original, and through a file."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from fer_core.models.checkpoint import load_tensors, load_weights, save_tensors
from fer_core.models.stored_weights import (
    half_precision,
    in_stored_type,
    int8_weights,
    without_scales,
)
from fer_core.records import StoredType


def test_depthwise_kernels_keep_their_precision():
    tensors = {
        "depthwise": torch.rand(8, 1, 3, 3),
        "pointwise": torch.rand(8, 8, 1, 1),
        "counter": torch.tensor(3),
    }
    kinds = {key: tensor.dtype for key, tensor in half_precision(tensors).items()}
    assert kinds == {
        "depthwise": torch.float32,
        "pointwise": torch.float16,
        "counter": torch.int64,
    }


def test_int8_by_hand():
    stored = int8_weights({"fc.weight": torch.tensor([[1.27, -0.5], [0.0, 0.0], [-2.54, 0.013]])})
    assert stored["fc.weight"].tolist() == [[127, -50], [0, 0], [-127, 1]]
    assert stored["fc.weight.scale"].flatten().tolist() == pytest.approx([0.01, 1.0, 0.02])
    assert without_scales(stored)["fc.weight"].flatten().tolist() == pytest.approx(
        [1.27, -0.5, 0, 0, -2.54, 0.02]
    )


def test_only_kernels_and_matrices_are_int8():
    tensors = {
        "conv": torch.rand(8, 4, 3, 3),
        "depthwise": torch.rand(8, 1, 3, 3),
        "positions": torch.rand(1, 9, 4),
        "norm": torch.rand(8),
        "counter": torch.tensor(3),
    }
    stored = int8_weights(tensors)
    assert {key: str(value.dtype).removeprefix("torch.") for key, value in stored.items()} == {
        "conv": "int8",
        "conv.scale": "float32",
        "depthwise": "float32",
        "positions": "float16",
        "norm": "float32",
        "counter": "int64",
    }
    assert stored["conv.scale"].shape == (8, 1, 1, 1)
    assert set(without_scales(stored)) == set(tensors)
    assert in_stored_type(tensors, StoredType.FLOAT16)["conv"].dtype == torch.float16
    assert in_stored_type(tensors, StoredType.INT8)["conv"].dtype == torch.int8


MATRICES = arrays.arrays(
    np.float32, st.tuples(st.integers(1, 5), st.integers(1, 5)),
    elements=st.floats(-100, 100, width=32).filter(lambda value: value == 0 or abs(value) > 1e-6),
)  # fmt: skip


@given(MATRICES)
def test_no_weight_moves_by_more_than_half_a_step_of_its_channel(values):
    tensors = {"weight": torch.from_numpy(values)}
    back = without_scales(int8_weights(tensors))["weight"].numpy()
    step = np.abs(values).max(axis=1, keepdims=True) / 127
    assert (np.abs(back - values) <= 0.501 * step).all()


def test_a_network_is_loaded_from_int8_and_saved_again_without_change(tmp_path):
    torch.manual_seed(0)
    model, path = torch.nn.Linear(4, 7), tmp_path / "run" / "model.safetensors"
    save_tensors(path, int8_weights(model.state_dict()), {"run_id": "run"})
    other = torch.nn.Linear(4, 7)
    load_weights(other, path)
    torch.testing.assert_close(other.weight, model.weight, atol=0.003, rtol=0)
    assert torch.equal(other.bias, model.bias)
    again = int8_weights(other.state_dict())
    assert torch.equal(again["weight"], int8_weights(model.state_dict())["weight"])
    assert set(load_tensors(path)[0]) == {"weight", "bias"}


def test_a_tensor_of_integers_without_scales_is_kept():
    tensors = {"codes": torch.ones(2, 2, dtype=torch.int8), "a.scale": torch.ones(2)}
    assert {key: value.dtype for key, value in without_scales(tensors).items()} == {
        "codes": torch.int8,
        "a.scale": torch.float32,
    }
