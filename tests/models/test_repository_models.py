"""Classifiers in folders as libraries save them: input size, classes, channels, and remedies."""

import json

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from timm.models import save_for_hf
from transformers import MobileViTConfig, MobileViTForImageClassification, MobileViTImageProcessor

from fer_core.errors import WeightsError
from fer_core.models import build_model
from fer_core.models.published import InputOptions
from fer_core.models.repository import Repository
from fer_core.models.repository_models import read_repository
from tests.support.stand_ins import SHUFFLED, hub_vit


def read(folder, *labels, size=None):
    return read_repository(Repository.parse(str(folder)), InputOptions(image_size=size), labels)


def edit(folder, name, **changes):
    content = json.loads((folder / name).read_text()) | changes
    content = {key: value for key, value in content.items() if value is not None}
    (folder / name).write_text(json.dumps(content))


def logits(published, images):
    model = build_model(published.config, len(published.outputs)).eval()
    model.load_state_dict(dict(published.tensors))
    return model(images)


@torch.inference_mode()
def test_position_embeddings_are_resampled_only_to_a_size_that_is_asked_for(tmp_path):
    original = hub_vit(tmp_path)
    images = torch.rand(2, 3, 64, 64)
    asked = read(tmp_path, size=64)
    assert "position_embeddings (1, 17, 16) to (1, 65, 16)" in asked.notes[0]
    expected = original(pixel_values=images, interpolate_pos_encoding=True).logits
    torch.testing.assert_close(logits(asked, images), expected, atol=5e-3, rtol=0)
    edit(tmp_path, "preprocessor_config.json", size={"height": 64, "width": 64})
    with pytest.raises(WeightsError, match=r"images of another size.*Pass --image-size"):
        read(tmp_path)


def test_the_classes_may_be_in_label2id_or_in_the_option_alone(tmp_path):
    hub_vit(tmp_path)
    unnamed = {str(index): f"LABEL_{index}" for index in range(7)}
    edit(tmp_path, "config.json", id2label=unnamed)
    assert read(tmp_path).outputs == SHUFFLED
    edit(tmp_path, "config.json", id2label=None)
    assert read(tmp_path).outputs == SHUFFLED
    edit(tmp_path, "config.json", id2label=None, label2id=None)
    assert read(tmp_path, *"abcdefg").outputs == tuple("abcdefg")
    with pytest.raises(WeightsError, match=r"has 7 outputs for 2 classes \(--labels, or id2label"):
        read(tmp_path, "a", "b")
    with pytest.raises(WeightsError, match=r"does not name its classes.*Pass --labels"):
        read(tmp_path)


def test_two_orders_of_the_classes_are_named(tmp_path):
    hub_vit(tmp_path)
    assert read(tmp_path).notes == ()
    turned = SHUFFLED[::-1]
    edit(tmp_path, "config.json", label2id={name: index for index, name in enumerate(turned)})
    published = read(tmp_path)
    assert published.outputs == SHUFFLED
    assert published.notes == (
        f"id2label and label2id of config.json differ ({', '.join(turned)}); id2label was read. "
        "Pass --labels if it is wrong.",
    )


def test_an_image_processor_may_be_in_the_file_of_a_processor(tmp_path):
    hub_vit(tmp_path)
    expected = read(tmp_path).config
    own = tmp_path / "preprocessor_config.json"
    nested = {"image_processor": json.loads(own.read_text()), "processor_class": "CLIPProcessor"}
    (tmp_path / "processor_config.json").write_text(json.dumps(nested))
    own.unlink()
    assert read(tmp_path).config == expected


@pytest.mark.parametrize("values", [{}, {"image_mean": None, "image_std": None}])
@torch.inference_mode()
def test_mobilevit_reads_bgr_and_does_not_normalise(tmp_path, values):
    torch.manual_seed(0)
    sizes = {"hidden_sizes": [16, 20, 24], "neck_hidden_sizes": [8, 8, 8, 16, 16, 24, 32]}
    config = MobileViTConfig(image_size=64, num_labels=3, hidden_act="silu", **sizes)
    model = MobileViTForImageClassification(config)
    for module in model.modules():  # statistics with which the outputs differ between images
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    model(pixel_values=torch.rand(8, 3, 64, 64))
    model.eval().classifier.weight.normal_()
    model.save_pretrained(tmp_path)
    processor = MobileViTImageProcessor(size={"shortest_edge": 64}, do_center_crop=False)
    processor.save_pretrained(tmp_path)
    edit(tmp_path, "preprocessor_config.json", **values)
    published = read(tmp_path, "sad", "happy", "angry")
    assert (published.config.mean, published.config.std) == ((0, 0, 0), (1, 1, 1))
    stem = "model.mobilevit.conv_stem.convolution.weight"
    assert published.notes == (f"{stem} reads BGR images; it was converted to read RGB.",)
    pixels = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    expected = model(**processor(pixels, return_tensors="pt")).logits
    assert expected.std() > 1e-3
    torch.testing.assert_close(logits(published, pixels / 255), expected, atol=1e-5, rtol=1e-4)


