"""The command line, from a csv to a published run."""

import contextlib
import json
import os
import shutil
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from fer_core.artifacts import ArtifactStore, RunDir
from fer_core.errors import ArtifactError, DataError, FerscopeError, RecipeError, WeightsError
from fer_core.evaluation.predictions import Predictions
from fer_core.evaluation.report import Report
from fer_core.models.checkpoint import load_tensors, save_tensors
from fer_core.records import StoredType
from tests.support.builders import toy_benchmark, toy_recipe
from tests.support.face_api_weights import write_face_network
from tests.support.tfjs_graph import GraphFile, mobilenet
from training import __main__ as cli
from training.commands import runs
from training.jobs.speed import EnoughStepsError, Stopwatch, measure_speed
from training.jobs.time_plan import MeasuredSpeed
from training.jobs.train import TrainOptions, train_network
from training.terminal.progress import TrainingBar, console

RECIPE = """
description: tiny
model: {architecture: tiny_cnn}
loss: {soft_labels: true}
train: {epochs: 2, batch_size: 8, ema_decay: 0.5}
optim: {warmup_epochs: 0.5}
profiles:
  cpu: {model: {image_size: 32}}
"""


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """An empty benchmark, tiny recipes, and a function that runs a command."""
    toy = toy_benchmark(tmp_path, runs=0)
    recipes = tmp_path / "recipes"
    recipes.mkdir()
    (recipes / "tiny.yaml").write_text(RECIPE)
    (recipes / "tiny_two.yaml").write_text(RECIPE)
    (recipes / "both.yaml").write_text(
        "kind: ensemble\ndescription: both\nmembers: [tiny, tiny_two]\n"
    )
    monkeypatch.setattr(runs, "RECIPES", recipes)
    monkeypatch.setenv("FERSCOPE_ARTIFACTS", str(toy.artifacts))
    monkeypatch.setenv("FERSCOPE_DATA", str(toy.data))
    monkeypatch.setattr(console, "width", 200)  # tables unwrapped, whatever the terminal

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(cli.app, [*arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    return toy, run


def test_train_then_ensemble_then_publish(workspace):
    toy, run = workspace
    run("train", "tiny", "--benchmark", "toy", "--device", "cpu")
    run("train", "tiny_two", "--benchmark", "toy", "--device", "cpu")
    run("train", "both", "--benchmark", "toy")
    trained = toy.benchmark.run("tiny-cpu-s0")
    info = trained.info()
    assert (info.init, info.epochs, info.weights_dtype) == ("scratch", 2, "float32")
    assert info.recipe["model"]["image_size"] == 32
    assert len(trained.history()) == 2
    assert trained.trace()["epoch"].iloc[-1] == 2
    assert not trained.progress_path.exists()
    both = toy.benchmark.run("both-cpu").info()
    assert both.members == ("tiny-cpu-s0", "tiny_two-cpu-s0")

    report = trained.report_path.read_text()
    trained.efficiency_path.write_text("{}")  # of the larger weights
    output = run("publish", "toy", "tiny-cpu-s0", "--device", "cpu")
    assert "no test-time augmentation" in output
    published = toy.benchmark.run("tiny-cpu-s0").info().published
    assert published["dtype"] == "float16"
    assert published["largest_probability_difference"] < 0.02
    tensors, facts = load_tensors(trained.weights_path)
    assert {
        (value.ndim > 1, value.dtype) for value in tensors.values() if value.is_floating_point()
    } == {(True, torch.float16), (False, torch.float32)}  # norms and biases stay
    assert facts["labels"] == list(toy.dataset.labels.names)
    assert not trained.state_dir.exists()
    assert not trained.efficiency_path.exists()
    after = json.loads(trained.report_path.read_text())
    assert after["protocol"] == json.loads(report)["protocol"]


def test_evaluate_reproduces_the_report(workspace):
    toy, run = workspace
    run("train", "tiny", "--benchmark", "toy", "--device", "cpu")
    trained = toy.benchmark.run("tiny-cpu-s0")
    before = json.loads(trained.report_path.read_text())
    trained.report_path.unlink()
    run("evaluate", "toy", "tiny-cpu-s0", "--device", "cpu")
    after = json.loads(trained.report_path.read_text())
    assert after["test"]["confusion"] == before["test"]["confusion"]
    assert after["test"]["log_loss"] == pytest.approx(before["test"]["log_loss"], rel=1e-5)


def test_a_run_stopped_by_max_minutes_and_resumed_is_the_same_run(workspace):
    toy, run = workspace
    run("train", "tiny", "--benchmark", "toy", "--device", "cpu")
    run("train", "tiny_two", "--benchmark", "toy", "--device", "cpu", "--max-minutes", "0")
    second = toy.benchmark.run("tiny_two-cpu-s0")
    assert not second.info_path.exists()
    run("train", "tiny_two", "--benchmark", "toy", "--device", "cpu", "--resume")
    one, _ = load_tensors(toy.benchmark.run("tiny-cpu-s0").weights_path)
    other, _ = load_tensors(second.weights_path)
    for key, value in one.items():
        np.testing.assert_array_equal(value.numpy(), other[key].numpy())


def test_a_deterministic_training_is_reproducible_bit_for_bit(workspace, monkeypatch):
    toy, run = workspace
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    weights = toy.benchmark.run("tiny-cpu-s0").weights_path
    options = ("--benchmark", "toy", "--device", "cpu", "--set", "train.deterministic=true")
    try:
        run("train", "tiny", *options)
        assert torch.are_deterministic_algorithms_enabled()
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
        first = load_tensors(weights)[0]
        run("train", "tiny", *options, "--overwrite")
    finally:
        torch.use_deterministic_algorithms(False)
    again = load_tensors(weights)[0]
    assert first.keys() == again.keys()
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_a_finished_run_is_not_overwritten(workspace):
    toy, run = workspace
    run("train", "tiny", "--benchmark", "toy", "--device", "cpu")
    before = toy.benchmark.run("tiny-cpu-s0").info()
    assert "is finished" in run("train", "tiny", "--benchmark", "toy")
    assert toy.benchmark.run("tiny-cpu-s0").info() == before


def test_a_run_of_another_recipe_is_reported_and_an_ensemble_is_rebuilt(workspace):
    toy, run = workspace
    run("benchmark", "toy", "--device", "cpu")
    described = RECIPE.replace("tiny\n", "in other words\n")
    (runs.RECIPES / "tiny.yaml").write_text(described.replace("batch_size: 8", "batch_size: 4"))
    (runs.RECIPES / "tiny_two.yaml").write_text(described)
    (runs.RECIPES / "both.yaml").write_text(
        "kind: ensemble\nmethod: greedy\nmembers: [tiny, tiny_two]\n"
    )
    assert "is finished, with another recipe." in run("train", "tiny", "--benchmark", "toy")
    assert "is finished, with another recipe." in run("train", "both", "--benchmark", "toy")
    assert "is finished. Train" in run("train", "tiny_two", "--benchmark", "toy")
    output = run("benchmark", "toy", "--device", "cpu")
    lines = {line.split()[1]: line for line in output.splitlines() if line.startswith("│")}
    assert "already finished, with another recipe" in lines["tiny-cpu-s0"]
    assert "another" not in lines["tiny_two-cpu-s0"] + lines["both-cpu"]
    assert toy.benchmark.run("tiny-cpu-s0").info().recipe["train"]["batch_size"] == 8
    assert toy.benchmark.run("both-cpu").info().recipe["method"] == "greedy"


def test_benchmark_keeps_the_members_of_an_ensemble_of_named_runs(workspace):
    toy, run = workspace
    run("benchmark", "toy", "--device", "cpu")
    run("train", "tiny", "--benchmark", "toy", "--device", "cpu", "--seed", "1")
    named = ("tiny-cpu-s1", "tiny_two-cpu-s0")
    run("ensemble", "toy", *named, "--name", "both-cpu", "--overwrite")
    before = toy.benchmark.run("both-cpu").info()
    assert "already finished" in run("benchmark", "toy", "--device", "cpu")
    assert toy.benchmark.run("both-cpu").info() == before
    member = toy.benchmark.run("tiny-cpu-s1")
    member.info().model_copy(update={"created": "2020-01-01T00:00:00+00:00"}).write(
        member.info_path
    )
    run("benchmark", "toy", "--device", "cpu")
    again = toy.benchmark.run("both-cpu").info()
    assert again.members == named
    assert again.teachers["tiny-cpu-s1"] == "2020-01-01T00:00:00+00:00"


def test_an_unreadable_recipe_does_not_stop_the_others(workspace):
    toy, _ = workspace
    (runs.RECIPES / "odd.yaml").write_text(RECIPE.replace("epochs: 2", "epochs: many"))
    result = CliRunner().invoke(cli.app, ["benchmark", "toy", "--device", "cpu"])
    assert result.exit_code == 1
    lines = {line.split()[1]: line for line in result.output.splitlines() if line.startswith("│")}
    assert "RecipeError: Recipe 'odd' is not valid: train.epochs" in lines["odd"]
    assert toy.benchmark.run("tiny-cpu-s0").info_path.exists()
    assert toy.benchmark.run("both-cpu").info_path.exists()


def test_an_interrupted_training_is_kept_without_overwrite(workspace):
    toy, run = workspace
    options = ("--benchmark", "toy", "--device", "cpu")
    run("train", "tiny", *options, "--max-minutes", "0")
    state = toy.benchmark.run("tiny-cpu-s0").state_dir
    saved = {path.name: path.read_bytes() for path in state.glob("*.safetensors")}
    with pytest.raises(ArtifactError, match=r"was interrupted.*--resume.*--overwrite"):
        run("train", "tiny", *options)
    assert {path.name: path.read_bytes() for path in state.glob("*.safetensors")} == saved
    (state / ".last.safetensors.0badcafe.tmp").write_bytes(b"of a save that was killed")
    run("train", "tiny", *options, "--overwrite")
    assert toy.benchmark.run("tiny-cpu-s0").info_path.exists()
    assert not list(state.glob(".*.tmp"))


def test_benchmark_trains_all_skips_finished_runs_and_continues_after_errors(workspace, capsys):
    toy, _ = workspace
    broken = RECIPE.replace("tiny_cnn}", "tiny_cnn, init: run:toy/nothing}")
    (runs.RECIPES / "broken.yaml").write_text(broken)
    (runs.RECIPES / "student.yaml").write_text(
        RECIPE + "distill: {teachers: [tiny-cpu-s0, both-cpu], weight: 0.5}\n"
    )
    result = CliRunner().invoke(cli.app, ["benchmark", "toy", "--device", "cpu", "--seeds", "1"])
    assert result.exit_code == 1
    lines = {line.split()[1]: line for line in result.output.splitlines() if line.startswith("│")}
    assert "WeightsError" in lines["broken-cpu-s0"]
    assert "finished" in lines["tiny-cpu-s0"]
    assert "finished" in lines["both-cpu"]
    # the student stands behind the ensemble that teaches it, whatever their names
    assert "finished" in lines["student-cpu-s0"]
    assert list(lines).index("student-cpu-s0") > list(lines).index("both-cpu")
    again = CliRunner().invoke(cli.app, ["benchmark", "toy", "--device", "cpu"])
    lines = {line.split()[1]: line for line in again.output.splitlines() if line.startswith("│")}
    assert "already finished" in lines["tiny-cpu-s0"]
    assert "already finished" in lines["student-cpu-s0"]
    student = toy.benchmark.run("student-cpu-s0").info()
    assert student.recipe["distill"]["weight"] == 0.5
    assert student.teachers == {
        name: toy.benchmark.run(name).info().created for name in ("tiny-cpu-s0", "both-cpu")
    }


def test_seeds_repeat_each_network_and_ensembles_use_the_first(workspace):
    toy, run = workspace
    (runs.RECIPES / "student.yaml").write_text(
        RECIPE + "distill: {teachers: [tiny-cpu-s0], weight: 0.5}\n"
    )
    output = run("benchmark", "toy", "--device", "cpu", "--seeds", "2")
    lines = [line.split()[1] for line in output.splitlines() if line.startswith("│")]
    names = ("student", "tiny", "tiny_two")
    each = [f"{name}-cpu-s{seed}" for name in names for seed in (0, 1)]
    assert sorted(lines[-7:]) == sorted(["both-cpu", *each])
    assert {info.seed for info in (run.info() for run in toy.benchmark.runs())} == {0, 1}
    assert toy.benchmark.run("both-cpu").info().members == ("tiny-cpu-s0", "tiny_two-cpu-s0")
    first, second = (toy.benchmark.run(f"tiny-cpu-s{seed}") for seed in (0, 1))
    assert first.history()["train_loss"].tolist() != second.history()["train_loss"].tolist()
    # a student of any seed has the one teacher that its recipe names
    assert list(toy.benchmark.run("student-cpu-s1").info().teachers) == ["tiny-cpu-s0"]


def test_an_adapter_is_skipped_if_its_base_failed(workspace):
    adapter = RECIPE.replace("tiny_cnn}", "tiny_vit, init: run:toy/base-cpu-s0, lora: {rank: 2}}")
    (runs.RECIPES / "base.yaml").write_text(
        RECIPE.replace("tiny_cnn}", "tiny_vit, init: file:not/there.safetensors}")
    )
    (runs.RECIPES / "adapter.yaml").write_text(adapter)
    result = CliRunner().invoke(
        cli.app, ["benchmark", "toy", "--device", "cpu", "--only", "adapter", "--only", "base"]
    )
    lines = {line.split()[1]: line for line in result.output.splitlines() if line.startswith("│")}
    assert "WeightsError" in lines["base-cpu-s0"]
    assert "not started: needs base-cpu-s0" in lines["adapter-cpu-s0"]


def test_benchmark_retrains_adapters_of_a_retrained_base(workspace):
    toy, run = workspace
    (runs.RECIPES / "base.yaml").write_text(RECIPE.replace("tiny_cnn}", "tiny_vit}"))
    (runs.RECIPES / "adapter.yaml").write_text(
        RECIPE.replace("tiny_cnn}", "tiny_vit, init: run:toy/base-cpu-s0, lora: {rank: 2}}")
    )
    both = ("benchmark", "toy", "--device", "cpu", "--only", "base", "--only", "adapter")
    run(*both)
    adapter = toy.benchmark.run("adapter-cpu-s0")
    first = adapter.info()
    run("train", "base", "--benchmark", "toy", "--overwrite", "--set", "optim.lr=0.02")
    output = run("train", "adapter", "--benchmark", "toy")
    assert "its base run has been retrained since" in output
    run(*both)
    assert adapter.info().base_hash != first.base_hash
    again = adapter.info()
    run(*both)
    assert adapter.info() == again


def test_benchmark_runs_in_one_process_only(workspace, monkeypatch):
    _, run = workspace
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RecipeError, match=r"one process.*docs/many-gpus\.md"):
        run("benchmark", "toy", "--device", "cpu")


def test_benchmark_tracks_each_training_on_request(workspace, monkeypatch):
    _, run = workspace
    begun, epochs, finished = [], [], []

    class Tracker(contextlib.AbstractContextManager):
        def __init__(self, inner, recipe, mode, folder, name):
            begun.append((recipe.run_id, mode, name.rpartition(".")[0]))
            self.inner, self.on_step = inner, inner.on_step

        def __exit__(self, *_):
            pass

        def on_epoch(self, record):
            epochs.append(record.epoch)
            self.inner.on_epoch(record)

        def finish_run(self, directory):
            finished.append(directory.run_id)

    monkeypatch.setattr("training.callbacks.wandb.WandbTracker", Tracker)
    monkeypatch.setattr("training.callbacks.wandb.require_wandb", lambda: None)
    run("benchmark", "toy", "--device", "cpu", "--track", "offline")
    assert begun == [
        ("tiny-cpu-s0", "offline", "toy.tiny-cpu-s0"),
        ("tiny_two-cpu-s0", "offline", "toy.tiny_two-cpu-s0"),
    ]
    assert epochs == [1, 2, 1, 2]
    assert finished == ["tiny-cpu-s0", "tiny_two-cpu-s0"]


def test_benchmark_reports_missing_wandb_at_once(workspace, monkeypatch):
    toy, run = workspace
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(RecipeError, match="pip install wandb"):
        run("benchmark", "toy", "--device", "cpu", "--track", "offline")
    assert not toy.benchmark.runs()


def made_up_speeds(monkeypatch, toy, seconds: float) -> list[str]:
    """Lets each epoch of a network take some seconds, on a clock of its own."""
    measured: list[str] = []
    images = len(toy.dataset.rows("train"))
    past = [0.0]

    def measure(recipes, *_):
        measured.extend(recipe.name for recipe in recipes)
        speed = MeasuredSpeed(images / seconds, 1e9, 0.0, "1 MiB")
        return {recipe.name: speed for recipe in recipes}, {}

    def train(recipe, *arguments):
        past[0] += seconds * recipe.train.epochs
        return train_network(recipe, *arguments)

    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + past[0])
    monkeypatch.setattr("training.jobs.benchmark.time", clock)
    monkeypatch.setattr("training.jobs.benchmark.train_network", train)
    monkeypatch.setattr("training.jobs.benchmark.measure_speeds", measure)
    return measured


