"""The page Your faces, and transferred sets on the other pages, with AppTest."""

import json
import os
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from dashboard import pages, transfer_jobs
from dashboard.sections import trust
from fer_core.artifacts import ArtifactStore
from fer_core.errors import ArtifactError
from fer_core.evaluation.report import Estimate
from fer_core.evaluation.shift import ShiftReport
from fer_core.evaluation.shift_build import write_shift
from fer_core.records import TransferProgress
from fer_core.tables import write_table
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
    started = started_transfers(monkeypatch, ends=threading.Event())
    job = transfer_jobs.TransferJob("photos", ("--cropped",), b"image,label")
    transfer_jobs.start_upload(toy.benchmark, job, b"PK\x03\x04")
    home = tmp_path / "state" / "toy" / "transfers" / "photos"
    (upload,) = (home / "cache").rglob("photos.zip")
    assert upload.read_bytes() == b"PK\x03\x04"
    table = upload.with_name("labels.csv")
    assert table.read_bytes() == b"image,label"
    assert started == [
        (sys.executable, "-m", "training", "transfer", "toy", str(upload), "--name", "photos",
         "--cropped", "--labels", str(table))
    ]  # fmt: skip
    assert json.loads((home / "cache" / "progress.json").read_text())["stage"] == "starting"
    with pytest.raises(ArtifactError, match="Another transfer is running"):
        transfer_jobs.start_upload(toy.benchmark, transfer_jobs.TransferJob("more"), b"PK")
    benchmark = ArtifactStore(toy.artifacts).benchmark("toy/transfers/photos")
    assert benchmark.root == home
    transfer_jobs.remove(benchmark)
    assert not home.exists()


def started_transfers(monkeypatch, ends: threading.Event) -> list[tuple[str, ...]]:
    """Starts no process; returns the commands, which end when the event is set."""
    started = []

    class Process:
        def __init__(self, command, **_):
            started.append(command)

        def wait(self):
            ends.wait()

    monkeypatch.setattr(transfer_jobs.subprocess, "Popen", Process)
    return started


def test_uploads_are_deleted_when_the_transfer_ends_even_if_it_failed(tmp_path, monkeypatch):
    toy = toy_benchmark(tmp_path)
    ends = threading.Event()
    started_transfers(monkeypatch, ends)
    job = transfer_jobs.TransferJob("photos", (), b"image,label")
    transfer_jobs.start_upload(toy.benchmark, job, b"PK")
    cache = toy.benchmark.transfer("photos").cache_dir
    transfer_jobs.tidy(toy.benchmark)
    (upload,) = cache.rglob("photos.zip")
    assert (upload.parent / "labels.csv").is_file()
    ends.set()
    for _ in range(500):  # no listing: another thread deletes the folder meanwhile
        if not upload.parent.exists():
            break
        time.sleep(0.01)
    assert not [*cache.rglob("*.zip"), *cache.rglob("*.csv")]


@pytest.mark.parametrize("name", ["uploads/1/photos.zip", "upload.zip"])
def test_uploads_that_a_crash_left_are_deleted_when_the_page_opens(open_page, tmp_path, name):
    toy = toy_benchmark(tmp_path)
    benchmark = toy.benchmark.transfer("photos")
    left = benchmark.cache_dir / name
    left.parent.mkdir(parents=True)
    for path in (left, benchmark.cache_dir / "uploaded"):
        path.write_bytes(b"PK")
    failed(benchmark, "")
    open_page("your_faces", toy.artifacts)
    assert not left.exists()


def failed(benchmark, error: str) -> None:
    TransferProgress(
        stage="failed", done=0, total=0, share=0, seconds_left=None, updated=0,
        process=2**22 + 1, error=error,
    ).write(benchmark.transfer_progress_path)  # fmt: skip


