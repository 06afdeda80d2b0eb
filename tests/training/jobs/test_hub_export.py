"""Folders that timm and transformers load, and uploads to a local stand-in of the hub."""

import json

import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file

from fer_core.config import LoraConfig, ModelConfig
from fer_core.errors import ArtifactError, WeightsError
from fer_core.files import read_json
from fer_core.models import build_model, spec_of
from fer_core.models.adapters import add_adapter
from fer_core.models.hub_folder import Exported, logits_of_folder, write_folder
from fer_core.models.regression_head import add_regression_head
from tests.support.builders import toy_benchmark, toy_run
from tests.support.hub_server import hub_server
from training.commands import runs
from training.jobs import hub_export
from training.jobs.hub_export import export_folder, upload_run

RUN = "efficientnet_lite0-cpu-s0"
LABELS = ("angry", "happy", "sad")


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return toy_benchmark(tmp_path_factory.mktemp("toy"), runs=2)


@pytest.fixture
def hub(monkeypatch):
    monkeypatch.setattr(hub_export, "DELAY", 0.0)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)  # plain LFS
    with hub_server() as (address, state):
        monkeypatch.setenv("HF_ENDPOINT", address)
        yield state


@pytest.mark.parametrize(
    ("architecture", "options"),
    [
        ("resnet34", {}),
        ("mobilenet_face", {}),
        ("vit_tiny", {"patch_size": 8, "pool": "mean"}),
        ("hf_vit_small", {"patch_size": 8}),
    ],
)
def test_the_library_alone_computes_the_same_logits(tmp_path, architecture, options):
    torch.manual_seed(0)
    config = ModelConfig(architecture=architecture, image_size=32, **options)
    model, spec = build_model(config, 3).eval(), spec_of(architecture)
    inputs = torch.randn(4, 3, 32, 32)
    with torch.inference_mode():
        expected = model(inputs)
    library = write_folder(Exported(model, spec, config, LABELS), tmp_path)
    torch.testing.assert_close(
        logits_of_folder(tmp_path, library, inputs), expected, rtol=0, atol=1e-5
    )
    content = read_json(tmp_path / "config.json")
    if library == "timm":
        assert content["label_names"] == list(LABELS)
        assert content["pretrained_cfg"]["input_size"] == [3, 32, 32]
    else:
        assert content["id2label"] == {"0": "angry", "1": "happy", "2": "sad"}
        assert read_json(tmp_path / "preprocessor_config.json")["image_mean"] == [0.5] * 3


@pytest.mark.parametrize("architecture", ["vit_tiny", "hf_vit_small"])
def test_a_lora_adapter_is_merged_into_its_base(tmp_path, architecture):
    torch.manual_seed(0)
    config = ModelConfig(
        architecture=architecture,
        image_size=32,
        patch_size=8,
        lora=LoraConfig(rank=2),
        init="run:toy/base-cpu-s0",
    )
    model, spec = build_model(config, 3).eval(), spec_of(architecture)
    base = set(model.state_dict())
    inputs = torch.randn(2, 3, 32, 32)
    plain = model(inputs).detach()
    add_adapter(model, config)
    for name, tensor in model.named_parameters():
        if ".lora_" in name:  # a new adapter changes nothing
            torch.nn.init.normal_(tensor, std=0.1)
    with torch.inference_mode():
        expected = model(inputs)
    assert (expected - plain).abs().max() > 1e-2
    library = write_folder(Exported(model, spec, config, LABELS), tmp_path)
    torch.testing.assert_close(
        logits_of_folder(tmp_path, library, inputs), expected, rtol=0, atol=1e-5
    )
    written = set(load_file(tmp_path / "model.safetensors"))
    assert written == {key.removeprefix("model.") for key in base}
    assert any(".lora_" in key for key in model.state_dict())