def test_benchmark_shortens_trainings_to_fit_a_time_limit(workspace, monkeypatch):
    toy, run = workspace
    measured = made_up_speeds(monkeypatch, toy, 200)
    options = ("benchmark", "toy", "--device", "cpu", "--max-minutes", "9", "--fit-epochs")
    said = run(*options, "--plan-only")
    assert not toy.benchmark.runs()
    output = run(*options)
    # four epochs of 200 s do not fit into nine tenths of 540 s, two do
    for text in (said, output):
        assert text.count("1 of 2") == 2
        assert "planned: 0:06:40" in text
    for name in ("tiny", "tiny_two"):
        info = toy.benchmark.run(f"{name}-cpu-s0").info()
        assert (info.epochs, info.recipe["train"]["epochs"]) == (1, 1)
    assert toy.benchmark.run("both-cpu").info_path.exists()
    measured.clear()
    again = run(*options)
    assert measured == []  # finished runs are not measured
    assert "already finished" in again


def test_a_run_that_does_not_fit_the_time_limit_is_reported(workspace, monkeypatch):
    toy, run = workspace
    made_up_speeds(monkeypatch, toy, 400)
    output = run("benchmark", "toy", "--device", "cpu", "--max-minutes", "9", "--fit-epochs")
    lines = {line.split()[1]: line for line in output.splitlines() if line.startswith("│")}
    assert "finished" in lines["tiny-cpu-s0"]
    assert "not started: 1 of 2 epochs take 400 s" in lines["tiny_two-cpu-s0"]
    assert "not started" in lines["both-cpu"]
    assert toy.benchmark.run("tiny-cpu-s0").info().epochs == 1


