"""ONNX: a copy answers like its network, and other people's files are read with care."""

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from PIL import Image

from fer_core.data.imaging import SampleFormat
from fer_core.data.transforms import Preprocessing
from fer_core.engine import onnx as ours
from fer_core.engine.distillation import Teacher
from fer_core.engine.networks import Network
from fer_core.engine.onnx import OnnxMetadata, export_onnx, exported_copy, read_metadata
from fer_core.engine.onnx_network import FACTS, OnnxInput, count_parameters, read_onnx
from fer_core.engine.predict import predict_logits
from fer_core.errors import ArtifactError, WeightsError
from fer_core.evaluation.calibration import fit_temperature
from fer_core.evaluation.predictions import Predictions
from fer_core.labels import SEVEN_EMOTIONS
from fer_core.predictor import Predictor
from tests.support.builders import toy_benchmark, toy_run
from training.jobs.import_export import ImportOptions, export_run, import_onnx

ROOT = Path(__file__).resolve().parents[2]
LABELS = SEVEN_EMOTIONS.names
STORED = SampleFormat(48, False)
HALF = (0.5, 0.5, 0.5)


@pytest.fixture(scope="module")
def faces():
    return np.random.default_rng(0).integers(0, 256, (9, 48, 48), dtype=np.uint8)


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return toy_benchmark(tmp_path_factory.mktemp("toy"), runs=0)


def network(toy, architecture: str, size: int) -> Network:
    from fer_core.config import ModelConfig
    from fer_core.models import build_model, spec_of

    torch.manual_seed(0)
    model = build_model(ModelConfig(architecture=architecture, image_size=size), 7).eval()
    info = toy_run(toy.benchmark, toy.dataset, 0).info()
    return Network(model, spec_of(architecture), Preprocessing(48, False, size, HALF, HALF), info)


@pytest.mark.parametrize(("architecture", "size"), [("tiny_cnn", 32), ("scratch_vit", 32)])
def test_an_export_equals_its_network_for_any_batch_size(toy, faces, tmp_path, architecture, size):
    made = network(toy, architecture, size)
    difference = export_onnx(made, tmp_path / "model.onnx", faces)
    assert 0 <= difference <= 1e-4
    copy = read_onnx(tmp_path / "model.onnx", STORED)
    assert copy.labels == SEVEN_EMOTIONS
    assert copy.preprocessing == made.preprocessing
    expected = torch.softmax(
        predict_logits(made.model, faces, made.preprocessing).double(), 1
    ).numpy()
    for batch in (1, 4, 64):
        given = copy.probabilities(faces, np.array([8, 0, 3]), batch_size=batch)
        np.testing.assert_allclose(given, expected[[8, 0, 3]], atol=1e-5)
    weights = sum(weight.numel() for weight in made.model.parameters())
    assert copy.parameters == pytest.approx(weights, rel=0.01)


def test_the_documented_code_predicts_an_exported_run(tmp_path, monkeypatch):
    toy = toy_benchmark(tmp_path, runs=1)
    run, face = toy.benchmark.runs()[0], toy.dataset.images[0]
    monkeypatch.chdir(tmp_path)
    export_run(run, toy.dataset.format, tmp_path / "resnet34.onnx", None)
    Image.fromarray(face).save("face.png")
    text = (ROOT / "docs/sharing.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (code,) = [block for block in blocks if "onnxruntime" in block]
    names: dict = {}
    exec(code, names)
    expected = Predictor(toy.benchmark, "cpu").predict([face], [run.run_id])[0].calibrated[0]
    np.testing.assert_allclose(names["probabilities"], expected, atol=0.01)
    facts = names["facts"]
    assert facts["labels"] == list(toy.dataset.labels.names)
    validation = Predictions.read(run.predictions_path, toy.dataset.labels).split("validation")
    assert facts["temperature"] == pytest.approx(fit_temperature(validation))


def test_an_export_with_other_outputs_is_not_kept(toy, faces, tmp_path, monkeypatch):
    monkeypatch.setattr(ours, "TOLERANCE", -1.0)
    with pytest.raises(ArtifactError, match="Nothing was written"):
        export_onnx(network(toy, "tiny_cnn", 32), tmp_path / "model.onnx", faces)
    assert list(tmp_path.iterdir()) == []


def foreign(path, shape, classes=7, kind=TensorProto.FLOAT, said=None, last=None):
    """Writes a network that averages each image and multiplies by 1, 2, ... for the classes.

    Its output says that it has `said` classes; `last` replaces the last factor.
    """
    factors = np.arange(1, classes + 1, dtype=np.float32)[None]
    if last is not None:
        factors[0, -1] = last
    kept, axis = (["all", "kept"], {"axis": 1}) if said else (["all"], {})
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["x"], ["mean"], axes=[1, 2, 3], keepdims=0),
            helper.make_node("Unsqueeze", ["mean"], ["column"], axes=[1]),
            helper.make_node("Mul", ["column", "factors"], ["all"]),
            # what is kept is not seen before the pass: a symbolic axis
            helper.make_node("Compress" if said else "Identity", kept, ["y"], **axis),
        ],
        "foreign",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [shape[0], said or classes])],
        [
            helper.make_tensor("factors", TensorProto.FLOAT, factors.shape, factors.ravel()),
            helper.make_tensor("kept", TensorProto.BOOL, [classes], [True] * classes),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)])
    model.ir_version = 8
    onnx.save(model, str(path))
    return path