def test_a_regression_head_is_left_out_and_the_network_stays_as_it_is(tmp_path):
    config = ModelConfig(architecture="resnet34", image_size=32)
    model, spec = build_model(config, 3).eval(), spec_of("resnet34")
    add_regression_head(model, spec, [0.0, 0.0], [1.0, 1.0])
    inputs = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        expected = model(inputs)
    write_folder(Exported(model, spec, config, LABELS), tmp_path)
    torch.testing.assert_close(
        logits_of_folder(tmp_path, "timm", inputs), expected, rtol=0, atol=1e-5
    )
    assert "fc.estimate.weight" in model.state_dict()


def test_architectures_of_ferscope_are_refused_with_a_remedy(tmp_path):
    config = ModelConfig(architecture="scratch_vit", image_size=32)
    model = build_model(config, 3)
    with pytest.raises(WeightsError, match="Export it as ONNX"):
        write_folder(Exported(model, spec_of("scratch_vit"), config, LABELS), tmp_path)


def test_a_run_is_exported_with_its_card(toy, tmp_path):
    folder = tmp_path / "out"
    difference = export_folder(toy.benchmark.run(RUN), folder, toy.dataset)
    assert difference <= 1e-5
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md", "config.json", "model.safetensors",
    ]  # fmt: skip
    assert ModelCard.load(folder / "README.md").data.library_name == "timm"
    with pytest.raises(ArtifactError, match="is not an empty folder"):
        export_folder(toy.benchmark.run(RUN), folder, toy.dataset)
    with pytest.raises(ArtifactError, match="Publish its members"):
        export_folder(toy.benchmark.run("pair-cpu"), tmp_path / "pair", toy.dataset)


def test_an_upload_survives_a_broken_connection_and_a_second_call_changes_nothing(toy, hub):
    hub.breaks = 1
    told = []
    run = toy.benchmark.run(RUN)
    try:
        address = upload_run(run, "me/net", toy.dataset, private=True, notify=told.append)
    finally:
        assert hub.unknown == []
    assert address.endswith("/me/net")
    assert len(told) == 1
    assert hub.private is True
    assert hub.commits == 1
    assert "Bearer hf_secret" in hub.tokens
    assert sorted(hub.files) == [
        "README.md", "config.json", "model.safetensors", "report.json", "run.json",
    ]  # fmt: skip
    assert b"hf-hub:me/net" in hub.files["README.md"]
    assert json.loads(hub.files["run.json"])["run_id"] == RUN
    before = dict(hub.files)
    upload_run(run, "me/net", toy.dataset)
    assert (hub.commits, hub.files) == (1, before)


@pytest.mark.parametrize(
    ("status", "message"), [(401, "set HF_TOKEN"), (403, "set HF_TOKEN"), (400, "Check the name")]
)
def test_a_refusal_names_the_remedy(toy, hub, status, message):
    hub.status = status
    with pytest.raises(ArtifactError, match=f"status {status}.*{message}"):
        upload_run(toy.benchmark.run(RUN), "me/net", toy.dataset)
    assert hub.files == {}


def test_a_hub_that_never_answers_is_an_error_after_some_tries(toy, hub):
    hub.breaks = 100
    with pytest.raises(ArtifactError, match="cannot be reached"):
        upload_run(toy.benchmark.run(RUN), "me/net", toy.dataset)
    assert hub.commits == 0


def test_another_target_than_a_repository_of_the_hub_is_refused(toy):
    from fer_core.errors import RecipeError

    for wrong in ("me/net", "hub:net", "s3:me/net"):
        with pytest.raises(RecipeError, match="write --to hub:owner/name"):
            runs.publish("toy", RUN, to=wrong, artifacts=toy.artifacts)


def test_an_architecture_of_ferscope_is_uploaded_as_onnx(tmp_path, hub):
    toy = toy_benchmark(tmp_path, runs=0)
    run = toy_run(toy.benchmark, toy.dataset, 0, "own", "tiny_cnn")
    upload_run(run, "me/net", toy.dataset)
    assert hub.unknown == []
    assert sorted(hub.files) == ["README.md", "model.onnx", "report.json", "run.json"]
    assert "library_name" not in ModelCard(hub.files["README.md"].decode()).data.to_dict()