def test_an_interrupted_training_keeps_its_epochs_in_a_new_plan(workspace, monkeypatch):
    toy, run = workspace
    run("train", "tiny", "--benchmark", "toy", "--device", "cpu", "--max-minutes", "0")
    made_up_speeds(monkeypatch, toy, 200)
    options = ("--device", "cpu", "--max-minutes", "9", "--fit-epochs")
    assert "2 of 2" in run("benchmark", "toy", *options, "--only", "tiny", "--only", "tiny_two")
    assert toy.benchmark.run("tiny-cpu-s0").info().epochs == 2


def test_epochs_are_planned_only_with_a_time_limit(workspace):
    _, run = workspace
    for option in ("--fit-epochs", "--plan-only"):
        with pytest.raises(RecipeError, match="Add --max-minutes"):
            run("benchmark", "toy", option)


def test_a_recipe_without_the_profile_is_skipped_without_an_error(workspace):
    toy, run = workspace
    (runs.RECIPES / "online.yaml").write_text(f"{RECIPE}  gpu_offline: its weights are online.\n")
    output = run("benchmark", "toy", "--profile", "gpu_offline", "--device", "cpu")
    lines = {line.split()[1]: line for line in output.splitlines() if line.startswith("│")}
    assert "skipped: Recipe 'online' has no profile gpu_offline: its weights" in lines["online"]
    assert toy.benchmark.run("tiny-gpu_offline-s0").info().epochs == 2
    assert not toy.benchmark.run("online-gpu_offline-s0").info_path.exists()


