"""The leaderboard of a benchmark: scopes, damaged runs and missing classes."""

import pandas as pd
import pytest

from fer_core.artifacts import write_table
from fer_core.evaluation.leaderboard import read_results
from fer_core.evaluation.scope import LEAK_FREE, SECOND_LABEL, Scope


def test_results_read_a_benchmark(toy):
    result = read_results(toy.benchmark)
    assert len(result.entries) == 4
    assert not result.warnings
    accuracies = [entry.values["accuracy"] for entry in result.entries]
    assert accuracies == sorted(accuracies, reverse=True)
    for entry in result.entries:  # the same numbers as the run's own report
        measured, reported = entry.metrics.split, entry.report.test
        assert measured.accuracy == reported.accuracy
        assert measured.classes == reported.classes
        assert measured.log_loss == pytest.approx(reported.log_loss)  # float32 in the file
    assert len(result.comparisons) == 6
    assert result.annotator_agreement is None
    assert "temperature" in result.entries[0].values
    assert "mce" not in result.entries[0].values


def test_results_follow_split_and_classes(toy):
    leak_free, second = (
        read_results(toy.benchmark, Scope(eval_set)) for eval_set in (LEAK_FREE, SECOND_LABEL)
    )
    assert (
        leak_free.entries[0].metrics.split.accuracy
        == leak_free.entries[0].report.test_leak_free.accuracy
    )
    assert second.entries[0].values["accuracy"] < leak_free.entries[0].values["accuracy"]
    three = read_results(toy.benchmark, Scope(classes=("sad", "angry", "happy")))
    assert three.labels == ("angry", "happy", "sad")
    assert {entry.metrics.split.samples for entry in three.entries} == {30}


def test_a_damaged_run_gives_one_warning(benchmark_copy):
    path = benchmark_copy.run("resnet34-cpu-s0").predictions_path
    whole = pd.read_parquet(path)
    write_table(path, whole.iloc[:-5])
    results = read_results(benchmark_copy)
    assert len(results.entries) == 3
    assert len(results.warnings) == 1
    assert "resnet34-cpu-s0" in results.warnings[0]
    assert "test samples" in results.warnings[0]


def test_classes_without_validation_images_give_no_temperature(benchmark_copy):
    for run in benchmark_copy.runs():
        table = pd.read_parquet(run.predictions_path)
        removed = (table["split"] == "validation") & table["y_true"].isin(["angry", "sad"])
        write_table(run.predictions_path, table[~removed])
    result = read_results(benchmark_copy, Scope(classes=("angry", "sad")))
    assert len(result.entries) == 4
    assert "temperature" not in result.entries[0].values
    assert "temperature" in read_results(benchmark_copy).entries[0].values
