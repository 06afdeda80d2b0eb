"""Candidates, read from the files of a benchmark."""

import shutil

import pytest

from fer_core.errors import ArtifactError
from fer_core.evaluation.candidates import candidates_in, read_candidates
from fer_core.evaluation.efficiency import Efficiency
from fer_core.evaluation.leaderboard import read_results
from fer_core.evaluation.predictions import Predictions
from fer_core.labels import SEVEN_EMOTIONS
from tests.support.builders import toy_benchmark
from tests.support.candidates import write_efficiency
from tests.support.transfers import toy_transfer


def test_the_runtime_of_a_latency_is_named(benchmark_copy):
    path = benchmark_copy.run("resnet34-cpu-s0")
    write_efficiency(path, 12.5)
    measured = Efficiency.read(path.efficiency_path)
    measured.model_copy(update={"runtime": "onnxruntime"}).write(path.efficiency_path)
    runs = {item.run_id: item for item in candidates_in(benchmark_copy).comparable}
    assert runs["resnet34-cpu-s0"].device == "cpu, 2 threads, ONNX Runtime"


def test_candidates_have_the_values_of_each_run(benchmark_copy):
    write_efficiency(benchmark_copy.run("resnet34-cpu-s0"), 12.5)
    runs = {item.run_id: item for item in candidates_in(benchmark_copy).comparable}
    assert len(runs) == 4
    known, unknown = runs["resnet34-cpu-s0"], runs["pair-cpu"]
    assert (known.milliseconds, known.megabytes, known.device) == (12.5, 7.0, "cpu, 2 threads")
    assert (unknown.milliseconds, unknown.megabytes, unknown.device) == (None, None, "")
    assert (known.is_ensemble, unknown.is_ensemble) == (False, True)
    assert known.licences == ("Apache-2.0",)
    assert known.has_model
    # seeds 0 and 1 of one recipe, and one seed of another
    assert [runs[f"efficientnet_lite0-cpu-s{seed}"].trained_once for seed in (0, 1)] == [False] * 2
    assert known.trained_once
    assert known.recall("angry") == known.validation_metrics.classes[0].recall.value
    ids = [item.test.ids.tolist() for item in runs.values()]
    assert all(one == ids[0] for one in ids)


def test_damaged_runs_and_other_protocols_are_named(benchmark_copy):
    (benchmark_copy.run("pair-cpu").predictions_path).write_bytes(b"no table")
    (benchmark_copy.run("efficientnet_lite0-cpu-s1").report_path).write_text("{")
    report = benchmark_copy.run("resnet34-cpu-s0").report_path
    split_hash = benchmark_copy.info().split_hash
    report.write_text(report.read_text().replace(split_hash, "another"))
    read = candidates_in(benchmark_copy)
    assert [item.run_id for item in read.comparable] == ["efficientnet_lite0-cpu-s0"]
    assert read.others == ("EfficientNet-Lite0 (resnet34-cpu-s0)",)
    assert [warning.split(":")[0] for warning in read.warnings] == [
        "efficientnet_lite0-cpu-s1",
        "pair-cpu",
    ]


def test_a_renamed_run_is_left_out_as_on_the_leaderboard(benchmark_copy):
    run = benchmark_copy.run("resnet34-cpu-s0")
    run.root.rename(run.root.with_name("other"))
    read = candidates_in(benchmark_copy)
    assert len(read.comparable) == 3
    assert read.warnings == read_results(benchmark_copy).warnings
    assert read.warnings[0].startswith("other: its run.json belongs to 'resnet34-cpu-s0'.")


def test_the_benchmarks_split_decides_even_if_most_runs_have_another(benchmark_copy):
    split_hash = benchmark_copy.info().split_hash
    runs = {run.run_id: run for run in benchmark_copy.runs()}
    kept = runs.pop("resnet34-cpu-s0")
    for run in runs.values():
        run.report_path.write_text(run.report_path.read_text().replace(split_hash, "another"))
    read = candidates_in(benchmark_copy)
    assert [item.run_id for item in read.comparable] == [kept.run_id]
    assert len(read.others) == 3


def test_without_any_run_the_advice_is_to_train(benchmark_copy):
    with pytest.raises(ArtifactError, match=r"no run to recommend\. Train a model first"):
        read_candidates(benchmark_copy.info(), [])


def test_imported_predictions_are_not_candidates(benchmark_copy):
    run = benchmark_copy.run("resnet34-cpu-s0")
    run.info().model_copy(update={"kind": "imported"}).write(run.info_path)
    runs = {item.run_id: item for item in candidates_in(benchmark_copy).comparable}
    assert not runs["resnet34-cpu-s0"].has_model
    assert runs["resnet34-cpu-s0"].licences == ("unknown",)


def test_without_a_readable_run_the_reason_is_the_error(benchmark_copy):
    for run in benchmark_copy.runs():
        run.report_path.write_text("{")
    with pytest.raises(ArtifactError, match=r"no run to recommend.*report\.json"):
        candidates_in(benchmark_copy)


@pytest.mark.parametrize("stored", [False, True])
def test_an_adapted_run_has_no_validation_and_is_left_out(tmp_path, stored):
    """It comes first, so that the others would be aligned with it; earlier versions stored one."""
    benchmark = toy_transfer(toy_benchmark(tmp_path), "mine")
    known = [run.run_id for run in benchmark.runs()]
    adapted = benchmark.run("adapted")
    shutil.copytree(benchmark.run(known[0]).root, adapted.root)
    for path in (adapted.info_path, adapted.report_path):
        path.write_text(path.read_text().replace(f'"{known[0]}"', '"adapted"'))
    if stored:
        test = Predictions.read(adapted.predictions_path, SEVEN_EMOTIONS).split("test")
        splits = {"validation": test.take(range(len(test)), "cross-fitted/" + test.ids)}
        Predictions({**splits, "test": test}).write(adapted.predictions_path)
    read = candidates_in(benchmark)
    assert [item.run_id for item in read.comparable] == known
    assert read.warnings == (
        "adapted: it has no validation predictions, which the verdict is chosen by. Compare it on "
        "the Leaderboard.",
    )


def test_seeds_that_did_not_predict_a_set_count(tmp_path):
    benchmark = toy_transfer(toy_benchmark(tmp_path))
    shutil.rmtree(benchmark.run("efficientnet_lite0-cpu-s1").root)
    runs = {item.run_id: item for item in candidates_in(benchmark).comparable}
    assert "efficientnet_lite0-cpu-s1" not in runs
    assert not runs["efficientnet_lite0-cpu-s0"].trained_once
    assert runs["resnet34-cpu-s0"].trained_once
