"""Input layouts of ONNX files of other projects, and classes left out of their answers."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from fer_core.data.imaging import SampleFormat
from fer_core.engine.onnx import keep_onnx
from fer_core.engine.onnx_flops import count_onnx_flops
from fer_core.engine.onnx_network import OnnxInput, assumptions, output_kind, read_onnx
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


@pytest.mark.parametrize("shape", [("n", 3, 48, 48), ("n", 48, 48, 3)])
def test_bgr_flips_the_channels_also_in_the_copy_that_is_kept(tmp_path, shape):
    path = onnx_net(tmp_path / "net.onnx", shape=shape, channels=3)
    mean, std = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
    colour, faces = SampleFormat(48, True), np.stack([FACES, FACES[::-1], FACES.swapaxes(1, 2)], -1)
    network = read_onnx(path, colour, OnnxInput(48, mean, std, NAMES, bgr=True))
    blue_first = ((faces / 255 - mean) / std)[..., ::-1].astype(np.float32)
    batch = blue_first if shape[-1] == 3 else blue_first.transpose(0, 3, 1, 2)
    expected = network.session.run(None, {"images": batch})[0]
    np.testing.assert_allclose(
        network.outputs(network.preprocessing.array(faces)), expected, rtol=1e-5, atol=1e-6
    )
    keep_onnx(path, tmp_path / "kept.onnx", network)
    kept = read_onnx(tmp_path / "kept.onnx", colour)
    np.testing.assert_array_equal(
        kept.probabilities(faces, ROWS), network.probabilities(faces, ROWS)
    )
    other = read_onnx(path, colour, OnnxInput(48, mean, std, NAMES))
    assert np.abs(other.probabilities(faces, ROWS) - kept.probabilities(faces, ROWS)).max() > 0.01


def test_the_graph_gives_the_image_size(tmp_path):
    declared = OnnxInput(None, DECLARED.mean, DECLARED.std, NAMES)
    fixed = read_onnx(onnx_net(tmp_path / "a.onnx", shape=("n", 1, 64, 64)), STORED, declared)
    assert fixed.preprocessing.image_size == 64
    with pytest.raises(WeightsError, match="does not fix the size"):
        read_onnx(onnx_net(tmp_path / "b.onnx"), STORED, declared)


def edited(path, edit, **options):
    """A file of `onnx_net` after a change of its graph."""
    plain = {"shape": ("n", 1, 48, 48), **options}
    model = onnx.load(str(onnx_net(path / "net.onnx", **plain)))
    edit(model.graph)
    onnx.save(model, str(path / "net.onnx"))
    return path / "net.onnx"


def of_integers(path, kind=TensorProto.UINT8):
    def cast(graph):
        graph.input[0].type.tensor_type.elem_type = kind
        graph.node[0].input[0] = "numbers"
        graph.node.insert(0, helper.make_node("Cast", ["images"], ["numbers"], to=1))

    return edited(path, cast)


@pytest.mark.parametrize("kind", [TensorProto.UINT8, TensorProto.INT32])
def test_integers_are_the_pixels_values(tmp_path, kind):
    declared = OnnxInput(48, None, None, NAMES)
    network = read_onnx(of_integers(tmp_path, kind), STORED, declared)
    raw = read_onnx(
        onnx_net(tmp_path / "raw.onnx", shape=("n", 1, 48, 48)),
        STORED,
        OnnxInput(48, (0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255), NAMES),
    )
    np.testing.assert_allclose(
        network.probabilities(FACES, ROWS), raw.probabilities(FACES, ROWS), atol=1e-5
    )
    assert assumptions(network, declared) == [
        "The file does not describe its input; assumed: --mean 0,0,0 --std "
        "0.003922,0.003922,0.003922."
    ]


@pytest.mark.parametrize(
    ("mean", "std"), [((0.0,) * 3, (1.0,) * 3), ((0.5,) * 3, None), (None, (0.5,) * 3)]
)
def test_integers_are_not_normalised(tmp_path, mean, std):
    path = of_integers(tmp_path)
    with pytest.raises(WeightsError, match=r"takes integers.*Leave out --mean and --std"):
        read_onnx(path, STORED, OnnxInput(48, mean, std, NAMES))


def test_the_values_of_integers_may_be_written_out(tmp_path):
    path = of_integers(tmp_path)
    given = read_onnx(path, STORED, OnnxInput(48, (0.0,) * 3, (0.0039216,) * 3, NAMES))
    assumed = read_onnx(path, STORED, OnnxInput(48, None, None, NAMES))
    np.testing.assert_array_equal(
        given.probabilities(FACES, ROWS), assumed.probabilities(FACES, ROWS)
    )


def test_the_output_of_the_classes_is_found_and_the_others_are_named(tmp_path, expected):
    def features_first(graph):
        features = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", 6])
        graph.output.insert(0, features)

    network = read_onnx(edited(tmp_path, features_first), STORED, DECLARED)
    np.testing.assert_allclose(network.probabilities(FACES, ROWS), expected, atol=1e-6)
    assert assumptions(network, DECLARED) == [
        "The output answers was read; the file also has features."
    ]


@pytest.mark.parametrize("batch", ["n", 1])
def test_outputs_of_one_position_are_read(tmp_path, expected, batch):
    def as_maps(graph):
        del graph.output[:]
        graph.node.append(helper.make_node("Unsqueeze", ["answers", "axes"], ["spread"]))
        graph.initializer.append(helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3]))
        graph.output.append(
            helper.make_tensor_value_info("spread", TensorProto.FLOAT, [batch, 8, 1, 1])
        )

    path = edited(tmp_path, as_maps, shape=(batch, 1, 48, 48))
    network = read_onnx(path, STORED, DECLARED)
    np.testing.assert_allclose(network.probabilities(FACES, ROWS), expected, atol=1e-6)


def test_weights_beside_the_file_are_kept_within_it(tmp_path, expected):
    def as_bytes(graph):
        stored = [numpy_helper.to_array(tensor) for tensor in graph.initializer]
        for tensor, values in zip(graph.initializer, stored, strict=True):
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))

    path = edited(tmp_path, as_bytes)
    onnx.save(
        onnx.load(str(path)), str(path), save_as_external_data=True, location="net.data",
        size_threshold=0,
    )  # fmt: skip
    keep_onnx(path, tmp_path / "kept.onnx", read_onnx(path, STORED, DECLARED))
    (tmp_path / "net.data").unlink()
    kept = read_onnx(tmp_path / "kept.onnx", STORED)
    np.testing.assert_allclose(kept.probabilities(FACES, ROWS), expected, atol=1e-6)
    with pytest.raises(WeightsError, match=r"net\.onnx cannot be read.*net\.data"):
        read_onnx(path, STORED, DECLARED)


def test_only_square_images_are_taken(tmp_path):
    path = onnx_net(tmp_path / "net.onnx", shape=("n", 1, 48, 64))
    with pytest.raises(WeightsError, match="takes images of 48 x 64 px; only square"):
        read_onnx(path, STORED, DECLARED)


def test_a_softmax_over_eight_classes_is_seen_though_one_is_left_out(tmp_path):
    path = onnx_net(tmp_path / "net.onnx", softmax=True)
    network = read_onnx(path, STORED, DECLARED, labels=SEVEN_EMOTIONS)
    assert output_kind(network, FACES) == "probabilities"
    plain = read_onnx(onnx_net(tmp_path / "p.onnx"), STORED, DECLARED, labels=SEVEN_EMOTIONS)
    assert output_kind(plain, FACES) == "logits"
    assert plain.logits(torch.zeros(2, 3, 48, 48)).shape == (2, 7)


def followed_by(path, operators, *, softmax):
    """A file of `onnx_net` with further operators, each with a number or None, at its end."""

    def append(graph):
        name = "answers"
        graph.node[-1].output[0] = "step0"
        for index, (operator, number) in enumerate(operators):
            inputs = [f"step{index}"]
            if number is not None:
                graph.initializer.append(helper.make_tensor(f"c{index}", 1, [], [number]))
                inputs.append(f"c{index}")
            last = index == len(operators) - 1
            graph.node.append(
                helper.make_node(operator, inputs, [name if last else f"step{index + 1}"])
            )

    return edited(path, append, softmax=softmax)


@pytest.mark.parametrize(
    ("operators", "softmax", "kind"),
    [
        ([("Mul", 100.0)], True, "probabilities"),
        ([("Mul", 255.0), ("Round", None), ("Div", 256.0)], True, "probabilities"),
        ([("Sigmoid", None)], False, "sigmoids"),
        ([("Relu", None)], False, "logits"),
        ([("Mul", 0.9)], True, "sigmoids"),
    ],
)
def test_rounded_probabilities_and_percentages_are_told_from_logits(
    tmp_path, expected, operators, softmax, kind
):
    network = read_onnx(followed_by(tmp_path, operators, softmax=softmax), STORED, DECLARED)
    assert output_kind(network, FACES) == kind
    if kind == "probabilities":  # divided by their sum
        network = replace(network, gives_probabilities=True)
        np.testing.assert_allclose(network.probabilities(FACES, ROWS), expected, atol=0.005)


def test_a_size_that_the_graph_cannot_take_is_named(tmp_path):
    declared = OnnxInput(2, DECLARED.mean, DECLARED.std, EIGHT)  # smaller than the kernel
    with pytest.raises(WeightsError, match="predicts no image of 2 px"):
        read_onnx(onnx_net(tmp_path / "net.onnx"), STORED, declared)


def test_flops_are_counted_as_by_hand(tmp_path):
    path = onnx_net(tmp_path / "net.onnx")
    assert count_onnx_flops(path, (1, 1, 48, 48)) == 2 * 6 * 23 * 23 * 9 + 2 * 6 * 8
    assert count_onnx_flops(path, (1, 1, 9, 9)) == 2 * 6 * 4 * 4 * 9 + 2 * 6 * 8


@pytest.mark.parametrize("shape", [("n", 1, 48, 48), ("n", 48, 48, 1)])
def test_colour_images_are_converted_to_luma_for_one_channel(tmp_path, shape):
    network = read_onnx(onnx_net(tmp_path / "net.onnx", shape=shape), STORED, DECLARED)
    red, green, blue = inputs = np.random.default_rng(1).random((3, 2, 48, 48), dtype=np.float32)
    grey = (0.299 * red + 0.587 * green + 0.114 * blue)[:, None].reshape(
        [2 if side == "n" else side for side in shape]
    )
    arranged = network.layout.arrange(inputs.swapaxes(0, 1))
    np.testing.assert_allclose(arranged, grey, rtol=1e-6)
    assert arranged.flags.c_contiguous
