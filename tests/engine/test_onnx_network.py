"""Input layouts of ONNX files of other projects, and classes left out of their answers."""

import numpy as np
import pytest
import torch

from fer_core.data.imaging import SampleFormat
from fer_core.engine.onnx_flops import count_onnx_flops
from fer_core.engine.onnx_network import OnnxInput, ends_in_softmax, read_onnx
from fer_core.errors import WeightsError
from fer_core.labels import SEVEN_EMOTIONS
from tests.support.stand_ins import EIGHT, onnx_net

STORED = SampleFormat(48, False)
NAMES = ("neutral", "happy", "surprise", "sad", "angry", "disgust", "fear", "contempt")
DECLARED = OnnxInput(48, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), NAMES)
FACES = np.random.default_rng(0).integers(0, 256, (3, 48, 48), dtype=np.uint8)
ROWS = np.arange(3)


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """Answers of the plain file: fixed axes, channels first."""
    path = onnx_net(tmp_path_factory.mktemp("plain") / "net.onnx", shape=("n", 1, 48, 48))
    return read_onnx(path, STORED, DECLARED).probabilities(FACES, ROWS)


@pytest.mark.parametrize(
    "shape",
    [
        ("n", "c", "h", "w"),
        ("n", "c", 48, 48),
        ("n", 1, "h", "w"),
        (1, 1, 48, 48),
        ("n", 48, 48, 1),
        ("n", "h", "w", 1),
        ("batch", "height", "width", "channels"),
    ],
)
def test_any_axes_may_be_symbolic_and_channels_first_or_last(tmp_path, expected, shape):
    network = read_onnx(onnx_net(tmp_path / "net.onnx", shape=shape), STORED, DECLARED)
    np.testing.assert_allclose(network.probabilities(FACES, ROWS), expected, atol=1e-6)


def test_three_channels_are_found_behind_a_symbolic_axis(tmp_path):
    path = onnx_net(tmp_path / "net.onnx", channels=3)
    network = read_onnx(path, STORED, DECLARED)
    assert (network.layout.channels, network.layout.channels_last) == (3, False)


def test_half_precision_is_read(tmp_path, expected):
    path = onnx_net(tmp_path / "net.onnx", shape=("n", 1, 48, 48), half=True)
    answers = read_onnx(path, STORED, DECLARED).probabilities(FACES, ROWS)
    np.testing.assert_allclose(answers, expected, atol=5e-3)


def test_the_graph_gives_the_image_size(tmp_path):
    declared = OnnxInput(None, DECLARED.mean, DECLARED.std, NAMES)
    fixed = read_onnx(onnx_net(tmp_path / "a.onnx", shape=("n", 1, 64, 64)), STORED, declared)
    assert fixed.preprocessing.image_size == 64
    with pytest.raises(WeightsError, match="does not fix the size"):
        read_onnx(onnx_net(tmp_path / "b.onnx"), STORED, declared)


def test_a_softmax_over_eight_classes_is_seen_though_one_is_left_out(tmp_path):
    path = onnx_net(tmp_path / "net.onnx", softmax=True)
    network = read_onnx(path, STORED, DECLARED, labels=SEVEN_EMOTIONS)
    assert ends_in_softmax(network, FACES)
    plain = read_onnx(onnx_net(tmp_path / "p.onnx"), STORED, DECLARED, labels=SEVEN_EMOTIONS)
    assert not ends_in_softmax(plain, FACES)
    assert plain.logits(torch.zeros(2, 3, 48, 48)).shape == (2, 7)


def test_a_size_that_the_graph_cannot_take_is_named(tmp_path):
    declared = OnnxInput(2, DECLARED.mean, DECLARED.std, EIGHT)  # smaller than the kernel
    with pytest.raises(WeightsError, match="predicts no image of 2 px"):
        read_onnx(onnx_net(tmp_path / "net.onnx"), STORED, declared)


def test_flops_are_counted_as_by_hand(tmp_path):
    path = onnx_net(tmp_path / "net.onnx")
    assert count_onnx_flops(path, (1, 1, 48, 48)) == 2 * 6 * 23 * 23 * 9 + 2 * 6 * 8
    assert count_onnx_flops(path, (1, 1, 9, 9)) == 2 * 6 * 4 * 4 * 9 + 2 * 6 * 8
