"""Robustness tables, efficiency records and results, by hand."""

import numpy as np
import pandas as pd
import pytest

from fer_core.artifacts import write_table
from fer_core.errors import ArtifactError
from fer_core.evaluation.efficiency import Efficiency, Latency, combined
from fer_core.evaluation.leaderboard import LEAK_FREE, SECOND_LABEL, Scope, read_results
from fer_core.evaluation.robustness import (
    accuracy_table,
    read_robustness,
    robustness_row,
    same_images,
    summarise,
)
from tests.support.constructed import make_scores


def table(clean: float, blur: tuple[float, float], noise: tuple[float, float], seed: int = 0):
    rows = [("clean", 0, clean), ("blur", 1, blur[0]), ("blur", 2, blur[1])]
    rows += [("noise", 1, noise[0]), ("noise", 2, noise[1])]
    return pd.DataFrame(
        {
            "corruption": [name for name, _, _ in rows],
            "severity": [severity for _, severity, _ in rows],
            "images": 10,
            "seed": seed,
            "samples_hash": "abc",
            "accuracy": [accuracy for _, _, accuracy in rows],
            "macro_recall": 0.5,
            "log_loss": 1.0,
        }
    )


def test_corruption_errors_by_hand():
    found = summarise(table(0.9, (0.8, 0.6), (0.7, 0.5)), table(0.8, (0.6, 0.4), (0.6, 0.2)))
    assert found.clean == 0.9
    assert found.corrupted == pytest.approx(0.65)
    assert found.retained == pytest.approx(0.65 / 0.9)
    assert found.worst == ("noise", pytest.approx(0.6))
    # blur errs .2 and .4, its baseline .4 and .6; noise .3 and .5 to .4 and .8
    assert found.mce == pytest.approx((0.6 + 0.8 / 1.2) / 2)
    # beyond clean, blur errs .1 and .3 to .2 and .4; noise .2 and .4 to .2 and .6
    assert found.relative_mce == pytest.approx((0.4 / 0.6 + 0.6 / 0.8) / 2)


def test_the_baseline_has_an_error_of_one():
    one = table(0.9, (0.8, 0.6), (0.7, 0.5))
    found = summarise(one, one)
    assert found.mce == pytest.approx(1)
    assert found.relative_mce == pytest.approx(1)


def test_a_baseline_of_other_pictures_is_left_aside():
    one, other = table(0.9, (0.8, 0.6), (0.7, 0.5)), table(0.9, (0.8, 0.6), (0.7, 0.5), seed=1)
    assert not same_images(one, other)
    assert summarise(one, other).mce is None


def test_rows_are_measured_and_named_by_their_samples():
    scores = make_scores([0, 1, 1], [[0.9, 0.1], [0.9, 0.1], [0.2, 0.8]])
    found = robustness_row("blur", 2, scores, seed=3)
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["macro_recall"] == pytest.approx(0.75)
    assert found["log_loss"] == pytest.approx(-np.log([0.9, 0.1, 0.8]).mean())
    others = make_scores([0, 1, 1], scores.probabilities, prefix="other")
    assert robustness_row("blur", 2, others, seed=3)["samples_hash"] != found["samples_hash"]


def test_tables_are_checked_when_read(tmp_path):
    path = tmp_path / "robustness.parquet"
    whole = table(0.9, (0.8, 0.6), (0.7, 0.5))
    write_table(path, whole)
    assert accuracy_table(read_robustness(path)).loc["blur", 2] == 0.6
    write_table(path, whole[whole["corruption"] != "clean"])
    with pytest.raises(ArtifactError, match="not hold exactly one measurement"):
        read_robustness(path)
    write_table(path, pd.concat([whole, table(0.9, (1, 1), (1, 1), seed=1).tail(1)]))
    with pytest.raises(ArtifactError, match="not hold exactly one measurement"):
        read_robustness(path)


def cost(run_id: str, milliseconds: float, memory: int | None = 100) -> Efficiency:
    return Efficiency(
        run_id=run_id,
        parameters=10,
        flops=20,
        weight_bytes=30,
        latency=(
            Latency(batch_size=1, milliseconds=milliseconds, repeats=5),
            Latency(batch_size=8, milliseconds=4 * milliseconds, repeats=7),
        ),
        peak_memory_bytes=memory,
        device="cpu",
        threads=1,
    )


def test_an_ensemble_costs_the_sum_of_its_members():
    found = combined("pair", [cost("a", 2.0), cost("b", 3.0)])
    assert (found.parameters, found.flops, found.weight_bytes) == (20, 40, 60)
    assert found.milliseconds(1) == 5.0
    assert found.latency[1].images_per_second == pytest.approx(8 / 0.02)
    assert found.milliseconds(32) is None
    assert found.peak_memory_bytes == 200
    assert combined("pair", [cost("a", 2.0), cost("b", 3.0, None)]).peak_memory_bytes is None


def test_efficiency_goes_round(tmp_path):
    cost("a", 2.0).write(tmp_path / "efficiency.json")
    assert Efficiency.read(tmp_path / "efficiency.json") == cost("a", 2.0)


def test_results_read_a_benchmark(toy):
    found = read_results(toy.benchmark)
    assert len(found.entries) == 4
    assert not found.warnings
    accuracies = [entry.values["accuracy"] for entry in found.entries]
    assert accuracies == sorted(accuracies, reverse=True)
    for entry in found.entries:  # the same numbers as the run's own report
        measured, reported = entry.metrics.split, entry.report.test
        assert measured.accuracy == reported.accuracy
        assert measured.classes == reported.classes
        assert measured.log_loss == pytest.approx(reported.log_loss)  # float32 in the file
    assert len(found.comparisons) == 6
    assert found.annotator_agreement is None
    assert "temperature" in found.entries[0].values
    assert "mce" not in found.entries[0].values


def test_results_follow_part_and_classes(toy):
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


def test_a_damaged_run_is_one_warning(benchmark_copy):
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
        gone = (table["split"] == "validation") & table["y_true"].isin(["angry", "sad"])
        write_table(run.predictions_path, table[~gone])
    found = read_results(benchmark_copy, Scope(classes=("angry", "sad")))
    assert len(found.entries) == 4
    assert "temperature" not in found.entries[0].values
    assert "temperature" in read_results(benchmark_copy).entries[0].values
