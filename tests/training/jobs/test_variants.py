"""Variants of a recipe: named runs, grids, and their comparison, with the command line."""

import pytest
from typer.testing import CliRunner

from fer_core.errors import ArtifactError
from fer_core.records import TrainingState
from tests.support.builders import toy_benchmark
from training import __main__ as cli
from training.commands import runs
from training.jobs.variants import VariantQuery, compare_by
from training.terminal.progress import console

RECIPE = """
description: tiny
model: {architecture: tiny_cnn, image_size: 32}
loss: {logit_adjustment: 0.3}
train: {epochs: 1, batch_size: 8}
optim: {warmup_epochs: 0}
"""


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    toy = toy_benchmark(tmp_path, runs=0)
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    monkeypatch.setattr(runs, "GRID_RECIPE", str(tmp_path / "tiny.yaml"))
    monkeypatch.setenv("FERSCOPE_ARTIFACTS", str(toy.artifacts))
    monkeypatch.setenv("FERSCOPE_DATA", str(toy.data))
    monkeypatch.setattr(console, "width", 240)

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(cli.app, [*arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    return toy, run, tmp_path / "tiny.yaml"


def test_a_grid_gives_named_and_tagged_runs_and_a_table_of_what_differs(workspace):
    toy, run, _ = workspace
    output = run("benchmark", "toy", "--grid", "loss.class_weights=none,balanced", "--seeds", "2",
                 "--set", "loss.logit_adjustment=0", "--tag", "first try",
                 "--device", "cpu")  # fmt: skip
    ids = [f"tiny-class_weights_{value}-cpu-s{seed}" for value in ("balanced", "none")
           for seed in (0, 1)]  # fmt: skip
    assert [found.run_id for found in toy.benchmark.runs()] == ids
    info = toy.benchmark.run(ids[0]).info()
    assert info.tags == ("first try", "class_weights=balanced")
    assert (info.recipe["name"], info.recipe["loss"]["class_weights"]) == ("tiny", "balanced")
    table = output.partition("results by value")[2]
    assert "loss.class_weights" in table
    assert "train.seed" not in table
    assert [line.split("│")[1:3] for line in table.splitlines() if line.startswith("│")] == [
        [" none               ", " 2    "],
        [" balanced           ", " 2    "],
    ]
    groups, rows = compare_by(toy.benchmark, VariantQuery("loss.class_weights", "none", "balanced"))
    assert groups == {"none": ids[2:], "balanced": ids[:2]}
    assert [row.metric for row in rows][:3] == ["accuracy", "macro-recall", "angry"]
    output = run("compare-variants", "toy", "--by", "loss.class_weights", "--before", "none",
                 "--after", "balanced", "--split", "validation")  # fmt: skip
    assert "recall of disgust" in output
    with pytest.raises(ArtifactError, match=r"no such run with loss\.class_weights=sqrt"):
        compare_by(toy.benchmark, VariantQuery("loss.class_weights", "none", "sqrt"))


def test_a_correction_that_the_grid_switches_off_is_noted_and_blocks_the_comparison(workspace):
    toy, run, _ = workspace
    output = run("benchmark", "toy", "--grid", "loss.class_weights=none,balanced",
                 "--device", "cpu")  # fmt: skip
    assert "loss.logit_adjustment=0.3 of the recipe is switched off" in output
    table = output.partition("results by value")[2]
    assert "loss.logit_adjustment" in table
    with pytest.raises(ArtifactError, match=r"differ in loss\.logit_adjustment as well"):
        compare_by(toy.benchmark, VariantQuery("loss.class_weights", "none", "balanced"))


def test_a_recipe_of_ones_own_is_trained_under_a_name(workspace):
    toy, run, path = workspace
    common = ("train", str(path), "--benchmark", "toy", "--device", "cpu")
    run(*common, "--name", "small", "--tag", "size", "--tag", "size",
        "--note", " Half the images. ",
        "--set", "train.max_images=20")  # fmt: skip
    run(*common)
    info = toy.benchmark.run("small-cpu-s0").info()
    assert (info.tags, info.note) == (("size",), "Half the images.")
    assert info.recipe["name"] == "tiny"
    images = {
        found.run_id: found.info().recipe["train"]["max_images"] for found in toy.benchmark.runs()
    }
    assert images == {"small-cpu-s0": 20, "tiny-cpu-s0": 0}
    assert "small-cpu-s0 is finished" in run(
        *common, "--name", "small", "--set", "train.max_images=20"
    )


def test_the_monitor_resumes_a_run_by_its_recipe():
    from dashboard.sections.monitor import resume_command

    facts = {"epoch": 1, "epochs": 2, "step": 1, "steps": 2, "loss": 1.0, "accuracy": 0.5,
             "images_per_second": 1.0, "seconds_left": 1.0, "updated": 0.0}  # fmt: skip
    named = TrainingState(**facts, recipe="resnet34", run_name="no_mixing")
    assert resume_command("no_mixing-gpu-s3", "mine", named) == (
        "python -m training train resnet34 --benchmark mine --name no_mixing --profile gpu "
        "--seed 3 --resume"
    )
    assert resume_command("resnet34-cpu-s0", "mine", TrainingState(**facts)) == (
        "python -m training train resnet34 --benchmark mine --profile cpu --seed 0 --resume"
    )
