"""Files of transferred sets: labelled, partly labelled and unlabelled."""

import json

import numpy as np
import pandas as pd
import pytest

from fer_core.artifacts import ArtifactStore
from fer_core.data.prepared import PreparedDataset, prepared_folder
from fer_core.errors import ArtifactError
from fer_core.evaluation.leaderboard import read_results
from fer_core.evaluation.person_accuracy import share_of
from fer_core.evaluation.predictions import Predictions, read_predictions
from fer_core.evaluation.report import Report
from fer_core.figures.html_report import render_report
from fer_core.labels import SEVEN_EMOTIONS
from fer_core.tables import write_table
from tests.support.builders import toy_benchmark
from tests.support.transfers import relabelled, toy_transfer


@pytest.fixture
def toy(tmp_path):
    return toy_benchmark(tmp_path)


def test_a_transferred_set_is_found_by_its_name_and_not_among_benchmarks(toy):
    mine = toy_transfer(toy)
    store = ArtifactStore(toy.artifacts)
    assert mine.name == "toy/transfers/mine"
    assert store.benchmark("toy/transfers/mine").root == mine.root
    assert [directory.name for directory in store.benchmarks()] == ["toy"]
    assert [directory.name for directory in toy.benchmark.transfers()] == [mine.name]
    assert mine.store.root == toy.artifacts
    assert mine.info().shown_name == "mine (transferred from toy)"


@pytest.mark.parametrize(
    "name", ["toy/transfers/../toy", "toy/transfers/a/b", "toy/other/mine", "toy/transfers/.x", "/"]
)
def test_names_that_lead_elsewhere_are_refused(toy, name):
    with pytest.raises(ArtifactError, match="is not a valid"):
        ArtifactStore(toy.artifacts).benchmark(name)