def test_an_imported_network_is_read_with_its_label_order(tmp_path, faces):
    order = ("surprise", "neutral", "happy", "angry", "sad", "fear", "disgust")
    path = foreign(tmp_path / "f.onnx", ["n", 1, 48, 48])
    given = OnnxInput(48, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), order)
    answers = read_onnx(path, STORED, given).probabilities(faces, np.arange(9))
    means = faces.mean(axis=(1, 2), dtype=np.float64) / 255
    for row, mean in enumerate(means):
        raised = {label: np.exp(mean * (place + 1)) for place, label in enumerate(order)}
        expected = [raised[label] / sum(raised.values()) for label in LABELS]
        np.testing.assert_allclose(answers[row], expected, rtol=1e-5)


def test_softmax_outputs_are_not_softmaxed_again(toy, tmp_path):
    made = network(toy, "tiny_cnn", 32)
    with_softmax = torch.nn.Sequential(made.model, torch.nn.Softmax(dim=1))
    for name, model in (("logits", made.model), ("shares", with_softmax)):
        torch.onnx.export(
            model, (torch.zeros(2, 3, 32, 32),), str(tmp_path / f"{name}.onnx"), dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},), verbose=False,
        )  # fmt: skip
    given = OnnxInput(32, HALF, HALF, LABELS)
    runs = {}
    for name in ("logits", "shares"):
        runs[name] = toy.benchmark.run(name)
        path = tmp_path / f"{name}.onnx"
        import_onnx(path, toy.dataset, runs[name], options=ImportOptions(name), declared=given)
    one, other = (
        Predictions.read(run.predictions_path, toy.dataset.labels).split("test").probabilities
        for run in runs.values()
    )
    np.testing.assert_allclose(other, one, atol=1e-6)
    # and so does the copy that answers new faces
    kept = read_onnx(runs["shares"].onnx_path, STORED)
    assert kept.gives_probabilities
    assert not read_onnx(runs["logits"].onnx_path, STORED).gives_probabilities


@pytest.mark.parametrize(
    ("activation", "noted"),
    [(torch.nn.Sigmoid(), True), (torch.nn.Softmax(dim=1), False), (torch.nn.Identity(), False)],
)
def test_an_import_says_that_outputs_are_sigmoids(toy, tmp_path, activation, noted):
    made = network(toy, "tiny_cnn", 32)
    torch.onnx.export(
        torch.nn.Sequential(made.model, activation), (torch.zeros(2, 3, 32, 32),),
        str(tmp_path / "net.onnx"), dynamo=True, verbose=False,
        dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
    )  # fmt: skip
    notes: list[str] = []
    import_onnx(
        tmp_path / "net.onnx",
        toy.dataset,
        toy.benchmark.run(f"ends_in_{type(activation).__name__}"),
        options=ImportOptions("net", notify=notes.append),
        declared=OnnxInput(32, HALF, HALF, LABELS),
    )
    assert ["sigmoid" in note for note in notes] == [True] * noted


def test_a_fixed_batch_is_padded(tmp_path, faces):
    given = OnnxInput(48, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), LABELS)
    free = read_onnx(foreign(tmp_path / "a.onnx", ["n", 3, 48, 48]), STORED, given)
    fixed = read_onnx(foreign(tmp_path / "b.onnx", [4, 3, 48, 48]), STORED, given)
    np.testing.assert_allclose(
        fixed.probabilities(faces, np.arange(9)), free.probabilities(faces, np.arange(9))
    )


