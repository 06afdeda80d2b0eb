"""The copy of a face network: its graph read, computed, and turned into a network of ours.

Graphs are written here, as TensorFlow.js writes them: JSON beside plain float16.
"""

import base64
import json

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from timm.layers import Conv2dSame
from torch import Tensor, nn
from torch.nn import functional as F

from fer_core.config import ModelConfig
from fer_core.data.transforms import Preprocessing
from fer_core.engine.face_weights import FEATURES, convert, evaluate, layers_of, read_graph
from fer_core.engine.folded_norms import fill
from fer_core.errors import WeightsError
from fer_core.labels import SEVEN_EMOTIONS
from fer_core.models import build_model, spec_of, weight_sources
from fer_core.models.checkpoint import load_tensors
from fer_core.models.weight_sources import STARTS
from fer_core.models.weights import initialise
from fer_core.synthetic.face import render
from tests.support.tfjs_graph import GraphFile, Shape, mobilenet

LABELS = SEVEN_EMOTIONS.names
FACE = ModelConfig(architecture="mobilenet_face", image_size=112, init="face")

GOLDEN = {160: 3.8797, 584: 3.6160, 529: 2.1922, 198: 2.1732, 495: 1.7272, 566: 1.3077}
"""The graph's largest features of `waves`, computed by `evaluate` when the start was made."""

SMALL: tuple[Shape, ...] = (("full", 3, 4, 2), ("depth", 4, 4, 1), ("full", 4, 6, 1))


