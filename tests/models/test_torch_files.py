"""Files of torch: which state dict is read, what is said, and what is refused."""

import argparse
import collections
import datetime
import pickle
import zipfile

import numpy as np
import pytest
import torch
from torch import nn

from fer_core.errors import WeightsError
from fer_core.models.torch_files import read_torch_file

STATE = {"conv.weight": torch.ones(2, 3), "conv.bias": torch.zeros(2)}
OTHER = {name: value + 5 for name, value in STATE.items()}
OPTIMIZER = {"state": {0: {"step": torch.tensor(1)}}, "param_groups": [{"lr": 0.1}]}


class Options:
    """Options of a training that are of a class of its own."""

    def __init__(self):
        self.rate = 0.1


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
        {"model": STATE, "ema": {}},
        {"state_dict": STATE, "hyper_parameters": Options(), "loss": nn.Linear(2, 2)},
        {
            "state_dict": STATE,
            "date": datetime.datetime(2024, 1, 1),
            "best": collections.deque([1]),
        },
        {"state_dict": STATE, "history": collections.defaultdict(list, loss=[1.0])},
        {"params": {name: value.numpy() for name, value in STATE.items()}, "epoch": 3},
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


def test_an_average_is_found_below_its_key(tmp_path):
    ema = {"decay": 0.99, "shadow": STATE}
    read = read_torch_file(saved(tmp_path, {"model": OTHER, "ema": ema}))
    assert torch.equal(read.tensors["conv.weight"], STATE["conv.weight"])
    assert read.notes == (
        "The weights under 'ema' of net.pth were read; those under 'model' were not.",
    )


@pytest.mark.parametrize("average", [{"decay": 0.9, "shadow_params": [torch.ones(2)]}, Options()])
def test_an_average_that_cannot_be_read_is_named(average, tmp_path):
    read = read_torch_file(saved(tmp_path, {"model": STATE, "ema": average}))
    assert torch.equal(read.tensors["conv.weight"], STATE["conv.weight"])
    assert read.notes == (
        "The average under 'ema' of net.pth has no tensors by name, and was not read.",
    )


def test_several_networks_of_one_architecture_need_a_key(tmp_path):
    two = {f"module.{name}": value + 9 for name, value in STATE.items()}
    path = saved(tmp_path, {"student": STATE, "teacher": two, "copy": STATE})
    with pytest.raises(WeightsError, match=r"networks: student, teacher\..* --weights-key student"):
        read_torch_file(path)
    for key, expected in (("teacher", 9), ("student", 0)):
        read = read_torch_file(path, key)
        assert [value[0].item() for value in read.tensors.values() if value.ndim == 1] == [expected]
    with pytest.raises(WeightsError, match=r"no weights under 'ema' .*\. It has student"):
        read_torch_file(path, "ema")
    assert set(read_torch_file(saved(tmp_path, {"a": STATE, "b": STATE})).tensors) == set(STATE)


@pytest.mark.parametrize("first", ["backbone", "classifier"])
def test_a_backbone_and_a_classifier_under_separate_keys_are_one_network(first, tmp_path):
    backbone = {"conv.weight": torch.ones(2, 3, 1, 1), "bn.weight": torch.ones(2)}
    classifier = {"weight": torch.ones(7, 2), "bias": torch.zeros(7)}
    content = {"backbone": backbone, "classifier": classifier, "optimizer": OPTIMIZER}
    ordered = {first: content[first], **content}
    read = read_torch_file(saved(tmp_path, ordered))
    assert {name: tuple(value.shape) for name, value in read.tensors.items()} == {
        "conv.weight": (2, 3, 1, 1),
        "bn.weight": (2,),
        "classifier.weight": (7, 2),
        "classifier.bias": (7,),
    }
    assert read.notes == (
        "The weights under 'backbone' and the layer under 'classifier' of net.pth were read.",
    )


def test_a_key_is_also_a_prefix_and_may_be_below_another(tmp_path):
    flat = {f"{part}.{name}": value for part in "ab" for name, value in STATE.items()}
    for content in (flat, {"model": {"b": STATE, "c": OTHER}}):
        assert set(read_torch_file(saved(tmp_path, content), "b").tensors) == set(STATE)


class Code:
    def __reduce__(self):
        return (print, ("this must not run",))


@pytest.mark.parametrize("content", [Code(), {"model": Code()}, {"model": nn.Linear(2, 2)}])
def test_code_is_named_and_does_not_run(content, tmp_path, capsys):
    with pytest.raises(
        WeightsError, match=r"needs code to be opened \((builtins|__builtin__|torch)"
    ):
        read_torch_file(saved(tmp_path, content))
    assert capsys.readouterr().out == ""


def test_code_beside_a_state_dict_does_not_run(tmp_path, capsys):
    read = read_torch_file(saved(tmp_path, {"state_dict": STATE, "hook": Code()}))
    assert set(read.tensors) == set(STATE)
    assert capsys.readouterr().out == ""


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


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0",
            "pointer of Git LFS.*lfs pull",
        ),
        (b"\n<!DOCTYPE html><html>Virus scan warning", "is a web page.*Download the file itself"),
        (b"\x1f\x8b\x08", "is an archive. Unpack it"),
        (b"\x89HDF\r\n\x1a\n", "is a model of TensorFlow.*as ONNX with tf2onnx"),
        (b"\x1c\0\0\0TFL3", "is a model of TensorFlow"),
        (b"\x08\x01\x12\x90\x20", "is a model of TensorFlow"),
        (pickle.dumps({"conv.weight": np.ones(2)}), "is a pickle, which is refused"),
    ],
)
def test_a_file_that_stands_for_another_is_named(content, message, tmp_path):
    (tmp_path / "net.pth").write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        read_torch_file(tmp_path / "net.pth")


@pytest.mark.parametrize(
    ("member", "message"),
    [("net.pth", "is an archive"), ("model.weights.h5", "is a model of TensorFlow")],
)
def test_an_archive_of_files_is_named_and_one_of_torch_is_read(tmp_path, member, message):
    with zipfile.ZipFile(tmp_path / "net.pt", "w") as archive:
        archive.writestr(member, b"weights")
    with pytest.raises(WeightsError, match=rf"net\.pt {message}"):
        read_torch_file(tmp_path / "net.pt")
    assert set(read_torch_file(saved(tmp_path, STATE)).tensors) == set(STATE)
