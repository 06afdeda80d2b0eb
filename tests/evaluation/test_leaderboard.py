"""The leaderboard of a benchmark: scopes, damaged runs and missing classes."""

import numpy as np
import pandas as pd
import pytest

from fer_core.evaluation.human_votes import Votes
from fer_core.evaluation.leaderboard import read_results
from fer_core.evaluation.leaderboard_columns import COLUMNS, prediction_metrics
from fer_core.evaluation.scope import LEAK_FREE, SECOND_LABEL, SampleSet, Scope
from fer_core.tables import write_table
from tests.support.candidates import write_efficiency
from tests.support.constructed import random_scores, robustness_table
from tests.support.framing import framing_table


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
    assert result.within == ""


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
    ids = toy.benchmark.samples().query("split == 'test'")["id"].head(9)
    few = read_results(toy.benchmark, Scope(within=SampleSet("first", frozenset(ids))))
    assert few.within == "first"
    assert {entry.metrics.split.samples for entry in few.entries} == {9}


def test_a_damaged_run_gives_one_warning(benchmark_copy):
    path = benchmark_copy.run("resnet34-cpu-s0").predictions_path
    whole = pd.read_parquet(path)
    write_table(path, whole.iloc[:-5])
    results = read_results(benchmark_copy)
    assert len(results.entries) == 3
    assert len(results.warnings) == 1
    assert "resnet34-cpu-s0" in results.warnings[0]
    assert "test samples" in results.warnings[0]


def test_of_two_equally_frequent_labels_that_of_the_benchmark_counts(benchmark_copy):
    relabelled = ["efficientnet_lite0-cpu-s0", "resnet34-cpu-s0"]
    for name in relabelled:
        path = benchmark_copy.run(name).predictions_path
        table = pd.read_parquet(path)
        # an angry face that is taken for disgust: another label keeps the accuracy
        wrong = (table["split"] == "test") & (table["y_true"] == "angry") & (table["p_angry"] < 0.5)
        table.loc[wrong.idxmax(), "y_true"] = "sad"
        write_table(path, table)
    results = read_results(benchmark_copy)
    assert {entry.run_id for entry in results.entries} == {"efficientnet_lite0-cpu-s1", "pair-cpu"}
    assert [warning.split(":")[0] for warning in results.warnings] == relabelled


def test_classes_without_validation_images_give_no_temperature(benchmark_copy):
    for run in benchmark_copy.runs():
        table = pd.read_parquet(run.predictions_path)
        removed = (table["split"] == "validation") & table["y_true"].isin(["angry", "sad"])
        write_table(run.predictions_path, table[~removed])
    result = read_results(benchmark_copy, Scope(classes=("angry", "sad")))
    assert len(result.entries) == 4
    assert "temperature" not in result.entries[0].values
    assert "temperature" in read_results(benchmark_copy).entries[0].values


PREDICTED = {
    "accuracy", "macro_recall", "macro_f1", "log_loss", "ece", "adaptive_ece", "brier_score",
    "aurc", "coverage_at_5_risk",
}  # fmt: skip


def test_each_column_of_the_predictions_has_a_value():
    scores = random_scores(40, classes=2)
    votes = Votes(np.tile([[4.0, 2.0], [1.0, 5.0]], (20, 1)), np.zeros((40, 0)))
    without = prediction_metrics(scores, None, None)
    assert set(without.values) == PREDICTED
    assert without.values["ece"] == without.split.ece
    result = prediction_metrics(scores, scores, votes)
    assert set(result.values) == PREDICTED | {
        "temperature", "scaled_ece", "vote_distance", "vote_log_loss",
        "annotator_supported_errors", "human_agreement",
    }  # fmt: skip
    assert result.values["scaled_ece"] != result.values["ece"]
    assert result.annotator_agreement is not None


def test_robustness_on_other_images_is_not_compared(benchmark_copy):
    first, second, third = [run for run in benchmark_copy.runs() if run.info().kind == "network"][
        :3
    ]
    usual = robustness_table(0.8, (0.6, 0.4), (0.6, 0.2))
    write_table(first.robustness_path, usual)
    write_table(second.robustness_path, usual)
    write_table(third.robustness_path, usual.assign(seed=1))
    entries = {entry.run_id: entry for entry in read_results(benchmark_copy).entries}
    assert entries[first.run_id].values["corrupted_accuracy"] == pytest.approx(0.45)
    assert "corrupted_accuracy" in entries[second.run_id].values
    assert "corrupted_accuracy" not in entries[third.run_id].values
    assert entries[third.run_id].robustness_values == {}


def test_columns_of_a_runs_tables_are_filled(benchmark_copy):
    baseline, other = map(benchmark_copy.run, ("resnet34-cpu-s0", "efficientnet_lite0-cpu-s0"))
    write_table(baseline.robustness_path, robustness_table(0.8, (0.6, 0.4), (0.6, 0.2)))
    write_table(other.robustness_path, robustness_table(0.9, (0.8, 0.6), (0.7, 0.5)))
    write_table(other.framing_path, framing_table())
    write_efficiency(other, 8.0, 7.0)
    measured, leak_free = (
        next(
            entry
            for entry in read_results(benchmark_copy, scope).entries
            if entry.run_id == other.run_id
        )
        for scope in (Scope(), Scope(LEAK_FREE))
    )
    robust = {
        "corrupted_accuracy": 0.65,
        "accuracy_retained": 0.65 / 0.9,
        "mce": (0.6 + 0.8 / 1.2) / 2,
        "relative_mce": (0.4 / 0.6 + 0.6 / 0.8) / 2,
    }
    assert measured.robustness_values == pytest.approx(robust)
    cost = {
        "parameters_m": other.info().parameters / 1e6,
        "weights_mb": 7.0,
        "gflops": 2e-8,
        "latency_ms": 8.0,
        "test_readings": 2.0,  # its own and that of the ensemble
    }
    framing = {"framing_accuracy": 0.766, "framing_drop": 0.05}
    added = set(measured.values) - PREDICTED - {"temperature", "scaled_ece"}
    expected = {**robust, **cost, **framing}
    assert {name: measured.values[name] for name in added} == pytest.approx(expected)
    assert set(measured.values) <= set(COLUMNS)
    # robustness and framing were measured on the whole test split
    assert set(measured.values) - set(leak_free.values) == {*robust, *framing}
    assert set(leak_free.values) - set(measured.values) == {"standardised_accuracy"}
    report = leak_free.report
    counts = report.test.matrix.sum(axis=1)
    recalls = np.diag(report.test_leak_free.matrix) / report.test_leak_free.matrix.sum(axis=1)
    assert leak_free.values["standardised_accuracy"] == pytest.approx(
        (recalls * counts).sum() / counts.sum()
    )


def test_values_are_formatted_by_kind():
    assert COLUMNS["accuracy"].text(0.8613) == "86.1%"
    assert COLUMNS["log_loss"].text(0.39412) == "0.394"
    assert COLUMNS["throughput_32"].text(1234.5) == "1,234"
    assert COLUMNS["weights_mb"].text(123.44) == "123.4"
    assert COLUMNS["mce"].text(None) == COLUMNS["mce"].text(float("nan")) == "–"  # noqa: RUF001