@pytest.mark.parametrize(
    ("shape", "classes", "given", "message"),
    [
        (["n", 3, 48, 48], 7, None, "does not declare its input and classes"),
        (["n", 3, 64, 64], 7, OnnxInput(48, HALF, HALF, LABELS), "takes images of 64 px"),
        (["n", 3, 48, 48], 8, OnnxInput(48, HALF, HALF, LABELS), "8 outputs for 7 labels"),
        (["n", 48, 48, 4], 7, OnnxInput(48, HALF, HALF, LABELS), r"shape \(N, 3, S, S\)"),
        (["n", "c", "h", "w"], 7, OnnxInput(None, HALF, HALF, LABELS), "Pass --image-size"),
    ],
)
def test_a_network_that_does_not_fit_is_named(tmp_path, shape, classes, given, message):
    path = foreign(tmp_path / "f.onnx", shape, classes)
    with pytest.raises(WeightsError, match=message):
        read_onnx(path, STORED, given)


@pytest.mark.parametrize(
    ("classes", "last", "message"),
    [
        (8, None, r"shape \(9, 8\) for 9 images and 7 classes"),
        (6, None, r"shape \(9, 6\) for 9 images and 7 classes"),
        (7, np.nan, "not finite"),
    ],
)
def test_outputs_of_a_wrong_shape_are_named_even_if_the_file_hides_it(
    tmp_path, faces, classes, last, message
):
    path = foreign(tmp_path / "f.onnx", ["n", 3, 48, 48], classes, said="k", last=last)
    network = read_onnx(path, STORED, OnnxInput(48, HALF, HALF, LABELS))
    with pytest.raises(WeightsError, match=message):
        network.probabilities(faces, np.arange(9))


def linear(path, side, outputs):
    """An ONNX file that takes any size, it says, and multiplies the pixels of one."""
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["x"], ["flat"]),
            helper.make_node("MatMul", ["flat", "weights"], ["all"]),
            helper.make_node("ReduceSum", ["all"], ["y"], keepdims=0)
            if not outputs
            else helper.make_node("Identity", ["all"], ["y"]),
        ],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", outputs] if outputs else [])],
        [
            helper.make_tensor(
                "weights", TensorProto.FLOAT, [3 * side**2, 7], np.ones(21 * side**2, np.float32)
            )
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)])
    model.ir_version = 8
    onnx.save(model, str(path))
    return path


@pytest.mark.parametrize(
    ("side", "outputs", "message"),
    [
        (8, 7, r"cannot predict inputs of shape \(9, 3, 16, 16\).*Check the image size"),
        (16, 0, r"has outputs of shape \(1,\) for 9 images"),
    ],
)
def test_a_network_that_fails_at_inference_is_named(tmp_path, faces, side, outputs, message):
    given = OnnxInput(16, HALF, HALF, LABELS)
    network = read_onnx(linear(tmp_path / "f.onnx", side, outputs), STORED, given)
    with pytest.raises(WeightsError, match=message):
        network.probabilities(faces, np.arange(9))


@pytest.mark.parametrize("content", [b"", b"no network", b"\x08\x08" * 50])
def test_a_damaged_file_is_named(tmp_path, content):
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"broken\.onnx cannot be read"):
        read_onnx(path, STORED, OnnxInput(48, HALF, HALF, LABELS))


def test_an_export_can_be_explained_by_perturbation(toy, faces, tmp_path):
    from fer_core.explain.methods import explain
    from fer_core.explain.saliency import Target

    made = network(toy, "tiny_cnn", 32)
    export_onnx(made, tmp_path / "model.onnx", faces)
    copy = read_onnx(tmp_path / "model.onnx", STORED)
    inputs = made.preprocessing(faces[:1])
    ours, theirs = (
        explain(model, None, inputs, [Target(2, against=1)], "occlusion")[0]
        for model in (made.model, copy.logits)
    )
    np.testing.assert_allclose(theirs.values, ours.values, atol=1e-5)
    np.testing.assert_allclose(theirs.logits, ours.logits, atol=1e-5)


