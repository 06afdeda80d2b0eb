"""Files of weights are read by their content, and never at an input size of another training."""

from dataclasses import replace

import pytest
import timm
import torch
from safetensors.torch import save_file

from fer_core.errors import RecipeError, WeightsError
from fer_core.models import build_model, spec_of
from fer_core.models.published import InputOptions
from fer_core.models.weight_files import fit_weights, read_weights_file
from fer_core.models.weight_sources import read_file
from tests.support.stand_ins import onnx_net

LABELS = ("sad", "happy", "angry")
VIT = "timm:test_vit"


@pytest.fixture(scope="module")
def vit():
    """A tiny network for images of 64 px; 160 px is its architecture's size."""
    torch.manual_seed(0)
    return timm.create_model("test_vit", num_classes=3, img_size=64).eval()


def read(path, size=64, labels=LABELS):
    return read_weights_file(path, VIT, labels, InputOptions(image_size=size))


def logits(published, images):
    model = build_model(published.config, len(published.outputs)).eval()
    model.load_state_dict(dict(published.tensors))
    return model(images)


@pytest.mark.parametrize(
    ("name", "writes_safetensors"),
    [
        ("net.pth", True), ("NET.SAFETENSORS", True), ("net.bin", True), ("net.safetensors", False),
        ("NET.PTH", False),
    ],
)  # fmt: skip
@torch.inference_mode()
def test_the_content_tells_the_format(vit, tmp_path, name, writes_safetensors):
    path, images = tmp_path / name, torch.rand(2, 3, 64, 64)
    save = save_file if writes_safetensors else torch.save
    save(vit.state_dict(), path)
    torch.testing.assert_close(logits(read(path), images), vit(images))


@pytest.mark.parametrize("facts", ["[1, 2]", '"text"', '{"labels": "sad, happy"}'])
def test_the_header_of_another_project_is_no_list_of_classes(vit, tmp_path, facts):
    save_file(vit.state_dict(), tmp_path / "net.safetensors", metadata={"facts": facts})
    assert read(tmp_path / "net.safetensors").outputs == LABELS
    with pytest.raises(WeightsError, match="does not name its classes"):
        read(tmp_path / "net.safetensors", labels=())


@torch.inference_mode()
def test_another_input_size_is_only_converted_to_if_it_is_asked_for(vit, tmp_path):
    torch.save(vit.state_dict(), tmp_path / "net.pth")
    size = (
        r"images of another size.*pos_embed \(1, 17, 64\) to \(1, 101, 64\)\)\. Pass --image-size"
    )
    with pytest.raises(WeightsError, match=size):
        read(tmp_path / "net.pth", size=None)
    published = read(tmp_path / "net.pth", size=160)
    assert published.notes[0] == (
        "Its library converted tensors of another version or input size: "
        "pos_embed (1, 17, 64) to (1, 101, 64)."
    )
    larger = timm.create_model("test_vit", num_classes=3, img_size=160).eval()
    larger.load_state_dict(dict(published.tensors))
    images = torch.rand(2, 3, 160, 160)
    torch.testing.assert_close(logits(published, images), larger(images))


def test_names_of_a_former_version_are_no_other_input_size():
    model = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.Linear(4, 2))
    state = model.state_dict()
    former = {f"{int(name[0]) + 1}{name[1:]}": tensor for name, tensor in state.items()}
    spec = replace(spec_of("resnet34"), adapt=lambda _state, _model: state)
    fitted = fit_weights(former, model, spec, "net.pth", None)
    assert all(torch.equal(fitted.tensors[name], tensor) for name, tensor in state.items())