def test_speeds_are_measured_with_the_training_loop(workspace):
    toy, _ = workspace
    speed = measure_speed(toy_recipe(model={"architecture": "tiny_cnn"}), toy.dataset, "cpu")
    assert speed.training > 0
    assert speed.prediction > 0
    assert speed.start_seconds > 0
    assert speed.peak_memory.endswith("MiB")
    assert not toy.benchmark.runs()


def test_speeds_exclude_warm_up_steps():
    times = iter([0.0, 5.0, 6.0, 6.5, 7.0, 7.5])  # the first step takes 5 s, the others half
    watch = Stopwatch(lambda: next(times), warm_up=2, steps=3)
    for step in range(1, 5):
        watch.on_step(SimpleNamespace(step=step))
    with pytest.raises(EnoughStepsError):
        watch.on_step(SimpleNamespace(step=5))
    assert (watch.warm, watch.seconds_per_step) == (6.0, 0.5)


def test_a_packed_dataset_is_restored(workspace, tmp_path):
    toy, run = workspace
    packed = tmp_path / "packed"
    assert "MiB" in run("pack", "toy", str(packed))
    shutil.rmtree(toy.data / "toy")
    shutil.rmtree(toy.artifacts)
    assert f"{len(toy.dataset.images)} images" in run("unpack", str(packed))
    assert toy.benchmark.info() == toy.dataset.info
    run("train", "tiny", "--benchmark", "toy", "--device", "cpu")


def test_circular_recipes_are_named(workspace):
    _, run = workspace
    for first, second in (("first", "second"), ("second", "first")):
        (runs.RECIPES / f"{first}.yaml").write_text(
            RECIPE + f"distill: {{teachers: [{second}-cpu-s0]}}\n"
        )
    with pytest.raises(FerscopeError, match="in a cycle"):
        run("benchmark", "toy", "--device", "cpu")


