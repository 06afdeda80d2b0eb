"""Files of weights are read by their content, and never at an input size of another training."""

from dataclasses import replace

import pytest
import timm
import torch
from safetensors.torch import save_file

from fer_core.errors import WeightsError
from fer_core.models import build_model, spec_of
from fer_core.models.published import InputOptions
from fer_core.models.weight_files import fit_weights, read_weights_file

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