def test_errors_on_the_page_name_its_widgets_and_no_path_of_the_upload(open_page, tmp_path):
    toy = toy_benchmark(tmp_path)
    benchmark = toy.benchmark.transfer("photos")
    upload = benchmark.cache_dir / "uploads" / "123" / "photos.zip"
    failed(
        benchmark, f"None of the classes of {upload} is an emotion. If the pictures have no "
        "labels, pass --unlabelled; if the folders are persons, also --group folder."
    )  # fmt: skip
    app = open_page("your_faces", toy.artifacts)
    text = app.error[0].value.replace("\\", "")
    assert "classes of photos.zip is" in text
    assert "tick 'Ignore labels'; if the folders are persons, also 'Folders are persons'." in text
    assert "--" not in text


def test_a_set_can_be_added_with_a_table_and_folders_of_persons(open_page, tmp_path, monkeypatch):
    toy = toy_benchmark(tmp_path)
    (tmp_path / "mine").mkdir()
    jobs = []
    monkeypatch.setattr(
        transfer_jobs, "start_path", lambda origin, job, path: jobs.append((job, path))
    )
    monkeypatch.setattr("dashboard.sections.your_faces.pictures_root", lambda: Path(tmp_path))
    app = open_page("your_faces", toy.artifacts)
    app.text_input(key="set-path").input("mine").run()
    assert [item.label for item in app.get("file_uploader")] == [
        "A zip with pictures", "A table of labels (csv), if you have one"
    ]  # fmt: skip
    app.checkbox(key="set-persons").check()
    app.button(key="set-start").click().run()
    ((job, path),) = jobs
    assert job.options == ("--group", "folder")
    assert path == tmp_path / "mine"


def test_sets_of_the_command_line_are_not_deleted_on_the_page(sets):
    with pytest.raises(ArtifactError, match="was not added on this page"):
        transfer_jobs.remove(sets.benchmark.transfer("mine"))


@pytest.mark.parametrize("name", ["../other", "a/b", "", ".hidden"])
def test_names_that_lead_elsewhere_are_refused(sets, name):
    with pytest.raises(ArtifactError, match="is not a valid set name"):
        transfer_jobs.start_path(sets.benchmark, transfer_jobs.TransferJob(name), sets.data)


def test_trust_says_where_the_temperature_comes_from_and_judges_by_the_sets_labels(open_page, sets):
    text = texts(open_page("trust", sets.artifacts, sets.data, benchmark=NAME)).replace("\\", "")
    assert "fitted on validation of toy, is" in text
    assert "This set's own labels: accuracy" in text
    assert " here) and " in text or "inside its interval) and " in text
    own = texts(open_page("trust", sets.artifacts, sets.data, benchmark="toy"))
    assert "own labels" not in own


@pytest.mark.parametrize(
    ("confidence", "meaning"),
    [(0.77, "overconfident here"), (0.3, "underconfident here"), (0.6, "above the accuracy")],
)
def test_confidence_is_compared_with_the_interval_of_the_accuracy(confidence, meaning):
    accuracy = Estimate(value=0.57, low=0.4, high=0.7)
    assert trust._confidence_as(confidence, accuracy).startswith(meaning)


def test_accuracy_by_person_is_a_table_with_counts(open_page, tmp_path):
    toy = toy_benchmark(tmp_path)
    benchmark = toy_transfer(toy)
    table = benchmark.samples()
    persons = np.array(["ann", "bob", "eve"])[np.arange(len(table)) % 3]
    write_table(benchmark.samples_path, table.assign(group=persons))
    report = write_shift(benchmark)
    assert report.persons == 3
    app = open_page("your_faces", toy.artifacts, toy.data, set="mine")
    assert not app.exception
    (shown,) = [item.value for item in app.dataframe if "person" in item.value.columns]
    assert set(shown["person"]) == {"ann", "bob", "eve"}
    assert shown["labelled faces"].sum() == report.labelled
    assert "Permutation test of equal accuracy" in texts(app)
    assert "95% intervals over 3 persons" in texts(app).replace("\\", "")
