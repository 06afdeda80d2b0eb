"""Architectures of other libraries: what is read from a network by running it on shapes."""

import huggingface_hub.constants
import pytest
import torch
from transformers import ConvNextConfig, ConvNextV2Config, DeiTConfig, ViTConfig

from fer_core.config import ModelConfig
from fer_core.errors import RecipeError
from fer_core.models import build_model, spec_of


def vit_config() -> dict:
    return ViTConfig(
        image_size=32, patch_size=8, hidden_size=16, num_hidden_layers=3,
        num_attention_heads=2, intermediate_size=32,
    ).to_dict()  # fmt: skip


@pytest.mark.parametrize(
    ("architecture", "expected"),
    [
        ("timm:resnet18", ("cnn", "fc", 0, None)),
        ("timm:convnext_atto", ("cnn", "head.fc", 0, None)),
        ("timm:vit_tiny_patch16_224", ("vit", "head", 1, 16)),
        ("torchvision:resnet18", ("cnn", "fc", 0, None)),
        ("hf:me/faces", ("vit", "model.classifier", 1, 8)),
    ],
)
def test_the_specification_is_read_from_the_network(architecture, expected):
    config = ModelConfig(
        architecture=architecture,
        image_size=64,
        hub_config=vit_config() | {"image_size": 64} if architecture.startswith("hf:") else {},
    )
    spec = spec_of(config)
    assert (spec.family, spec.head, spec.prefix_tokens, spec.patch) == expected
    model = build_model(config, 7).eval()
    assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 7)
    model.get_submodule(spec.cam_layer)


@pytest.mark.parametrize(
    ("architecture", "config"),
    [
        ("timm:convnext_atto", {}),
        ("torchvision:convnext_tiny", {}),
        ("hf:me/convnext", ConvNextConfig(image_size=64).to_dict()),
        ("hf:me/convnextv2", ConvNextV2Config(image_size=64).to_dict()),
    ],
)
def test_convnext_of_each_library_inverts_layer_cam(architecture, config):
    model = ModelConfig(architecture=architecture, image_size=64, hub_config=config)
    assert spec_of(model).inverts_layer_cam
    assert not spec_of(ModelConfig(architecture="timm:resnet18", image_size=64)).inverts_layer_cam


@pytest.mark.parametrize(
    ("architecture", "heads"),
    [
        ("torchvision:squeezenet1_1", ("classifier.1",)),  # a convolution, then the mean
        ("timm:deit_tiny_distilled_patch16_224", ("head", "head_dist")),  # the mean of two
    ],
)
def test_other_classifiers_than_one_linear_layer_are_found(architecture, heads):
    config = ModelConfig(architecture=architecture, image_size=64)
    spec = spec_of(config)
    assert spec.heads == heads
    assert spec.is_head(f"{heads[-1]}.bias")
    assert not spec.is_head(f"{heads[-1]}_norm.bias")
    assert not spec.cam_layer.startswith("classifier")


@pytest.mark.parametrize(
    ("given", "chosen"),
    [
        ([], "DeiTForImageClassification"),
        (["DeiTForImageClassificationWithTeacher"], "DeiTForImageClassificationWithTeacher"),
    ],
)
def test_the_class_is_kept_where_a_model_type_has_two(given, chosen):
    shape = DeiTConfig(
        image_size=32, patch_size=8, hidden_size=16, num_hidden_layers=2,
        num_attention_heads=2, intermediate_size=32,
    ).to_dict()  # fmt: skip
    config = ModelConfig(
        architecture="hf:me/deit", image_size=32, hub_config=shape | {"architectures": given}
    )
    assert type(build_model(config, 7).model).__name__ == chosen


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ("timm:no_such_net", "timm has no architecture 'no_such_net'. Search"),
        ("timm:resnet34x", r"'resnet34x'\. Similar names: .*resnet34,.* Search"),
        ("timm:resnet_18.a1_in1k", r"Similar names: .*resnet18.* Search"),
        ("torchvision:resnet-18", r"Similar names: .*resnet18.* Search"),
        ("torchvision:no_such_net", "torchvision has no image classifier"),
        ("hf:me/faces", "me/faces cannot be downloaded"),
    ],
)
def test_unknown_architectures_are_named(architecture, message, tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(RecipeError, match=message):
        spec_of(ModelConfig(architecture=architecture, image_size=64))


@pytest.mark.parametrize(
    ("architecture", "options", "problem"),
    [
        ("torchvision:vit_b_16", {}, "torchvision cannot build vit_b_16"),  # 100 px, patches of 16
        ("timm:convnext_atto", {"depths": [1, 1]}, "timm cannot build convnext_atto"),
        ("timm:vit_tiny_patch16_224", {"num_heads": 0}, "timm cannot build vit_tiny"),
        ("timm:vit_tiny_patch16_224", {"embed_dim": -4}, "timm cannot build vit_tiny"),
        ("timm:vit_tiny_patch16_224.mine", {}, "timm knows no weights 'mine' of vit_tiny"),
    ],
)
def test_impossible_options_and_weights_are_named(architecture, options, problem):
    config = ModelConfig(architecture=architecture, image_size=100, options=options)
    with pytest.raises(RecipeError, match=problem):
        build_model(config, 7)
