"""Training monitor: nothing, a training under way, one that fell silent, and finished ones."""

import shutil
import time

import pandas as pd
import pytest

from dashboard.cache import benchmarks
from dashboard.sections import monitor
from fer_core.records import TrainingState
from fer_core.tables import write_table
from tests.support.builders import toy_benchmark
from tests.support.pages import texts


@pytest.fixture
def toy(tmp_path):
    return toy_benchmark(tmp_path)


def begin(toy, run_id="vgg16-gpu-s2", *, silence=0.0, loss=0.8):
    run = toy.benchmark.run(run_id)
    state = TrainingState(
        epoch=2, epochs=4, step=5, steps=10, loss=loss, accuracy=0.5,
        images_per_second=99.6, seconds_left=3725, updated=time.time() - silence,
    )  # fmt: skip
    run.under_way.root.mkdir(parents=True, exist_ok=True)
    state.write(run.under_way.progress_path)
    write_table(
        run.under_way.trace_path, pd.DataFrame({"epoch": [0.5, 1.0], "loss": [2, 1], "accuracy": 0})
    )
    return run


def values(app):
    return {metric.label: metric.value for metric in app.metric}


def test_without_trainings_the_monitor_shows_the_command(open_page, toy):
    app = open_page("monitor", toy.artifacts)
    assert not app.exception
    assert "No training is in progress on toy" in texts(app)
    assert "python -m training train efficientnet_lite0 --benchmark toy" in app.code[0].value


def test_without_benchmarks_the_monitor_shows_the_command(open_page, tmp_path):
    app = open_page("monitor", tmp_path / "none")
    assert not app.exception
    assert "There is no benchmark yet" in texts(app)


def test_without_a_finished_run_there_is_no_table(open_page, tmp_path):
    toy = toy_benchmark(tmp_path, runs=0)
    app = open_page("monitor", toy.artifacts)
    assert not app.exception
    assert not app.dataframe
    assert "No training has finished an epoch" in texts(app)


def test_a_running_training_shows_its_progress(open_page, toy):
    run = begin(toy)
    app = open_page("monitor", toy.artifacts)
    assert not app.exception
    assert not app.warning
    assert values(app) == {
        "Training loss": "0.800",
        "Training accuracy": "50.0%",
        "Images/s": "100",
    }
    write_table(
        run.under_way.history_path,
        pd.DataFrame({"epoch": [1], "accuracy": [0.61], "log_loss": [1.1], "macro_recall": [0.5],
                      "train_loss": [1.0], "learning_rate": [0.1], "images_per_second": [9.0]}),
    )  # fmt: skip
    app.run()
    assert not app.exception
    assert values(app)["Best validation accuracy"] == "61.0%"


def test_a_finished_epoch_and_a_finished_run_change_the_progress(toy):
    run = begin(toy)
    benchmark = benchmarks.benchmark(toy.benchmark)
    seen = [monitor.progress(benchmark)]
    assert monitor.progress(benchmark) == seen[0]
    write_table(run.under_way.history_path, pd.DataFrame({"epoch": [1], "accuracy": [0.6]}))
    seen.append(monitor.progress(benchmark))
    finished = toy.benchmark.run("resnet34-cpu-s0")
    info = finished.info().model_copy(update={"created": "2030-01-01T00:00:00+00:00"})
    info.write(finished.info_path)  # it was trained again
    seen.append(monitor.progress(benchmark))
    shutil.rmtree(finished.root)
    seen.append(monitor.progress(benchmark))
    assert len(set(seen)) == 4


def test_the_page_runs_again_when_the_progress_changes(open_page, toy, monkeypatch):
    begin(toy)
    answers = ["drawn", "another", "another", "another"]
    monkeypatch.setattr(monitor, "progress", lambda _: answers.pop(0))
    app = open_page("monitor", toy.artifacts)
    assert not app.exception
    assert answers == []  # the page, its refresh, and both once more
    assert values(app)["Training loss"] == "0.800"


def test_a_stalled_training_shows_how_to_resume(open_page, toy):
    begin(toy, silence=600)
    app = open_page("monitor", toy.artifacts)
    assert "No update for 0:10:0" in app.warning[0].value
    commands = [code.value for code in app.code]
    assert commands == [
        "python -m training train vgg16 --benchmark toy --profile gpu --seed 2 --resume"
    ]


def test_renamed_and_retrained_runs_have_a_card(open_page, toy):
    begin(toy, "mine", silence=600)
    begin(toy, "resnet34-cpu-s0")
    app = open_page("monitor", toy.artifacts)
    assert not app.exception
    assert len([block for block in app.markdown if block.value.startswith("**")]) == 2
    assert "train mine --benchmark toy --profile cpu --seed 0 --resume" in app.code[0].value


def test_a_damaged_run_in_training_has_a_card(open_page, toy):
    run = begin(toy, "resnet34-cpu-s0")
    run.report_path.write_text("{")
    app = open_page("monitor", toy.artifacts)
    assert not app.exception
    assert values(app)["Training loss"] == "0.800"


def test_a_diverged_training_is_named(open_page, toy):
    begin(toy, loss=None)
    app = open_page("monitor", toy.artifacts)
    assert "diverged" in app.error[0].value


def test_a_partial_state_file_is_ignored(open_page, toy):
    run = begin(toy)
    run.under_way.progress_path.write_text('{"epoch": 2')
    app = open_page("monitor", toy.artifacts)
    assert not app.exception
    assert "No training is in progress on toy" in texts(app)


def test_a_training_without_a_checkpoint_is_not_called_damaged(open_page, toy):
    begin(toy)
    app = open_page("leaderboard", toy.artifacts)
    assert not app.warning
