"""Repositories of the hub, from a local stand-in of its API: revisions, gates, tokens, offline."""

import pytest
import timm
import torch
from timm.models import save_for_hf

from fer_core.errors import WeightsError
from fer_core.labels import SEVEN_EMOTIONS
from fer_core.models.processor import CROPS_CENTRE
from fer_core.models.published import InputOptions
from fer_core.models.repository import Repository
from fer_core.models.repository_models import read_repository
from tests.support.hub_files import hub_files
from tests.support.stand_ins import hub_vit

MAIN, OLD, PICKLED = "a" * 40, "b" * 40, "c" * 40


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A repository's folder at three commits."""
    root = tmp_path_factory.mktemp("repository")
    for commit in (MAIN, OLD, PICKLED):
        hub_vit(root / commit)
        (root / commit / "pytorch_model.bin").write_bytes(b"a pickle")
    (root / PICKLED / "model.safetensors").unlink()
    config = root / OLD / "config.json"
    config.write_text(config.read_text().replace('"Happy"', '"joy"'))
    return {commit: root / commit for commit in (MAIN, OLD, PICKLED)}


@pytest.fixture
def hub(folders, tmp_path, monkeypatch):
    """The stand-in, with an empty cache."""
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    with hub_files() as (address, state):
        monkeypatch.setenv("HF_ENDPOINT", address)
        state.commits = folders
        state.refs = {"main": MAIN, "v1": OLD, "refs/pr/3": PICKLED}
        yield state


def read(text: str):
    return read_repository(Repository.parse(text), InputOptions())


def test_a_model_is_downloaded_without_its_pickles_and_its_commit_recorded(hub):
    model = read("hub:me/faces")
    assert model.source == f"hub me/faces@{MAIN}"
    assert model.config.init == f"hub:me/faces@{MAIN}"
    assert model.outputs[1] == "Happy"
    assert set(hub.sent) == {"config.json", "model.safetensors", "preprocessor_config.json"}
    assert all(torch.isfinite(tensor).all() for tensor in model.tensors.values())


@pytest.mark.parametrize("revision", ["v1", OLD])
def test_a_tag_or_a_commit_is_a_revision(hub, revision):
    model = read(f"hub:me/faces@{revision}")
    assert model.source == f"hub me/faces@{OLD}"
    assert model.outputs[1] == "joy"


def test_a_token_of_the_environment_opens_a_private_repository(hub, monkeypatch):
    hub.token = "hf_secret"
    with pytest.raises(WeightsError, match=r"no repository me/faces on the hub, or it is private"):
        read("hub:me/faces")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert read("hub:me/faces").source == f"hub me/faces@{MAIN}"
    assert "Bearer hf_secret" in hub.tokens


def test_a_downloaded_model_is_read_offline(hub, monkeypatch):
    online = read("hub:me/faces")
    hub.sent.clear()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    offline = read("hub:me/faces")
    assert (offline.source, hub.sent) == (online.source, [])
    with pytest.raises(WeightsError, match=r"cannot be downloaded.*HF_HUB_OFFLINE forbids"):
        read("hub:me/others")


@pytest.mark.parametrize(
    ("name", "gated", "message"),
    [
        ("me/faces@gone", False, r"me/faces on the hub has no revision 'gone'"),
        ("me/nothing", False, "There is no repository me/nothing on the hub"),
        ("me/faces", True, "needs its owner's permission"),
        ("me/faces@refs/pr/3", False, r"It has pytorch_model\.bin\. Only safetensors"),
    ],
)
def test_what_the_hub_refuses_is_said(hub, name, gated, message):
    hub.gated = gated
    with pytest.raises(WeightsError, match=message):
        read(f"hub:{name}")


@pytest.mark.parametrize(("crop_pct", "notes"), [(0.875, (CROPS_CENTRE,)), (1.0, ())])
def test_the_centre_crop_of_a_timm_network_is_named(tmp_path, crop_pct, notes):
    model = timm.create_model("mobilenetv3_small_050", num_classes=7)
    own = {**model.pretrained_cfg, "input_size": (3, 64, 64), "crop_pct": crop_pct}
    labels = list(SEVEN_EMOTIONS.names)
    config = {"num_classes": 7, "label_names": labels, "pretrained_cfg": own}
    save_for_hf(model, tmp_path, model_config=config, safe_serialization=True)
    assert read(str(tmp_path)).notes == notes