def test_visitors_sets_are_in_the_state_folder(toy, tmp_path, monkeypatch):
    mine = toy_transfer(toy)
    state = tmp_path / "state" / "toy" / "transfers"
    state.mkdir(parents=True)
    mine.root.rename(state / "mine")
    monkeypatch.setenv("FERSCOPE_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("FERSCOPE_ARTIFACTS", str(toy.artifacts))
    found = ArtifactStore(toy.artifacts).benchmark("toy/transfers/mine")
    assert found.root == state / "mine"
    assert found.origin == toy.benchmark
    run = found.run("resnet34-cpu-s0")
    assert run.weights_path == toy.benchmark.run("resnet34-cpu-s0").weights_path
    assert prepared_folder(toy.data, found) == state / "mine" / "prepared"


def test_a_transferred_run_has_the_weights_of_its_original_and_predictions_of_its_own(toy):
    run = toy_transfer(toy).run("resnet34-cpu-s0")
    original = toy.benchmark.run("resnet34-cpu-s0")
    assert run.weights_path == original.weights_path
    assert run.history_path == original.history_path
    assert run.predictions_path.parent == run.root
    run.weights_path.write_bytes(run.weights_path.read_bytes())
    run.own_weights_path.write_bytes(b"adapted")
    assert run.weights_path == run.own_weights_path == run.root / "model.safetensors"


def test_metrics_come_from_labelled_images_only(toy):
    mine = toy_transfer(toy, labelled=0.5)
    run = mine.run("resnet34-cpu-s0")
    everything = Predictions.read(run.predictions_path, SEVEN_EMOTIONS, unlabelled=True)
    labelled = Predictions.read(run.predictions_path, SEVEN_EMOTIONS)
    assert (len(everything.split("test")), len(labelled.split("test"))) == (21, 10)
    report = Report.read(run.report_path)
    right = labelled.split("test").predicted == labelled.split("test").truth
    assert report.test.samples == 10
    assert report.test.accuracy.value == pytest.approx(right.mean())
    info = mine.info()
    assert (info.labelled, info.unlabelled) == (10, 11)
    assert [entry.metrics.split.samples for entry in read_results(mine).entries] == [10] * 4


def test_intervals_are_over_persons_where_the_set_names_them(toy):
    mine = toy_transfer(toy)
    alone = read_results(mine)
    assert alone.resampled == "images"
    write_table(mine.samples_path, mine.samples().assign(group=["a", "b", "c"] * 7))
    relabelled(mine, {})
    together = read_results(mine)
    assert together.resampled == "persons"
    persons = np.array(["a", "b", "c"] * 7, dtype=object)
    for entry in together.entries:
        path = mine.run(entry.run_id).predictions_path
        right = Predictions.read(path, SEVEN_EMOTIONS).split("test").right
        assert entry.metrics.split.accuracy == share_of(right, persons)
        assert entry.report.test.accuracy == entry.metrics.split.accuracy
        assert entry.report.test.macro_recall == entry.metrics.split.macro_recall
    assert "Bars are 95% bootstrap intervals over persons." in render_report(together)
    assert "Bars are 95% bootstrap intervals." in render_report(alone)


def test_an_unlabelled_set_has_no_accuracy(toy):
    mine = toy_transfer(toy, labelled=0)
    path = mine.run("resnet34-cpu-s0").report_path
    report = Report.read(path)
    assert report.test.samples == 0
    assert np.isnan(report.test.accuracy.value)
    assert json.loads(path.read_text())["test"]["accuracy"]["value"] is None
    results = read_results(mine)
    assert not results.entries
    assert all("No picture of this set has a label" in line for line in results.warnings)


def test_the_original_validation_chooses(toy):
    run = toy_transfer(toy).run("resnet34-cpu-s0")
    original = Predictions.read(
        toy.benchmark.run("resnet34-cpu-s0").predictions_path, SEVEN_EMOTIONS
    )
    read = read_predictions(run, SEVEN_EMOTIONS)
    assert np.array_equal(read.split("validation").ids, original.split("validation").ids)
    assert read.split("test").ids[0] == "mine/000.png"
    assert Report.read(run.report_path).validation == Report.read(run.origin.report_path).validation


def test_labels_that_come_later_are_scored_without_a_network(toy):
    mine = toy_transfer(toy, labelled=0)
    before = mine.info().split_hash
    info = relabelled(mine, {"mine/000.png": "happy", "mine/001.png": "sad", "mine/002.png": None})
    assert info.labelled == 2
    assert info.split_hash == mine.info().split_hash != before
    assert info.transferred_from is not None
    assert info.transferred_from.missing_classes == (
        "angry", "disgust", "fear", "neutral", "surprise"
    )  # fmt: skip
    for run in mine.runs():
        assert Report.read(run.report_path).test.samples == 2
        assert run.info().split_hash == info.split_hash
    relabelled(mine, {"mine/001.png": None})
    assert mine.info().labelled == 1
    assert mine.samples().set_index("id")["label"].dropna().to_dict() == {"mine/000.png": "happy"}


def test_leaked_pictures_are_counted_and_left_out_of_the_leak_free_metrics(toy):
    mine = toy_transfer(toy)
    samples = mine.samples()
    write_table(mine.samples_path, samples.assign(leak=samples.index < 2))
    assert relabelled(mine, {}).leaked_test == 2
    report = Report.read(mine.run("resnet34-cpu-s0").report_path)
    assert (report.test.samples, report.test_leak_free.samples) == (21, 19)


def test_without_a_report_of_the_original_validation_has_no_metrics(toy):
    mine = toy_transfer(toy)
    run = mine.run("resnet34-cpu-s0")
    for path in (run.report_path, run.origin.report_path):
        path.unlink()
    relabelled(mine, {})
    validation = Report.read(run.report_path).validation
    assert validation.samples == 0
    assert [row.label for row in validation.classes] == list(SEVEN_EMOTIONS.names)


def test_pictures_are_found_in_the_data_folder(toy):
    mine = toy_transfer(toy)
    folder = prepared_folder(toy.data, mine)
    assert folder == toy.data / "transfers" / "toy" / "mine"
    dataset = PreparedDataset.open(folder)
    assert isinstance(dataset.samples, pd.DataFrame)
    assert len(dataset.images) == 21