def test_a_class_folder_is_prepared_by_the_command(workspace, tmp_path):
    from PIL import Image

    random = np.random.default_rng(0)
    for name in ("Happy", "sadness"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for index in range(30):
            pixels = random.integers(0, 255, (40, 40), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{index}.png")
    (tmp_path / "images" / "Happy" / "broken.png").write_bytes(b"\x89PNG nothing")
    _, run = workspace
    output = run("prepare", str(tmp_path / "images"), "--name", "mine", "--title", "My faces")
    assert "Happy/broken.png" in output
    info = ArtifactStore(tmp_path / "artifacts").benchmark("mine").info()
    assert info.title == "My faces"
    assert info.labels == ("happy", "sad")
    assert sum(info.counts["test"].values()) == 12


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "nothing", "--benchmark", "toy"], "no recipe 'nothing'"),
        (["train", "tiny", "--benchmark", "elsewhere"], "no prepared dataset"),
        (["train", "tiny", "--benchmark", "toy", "--set", "optim.x=1"], "optim.x"),
        (["train", "tiny", "--benchmark", "../toy"], "not a valid benchmark name"),
        (["train", "both", "--benchmark", "toy"], "are not finished: tiny-cpu-s0"),
        (["train", "tiny", "--benchmark", "toy", "--set", "train.precision=fp16"], "CUDA GPU"),
        (["evaluate", "toy", "nothing"], "run.json is missing"),
        (["prepare", "nowhere.csv", "--name", "x"], "does not exist"),
    ],
)
def test_user_errors_are_one_line(workspace, arguments, message, monkeypatch, capsys):
    import sys

    monkeypatch.setattr(sys, "argv", ["training", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    output = " ".join(capsys.readouterr().err.split())
    assert output.startswith("Error:")
    assert message in output
    assert "Traceback" not in output


def test_a_run_of_another_split_is_not_evaluated(workspace):
    from fer_core.data.prepared import PreparedDataset
    from tests.support.builders import toy_dataset
    from training.jobs.evaluate import evaluate_run

    toy, run = workspace
    run("train", "tiny", "--benchmark", "toy", "--device", "cpu")
    other = toy_dataset(toy.data, "other", seed=5, per_class=16)
    assert isinstance(other, PreparedDataset)
    with pytest.raises(DataError, match="prepared dataset has"):
        evaluate_run(toy.benchmark.run("tiny-cpu-s0"), other)


def test_publish_refuses_weights_whose_predictions_change_in_float16(workspace, monkeypatch):
    from training.jobs import publish

    toy, run = workspace
    run("train", "tiny", "--benchmark", "toy", "--device", "cpu")
    trained = toy.benchmark.run("tiny-cpu-s0")
    before = trained.weights_path.read_bytes()
    monkeypatch.setitem(publish.MOST_CHANGE, StoredType.FLOAT16, -1.0)
    with pytest.raises(ArtifactError, match="float16 weights change a probability"):
        publish.publish_run(trained, toy.dataset, device="cpu")
    assert trained.weights_path.read_bytes() == before


def test_weights_are_published_in_int8_and_not_back_in_float16(workspace):
    from training.jobs import publish

    toy, run = workspace
    run("train", "tiny", "--benchmark", "toy", "--device", "cpu")
    trained = toy.benchmark.run("tiny-cpu-s0")
    whole = trained.weights_path.stat().st_size
    publish.publish_run(trained, toy.dataset, device="cpu")
    half = trained.weights_path.stat().st_size
    run("publish", "toy", "tiny-cpu-s0", "--dtype", "int8", "--device", "cpu")
    assert trained.weights_path.stat().st_size < half < whole
    info = trained.info()
    assert (info.weights_dtype, info.published["dtype"]) == ("int8", "int8")
    assert info.published["largest_probability_difference"] <= 0.05
    before = answers(trained)
    run("evaluate", "toy", "tiny-cpu-s0", "--device", "cpu")
    np.testing.assert_allclose(answers(trained), before, atol=1e-4)
    with pytest.raises(ArtifactError, match=r"in int8 already\. For float16, train the run again"):
        publish.publish_run(trained, toy.dataset, device="cpu")


def test_publish_removes_the_sizes_and_times_of_ensembles_with_the_run(workspace):
    from training.jobs import publish

    toy, run = workspace
    for seed in "012":
        run("train", "tiny", "--benchmark", "toy", "--device", "cpu", "--seed", seed)
    run("ensemble", "toy", "tiny-cpu-s0", "tiny-cpu-s1", "--name", "pair-cpu")
    run("ensemble", "toy", "tiny-cpu-s1", "tiny-cpu-s2", "--name", "other-cpu")
    trained, pair, other = (
        toy.benchmark.run(name) for name in ("tiny-cpu-s0", "pair-cpu", "other-cpu")
    )
    for measured in (trained, pair, other):
        measured.efficiency_path.write_text("{}")
    publish.publish_run(trained, toy.dataset, device="cpu")
    assert [one.efficiency_path.exists() for one in (trained, pair, other)] == [False, False, True]


def test_publish_refuses_weights_that_overflow_in_float16(workspace):
    toy, run = workspace
    run("train", "tiny", "--benchmark", "toy", "--device", "cpu")
    trained = toy.benchmark.run("tiny-cpu-s0")
    tensors, facts = load_tensors(trained.weights_path)
    name = next(key for key in tensors if key.endswith("head.weight"))
    tensors[name][0, 0] = 1e6  # infinite in float16: the answers are no numbers
    save_tensors(trained.weights_path, tensors, facts)
    before = trained.weights_path.read_bytes()
    with pytest.raises(ArtifactError, match="float16 weights change a probability"):
        run("publish", "toy", "tiny-cpu-s0")
    assert trained.weights_path.read_bytes() == before


def test_a_full_disk_while_saving_leaves_no_partial_run(workspace, monkeypatch):
    from safetensors import SafetensorError

    toy, run = workspace

    def full(*_, **__):
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("fer_core.models.checkpoint.save_file", full)
    with pytest.raises(FerscopeError, match="disk is full"):
        run("train", "tiny", "--benchmark", "toy", "--device", "cpu")
    place = toy.benchmark.run("tiny-cpu-s0")
    assert not place.info_path.exists()
    assert not list(place.root.rglob("*.tmp"))


def test_help_needs_no_torch():
    import subprocess
    import sys

    code = (
        "import sys; sys.argv = ['training', '--help']\n"
        "import training.__main__ as cli\n"
        "try: cli.main()\nexcept SystemExit: pass\n"
        "assert not {'torch', 'pandas', 'numpy', 'scipy', 'pydantic'} & set(sys.modules)"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60
    )
    assert process.returncode == 0, process.stderr
    assert "prepare" in process.stdout


def test_imported_predictions_are_on_the_leaderboard(workspace, tmp_path):
    import pandas as pd

    toy, run = workspace
    run("train", "tiny", "--benchmark", "toy", "--device", "cpu")
    predictions = pd.read_parquet(toy.benchmark.run("tiny-cpu-s0").predictions_path)
    table_path = tmp_path / "theirs.csv"
    predictions.drop(columns=["split", "y_true"]).sample(frac=1, random_state=0).to_csv(
        table_path, index=False
    )
    output = run("import", "toy", str(table_path), "--name", "theirs", "--title", "Their model")
    assert "theirs" in output
    imported = toy.benchmark.run("theirs")
    info = imported.info()
    assert (info.kind, info.title, info.parameters) == ("imported", "Their model", None)
    first, second = (
        Report.read(toy.benchmark.run(name).report_path) for name in ("tiny-cpu-s0", "theirs")
    )
    for part in ("validation", "test"):
        original, came = getattr(first, part), getattr(second, part)
        assert original.confusion == came.confusion
        assert came.log_loss == pytest.approx(original.log_loss, abs=1e-6)
    with pytest.raises(FerscopeError, match="already has a run 'theirs'"):
        run("import", "toy", str(table_path), "--name", "theirs")
    table_path.write_text("id,p_happy\nx,1\n")
    with pytest.raises(FerscopeError, match="Fewer than two classes"):
        run("import", "toy", str(table_path), "--name", "broken")
    with pytest.raises(RecipeError, match="are for models"):
        run("import", "toy", str(table_path), "--name", "broken", "--image-size", "48")
    assert not toy.benchmark.run("broken").root.exists()


def test_an_exported_network_is_imported_with_the_same_metrics(workspace):
    toy, run = workspace
    run("train", "tiny", "--benchmark", "toy", "--device", "cpu")
    output = run("export", "toy", "tiny-cpu-s0")
    assert "test images: largest difference" in output
    path = toy.benchmark.run("tiny-cpu-s0").onnx_path
    run("import", "toy", str(path), "--name", "back", "--title", "Back")
    with pytest.raises(RecipeError, match="--augmented is for tables"):
        run("import", "toy", str(path), "--name", "again", "--augmented")
    first, second = (
        Report.read(toy.benchmark.run(name).report_path) for name in ("tiny-cpu-s0", "back")
    )
    assert first.test.confusion == second.test.confusion
    assert second.test.log_loss == pytest.approx(first.test.log_loss, abs=1e-4)
    with pytest.raises(FerscopeError, match="7 outputs for 2 labels"):
        run("import", "toy", str(path), "--name", "again", "--labels", "angry,happy")


def test_without_the_dataset_an_export_is_checked_on_drawn_faces(workspace, tmp_path, monkeypatch):
    _, run = workspace
    run("train", "tiny", "--benchmark", "toy", "--device", "cpu")
    monkeypatch.setenv("FERSCOPE_DATA", str(tmp_path / "nothing"))
    assert "drawn faces" in run("export", "toy", "tiny-cpu-s0", "--out", str(tmp_path / "m.onnx"))
    assert (tmp_path / "m.onnx").is_file()


def test_drawn_faces_are_prepared_with_their_images(workspace):
    toy, run = workspace
    output = run("prepare", "synthetic", "--name", "drawn", "--side", "32", "--count", "70",
                 "--faults", "--ship-pictures")  # fmt: skip
    assert "Faces drawn from facial action units, with planted faults" in output
    assert "2 extra copies" in output
    place = ArtifactStore(toy.artifacts).benchmark("drawn")
    assert place.pictures_path.is_file()
    assert place.card_text_path.is_file()
    assert len(place.samples()) == 72


def test_options_that_a_plan_sets_are_refused(workspace, tmp_path):
    (tmp_path / "plan.yaml").write_text("sources: [{path: synthetic, count: 70}]\n")
    result = CliRunner().invoke(
        cli.app, ["prepare", "--plan", str(tmp_path / "plan.yaml"), "--name", "x", "--side", "64"]
    )
    assert result.exit_code == 2
    assert "--side" in result.output


def test_a_smoke_run_of_an_ensemble_writes_nothing(workspace):
    toy, run = workspace
    for name in ("tiny", "tiny_two"):
        run("train", name, "--benchmark", "toy", "--device", "cpu")
    assert "can be built from tiny-cpu-s0, tiny_two-cpu-s0" in run(
        "train", "both", "--benchmark", "toy", "--smoke"
    )
    ensemble = toy.benchmark.run("both-cpu")
    assert not ensemble.root.exists()
    run("train", "both", "--benchmark", "toy")
    ensemble.robustness_path.write_bytes(b"measured")
    before = {path.name: path.read_bytes() for path in ensemble.root.iterdir()}
    run("train", "both", "--benchmark", "toy", "--smoke")
    assert {path.name: path.read_bytes() for path in ensemble.root.iterdir()} == before


def test_an_ensemble_without_its_members_names_them(workspace):
    _, run = workspace
    run("train", "tiny", "--benchmark", "toy", "--device", "cpu")
    with pytest.raises(ArtifactError, match="are not finished: tiny_two-cpu-s0"):
        run("train", "both", "--benchmark", "toy")


def test_a_retrained_member_rebuilds_its_ensemble(workspace):
    toy, run = workspace
    run("benchmark", "toy", "--device", "cpu")
    first = toy.benchmark.run("both-cpu").info()
    assert set(first.teachers) == {"tiny-cpu-s0", "tiny_two-cpu-s0"}
    member = toy.benchmark.run("tiny-cpu-s0")
    member.info().model_copy(update={"created": "2020-01-01T00:00:00+00:00"}).write(
        member.info_path
    )
    output = run("train", "both", "--benchmark", "toy")
    assert "a member has been retrained or deleted since" in output
    run("benchmark", "toy", "--device", "cpu")
    again = toy.benchmark.run("both-cpu").info()
    assert again.teachers["tiny-cpu-s0"] == "2020-01-01T00:00:00+00:00"
    assert "already finished" in run("benchmark", "toy", "--device", "cpu")


def files_but_run_json(run: RunDir) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in run.root.iterdir() if p != run.info_path}


def test_evaluate_averages_the_members_of_an_ensemble_again(workspace):
    toy, run = workspace
    run("benchmark", "toy", "--device", "cpu")
    both = toy.benchmark.run("both-cpu")
    made, info = files_but_run_json(both), both.info()
    both.predictions_path.unlink()
    both.report_path.write_text("{}")
    run("evaluate", "toy", "both-cpu")
    assert files_but_run_json(both) == made
    again = both.info()
    assert len(again.test_ledger) == len(info.test_ledger) + 1  # evaluating reads test once more
    assert again.model_copy(update={"test_ledger": info.test_ledger}) == info
    member = toy.benchmark.run("tiny-cpu-s0")
    member.info().model_copy(update={"created": "2020-01-01T00:00:00+00:00"}).write(
        member.info_path
    )
    with pytest.raises(ArtifactError, match="A member of both-cpu was retrained"):
        run("evaluate", "toy", "both-cpu")
    assert files_but_run_json(both) == made
    assert both.info() == again


def test_re_evaluating_a_member_updates_its_ensembles(workspace, monkeypatch):
    from training.jobs import publish

    monkeypatch.setattr(publish, "in_stored_type", lambda tensors, _: tensors_times(tensors, 1.01))
    toy, run = workspace
    run("benchmark", "toy", "--device", "cpu")
    runs = [toy.benchmark.run(name) for name in ("tiny-cpu-s0", "tiny_two-cpu-s0", "both-cpu")]
    before = answers(runs[2])
    lone = toy.benchmark.run("lone-cpu")  # a folder without a run is passed over
    lone.root.mkdir()
    assert "updated ensemble: both-cpu" in run("publish", "toy", "tiny-cpu-s0")
    first, second, both = map(answers, runs)
    assert not np.array_equal(both, before)
    np.testing.assert_allclose(both, (first + second) / 2, atol=1e-6)
    assert "updated ensemble: both-cpu" in run("evaluate", "toy", "tiny-cpu-s0")
    member = runs[1]
    member.info().model_copy(update={"created": "2020-01-01T00:00:00+00:00"}).write(
        member.info_path
    )
    assert "updated ensemble" not in run("evaluate", "toy", "tiny-cpu-s0")  # it needs a new choice


def answers(run):
    labels = run.benchmark.info().label_set
    return Predictions.read(run.predictions_path, labels).split("test").probabilities


def tensors_times(tensors, factor):
    return {
        key: value * factor if value.is_floating_point() else value
        for key, value in tensors.items()
    }


def test_an_ensemble_whose_member_was_deleted_names_it(workspace):
    toy, run = workspace
    run("benchmark", "toy", "--device", "cpu")
    shutil.rmtree(toy.benchmark.run("tiny-cpu-s0").root)
    assert "retrained or deleted" in run("train", "both", "--benchmark", "toy")
    with pytest.raises(ArtifactError, match="are not finished: tiny-cpu-s0"):
        run("train", "both", "--benchmark", "toy", "--overwrite")


def test_an_interrupted_overwrite_keeps_the_finished_run(workspace):
    toy, run = workspace
    run("train", "tiny", "--benchmark", "toy", "--device", "cpu")
    place = toy.benchmark.run("tiny-cpu-s0")

    def files():
        return {path.name: path.read_bytes() for path in place.root.iterdir() if path.is_file()}

    before = files()
    options = ("--benchmark", "toy", "--device", "cpu", "--overwrite")
    run("train", "tiny", *options, "--max-minutes", "0", "--set", "train.epochs=3")
    assert files() == before
    assert place.under_way.progress_path.is_file()
    run("train", "tiny", *options, "--set", "train.epochs=3", "--resume")
    assert len(place.history()) == 3
    assert place.info().created >= json.loads(before["run.json"])["created"]


def test_an_overwrite_does_not_resume_earlier_checkpoints(workspace, monkeypatch):
    from fer_core.engine.trainer import Trainer

    toy, run = workspace
    run("train", "tiny", "--benchmark", "toy", "--device", "cpu", "--max-minutes", "0")
    state = toy.benchmark.run("tiny-cpu-s0").state_dir
    assert list(state.glob("*.safetensors"))

    def killed(self, **_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "fit", killed)
    recipe = toy_recipe("tiny", model={"architecture": "tiny_cnn"})
    bar = TrainingBar(visible=False)
    with pytest.raises(KeyboardInterrupt):
        train_network(recipe, toy.dataset, toy.benchmark, bar, TrainOptions(device="cpu"))
    assert not list(state.glob("*.safetensors"))


def test_after_the_time_limit_no_run_is_started(workspace):
    toy, run = workspace
    output = run("benchmark", "toy", "--device", "cpu", "--max-minutes", "0")
    lines = {line.split()[1]: line for line in output.splitlines() if line.startswith("│")}
    assert "not started: time limit reached" in lines["tiny-cpu-s0"]
    assert "not started: needs tiny-cpu-s0, tiny_two-cpu-s0" in lines["both-cpu"]
    assert not toy.benchmark.run("tiny-cpu-s0").state_dir.exists()


def test_one_damaged_run_does_not_stop_the_benchmark(workspace):
    toy, run = workspace
    run("train", "tiny", "--benchmark", "toy", "--device", "cpu")
    toy.benchmark.run("tiny-cpu-s0").report_path.write_text("{")
    result = CliRunner().invoke(cli.app, ["benchmark", "toy", "--device", "cpu"])
    assert result.exit_code == 1
    lines = {line.split()[1]: line for line in result.output.splitlines() if line.startswith("│")}
    assert "ArtifactError" in lines["tiny-cpu-s0"]
    assert "finished" in lines["tiny_two-cpu-s0"]


def test_a_seed_may_come_from_set(workspace):
    toy, run = workspace
    options = ("--benchmark", "toy", "--device", "cpu")
    run("train", "tiny", *options, "--set", "train.seed=5")
    assert toy.benchmark.run("tiny-cpu-s5").info().seed == 5
    run("train", "tiny", *options, "--seed", "6")
    assert toy.benchmark.run("tiny-cpu-s6").info().seed == 6


def test_a_killed_publish_is_completed_by_the_next_call(workspace, monkeypatch):
    toy, run = workspace
    run("train", "tiny", "--benchmark", "toy", "--device", "cpu")
    place = toy.benchmark.run("tiny-cpu-s0")
    real = Path.replace

    def killed(path, target):
        if Path(target) == place.weights_path:
            raise KeyboardInterrupt
        return real(path, target)

    monkeypatch.setattr(Path, "replace", killed)
    CliRunner().invoke(cli.app, ["publish", "toy", "tiny-cpu-s0"])
    assert not place.info_path.exists()
    monkeypatch.setattr(Path, "replace", real)
    run("publish", "toy", "tiny-cpu-s0")
    assert place.info().weights_dtype == "float16"
    assert not (place.state_dir / "ready").exists()


def test_an_interrupted_publish_changes_nothing(workspace, monkeypatch):
    from training.jobs import publish

    toy, run = workspace
    run("train", "tiny", "--benchmark", "toy", "--device", "cpu")
    place = toy.benchmark.run("tiny-cpu-s0")
    before = {path.name: path.read_bytes() for path in place.root.iterdir() if path.is_file()}

    def full(*_, **__):
        raise ArtifactError("The disk is full")

    monkeypatch.setattr(publish, "write_evaluation", full)
    with pytest.raises(ArtifactError, match="disk is full"):
        run("publish", "toy", "tiny-cpu-s0")
    after = {path.name: path.read_bytes() for path in place.root.iterdir() if path.is_file()}
    assert after == before


def test_predictions_with_test_time_augmentation_are_not_ranked(workspace, tmp_path):
    from fer_core.evaluation.predictions import Predictions

    toy, run = workspace
    run("train", "tiny", "--benchmark", "toy", "--device", "cpu")
    run_dir = toy.benchmark.run("tiny-cpu-s0")
    table = pd.concat(
        pd.DataFrame(scores.probabilities, columns=list(scores.labels.names)).assign(id=scores.ids)
        for scores in Predictions.read(run_dir.predictions_path, toy.dataset.labels).splits.values()
    )
    table.to_csv(tmp_path / "theirs.csv", index=False)
    output = run("import", "toy", str(tmp_path / "theirs.csv"), "--name", "theirs", "--augmented")
    assert "with test-time augmentation" in output
    report = Report.read(toy.benchmark.run("theirs").report_path)
    assert report.protocol.test_time_augmentation
    assert report.protocol.comparable != Report.read(run_dir.report_path).protocol.comparable


@pytest.mark.parametrize(
    ("text", "message"), [("optim.lr=[1", "Cannot parse the value"), ("optim", "section.key=value")]
)
def test_an_override_that_is_not_yaml_is_named(workspace, text, message):
    _, run = workspace
    with pytest.raises(FerscopeError, match=message):
        run("train", "tiny", "--benchmark", "toy", "--set", text)


def test_the_face_weights_are_converted_again_from_their_graph(workspace, tmp_path):
    _, run = workspace
    graph, out = GraphFile(tmp_path, mobilenet()), tmp_path / "start.safetensors"
    out_of_set = ("--benchmark", "toy", "--images", "64", "--out", str(out))
    output = run("convert-face", str(graph.path), *out_of_set)
    assert f"wrote {out}" in output
    assert "compared features with the original: largest difference" in output
    tensors, facts = load_tensors(out)
    assert tensors["conv_stem.weight"].shape == (32, 3, 3, 3)
    assert 0 < facts["statistics of images"] <= 64
    with pytest.raises(WeightsError, match=r"Pass models/faceres\.json"):
        run("convert-face", str(tmp_path / "nothing.json"), *out_of_set)


def test_the_weights_of_dlib_are_converted_from_their_manifest(workspace, tmp_path):
    _, run = workspace
    manifest, out = write_face_network(tmp_path), tmp_path / "start.safetensors"
    output = run(
        "convert-face", str(manifest), "--benchmark", "toy", "--images", "64", "--out", str(out)
    )
    assert "compared features with the original: least cosine similarity 0.99" in output
    assert load_tensors(out)[0]["stem.0.weight"].shape == (32, 3, 7, 7)