def test_a_teacher_may_be_an_export(toy, tmp_path):
    """A student hears the same from a network and from its copy, whatever size it sees itself."""
    made = network(toy, "tiny_cnn", 32)
    export_onnx(made, tmp_path / "model.onnx", np.zeros((4, 48, 48), np.uint8))
    copy = read_onnx(tmp_path / "model.onnx", STORED)
    images = torch.rand(5, 1, 40, 40, generator=torch.Generator().manual_seed(0))
    expected = Teacher([made, made], 2.0)(images)
    torch.testing.assert_close(Teacher([copy, made], 2.0)(images), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(expected.sum(dim=1), torch.ones(5))


def test_an_export_of_other_weights_is_not_used(toy, tmp_path):
    run = toy_run(toy.benchmark, toy.dataset, 1, "tiny_cnn", "tiny_cnn")
    assert exported_copy(run, STORED) is None
    export_run(run, STORED, run.onnx_path, toy.dataset)
    assert exported_copy(run, STORED) is not None
    assert exported_copy(run, SampleFormat(64, False)) is None  # prepared anew at another size
    other = toy_run(toy.benchmark, toy.dataset, 2, "tiny_cnn", "tiny_cnn")
    run.weights_path.write_bytes(other.weights_path.read_bytes())
    assert exported_copy(run, STORED) is None
    run.onnx_path.write_bytes(b"no network")
    assert exported_copy(run, STORED) is None
    run.weights_path.unlink()
    assert exported_copy(run, STORED) is None


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("FLOAT", 6), ("FLOAT16", 6), ("BFLOAT16", 6), ("INT8", 6), ("INT64", None)],
)
def test_weights_are_counted_in_any_precision(tmp_path, kind, expected):
    kept = helper.make_tensor("w", getattr(TensorProto, kind), [2, 3], [1] * 6)
    shape = helper.make_tensor("shape", TensorProto.INT64, [2], [1, 6])  # no weight
    onnx.save(
        helper.make_model(helper.make_graph([], "weights", [], [], initializer=[kept, shape])),
        tmp_path / "model.onnx",
    )
    assert count_parameters(tmp_path / "model.onnx") == expected


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"names": "{0: 'angry', 1: \"happy\"}"}, ("angry", "happy")),
        ({"names": "['angry', 'happy']"}, ("angry", "happy")),
        ({"names": "{0: 'angry', 1: 'happy'}", FACTS: "{}"}, ()),
        ({"names": "{1: 'angry', 2: 'happy'}"}, ()),
        ({"names": "[0, 1]"}, ()),
        ({"names": "angry happy"}, ()),
        ({"names": "__import__('os').getcwd()"}, ()),
        ({}, ()),
    ],
)
def test_names_in_the_metadata_are_read_without_running_code(tmp_path, properties, expected):
    path = foreign(tmp_path / "f.onnx", ["n", 3, 48, 48])
    model = onnx.load(str(path))
    helper.set_model_props(model, properties)
    onnx.save(model, str(path))
    assert read_metadata(path).classes == expected
    assert read_metadata(path).largest_pixel is None
    path.write_bytes(b"no network")
    assert read_metadata(path) == OnnxMetadata()


@pytest.mark.parametrize(
    ("operator", "value", "kind", "expected"),
    [
        ("Sub", 127.5, "FLOAT", 255),  # as emotion-ferplus-8
        ("Mul", 1 / 255, "FLOAT16", 255),
        ("Div", 58.0, "FLOAT", 255),
        ("Sub", 0.5, "FLOAT", 1),
        ("Add", -0.5, "FLOAT", 1),
        ("Div", 0.25, "FLOAT", 1),
        ("Mul", 2.0, "FLOAT", 1),
        ("Add", 1.0, "FLOAT", None),  # of pixels in -1 to 1
        ("Mul", 0.5, "FLOAT", None),
        ("Div", 2.0, "FLOAT", None),
        ("Max", 0.0, "FLOAT", None),
        ("Sub", 127.5, "UINT8", None),
    ],
)
def test_a_graph_that_scales_its_input_tells_the_range(tmp_path, operator, value, kind, expected):
    path = foreign(tmp_path / "f.onnx", ["n", 48, 48, 1])
    model = onnx.load(str(path))
    model.graph.node[0].input[0] = "scaled"
    model.graph.input[0].type.tensor_type.elem_type = getattr(TensorProto, kind)
    first = helper.make_node("Transpose", ["x"], ["turned"], perm=[0, 3, 1, 2])
    scale = helper.make_node(operator, ["turned", "value"], ["scaled"])
    model.graph.node.insert(0, scale)
    model.graph.node.insert(0, first)
    model.graph.initializer.append(helper.make_tensor("value", TensorProto.FLOAT, [], [value]))
    onnx.save(model, str(path))
    assert read_metadata(path).largest_pixel == expected
