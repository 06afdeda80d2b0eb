"""Models of other projects become runs by one command and get what trained runs get."""

import json
import shutil
import struct

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import timm
import torch

from fer_core.abilities import abilities_of
from fer_core.config import EnsembleRecipe, ModelConfig, parse_recipe
from fer_core.engine.classifiers import load_classifier
from fer_core.engine.networks import load_network
from fer_core.errors import DataError, FerscopeError, RecipeError, WeightsError
from fer_core.evaluation.efficiency import Efficiency
from fer_core.evaluation.leaderboard import read_results
from fer_core.explain.features import feature_maps, layers
from fer_core.explain.methods import methods_for
from fer_core.labels import SEVEN_EMOTIONS
from fer_core.models import build_model
from fer_core.predictor import Predictor
from tests.support import stand_ins
from tests.support.builders import toy_benchmark, toy_run
from training import __main__ as cli
from training.commands.import_model import _arguments, _names
from training.jobs import measure

LABELS = SEVEN_EMOTIONS.names
IMPORTED = ("vit", "convnext", "eight")
LITE1 = "efficientnet_lite1-cpu-s0"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A benchmark, three imported models, their originals, and the command line."""
    root = tmp_path_factory.mktemp("import")
    toy = toy_benchmark(root / "toy", per_class=12)
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setenv("FERSCOPE_ARTIFACTS", str(toy.artifacts))
    monkeypatch.setenv("FERSCOPE_DATA", str(toy.data))

    def run(*arguments: str) -> None:
        cli.app([*map(str, arguments)], standalone_mode=False)

    toy_run(toy.benchmark, toy.dataset, 0, "efficientnet_lite1", "efficientnet_lite1")
    vit = stand_ins.hub_vit(root / "vit")
    convnext = stand_ins.timm_state(root / "convnext.pth")
    eight = stand_ins.onnx_net(root / "eight.onnx")
    run("import", "toy", root / "vit")
    run("import", "toy", root / "convnext.pth", "--architecture", "timm:convnext_atto",
        "--labels", ",".join(LABELS), "--image-size", "32")  # fmt: skip
    run("import", "toy", eight, "--image-size", "48", "--labels", ",".join(stand_ins.EIGHT),
        "--mean", "0", "0", "0", "--std", "1,1,1")  # fmt: skip
    run("ensemble", "toy", *IMPORTED, LITE1, "--name", "all")
    yield toy, run, {"vit": vit, "convnext": convnext, "eight": eight}
    monkeypatch.undo()


def faces(toy, count: int = 6):
    return np.asarray(toy.dataset.images[toy.dataset.rows("test")[:count]])


def expected_input(toy, side: int, mean, std) -> torch.Tensor:
    """The input as torchvision makes it."""
    from torchvision.transforms import v2

    images = torch.from_numpy(faces(toy))[:, None].expand(-1, 3, -1, -1)
    resize = v2.Resize((side, side), antialias=True)
    scaled = resize(images.float() / 255).clamp(0, 1)
    return v2.Normalize(mean, std)(scaled)


def test_logits_are_those_of_the_original_library(shop):
    toy, _, originals = shop
    networks = {
        name: load_network(toy.benchmark.run(name), toy.dataset.format)
        for name in ("vit", "convnext")
    }
    with torch.inference_mode():
        expected = {
            name: net.logits(net.preprocessing(faces(toy))) for name, net in networks.items()
        }
        inputs = expected_input(toy, 32, [0.4, 0.5, 0.6], [0.2, 0.25, 0.3])
        vit = originals["vit"](pixel_values=inputs).logits
        inputs = expected_input(toy, 32, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
        convnext = originals["convnext"](inputs)
    order = [stand_ins.CANONICAL.index(label) for label in LABELS]
    torch.testing.assert_close(expected["vit"], vit[:, order], atol=1e-5, rtol=0)
    torch.testing.assert_close(expected["convnext"], convnext, atol=1e-5, rtol=0)


def test_contempt_is_left_out_and_the_others_renormalised(shop):
    toy, _, originals = shop
    info = toy.benchmark.run("eight").info()
    assert info.classes.left_out == ("contempt",)
    session = onnxruntime.InferenceSession(str(originals["eight"]))
    images = (faces(toy)[:, None] / 255).astype(np.float32)
    answers = session.run(None, {"images": images})[0]
    shares = np.exp(answers) / np.exp(answers).sum(axis=1, keepdims=True)
    names = ("neutral", "happy", "surprise", "sad", "angry", "disgust", "fear")
    selected = shares[:, [names.index(label) for label in LABELS]]
    model = load_classifier(toy.benchmark.run("eight"), toy.dataset.format, CPU)
    expected = model.probabilities(faces(toy), np.arange(6))
    np.testing.assert_allclose(expected, selected / selected.sum(axis=1, keepdims=True), atol=1e-5)


def test_all_are_ranked_with_their_ensemble(shop):
    toy, _, _ = shop
    results = read_results(toy.benchmark)
    assert not results.warnings
    assert {*IMPORTED, "all"} <= {entry.run_id for entry in results.entries}
    assert set(toy.benchmark.run("all").info().members) == {
        *IMPORTED, LITE1,
    }  # fmt: skip


def test_an_ensemble_of_runs_can_require_a_macro_recall(shop):
    toy, run, _ = shop
    ids = (*IMPORTED, LITE1, "--weights", "greedy", "--name", "fair")
    run("ensemble", "toy", *ids, "--least-macro-recall", "0.75")
    info = toy.benchmark.run("fair").info()
    recipe = EnsembleRecipe(
        kind="ensemble", name="fair", profile="cpu", runs=(*IMPORTED, LITE1), method="greedy",
        least_macro_recall=0.75,
    )  # fmt: skip
    assert parse_recipe(info.recipe) == recipe
    shutil.rmtree(toy.benchmark.run("fair").info_path.parent)


def test_each_is_measured_like_a_trained_run(shop):
    toy, _, _ = shop
    pictures = measure.SampledPictures.draw(toy.dataset, 2, seed=0)

    def silent(items, _length, _title):
        return items

    for name in (*IMPORTED, "all"):
        run = toy.benchmark.run(name)
        assert measure.measure_robustness(run, toy.dataset, pictures, CPU, silent)
        assert len(pd.read_parquet(run.robustness_path)) == 71
    shown = {entry.run_id: entry for entry in read_results(toy.benchmark).entries}
    assert all(shown[name].robustness_values for name in (*IMPORTED, "all"))


def test_an_onnx_file_has_the_cost_of_its_operators(shop):
    from fer_core.engine.efficiency import measure_run

    toy, _, _ = shop
    run = toy.benchmark.run("eight")
    cost = measure_run(run, toy.dataset.format, CPU, threads=1)
    assert cost.parameters == 6 * 9 + 6 * 8 + 8
    assert cost.flops == 2 * (6 * 23 * 23 * 9) + 2 * (6 * 8)
    assert cost.milliseconds(1) > 0
    assert cost.weight_bytes == run.onnx_path.stat().st_size
    cost.write(run.efficiency_path)
    assert Efficiency.read(run.efficiency_path) == cost


def test_evaluating_again_changes_nothing(shop):
    toy, run, _ = shop
    before = {name: pd.read_parquet(toy.benchmark.run(name).predictions_path) for name in IMPORTED}
    for name, table in before.items():
        run("evaluate", "toy", name, "--device", "cpu")
        again = pd.read_parquet(toy.benchmark.run(name).predictions_path)
        pd.testing.assert_frame_equal(again, table, atol=1e-6)


def test_each_answers_for_a_face_with_a_map(shop):
    toy, _, _ = shop
    predictor = Predictor(toy.benchmark, CPU)
    face = faces(toy)[0]
    for name in (*IMPORTED, "all"):
        answer = predictor.predict_and_explain(face, name)
        assert answer.probabilities.sum() == pytest.approx(1)
        assert np.isfinite(answer.saliency).all()
        assert answer.saliency.std() > 0


def test_networks_have_feature_maps_and_every_saliency_method(shop):
    toy, _, _ = shop
    predictor = Predictor(toy.benchmark, CPU)
    for name, family in (("vit", "vit"), ("convnext", "cnn")):
        assert abilities_of(toy.benchmark.run(name)).has_layers
        with predictor.borrow(name) as model:
            inputs = model.prepare(faces(toy, 1))
            result = layers(model.model, model.spec, inputs)
            assert feature_maps(model.model, model.spec, inputs, result[-1]).values.ndim == 3
            methods = methods_for(model.config)
        assert ("chefer" in [method.key for method in methods]) == (family == "vit")
        for method in methods:
            explained = predictor.explain(faces(toy)[0], name, method.key)
            assert np.isfinite(explained.values).all(), method.key


def test_what_an_onnx_file_cannot_do_is_said(shop):
    toy, _, _ = shop
    abilities = abilities_of(toy.benchmark.run("eight"))
    assert (abilities.predicts, abilities.has_layers) == (True, False)
    assert "layers and gradients cannot be read" in abilities.reason
    predictor = Predictor(toy.benchmark, CPU)
    with pytest.raises(FerscopeError, match="Grad-CAM does not support"):
        predictor.explain(faces(toy)[0], "eight", "grad_cam")
    mixed = predictor.explain(faces(toy)[0], "all", "occlusion")
    assert mixed.values.std() > 0


def test_an_imported_network_is_published_with_its_own_order_of_classes(shop, tmp_path):
    toy, run, _ = shop
    stand_ins.hub_vit(tmp_path / "half")
    run("import", "toy", tmp_path / "half")
    before = pd.read_parquet(toy.benchmark.run("half").predictions_path)
    run("publish", "toy", "half", "--device", "cpu")
    assert toy.benchmark.run("half").info().weights_dtype == "float16"
    after = pd.read_parquet(toy.benchmark.run("half").predictions_path)
    pd.testing.assert_frame_equal(after, before, atol=0.01)
    load_network(toy.benchmark.run("half"), toy.dataset.format)


def test_a_model_without_a_class_is_shown_apart(shop, tmp_path, capsys):
    toy, run, _ = shop
    names = tuple(name for name in stand_ins.SHUFFLED if name != "disgust")
    stand_ins.hub_vit(tmp_path / "six", names)
    run("import", "toy", tmp_path / "six", "--title", "Six classes")
    assert "The model cannot predict disgust" in " ".join(capsys.readouterr().out.split())
    results = read_results(toy.benchmark)
    assert "six" in {entry.run_id for entry in results.unranked}
    table = pd.read_parquet(toy.benchmark.run("six").predictions_path)
    assert (table["p_disgust"] == 0).all()


def test_a_table_of_another_form_is_read_and_the_notes_printed(shop, tmp_path, capsys):
    toy, run, _ = shop
    made = toy.benchmark.samples()[["id"]].rename(columns={"id": "file"})
    made["file"] += ".png"
    shares = {name: 10.0 * (number + 1) for number, name in enumerate(LABELS)}
    made = made.assign(**{f"prob_{name}": share / 3 for name, share in shares.items()})
    made = made.assign(prob_bored=20 / 3, confidence=0.7)
    path = tmp_path / "table.csv.gz"
    made.to_csv(path, index=False, sep=";")
    run("import", "toy", path, "--map-class", "prob_bored=")
    written = " ".join(capsys.readouterr().out.split())
    for note in ("read from the column file", "ids differ", "percentages", "prob_bored (left out)"):
        assert note in written
    stored = pd.read_parquet(toy.benchmark.run("table").predictions_path)
    expected = [(number + 1) / 28 for number in range(7)]
    np.testing.assert_allclose(stored[[f"p_{name}" for name in LABELS]].iloc[0], expected)


def test_a_hub_name_records_the_commit(shop, tmp_path, monkeypatch):
    from huggingface_hub import constants

    toy, run, _ = shop
    stand_ins.hub_vit(tmp_path / "vit")
    stand_ins.hub_cache(tmp_path / "cache", tmp_path / "vit", "me/faces")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    run("import", "toy", "hub:me/faces")
    info = toy.benchmark.run("faces").info()
    assert info.init_source == f"hub me/faces@{'c' * 40}"
    assert info.recipe["model"]["architecture"] == "hf:me/faces"
    with pytest.raises(WeightsError, match=r"me/faces@gone cannot be downloaded"):
        run("import", "toy", "hub:me/faces@gone", "--name", "gone")
    assert not toy.benchmark.run("gone").root.exists()


def _edit(folder, name, **changes):
    content = json.loads((folder / name).read_text())
    content.update(changes)
    (folder / name).write_text(json.dumps(content))


def _pickled(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _huge_header(folder):
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", 10 * 2**30) + b"{}")


def _other_head(folder):
    names = {"0": "angry", "1": "happy", "2": "sad"}
    _edit(folder, "config.json", id2label=names, label2id={v: int(k) for k, v in names.items()})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "config.json").unlink(), r"has no config\.json"),
        (lambda f: _edit(f, "config.json", model_type="no_such_model"), "no_such_model"),
        (lambda f: _edit(f, "config.json", auto_map={"AutoModel": "x.y"}), "needs code"),
        (_pickled, r"pytorch_model\.bin.*refused"),
        (_huge_header, r"model\.safetensors of .* cannot be read \(.*header too large"),
        (lambda f: (f / "config.json").write_text("{"), r"config\.json of bad is not valid JSON"),
        (_other_head, r"bad has 7 outputs for 3 classes .*id2label"),
        (lambda f: (f / "preprocessor_config.json").unlink(), "Pass --mean and --std"),
        (
            lambda f: _edit(
                f, "config.json", id2label={str(i): f"LABEL_{i}" for i in range(7)}, label2id={}
            ),
            "Fewer than two classes",
        ),
        (
            lambda f: _edit(
                f,
                "config.json",
                id2label=dict(enumerate(("joy", "Happy", *LABELS[:3], "sad", "neutral"))),
            ),
            "two outputs for the class happy",
        ),
    ],
)
def test_a_folder_that_cannot_be_imported_is_named_and_nothing_is_written(
    shop, tmp_path, damage, message
):
    toy, run, _ = shop
    stand_ins.hub_vit(tmp_path / "bad")
    damage(tmp_path / "bad")
    with pytest.raises(FerscopeError, match=message):
        run("import", "toy", tmp_path / "bad")
    assert not toy.benchmark.run("bad").root.exists()


class _Code:
    def __reduce__(self):
        return (print, ("this must not run",))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ((), RecipeError, "Name their network with --architecture"),
        (("--architecture", "timm:convnext_atto"), WeightsError, "Pass --labels"),
        (
            ("--architecture", "timm:convnext_atto", "--labels", "angry,happy"),
            WeightsError,
            r"other shape: head\.fc\.weight \(7, 320\) for \(2, 320\)",
        ),
        (
            ("--architecture", "timm:resnet18", "--labels", ",".join(LABELS)),
            WeightsError,
            r"missing: conv1\.weight, .* and \d+ more; not in the network: module\.stem",
        ),
        (("--map-class", "x"), RecipeError, "write it as THEIRS=OURS"),
        (("--mean", "0.5,0.5"), RecipeError, "write three numbers"),
    ],
)
def test_weights_that_do_not_fit_are_named(shop, tmp_path, options, error, message):
    toy, run, _ = shop
    stand_ins.timm_state(tmp_path / "net.pth.tar")
    with pytest.raises(error, match=message):
        run("import", "toy", tmp_path / "net.pth.tar", "--image-size", "32", *options)
    assert not toy.benchmark.run("net").root.exists()


@pytest.mark.parametrize(
    ("architecture", "error", "message"),
    [
        ("resnet34", WeightsError, "Pass --image-size, the side in pixels"),
        ("timm:resnet34x", RecipeError, r"timm has no architecture 'resnet34x'\. Similar names: "),
        ("resnet", RecipeError, r"no architecture 'resnet'\. Known: .*resnet34.*timm:<name>"),
    ],
)
def test_an_architecture_without_a_size_is_named(shop, tmp_path, architecture, error, message):
    _, run, _ = shop
    stand_ins.timm_state(tmp_path / "net.pth")
    with pytest.raises(error, match=message):
        run("import", "toy", tmp_path / "net.pth", "--labels", ",".join(LABELS),
            "--architecture", architecture)  # fmt: skip


def test_weights_of_an_architecture_of_this_project_are_imported(shop, tmp_path):
    toy, run, _ = shop
    model = build_model(ModelConfig(architecture="resnet34", image_size=32), 7)
    torch.save(model.state_dict(), tmp_path / "ours.pth")
    run("import", "toy", tmp_path / "ours.pth", "--labels", ",".join(LABELS),
        "--architecture", "resnet34", "--image-size", "32")  # fmt: skip
    imported = load_network(toy.benchmark.run("ours"), toy.dataset.format)
    with torch.inference_mode():
        expected = model.eval()(imported.preprocessing(faces(toy)))
        logits = imported.logits(imported.preprocessing(faces(toy)))
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=0)


def test_a_pickle_with_code_is_refused_and_not_run(shop, tmp_path, capsys):
    _, run, _ = shop
    torch.save({"state_dict": _Code()}, tmp_path / "evil.pt")
    with pytest.raises(WeightsError, match="refused, because it could run anything"):
        run("import", "toy", tmp_path / "evil.pt", "--architecture", "timm:resnet18",
            "--labels", ",".join(LABELS))  # fmt: skip
    assert "must not run" not in capsys.readouterr().out


def test_a_file_of_weights_with_a_huge_header_is_refused(shop, tmp_path):
    toy, run, _ = shop
    path = tmp_path / "huge.safetensors"
    path.write_bytes(struct.pack("<Q", 10 * 2**30) + b"{}")
    with pytest.raises(WeightsError, match=r"huge\.safetensors .* cannot be read .*too large"):
        run("import", "toy", path, "--architecture", "timm:resnet18", "--labels", ",".join(LABELS))
    assert not toy.benchmark.run("huge").root.exists()


def test_values_of_the_input_for_0_to_255_are_refused_with_the_right_ones(shop):
    _, run, originals = shop
    with pytest.raises(RecipeError, match=r"Divide .* by 255: --mean 0\.4847,0\.4549,0\.4039"):
        run("import", "toy", originals["eight"], "--labels", ",".join(stand_ins.EIGHT),
            "--mean", "123.6,116,103", "--name", "raw")  # fmt: skip


def test_another_number_of_labels_than_outputs_is_named(shop, tmp_path):
    toy, run, _ = shop
    stand_ins.hub_vit(tmp_path / "seven")
    with pytest.raises(WeightsError, match=r"seven has 7 outputs for 2 classes \(--labels"):
        run("import", "toy", tmp_path / "seven", "--labels", "angry,happy")
    assert not toy.benchmark.run("seven").root.exists()


def test_a_source_that_is_no_model_is_named(shop, tmp_path):
    _, run, _ = shop
    with pytest.raises(DataError, match="There is no file or folder nowhere"):
        run("import", "toy", "nowhere")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DataError, match=r"notes\.txt cannot be imported: unknown file type"):
        run("import", "toy", tmp_path / "notes.txt")


@pytest.mark.parametrize("knows", [True, False])
def test_predictions_at_chance_level_are_warned_about(shop, tmp_path, capsys, knows):
    toy, run, _ = shop
    samples = toy.benchmark.samples()
    evaluated = samples[samples["split"] != "train"]
    truth = np.array([LABELS.index(label) for label in evaluated["label"]])
    shares = np.eye(7)[truth if knows else np.zeros_like(truth)]
    name = "knowing" if knows else "guessing"
    table = pd.DataFrame(shares, columns=list(LABELS)).assign(id=evaluated["id"].to_numpy())
    table.to_csv(tmp_path / f"{name}.csv", index=False)
    run("import", "toy", tmp_path / f"{name}.csv")
    text = " ".join(capsys.readouterr().out.split())
    assert ("Warning: validation accuracy" in text) == (not knows)
    assert ("wrong classes (--map-class)" in text) == (not knows)


def test_an_onnx_file_at_chance_level_has_its_usual_causes_named(shop, capsys):
    _, run, originals = shop
    run("import", "toy", originals["eight"], "--image-size", "48", "--mean", "0", "--std", "0.001",
        "--labels", ",".join(stand_ins.EIGHT), "--name", "dark")  # fmt: skip
    text = " ".join(capsys.readouterr().out.split())
    assert "Warning: validation accuracy" in text
    for option in ("--mean 0 --std 0.0039216 for 0 to 255", "(--labels)", "(--bgr)"):
        assert option in text


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz", ".7z"])
def test_an_archive_is_refused_whatever_the_options(shop, tmp_path, suffix):
    _, run, _ = shop
    (tmp_path / f"net{suffix}").write_bytes(b"an archive")
    with pytest.raises(DataError, match=rf"net{suffix} cannot be imported: it is an archive"):
        run("import", "toy", tmp_path / f"net{suffix}", "--architecture", "timm:convnext_atto")


def test_a_pointer_instead_of_an_onnx_file_is_named(shop, tmp_path):
    _, run, _ = shop
    (tmp_path / "net.onnx").write_text("version https://git-lfs.github.com/spec/v1")
    with pytest.raises(WeightsError, match=r"net\.onnx is a pointer of Git LFS"):
        run("import", "toy", tmp_path / "net.onnx", "--labels", ",".join(LABELS))


def test_the_folder_of_a_file_of_weights_is_suggested(shop, tmp_path):
    _, run, _ = shop
    stand_ins.hub_vit(tmp_path / "vit")
    with pytest.raises(RecipeError, match=r"or give its folder .*vit, which has config\.json"):
        run("import", "toy", tmp_path / "vit" / "model.safetensors")


def test_arguments_of_the_network_are_recorded_and_build_it_again(shop, tmp_path):
    toy, run, _ = shop
    options = {"global_pool": "avg", "fc_norm": False, "depth": 3}
    model = timm.create_model("test_vit", num_classes=7, img_size=48, **options).eval()
    torch.nn.init.normal_(model.head.weight)
    torch.save({"a": model.state_dict()}, tmp_path / "pooled.model")
    pairs = (("--model-arg", f"{name}={value}") for name, value in options.items())
    run("import", "toy", tmp_path / "pooled.model", "--labels", ",".join(LABELS), "--weights-key",
        "a", "--architecture", "timm:test_vit", "--image-size", "48", "--mean", "0", "--std", "1",
        *(part for pair in pairs for part in pair))  # fmt: skip
    assert toy.benchmark.run("pooled.model").info().recipe["model"]["options"] == options
    imported = load_network(toy.benchmark.run("pooled.model"), toy.dataset.format)
    inputs = torch.from_numpy(faces(toy) / np.float32(255))[:, None].expand(-1, 3, -1, -1)
    with torch.inference_mode():
        found = imported.logits(imported.preprocessing(faces(toy)))
        torch.testing.assert_close(found, model(inputs), atol=1e-5, rtol=0)


def test_values_of_arguments_have_their_types():
    texts = ("a=avg", "b=False", "c=none", "d=4", "e = 1e-5", "f=[1, 2]", "in_chans=1")
    expected = {"a": "avg", "b": False, "c": None, "d": 4, "e": 1e-5, "f": [1, 2]}
    assert _arguments(texts) == expected


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--model-arg", "global_pool", "write each once, as NAME=VALUE"),
        ("--model-arg", "img_size=64", "pass --image-size instead"),
        ("--model-arg", "a=1", "--model-arg is for files of weights"),
        ("--weights-key", "a", "--weights-key is for files of weights"),
    ],
)
def test_arguments_are_checked(shop, option, value, message):
    _, run, originals = shop
    with pytest.raises(RecipeError, match=message):
        run("import", "toy", originals["eight"], option, value)


@pytest.mark.parametrize("text", ["sad; happy", "['sad', 'happy']", "sad,happy,"])
def test_lists_of_labels_are_read(text):
    assert _names(text) == ("sad", "happy")


@pytest.mark.parametrize("text", ["sad happy", "sad,,happy", ","])
def test_lists_of_labels_without_commas_or_names_are_refused(text):
    with pytest.raises(RecipeError, match="write the classes with commas"):
        _names(text)


def test_channels_in_the_order_bgr_are_for_onnx_files(shop, tmp_path):
    toy, run, originals = shop
    with pytest.raises(RecipeError, match=r"--bgr is for \.onnx files"):
        run("import", "toy", tmp_path, "--bgr")
    with pytest.raises(WeightsError, match="one channel, which has no order"):
        run("import", "toy", originals["eight"], "--labels", ",".join(stand_ins.EIGHT),
            "--image-size", "48", "--bgr", "--name", "grey")  # fmt: skip
    path = stand_ins.onnx_net(tmp_path / "blue.onnx", 7, ("n", 3, 48, 48), channels=3)
    run("import", "toy", path, "--labels", ",".join(LABELS), "--bgr")
    model = load_classifier(toy.benchmark.run("blue"), toy.dataset.format, CPU)
    assert model.layout.bgr


@pytest.mark.parametrize("suffix", [".h5", ".keras", ".tflite", ".pb", ".pkl", ".H5"])
def test_models_of_other_formats_are_refused_with_the_export_to_onnx(shop, tmp_path, suffix):
    _, run, _ = shop
    (tmp_path / f"net{suffix}").write_bytes(b"x")
    with pytest.raises(DataError, match=rf"net\{suffix} cannot be imported: .*ONNX.*tf2onnx"):
        run("import", "toy", tmp_path / f"net{suffix}")


def test_classes_in_the_metadata_of_ultralytics_are_read(shop, tmp_path, capsys):
    toy, run, _ = shop
    path = stand_ins.onnx_net(tmp_path / "named.bin", 7, ("n", 3, 48, 48), channels=3)
    run("import", "toy", path, "--labels", ",".join(stand_ins.SHUFFLED), "--name", "by_option")
    model = onnx.load(str(path))
    onnx.helper.set_model_props(model, {"names": str(dict(enumerate(stand_ins.SHUFFLED)))})
    onnx.save(model, str(path))
    capsys.readouterr()
    run("import", "toy", path)
    text = " ".join(capsys.readouterr().out.split())
    assert f"The file names its classes: --labels {','.join(stand_ins.SHUFFLED)}." in text
    assert "The file does not describe its input; assumed: --mean 0.5,0.5,0.5" in text
    one, other = (
        pd.read_parquet(toy.benchmark.run(name).predictions_path) for name in ("named", "by_option")
    )
    pd.testing.assert_frame_equal(one, other)


def test_a_file_of_ultralytics_takes_pixels_in_0_to_1(shop, tmp_path, capsys):
    toy, run, _ = shop
    path = stand_ins.onnx_net(tmp_path / "yolo.onnx", 7, ("n", 3, 48, 48), channels=3)
    run("import", "toy", path, "--labels", ",".join(stand_ins.SHUFFLED), "--mean", "0",
        "--std", "1", "--name", "with_options")  # fmt: skip
    model = onnx.load(str(path))
    names = str(dict(enumerate(stand_ins.SHUFFLED)))
    onnx.helper.set_model_props(model, {"names": names, "author": "Ultralytics"})
    onnx.save(model, str(path))
    capsys.readouterr()
    run("import", "toy", path)
    text = " ".join(capsys.readouterr().out.split())
    assert "it takes pixels in 0 to 1: --mean 0 --std 1." in text
    assert "assumed" not in text
    same = [
        pd.read_parquet(toy.benchmark.run(name).predictions_path)
        for name in ("yolo", "with_options")
    ]
    pd.testing.assert_frame_equal(*same)
    run("import", "toy", path, "--mean", "0.5", "--std", "0.5", "--name", "other")
    assert "takes pixels in 0 to 1" not in capsys.readouterr().out
