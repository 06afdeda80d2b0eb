"""The page Your faces, and transferred sets on the other pages, with AppTest."""

import json
import os
import sys

import numpy as np
import pytest

from dashboard import pages, transfer_jobs
from fer_core.artifacts import ArtifactStore
from fer_core.errors import ArtifactError
from fer_core.evaluation.shift import ShiftReport
from fer_core.evaluation.shift_build import write_shift
from fer_core.records import TransferProgress
from tests.support.builders import toy_benchmark
from tests.support.pages import texts
from tests.support.transfers import toy_transfer

NAME = "toy/transfers/mine"
PAGES = tuple(
    page.name
    for page in pages.PAGES
    if page.name not in ("live", "video", "label", "your_faces")  # no page reads their test split
)


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """A benchmark with a partly labelled set and one without labels."""
    toy = toy_benchmark(tmp_path_factory.mktemp("sets"))
    for name, labelled in (("mine", 0.7), ("bare", 0.0)):
        write_shift(toy_transfer(toy, name, labelled=labelled))
    return toy


@pytest.mark.parametrize("page", PAGES)
def test_each_page_opens_on_a_partly_labelled_set(page, open_page, sets):
    app = open_page(page, sets.artifacts, sets.data, benchmark=NAME)
    assert not app.exception
    assert not app.error
    assert app.sidebar.selectbox[0].value == NAME
    assert "mine (transferred from toy)" in app.sidebar.selectbox[0].options


def test_the_verdict_says_what_test_and_validation_are(open_page, sets):
    text = texts(open_page("overview", sets.artifacts, sets.data, benchmark=NAME))
    assert (
        "mine \\(transferred from toy\\)\\: test means its 15 labelled images. Validation is that "
        "of toy" in text
    )


@pytest.mark.parametrize("page", ["overview", "explorer", "quality", "leaderboard", "saliency"])
def test_each_page_opens_on_a_set_without_labels(page, open_page, sets):
    app = open_page(page, sets.artifacts, sets.data, benchmark="toy/transfers/bare")
    assert not app.exception
    assert "nan" not in texts(app).lower().split()


def test_the_page_shows_what_changed(open_page, sets):
    app = open_page("your_faces", sets.artifacts, sets.data, set="mine")
    assert not app.exception
    text = texts(app)
    assert "The mean accuracy falls by" in text
    assert "cannot be trusted here" in text
    assert "The estimate was not checked on this benchmark" in text
    assert list(app.dataframe[0].value["set"]) == ["bare", "mine"]
    assert len(app.dataframe[1].value) == 4


def test_the_sets_have_the_mean_accuracy_of_the_same_models_on_both(open_page, sets):
    app = open_page("your_faces", sets.artifacts, sets.data, set="mine")
    table = app.dataframe[0].value.set_index("set")
    runs = ShiftReport.read(sets.benchmark.transfer("mine").shift_path).runs
    assert table.loc["mine", "mean accuracy"] == np.mean([run.accuracy.value for run in runs])
    assert table.loc["mine", "the same models on the benchmark"] == np.mean(
        [run.benchmark_accuracy for run in runs]
    )
    bare = table.loc["bare", ["mean accuracy", "the same models on the benchmark"]]
    assert bare.isna().all()


def test_a_set_without_labels_says_so(open_page, sets):
    app = open_page("your_faces", sets.artifacts, sets.data, set="bare")
    assert not app.exception
    assert set(app.dataframe[1].value["accuracy"]) == {"no labels"}


def test_a_picked_set_opens_its_own_page(open_page, sets):
    app = open_page("your_faces", sets.artifacts, sets.data, benchmark=NAME)
    assert not app.exception
    assert app.main.selectbox[0].value == "mine"


def test_without_sets_the_page_shows_the_command(open_page, toy):
    app = open_page("your_faces", toy.artifacts)
    assert not app.exception
    assert "python -m training transfer toy path/to/pictures" in app.code[0].value


def test_a_transfer_in_the_background_shows_its_progress_or_why_it_failed(
    open_page, tmp_path, monkeypatch
):
    toy = toy_benchmark(tmp_path)
    for name, error in (("running", ""), ("broken", "The zip is damaged.")):
        TransferProgress(
            stage="finding faces", done=3, total=10, share=0.2, seconds_left=60, updated=0,
            process=os.getpid(), error=error,
        ).write(toy.benchmark.transfer(name).transfer_progress_path)  # fmt: skip
    app = open_page("your_faces", toy.artifacts)
    assert not app.exception
    assert "The zip is damaged." in app.error[0].value
    bars = [element.proto.text for element in app.get("progress")]
    assert [bar.replace("\\", "") for bar in bars] == [
        "running: finding faces 3 of 10, about 1 min left"
    ]


def test_an_upload_is_kept_and_its_command_started(tmp_path, monkeypatch):
    toy = toy_benchmark(tmp_path)
    monkeypatch.setenv("FERSCOPE_ARTIFACTS", str(toy.artifacts))
    monkeypatch.setenv("FERSCOPE_STATE", str(tmp_path / "state"))
    started = []
    monkeypatch.setattr(
        transfer_jobs.subprocess, "Popen", lambda command, **_: started.append(command)
    )
    job = transfer_jobs.TransferJob("photos", ("--cropped",))
    transfer_jobs.start_upload(toy.benchmark, job, b"PK\x03\x04")
    home = tmp_path / "state" / "toy" / "transfers" / "photos"
    upload = home / "cache" / "upload.zip"
    assert upload.read_bytes() == b"PK\x03\x04"
    assert started == [
        (sys.executable, "-m", "training", "transfer", "toy", str(upload), "--name", "photos",
         "--cropped")
    ]  # fmt: skip
    assert json.loads((home / "cache" / "progress.json").read_text())["stage"] == "starting"
    with pytest.raises(ArtifactError, match="Another transfer is running"):
        transfer_jobs.start_upload(toy.benchmark, transfer_jobs.TransferJob("more"), b"PK")
    benchmark = ArtifactStore(toy.artifacts).benchmark("toy/transfers/photos")
    assert benchmark.root == home
    transfer_jobs.remove(benchmark)
    assert not home.exists()


def test_sets_of_the_command_line_are_not_deleted_on_the_page(sets):
    with pytest.raises(ArtifactError, match="was not added on this page"):
        transfer_jobs.remove(sets.benchmark.transfer("mine"))


@pytest.mark.parametrize("name", ["../other", "a/b", "", ".hidden"])
def test_names_that_lead_elsewhere_are_refused(sets, name):
    with pytest.raises(ArtifactError, match="is not a valid set name"):
        transfer_jobs.start_path(sets.benchmark, transfer_jobs.TransferJob(name), sets.data)
