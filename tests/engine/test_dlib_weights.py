"""Conversion of dlib's face network: files written here, in the format of face-api.js."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from fer_core.config import ModelConfig
from fer_core.data.transforms import Preprocessing
from fer_core.engine.dlib_weights import SOURCE, convert, read_weights
from fer_core.errors import WeightsError
from fer_core.labels import SEVEN_EMOTIONS
from fer_core.models import build_model, spec_of, weight_sources
from fer_core.models.checkpoint import load_tensors
from fer_core.models.weight_sources import STARTS
from fer_core.models.weights import initialise
from fer_core.synthetic.face import render
from tests.support.face_api_weights import write_face_network

GOLDEN = {29: 3.0730, 3: 2.7935, 10: 2.7679, 4: 2.7125, 42: 2.6802}
"""The original's largest features of a picture of waves, computed from its uint8 weights."""

FACE = ModelConfig(architecture="resnet_face", image_size=103, init="face")


@pytest.fixture(scope="module")
def faces():
    spec = spec_of("resnet_face")
    drawn = np.stack([render(n, "happy").image for n in range(5)])
    values = F.interpolate(torch.from_numpy(drawn).permute(0, 3, 1, 2) / 255, (103, 103))
    return Preprocessing(103, True, 103, spec.mean, spec.std).normalise(values)


@pytest.fixture(scope="module")
def made(tmp_path_factory, faces):
    folder = tmp_path_factory.mktemp("dlib")
    path = write_face_network(folder)
    out = folder / "resnet_face.safetensors"
    return path, out, convert(path, faces, out)


def first_layer(path, images):
    """Output of the first convolution in float64, from the raw weights."""
    weights = read_weights(path)
    kernel, bias, scale, shift = (
        torch.from_numpy(weights[f"conv32_down/{part}"]).double()
        for part in ("conv/filters", "conv/bias", "scale/weights", "scale/biases")
    )
    maps = F.conv2d(images.double(), kernel.permute(3, 2, 0, 1), bias, stride=2)
    return (maps * scale.view(-1, 1, 1) + shift.view(-1, 1, 1)).relu()


def test_the_file_is_int8_without_a_head_and_names_its_source(made):
    _, out, similarity = made
    assert similarity > 0.995
    tensors, facts = load_tensors(out)
    assert facts["source"] == SOURCE
    assert facts["statistics of images"] == 5
    assert not any(key.startswith("classifier") for key in tensors)
    assert out.stat().st_size < 6e6


def test_a_training_starts_from_the_converted_weights(made, faces, monkeypatch):
    path, out, _ = made
    monkeypatch.setattr(weight_sources, "STARTS", out.parent)
    model = build_model(FACE, 7)
    start = initialise(model, FACE, SEVEN_EMOTIONS.names)
    assert (start.init, start.source) == ("face", SOURCE)
    with torch.no_grad():
        result = model.eval().stem[:3](faces)
    expected = first_layer(path, faces).float()
    torch.testing.assert_close(result, expected, rtol=0.02, atol=0.02 * float(expected.max()))


def test_batch_norm_statistics_are_those_of_the_images(made, faces, monkeypatch):
    _, out, _ = made
    monkeypatch.setattr(weight_sources, "STARTS", out.parent)
    model = build_model(FACE, 7)
    initialise(model, FACE, SEVEN_EMOTIONS.names)
    with torch.no_grad():
        maps = model.stem[0](faces)
    norm = model.stem[1]
    torch.testing.assert_close(norm.running_mean, maps.mean(dim=(0, 2, 3)), rtol=0.02, atol=0.02)


@pytest.mark.parametrize("fault", ["no manifest", "no weights", "short", "other names", "graph"])
def test_unreadable_files_name_what_to_pass(tmp_path, faces, fault):
    path = write_face_network(tmp_path)
    content = tmp_path / "face_recognition_model.bin"
    if fault == "no manifest":
        path.unlink()
    elif fault == "no weights":
        content.unlink()
    elif fault == "short":
        content.write_bytes(content.read_bytes()[:-1])
    elif fault == "other names":
        path.write_text(path.read_text().replace("conv64_down", "conv64_first"))
    else:
        path.write_text('{"modelTopology": {}}')
    out = tmp_path / "out.safetensors"
    with pytest.raises(WeightsError, match=r"Pass model/face_recognition_model-weights_manifest"):
        convert(path, faces, out)
    assert not out.exists()


def test_other_features_are_not_written(tmp_path, faces, monkeypatch):
    from fer_core.engine import dlib_weights

    path, out = write_face_network(tmp_path), tmp_path / "out.safetensors"
    monkeypatch.setattr(dlib_weights, "_features", lambda *_: torch.full((5, 256), -1.0))
    with pytest.raises(WeightsError, match=r"cosine similarity -.*Nothing was written"):
        convert(path, faces, out)
    assert not out.exists()


def test_the_included_features_equal_the_original():
    steps = torch.arange(112.0)
    wave = torch.outer(torch.sin(steps / 9), torch.cos(steps / 13))
    image = torch.stack([0.5 + 0.4 * wave, 0.5 - 0.3 * wave, 0.5 + 0.2 * wave.T])[None]
    config = FACE.model_copy(update={"image_size": 112})
    spec, model = spec_of("resnet_face"), build_model(config, 7)
    assert initialise(model, config, SEVEN_EMOTIONS.names).source == SOURCE
    images = Preprocessing(112, True, 112, spec.mean, spec.std).normalise(image)
    with torch.no_grad():
        result = model.eval().forward_features(images)[0].mean(dim=(1, 2))
    assert set(result.topk(5).indices.tolist()) == set(GOLDEN)
    for place, value in GOLDEN.items():
        assert float(result[place]) == pytest.approx(value, abs=0.05)
    assert (STARTS / "resnet_face.safetensors").stat().st_size < 6e6