def save_timm(folder, name, **options):
    model = timm.create_model(name, num_classes=3, **options).eval()
    save_for_hf(
        model, folder, model_config={"label_names": ["sad", "happy", "fear"]},
        safe_serialization=True,
    )  # fmt: skip
    return model


@torch.inference_mode()
def test_a_folder_of_timm_has_its_input_size_and_takes_another(tmp_path):
    model = save_timm(tmp_path, "test_vit", img_size=64)
    published, images = read(tmp_path), torch.rand(2, 3, 64, 64)
    assert published.config.image_size == 64
    torch.testing.assert_close(logits(published, images), model(images))
    assert read(tmp_path, size=96).tensors["pos_embed"].shape == (1, 37, 64)


@torch.inference_mode()
def test_a_folder_of_timm_of_one_channel_reads_the_luma(tmp_path):
    model = save_timm(tmp_path, "test_resnet", in_chans=1)
    published, images = read(tmp_path), torch.rand(2, 3, 64, 64)
    assert len({*published.config.mean}) == 1
    grey = (images * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    torch.testing.assert_close(logits(published, images), model(grey), atol=1e-5, rtol=0)


@torch.inference_mode()
def test_the_pooling_of_a_folder_of_timm_is_its_own_or_the_users(tmp_path):
    model = save_timm(tmp_path, "test_convnext", global_pool="max")
    images = torch.rand(2, 3, 160, 160)
    edit(tmp_path, "config.json", model_args=None)  # as former versions of timm write it
    torch.testing.assert_close(logits(read(tmp_path), images), model(images))
    edit(tmp_path, "config.json", global_pool="avg")
    given = InputOptions(network={"global_pool": "max"})
    published = read_repository(Repository.parse(str(tmp_path)), given)
    torch.testing.assert_close(logits(published, images), model(images))
    hub_vit(tmp_path)
    with pytest.raises(WeightsError, match=r"has all options of its network\. Remove --model-arg"):
        read_repository(Repository.parse(str(tmp_path)), given)


def test_a_folder_of_timm_has_names_of_a_former_version(tmp_path):
    save_timm(tmp_path, "test_vit2")
    state = load_file(tmp_path / "model.safetensors")
    expected = read(tmp_path).tensors
    old = {f"module.{name}": tensor for name, tensor in state.items()}
    save_file(old, tmp_path / "model.safetensors")
    read_again = read(tmp_path).tensors
    assert all(torch.equal(read_again[name], tensor) for name, tensor in expected.items())


def _checkpoint(folder):
    (folder / "checkpoint-500").mkdir()
    for path in [path for path in folder.iterdir() if path.is_file()]:
        path.rename(folder / "checkpoint-500" / path.name)


def _adapter(folder):
    (folder / "config.json").unlink()
    (folder / "adapter_config.json").write_text("{}")


def _weights(folder):
    (folder / "config.json").unlink()
    (folder / "best.pth").write_bytes(b"")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_checkpoint, r"It is in checkpoint-500\. Give one of these folders"),
        (_adapter, r"An adapter of peft.*merge_and_unload\(\)"),
        (_weights, r"It has best\.pth, model\.safetensors: give one of these files"),
        (
            lambda f: (f / "adapter_config.json").write_text("{}"),
            r"has adapter_config\.json\. An adapter of peft.*merge_and_unload\(\)",
        ),
        (
            lambda f: (f / "model.safetensors").write_text("version https://git-lfs.github.com/"),
            r"model\.safetensors is a pointer of Git LFS.*git lfs pull",
        ),
    ],
)
def test_what_to_import_instead_is_said(tmp_path, change, message):
    hub_vit(tmp_path)
    change(tmp_path)
    with pytest.raises(WeightsError, match=message):
        read(tmp_path)