class SmallNet(nn.Module):
    """The network that `SMALL` describes, with batch norm."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for kind, inputs, outputs, stride in SMALL:
            groups = inputs if kind == "depth" else 1
            layers += [
                Conv2dSame(inputs, outputs, 3, stride, groups=groups, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU6(),
            ]
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        made: Tensor = self.layers(images)
        return made.mean(dim=(2, 3))


def by_hand(graph: GraphFile, images: NDArray[np.float64]) -> NDArray[np.float64]:
    """Computes `SMALL` with loops, in TensorFlow's own layout, (N, H, W, C)."""
    values = images
    for number, (kind, _, outputs, stride) in enumerate(SMALL):
        kernel = graph.constants[f"b{number}/k"].astype(float)
        count, height, width, _ = values.shape
        rows, columns = -(-height // stride), -(-width // stride)
        down = max((rows - 1) * stride + 3 - height, 0)
        across = max((columns - 1) * stride + 3 - width, 0)
        sides = [(0, 0), (down // 2, down - down // 2), (across // 2, across - across // 2), (0, 0)]
        padded = np.pad(values, sides)
        made = np.zeros((count, rows, columns, outputs))
        for row in range(rows):
            for column in range(columns):
                top, left = row * stride, column * stride
                window = padded[:, top : top + 3, left : left + 3]
                if kind == "depth":
                    made[:, row, column] = (window * kernel[..., 0]).sum(axis=(1, 2))
                else:
                    made[:, row, column] = np.einsum("nxyc,xyco->no", window, kernel)
        if kind == "depth":
            made *= graph.constants[f"b{number}/scale"].astype(float)
        values = np.clip(made + graph.constants[f"b{number}/shift"].astype(float), 0, 6)
    return values.mean(axis=(1, 2))


@pytest.fixture
def small(tmp_path):
    return GraphFile(tmp_path, SMALL)


def inputs(count: int, side: int = 10) -> Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(4)) * 2


def waves() -> Tensor:
    """A picture of waves that differ by colour, in 0 to 1, shape (1, 3, 112, 112)."""
    steps = torch.arange(112.0)
    wave = torch.outer(torch.sin(steps / 9), torch.cos(steps / 13))
    return torch.stack([0.5 + 0.4 * wave, 0.5 - 0.3 * wave, 0.5 + 0.2 * wave.T])[None]


def as_input(images: Tensor) -> Tensor:
    """Normalises values in 0 to 1 as the architecture's spec says."""
    spec = spec_of("mobilenet_face")
    return Preprocessing(112, True, 112, spec.mean, spec.std).normalise(images)


class TestReading:
    def test_float16_is_read_exactly(self, small):
        graph = read_graph(small.path)
        assert set(graph.weights) == set(small.constants)
        for name, values in small.constants.items():
            assert graph.weights[name].dtype == np.float32
            np.testing.assert_array_equal(graph.weights[name], values.astype(np.float32))
        assert [node.stride for node in graph.nodes.values() if "conv" in node.name] == [2, 1, 1]

    def test_only_the_ancestors_of_an_output_are_computed(self, small):
        small._node("Softmax", "age", FEATURES)
        small.write()
        graph = read_graph(small.path)
        assert "age" not in {node.name for node in graph.until(FEATURES)}
        with pytest.raises(WeightsError, match=r"operation Softmax \(age\) is not supported"):
            evaluate(graph, inputs(1), "age")
        with pytest.raises(WeightsError, match="no node 'gaze'"):
            graph.until("gaze")

    def test_weight_files_are_read_only_beside_the_graph(self, small, tmp_path):
        model = json.loads(small.path.read_text())
        model["weightsManifest"][0]["paths"] = ["../../elsewhere/net.bin"]
        small.path.write_text(json.dumps(model))
        assert read_graph(small.path).nodes

    @pytest.mark.parametrize(
        "fault", ["no json", "not json", "no weights", "short", "long", "valid"]
    )
    def test_unreadable_files_name_what_to_pass(self, small, fault):
        content = small.path.parent / "net.bin"
        if fault == "no json":
            small.path.unlink()
        elif fault == "not json":
            small.path.write_text("{")
        elif fault == "no weights":
            content.unlink()
        elif fault == "short":
            content.write_bytes(content.read_bytes()[:-1])
        elif fault == "long":
            content.write_bytes(content.read_bytes() + b"..")
        else:  # other padding than the converter knows
            valid = base64.b64encode(b"VALID").decode()
            small.nodes[-2]["attr"] = {}
            for node in small.nodes:
                if node["op"] == "Conv2D":
                    node["attr"]["padding"]["s"] = valid
            small.write()
        with pytest.raises(
            WeightsError, match=r"Pass models/faceres\.json .*faceres\.bin beside it"
        ):
            read_graph(small.path)


class TestFunction:
    @pytest.mark.parametrize("side", [9, 10, 11])
    def test_the_graph_output_by_hand(self, small, side):
        images = inputs(3, side)
        expected = by_hand(small, images.permute(0, 2, 3, 1).double().numpy())
        result = evaluate(read_graph(small.path), images)
        np.testing.assert_allclose(result.numpy(), expected, rtol=1e-4, atol=1e-5)

    def test_same_padding_by_hand(self):
        """4 px at stride 2: TensorFlow pads a row below and a column to the right, no others."""
        model = build_model(FACE.model_copy(update={"init": "scratch", "image_size": 32}), 7)
        nn.init.ones_(model.conv_stem.weight)
        made = model.conv_stem(torch.ones(1, 3, 4, 4))[0, 0] / 3
        assert made.tolist() == [[9, 6], [6, 4]]
        odd = model.conv_stem(torch.ones(1, 3, 5, 5))[0, 0] / 3  # one on each side
        assert odd.tolist() == [[4, 6, 4], [6, 9, 6], [4, 6, 4]]

    def test_the_network_equals_the_graph_with_reversed_channels(self, small):
        graph, model, images = read_graph(small.path), SmallNet(), inputs(16)
        fill(model, layers_of(graph), images)
        others = inputs(40)[20:]
        for batch in (images, others):
            with torch.no_grad():
                torch.testing.assert_close(
                    model(batch), evaluate(graph, batch.flip(1)), rtol=1e-4, atol=1e-5
                )

    def test_batch_norm_statistics_are_those_of_the_images(self, small):
        model, images = SmallNet(), inputs(130)  # more than are computed at once
        fill(model, layers_of(read_graph(small.path)), images)
        first, norm = model.layers[0], model.layers[1]
        with torch.no_grad():
            made = first(images)
        torch.testing.assert_close(norm.running_mean, made.mean(dim=(0, 2, 3)))
        torch.testing.assert_close(norm.running_var, made.var(dim=(0, 2, 3), correction=0))

    def test_training_mode_gives_the_evaluation_output(self, small):
        """On the same images, a batch's own statistics are the running ones."""
        model, images = SmallNet(), inputs(32)
        fill(model, layers_of(read_graph(small.path)), images)
        with torch.no_grad():
            expected = model.eval()(images)
            result = model.train()(images)
        torch.testing.assert_close(result, expected, rtol=1e-3, atol=1e-4)

    def test_a_constant_channel_stays_finite(self, small):
        small.constants["b0/k"][..., 0] = 0
        small.write()
        model, graph = SmallNet(), read_graph(small.path)
        fill(model, layers_of(graph), inputs(8))
        assert float(model.layers[1].running_var[0]) == 0
        with torch.no_grad():
            made = model(inputs(8))
        torch.testing.assert_close(made, evaluate(graph, inputs(8).flip(1)), rtol=1e-4, atol=1e-5)

    def test_another_network_is_refused(self, small):
        model = build_model(FACE.model_copy(update={"init": "scratch", "image_size": 32}), 7)
        with pytest.raises(WeightsError, match="not those of the network"):
            fill(model, layers_of(read_graph(small.path)), inputs(2, 32))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("graph")
    file = GraphFile(folder, mobilenet(), seed=1)
    # the real one reads values up to 255
    file.constants["b0/k"] = (file.constants["b0/k"].astype(float) / 60).astype(np.float16)
    file.write()
    faces = np.stack([render(n, "happy").image for n in range(6)])
    values = F.interpolate(torch.from_numpy(faces).permute(0, 3, 1, 2) / 255, (112, 112))
    out = folder / "mobilenet_face.safetensors"
    return file, values, out, convert(file.path, as_input(values), out)


class TestConverting:
    def test_the_converted_file_is_small_checked_and_names_its_source(self, made):
        _, _, out, difference = made
        assert difference < 1e-3
        tensors, facts = load_tensors(out)
        assert out.stat().st_size < 7e6
        assert "HSE_FaceRec_tf" in facts["source"]
        assert facts["statistics of images"] == 6
        assert not any(key.startswith("classifier") for key in tensors)
        depthwise, others = (
            {
                value.dtype
                for value in tensors.values()
                if value.ndim > 1 and (value.shape[1] == 1) == single
            }
            for single in (True, False)
        )
        assert (depthwise, others) == ({torch.float32}, {torch.float16})

    def test_a_training_starts_from_the_face_weights(self, made, monkeypatch):
        file, values, out, _ = made
        monkeypatch.setattr(weight_sources, "STARTS", out.parent)
        model = build_model(FACE, 7)
        start = initialise(model, FACE, LABELS)
        assert (start.init, "HSE_FaceRec_tf" in start.source) == ("face", True)
        with torch.no_grad():
            result = model.eval().forward_features(as_input(values)).mean(dim=(2, 3))
        # by hand: 0 to 255 less the means of red, green and blue; the graph takes blue first
        less = values * 255 - torch.tensor([123.68, 116.779, 103.939]).view(3, 1, 1)
        expected = evaluate(read_graph(file.path), less.flip(1))
        torch.testing.assert_close(result, expected, rtol=1e-3, atol=1e-3)

    def test_a_conversion_with_other_outputs_is_not_written(self, made, tmp_path, monkeypatch):
        from fer_core.engine import face_weights as face_start

        file, values, _, _ = made
        monkeypatch.setattr(face_start, "_difference", lambda *_: float("nan"))
        with pytest.raises(
            WeightsError, match=r"differ from the graph's by nan.*Nothing was written"
        ):
            convert(file.path, as_input(values), tmp_path / "out.safetensors")
        assert list(tmp_path.iterdir()) == []


class TestShipped:
    def test_the_recipe_starts_from_the_face_weights(self):
        model = build_model(FACE, 7)
        before = {key: value.clone() for key, value in model.state_dict().items()}
        start = initialise(model, FACE, LABELS)
        assert start.init == "face"
        assert start.source == "HSE_FaceRec_tf's MobileNet (faceres of @vladmandic/human)"
        changed = {
            key
            for key, value in model.state_dict().items()
            if value.is_floating_point() and not torch.equal(value, before[key])
        }
        assert {key for key in before if key.endswith("weight")} <= changed
        assert (STARTS / "mobilenet_face.safetensors").stat().st_size < 7e6

    def test_the_converted_features_equal_the_original(self):
        model = build_model(FACE, 7)
        initialise(model, FACE, LABELS)
        with torch.no_grad():
            result = model.eval().forward_features(as_input(waves()))[0].mean(dim=(1, 2))
        assert set(result.topk(6).indices.tolist()) == set(GOLDEN)
        for place, value in GOLDEN.items():
            assert float(result[place]) == pytest.approx(value, abs=2e-3)

    def test_the_features_separate_faces_better_than_random_weights(self):
        emotions = ("happy", "sad", "angry", "surprise")
        faces = np.stack([render(n, emotion).image for n, emotion in enumerate(emotions)])
        images = F.interpolate(torch.from_numpy(faces).permute(0, 3, 1, 2).float(), (112, 112))
        torch.manual_seed(0)
        model = build_model(FACE, 7).eval()

        def spread() -> float:
            with torch.inference_mode():
                features = model.forward_features(images - 120).mean(dim=(2, 3))
            return float(features.std(dim=0).mean() / features.mean())

        random = spread()
        initialise(model, FACE, LABELS)
        assert spread() > 2 * random

    def test_other_architectures_have_no_face_weights(self):
        config = ModelConfig(architecture="resnet34", image_size=64, init="face")
        with pytest.raises(
            WeightsError, match=r"no weights of a face network for ResNet-34.*model\.init=scratch"
        ):
            initialise(build_model(config, 7), config, LABELS)
        assert "face" in spec_of("mobilenet_face").inits
        assert "face" not in spec_of("resnet34").inits

    def test_the_licence_names_the_source_and_open_questions(self):
        licence = spec_of("mobilenet_face").licence
        for part in ("HSE_FaceRec_tf", "@vladmandic/human", "VGGFace2", "could not be verified"):
            assert part in licence
        assert (STARTS / "README.md").is_file()

    def test_missing_face_weights_name_the_other_initialisations(self, monkeypatch, tmp_path):
        monkeypatch.setattr(weight_sources, "STARTS", tmp_path)
        with pytest.raises(WeightsError, match=r"mobilenet_face\.safetensors.*model\.init=scratch"):
            initialise(build_model(FACE, 7), FACE, LABELS)
