"""Initial weights of hubs, folders and files: shapes, classifiers, and what is said about them."""

import json

import huggingface_hub.constants
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from timm.layers import resample_abs_pos_embed

from fer_core.config import ModelConfig
from fer_core.errors import WeightsError
from fer_core.labels import SEVEN_EMOTIONS
from fer_core.models import build_model, spec_of
from fer_core.models.weights import initialise
from tests.support.stand_ins import EIGHT, SHUFFLED, hub_cache, hub_vit

LABELS = SEVEN_EMOTIONS.names
COMMIT = "c" * 40


@pytest.fixture(autouse=True)
def offline(tmp_path, monkeypatch):
    """An empty cache, and no network."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


def start(folder, **more):
    """The network of a folder, with its weights; and what is said about them."""
    values = {"architecture": f"hf:{folder}", "image_size": 32, "init": "pretrained", **more}
    config = ModelConfig(**values)
    torch.manual_seed(0)
    model = build_model(config, 7).eval()
    return model, initialise(model, config, LABELS)


@pytest.mark.parametrize("head", ["auto", "keep"])
def test_a_classifier_of_the_same_classes_is_kept_by_name(head, tmp_path):
    theirs = hub_vit(tmp_path / "vit")
    model, initial = start(tmp_path / "vit", head=head)
    images = torch.rand(2, 3, 32, 32)
    canonical = ("sad", "happy", "angry", "disgust", "surprise", "neutral", "fear")
    order = [canonical.index(name) for name in LABELS]
    with torch.no_grad():
        torch.testing.assert_close(model(images), theirs(images).logits[:, order])
    assert initial.notes == ("the classifier is kept",)
    assert canonical != SHUFFLED


def test_classes_that_the_benchmark_lacks_are_named(tmp_path):
    theirs = hub_vit(tmp_path / "vit", EIGHT)
    model, initial = start(tmp_path / "vit", head="keep")
    assert initial.notes == ("the classifier is kept, without contempt",)
    rows = theirs.classifier.weight[[EIGHT.index("anger"), EIGHT.index("happiness")]]
    torch.testing.assert_close(model.model.classifier.weight[[0, 3]], rows)
    _, initial = start(tmp_path / "vit")
    assert initial.notes == (
        "a new classifier for 7 classes; that of the source for 8 classes (neutral, happy, "
        "surprise, sad, angry, disgust and 2 more) is not used",
    )


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("LABEL_0", "LABEL_1", "LABEL_2"), "classes of vit are unknown"),
        (("anger", "fear", "joy"), "lacks disgust, neutral, sad, surprise; it has angry, fear"),
        (("anger", "angry", "joy"), "are not distinct: angry, angry, happy"),
    ],
)
def test_a_classifier_that_cannot_be_kept_is_refused(names, message, tmp_path):
    hub_vit(tmp_path / "vit", names)
    with pytest.raises(WeightsError, match=message):
        start(tmp_path / "vit", head="keep")


@pytest.mark.parametrize("side", [48, 64])
def test_positions_of_transformers_are_resampled_as_timm_does(side, tmp_path):
    theirs = hub_vit(tmp_path / "vit")
    model, _ = start(tmp_path / "vit", image_size=side)
    old = theirs.vit.embeddings.position_embeddings
    new = model.model.vit.embeddings.position_embeddings
    expected = resample_abs_pos_embed(old, (side // 8, side // 8), num_prefix_tokens=1)
    torch.testing.assert_close(new, expected)
    assert model(torch.rand(1, 3, side, side)).shape == (1, 7)


def test_the_registered_vit_takes_hub_weights_of_another_size(tmp_path):
    small = {"architecture": "hf_vit_small", "patch_size": 8}
    theirs = build_model(ModelConfig(**small, image_size=32), 2)
    folder = tmp_path / "small"
    theirs.model.save_pretrained(folder)
    config = ModelConfig(**small, image_size=48, init=f"file:{folder}")
    model = build_model(config, 7)
    initialise(model, config, LABELS)
    expected = resample_abs_pos_embed(
        theirs.model.vit.embeddings.position_embeddings, (6, 6), num_prefix_tokens=1
    )
    torch.testing.assert_close(model.model.vit.embeddings.position_embeddings, expected)


def test_the_hub_is_read_from_its_cache_and_the_commit_recorded(tmp_path):
    hub_vit(tmp_path / "vit")
    hub_cache(tmp_path / "cache", tmp_path / "vit", "me/faces")
    config = ModelConfig(architecture="hf:me/faces", image_size=32, init="hub:me/faces@main")
    initial = initialise(build_model(config, 7), config, LABELS)
    assert initial.source == f"hub me/faces@{COMMIT}"
    assert spec_of(config).pretrained == "hub:me/faces"
    other = config.model_copy(update={"init": "hub:me/faces@v2"})
    with pytest.raises(WeightsError, match=r"cannot be downloaded.*cache \(HF_HOME\) has no copy"):
        initialise(build_model(config, 7), other, LABELS)


def test_weights_in_several_files_are_read(tmp_path):
    hub_vit(tmp_path / "vit")
    whole = load_file(tmp_path / "vit" / "model.safetensors")
    (tmp_path / "vit" / "model.safetensors").unlink()
    names = sorted(whole)
    shards = {"model-00001-of-00002.safetensors": names[::2], "model-2.safetensors": names[1::2]}
    for shard, keys in shards.items():
        save_file({key: whole[key] for key in keys}, tmp_path / "vit" / shard)
    index = {"weight_map": {key: shard for shard, keys in shards.items() for key in keys}}
    (tmp_path / "vit" / "model.safetensors.index.json").write_text(json.dumps(index))
    _, initial = start(tmp_path / "vit")
    assert initial.notes == ("the classifier is kept",)
    index["weight_map"][names[0]] = "../elsewhere.safetensors"
    (tmp_path / "vit" / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(WeightsError, match="does not list safetensors"):
        start(tmp_path / "vit")


def test_pickled_weights_of_a_repository_are_refused(tmp_path):
    hub_vit(tmp_path / "vit")
    (tmp_path / "vit" / "model.safetensors").rename(tmp_path / "vit" / "pytorch_model.bin")
    with pytest.raises(WeightsError, match=r"It has pytorch_model\.bin\..*are refused"):
        start(tmp_path / "vit")


def test_tensors_that_are_missing_or_left_over_are_named(tmp_path):
    hub_vit(tmp_path / "vit")
    path = tmp_path / "vit" / "model.safetensors"
    tensors = load_file(path)
    tensors["extra.weight"] = torch.zeros(2)
    save_file(tensors, path, {"format": "pt"})
    _, initial = start(tmp_path / "vit")
    assert initial.notes[1] == "1 tensors are not used: extra.weight"
    del tensors["vit.layernorm.weight"]
    save_file(tensors, path, {"format": "pt"})
    with pytest.raises(WeightsError, match=r"1 tensors are missing.*model\.vit\.layernorm\.weight"):
        start(tmp_path / "vit")


@pytest.mark.parametrize(
    ("name", "options", "side"),
    [
        ("convnext_atto", {"depths": [1, 1, 1, 1], "dims": [8, 8, 8, 8]}, None),
        ("deit_tiny_patch16_224", {"depth": 2, "embed_dim": 24}, 32),
        ("beit_base_patch16_224", {"depth": 2, "embed_dim": 24, "num_heads": 3}, 32),
    ],
)
def test_a_wrapped_state_dict_of_timm_starts_a_network_of_another_size(
    name, options, side, tmp_path
):
    torch.manual_seed(1)
    size = {} if side is None else {"img_size": side}
    theirs = timm.create_model(name, num_classes=12, **options, **size)
    wrapped = {f"module.{key}": value for key, value in theirs.state_dict().items()}
    torch.save({"state_dict": wrapped}, tmp_path / "theirs.pth")
    for image_size in (32, 64):
        config = ModelConfig(
            architecture=f"timm:{name}", image_size=image_size, options=options,
            init=f"file:{tmp_path / 'theirs.pth'}",
        )  # fmt: skip
        model = build_model(config, 7)
        initial = initialise(model, config, LABELS)
        assert initial.notes[0] == (
            "a new classifier for 7 classes; that of the source for 12 classes is not used"
        )
        first = next(key for key in theirs.state_dict() if key.endswith("weight"))
        torch.testing.assert_close(model.state_dict()[first], theirs.state_dict()[first])


@pytest.mark.parametrize("architecture", ["mobilenet_face", "efficientnet_lite0"])
def test_new_classifiers_start_with_small_logits(architecture):
    """timm draws these by the number of classes: the logits would be 14 times as large."""
    config = ModelConfig(
        architecture=architecture,
        init="face" if architecture == "mobilenet_face" else "imagenet",
        image_size=32,
    )
    model = build_model(config, classes=7)
    initialise(model, config, LABELS)
    weight = model.get_submodule("classifier").weight
    bound = weight.shape[1] ** -0.5
    assert bound / 2 < weight.abs().max() <= bound


DISTILLED = {
    "architecture": "timm:deit_tiny_distilled_patch16_224",
    "image_size": 64,
    "options": {"depth": 1},
}


def distilled_state(path, classes):
    name = DISTILLED["architecture"].removeprefix("timm:")
    donor = timm.create_model(name, num_classes=classes, img_size=64, depth=1)
    for head in (donor.head, donor.head_dist):
        torch.nn.init.normal_(head.weight, std=1.0)
    save_file(donor.state_dict(), path / "model.safetensors")
    return donor.eval()


def test_both_classifiers_of_distilled_weights_are_replaced(tmp_path):
    torch.manual_seed(0)
    donor = distilled_state(tmp_path, 1000)
    config = ModelConfig(**DISTILLED, init=f"file:{tmp_path}/model.safetensors")
    model = build_model(config, 7)
    initial = initialise(model, config, LABELS)
    assert initial.notes == (
        "a new classifier for 7 classes; that of the source for 1,000 classes is not used",
    )
    assert torch.equal(model.dist_token, donor.dist_token)
    assert 0 < model.head_dist.weight.abs().max() < 1 / 192**0.5


def test_both_classifiers_of_distilled_weights_are_kept(tmp_path):
    torch.manual_seed(0)
    donor = distilled_state(tmp_path, 7)
    config = ModelConfig(**DISTILLED, init=f"file:{tmp_path}", head="keep")
    content = {"architecture": "deit", "label_names": list(LABELS[::-1])}
    (tmp_path / "config.json").write_text(json.dumps(content))
    model = build_model(config, 7)
    assert initialise(model, config, LABELS).notes == ("the classifier is kept",)
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(model.eval()(images), donor(images).flip(1))
