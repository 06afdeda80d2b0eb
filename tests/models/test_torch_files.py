"""Files of torch: which state dict is read, what is said, and what is refused."""

import argparse

import numpy as np
import pytest
import torch
from torch import nn

from fer_core.errors import WeightsError
from fer_core.models.torch_files import read_torch_file

STATE = {"conv.weight": torch.ones(2, 3), "conv.bias": torch.zeros(2)}
OTHER = {name: value + 5 for name, value in STATE.items()}
OPTIMIZER = {"state": {0: {"step": torch.tensor(1)}}, "param_groups": [{"lr": 0.1}]}


def saved(path, content):
    torch.save(content, path / "net.pth")
    return path / "net.pth"


@pytest.mark.parametrize(
    "content",
    [
        STATE,
        {"state_dict": STATE, "optimizer": OPTIMIZER, "epoch": 3},
        {"model_ema": STATE},
        {"model": {"state_dict": STATE}},
        {"my_own_key": STATE, "optimizer_state_dict": OPTIMIZER},
        {"state_dict": STATE, "best": np.float64(0.7), "curve": np.zeros(3)},
        {"model": STATE, "args": argparse.Namespace(lr=0.1)},
    ],
)
def test_the_state_dict_is_found(content, tmp_path):
    read = read_torch_file(saved(tmp_path, content))
    assert set(read.tensors) == set(STATE)
    assert torch.equal(read.tensors["conv.weight"], STATE["conv.weight"])
    assert read.notes == ()


def test_of_two_states_the_average_is_read_and_the_other_named(tmp_path):
    read = read_torch_file(saved(tmp_path, {"state_dict": OTHER, "state_dict_ema": STATE}))
    assert torch.equal(read.tensors["conv.weight"], STATE["conv.weight"])
    assert read.notes == (
        "The weights under 'state_dict_ema' of net.pth were read; those under 'state_dict' were "
        "not.",
    )


def test_values_beside_the_tensors_are_named(tmp_path):
    read = read_torch_file(saved(tmp_path, {**STATE, "epoch": 3}))
    assert set(read.tensors) == set(STATE)
    assert read.notes == ("net.pth also has epoch, which are no tensors.",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (nn.Linear(2, 2), "needs code to be opened"),
        ([1, 2], "is not a state dict"),
        ({"optimizer": OPTIMIZER, "epoch": 1}, "It has optimizer, epoch"),
        ({}, "is not a state dict"),
    ],
)
def test_what_is_no_state_dict_is_refused(content, message, tmp_path):
    with pytest.raises(WeightsError, match=message):
        read_torch_file(saved(tmp_path, content))


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\3\4 not a zip"])
def test_a_damaged_file_is_named(content, tmp_path):
    (tmp_path / "net.pth").write_bytes(content)
    with pytest.raises(WeightsError, match=r"net\.pth cannot be read as weights"):
        read_torch_file(tmp_path / "net.pth")


@pytest.mark.filterwarnings("ignore")
def test_an_archive_of_torchscript_is_refused_with_a_remedy(tmp_path):
    torch.jit.script(nn.Linear(2, 2)).save(str(tmp_path / "net.pt"))
    with pytest.raises(WeightsError, match=r"TorchScript archive.*export the model as ONNX"):
        read_torch_file(tmp_path / "net.pt")