def test_a_pointer_of_git_lfs_is_named(tmp_path):
    (tmp_path / "net.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(WeightsError, match=r"net\.safetensors is a pointer of Git LFS"):
        read(tmp_path / "net.safetensors")


def named(path, options, **beside):
    """Saves a network as a training script does, and returns it."""
    torch.manual_seed(3)
    model = timm.create_model("test_vit", num_classes=3, img_size=64, **options).eval()
    torch.nn.init.normal_(model.head.weight)
    state = {f"model.{name}": value for name, value in model.state_dict().items()}
    torch.save({"state_dict": state, **beside}, path)
    return model


@pytest.mark.parametrize("more", [{}, {"class_token": False, "fc_norm": False}])
@torch.inference_mode()
def test_options_that_the_tensors_show_are_found(tmp_path, more):
    options, images = {"global_pool": "avg", **more}, torch.rand(2, 3, 64, 64)
    model, published = named(tmp_path / "net.pth", options), read(tmp_path / "net.pth")
    assert published.config.options.items() >= options.items()
    assert published.notes[0].startswith("Options that its tensors show or suggest were used: --")
    torch.testing.assert_close(logits(published, images), model(images))


@pytest.mark.parametrize("by_user", [True, False])
@torch.inference_mode()
def test_options_that_no_tensor_shows_are_those_of_the_script_or_the_user(tmp_path, by_user):
    own, images = {"global_pool": "avg", "act_layer": "relu"}, torch.rand(2, 3, 64, 64)
    script = {"global_pool": "max", "act_layer": "theirs"} if by_user else own
    model = named(tmp_path / "net.pth", {**own, "fc_norm": False}, hyper_parameters=script)
    given = InputOptions(64, network=own if by_user else {})
    published = read_weights_file(tmp_path / "net.pth", VIT, LABELS, given)
    assert published.config.options == {**own, "fc_norm": False}
    torch.testing.assert_close(logits(published, images), model(images))


def test_options_of_a_script_that_the_network_refuses_are_named(tmp_path):
    named(tmp_path / "net.pth", {}, args={"act_layer": "theirs", "img_size": 64})
    published = read(tmp_path / "net.pth", size=None)
    assert (published.config.options, published.config.image_size) == ({}, 64)
    assert "refuses options of its training script: --model-arg act" in published.notes[0]
    assert published.notes[1] == "Read from the options of its training script: --image-size 64."


@pytest.mark.parametrize("network", [{"act_layer": "x"}, {"class_token": "no"}, {"depht": 3}])
def test_arguments_that_the_network_does_not_have_are_refused(vit, tmp_path, network):
    torch.save(vit.state_dict(), tmp_path / "net.pth")
    with pytest.raises(RecipeError, match=r"with these options|class_token of test_vit is true or"):
        read_weights_file(tmp_path / "net.pth", VIT, LABELS, InputOptions(64, network=network))


def test_classes_in_the_file_are_read_and_another_order_is_named(tmp_path):
    named(tmp_path / "net.pth", {}, class_to_idx={"Sadness": 0, "happy": 1, "angry": 2})
    published = read(tmp_path / "net.pth", labels=())
    assert published.outputs == ("Sadness", "happy", "angry")
    assert published.notes[0] == "net.pth names its classes: --labels Sadness,happy,angry."
    assert not any("names" in note for note in read(tmp_path / "net.pth").notes)
    other = read(tmp_path / "net.pth", labels=LABELS[::-1])
    assert other.outputs == LABELS[::-1]
    assert "names other classes, or in another order: Sadness,happy,angry." in other.notes[0]


def test_weights_are_known_by_content_and_parts_by_name(tmp_path):
    (tmp_path / "net-00001-of-00003.safetensors").write_bytes(b"{}")
    with pytest.raises(WeightsError, match=r"is one of 3 parts\. Give the folder"):
        read_file(tmp_path / "net-00001-of-00003.safetensors")
    torch.save({"a.weight": torch.zeros(2)}, tmp_path / "net.model")
    assert set(read_file(tmp_path / "net.model").tensors) == {"a.weight"}
    onnx_net(tmp_path / "net.pth")
    with pytest.raises(WeightsError, match=r"net\.pth is an ONNX network\. It can be imported"):
        read_file(tmp_path / "net.pth")


@torch.inference_mode()
def test_a_backbone_and_its_classifier_are_read_as_one_network(vit, tmp_path):
    """A training script saved the classifier beside the backbone, both wrapped by DataParallel."""
    state = {f"module.{name}": value for name, value in vit.state_dict().items()}
    parts = {
        "backbone": {name: value for name, value in state.items() if ".head." not in name},
        "fc": {name: value for name, value in state.items() if ".head." in name},
    }
    torch.save({"epoch": 9, **parts}, tmp_path / "net.pth")
    published, images = read(tmp_path / "net.pth"), torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(logits(published, images), vit(images))
    assert any("the layer under 'fc' of net.pth" in note for note in published.notes)
