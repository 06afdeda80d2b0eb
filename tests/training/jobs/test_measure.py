"""The commands that measure: what they write, and that they go on where they stopped."""

from typing import get_args

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from fer_core.data.imaging import SampleFormat
from fer_core.engine import efficiency
from fer_core.engine.efficiency import count_flops, measure_run
from fer_core.engine.networks import load_network
from fer_core.engine.onnx_graph import write_graph
from fer_core.engine.robustness import CONDITIONS
from fer_core.errors import ArtifactError, DataError
from fer_core.evaluation import metrics
from fer_core.evaluation.efficiency import BATCH_SIZES, Efficiency
from fer_core.evaluation.predictions import Predictions
from fer_core.evaluation.robustness import read_robustness
from fer_core.evaluation.scope import EVAL_SETS
from fer_core.records import ELSEWHERE
from fer_core.run_commit import atomic_replace
from fer_core.tables import write_table
from tests.support.builders import toy_benchmark
from training import __main__ as cli
from training.commands.measure import Split
from training.jobs import measure
from training.jobs.evaluate import write_run
from training.jobs.saved_predictions import SavedPredictions
from training.terminal.progress import console

CPU = torch.device("cpu")


def quiet(items, length, title):
    return iter(items)


@pytest.fixture
def few_conditions(monkeypatch):
    few = (CONDITIONS[0], ("blur", 1), ("noise", 5))
    monkeypatch.setattr(measure, "CONDITIONS", few)
    return few


def test_robustness_is_written_and_resumed(benchmark_copy, toy, few_conditions):
    pictures = measure.SampledPictures.draw(toy.dataset, 12, seed=0)
    run = benchmark_copy.run("resnet34-cpu-s0")

    def measured(**more):
        return measure.measure_robustness(run, toy.dataset, pictures, CPU, quiet, **more)

    assert measured()
    table = read_robustness(run.robustness_path)
    assert list(zip(table["corruption"], table["severity"], strict=True)) == list(few_conditions)
    assert set(table["images"]) == {12}
    assert not measured()
    assert measured(again=True)
    pd.testing.assert_frame_equal(read_robustness(run.robustness_path), table)
    other = measure.SampledPictures.draw(toy.dataset, 12, seed=1)
    assert measure.measure_robustness(run, toy.dataset, other, CPU, quiet)


def test_an_interrupted_measurement_continues(benchmark_copy, toy, few_conditions, monkeypatch):
    pictures = measure.SampledPictures.draw(toy.dataset, 8, seed=0)
    run = benchmark_copy.run("resnet34-cpu-s0")
    original, predicted = SavedPredictions._predict, []

    def counted(self, model, images):
        predicted.append(images)
        return original(self, model, images)

    def interrupted(items, length, title):
        yield from items[:2]
        raise KeyboardInterrupt

    monkeypatch.setattr(SavedPredictions, "_predict", counted)
    with pytest.raises(KeyboardInterrupt):
        measure.measure_robustness(run, toy.dataset, pictures, CPU, interrupted)
    assert not run.robustness_path.exists()
    assert len(predicted) == 2
    np.testing.assert_array_equal(predicted[0], pictures.images)
    measure.measure_robustness(run, toy.dataset, pictures, CPU, quiet)
    assert len(predicted) == len(few_conditions)
    resumed = read_robustness(run.robustness_path)
    measure.measure_robustness(run, toy.dataset, pictures, CPU, quiet, again=True)
    assert len(predicted) == 2 * len(few_conditions)
    pd.testing.assert_frame_equal(read_robustness(run.robustness_path), resumed)


def test_an_ensemble_averages_its_members_corrupted_predictions(
    benchmark_copy, toy, few_conditions
):
    pictures = measure.SampledPictures.draw(toy.dataset, 8, seed=0)
    run = benchmark_copy.run("pair-cpu")
    assert measure.measure_robustness(run, toy.dataset, pictures, CPU, quiet)
    members = [
        np.load(benchmark_copy.run(name).corrupted_path)["noise 5"].astype(np.float64)
        for name in run.info().members
    ]
    mean = pictures.predictions(np.mean(members, axis=0))
    matrix = metrics.confusion_matrix(mean.truth, mean.predicted, 7)
    table = read_robustness(run.robustness_path)
    assert table["accuracy"].iloc[2] == pytest.approx(metrics.accuracy(matrix))


def test_measurements_of_an_earlier_training_are_repeated(
    benchmark_copy, toy, few_conditions, monkeypatch
):
    pictures = measure.SampledPictures.draw(toy.dataset, 8, seed=0)
    run = benchmark_copy.run("resnet34-cpu-s0")

    def measured(which=run):
        return measure.measure_robustness(which, toy.dataset, pictures, CPU, quiet)

    assert measured()
    before = read_robustness(run.robustness_path)
    anew = run.info().model_copy(update={"created": "2030-01-01T00:00:00+00:00"})
    anew.write(run.info_path)
    assert measured()
    assert not measured()
    with pytest.raises(ArtifactError, match="A member of pair-cpu was retrained"):
        measured(benchmark_copy.run("pair-cpu"))
    # what an earlier version wrote does not say of which training it is
    write_table(run.robustness_path, before.drop(columns="run_created"))
    assert not measured()
    run.robustness_path.unlink()

    def meanwhile(self, names, *_):
        anew.model_copy(update={"created": "2031-01-01T00:00:00+00:00"}).write(run.info_path)
        return {name: np.full((8, 7), 1 / 7, np.float32) for name in names}

    monkeypatch.setattr(SavedPredictions, "complete", meanwhile)
    with pytest.raises(ArtifactError, match="was retrained during"):
        measured()
    assert not run.robustness_path.exists()


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 cut", b"no archive"])
def test_damaged_cached_predictions_are_recomputed(benchmark_copy, toy, few_conditions, damage):
    pictures = measure.SampledPictures.draw(toy.dataset, 8, seed=0)
    run = benchmark_copy.run("resnet34-cpu-s0")
    run.corrupted_path.parent.mkdir(exist_ok=True)
    run.corrupted_path.write_bytes(damage)
    assert measure.measure_robustness(run, toy.dataset, pictures, CPU, quiet)


def test_efficiency_is_measured_again_for_other_thread_counts(benchmark_copy, monkeypatch):
    run = benchmark_copy.run("resnet34-cpu-s0")
    kept = Efficiency(
        run_id=run.run_id, parameters=1, flops=1, weight_bytes=1, latency=(),
        peak_memory_bytes=None, device="cpu", threads=2,
    )  # fmt: skip
    kept.write(run.efficiency_path)
    monkeypatch.setattr(measure, "ProcessPoolExecutor", lambda *_, **__: pytest.fail("measured"))
    assert measure.measure_efficiency(run, CPU) == kept
    assert measure.measure_efficiency(run, CPU, threads=2) == kept
    with pytest.raises(pytest.fail.Exception, match="measured"):
        measure.measure_efficiency(run, CPU, threads=1)


def test_images_are_sampled_from_the_test_split_without_replacement(toy):
    pictures = measure.SampledPictures.draw(toy.dataset, 20, seed=4)
    assert len(set(pictures.rows)) == 20
    assert set(pictures.rows) <= set(toy.dataset.rows("test"))
    np.testing.assert_array_equal(pictures.images, toy.dataset.images[pictures.rows])
    everything = measure.SampledPictures.draw(toy.dataset, 0, seed=4)
    np.testing.assert_array_equal(everything.rows, toy.dataset.rows("test"))


def test_missing_runs_are_named(benchmark_copy):
    with pytest.raises(ArtifactError, match="nonsense-cpu-s0"):
        measure.requested_runs(benchmark_copy, ["nonsense-cpu-s0"])
    names = [run.run_id for run in measure.requested_runs(benchmark_copy, [])]
    assert names[-1] == "pair-cpu"  # ensembles last
    assert len(names) == 4


def test_efficiency_of_a_network(benchmark_copy, toy, monkeypatch):
    monkeypatch.setattr(efficiency, "REPEATS", 5)
    run = benchmark_copy.run("resnet34-cpu-s0")
    threads = torch.get_num_threads()
    result = measure_run(run, toy.dataset.format, CPU, threads=1)
    torch.set_num_threads(threads)
    assert result.parameters == run.info().parameters
    assert result.weight_bytes == run.weights_path.stat().st_size
    assert [entry.batch_size for entry in result.latency] == list(BATCH_SIZES)
    assert all(entry.milliseconds > 0 for entry in result.latency)
    assert (result.device, result.threads, result.runtime) == ("cpu", 1, "torch")


def test_the_latency_of_a_network_with_a_graph_is_that_of_onnx_runtime(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(efficiency, "REPEATS", 5)
    (run,) = toy_benchmark(tmp_path, runs=1).benchmark.runs()
    plain = measure_run(run, toy.dataset.format, CPU)
    write_graph(load_network(run, toy.dataset.format), run, toy.dataset.images[:4])
    fast = measure_run(run, toy.dataset.format, CPU)
    assert (plain.runtime, fast.runtime) == ("torch", "onnxruntime")
    assert fast.parameters == plain.parameters == run.info().parameters
    assert fast.flops == plain.flops
    assert fast.weight_bytes == plain.weight_bytes


def test_flops_by_hand(benchmark_copy, toy):
    """A network of one linear layer: 2 * inputs * outputs."""
    network = load_network(benchmark_copy.run("resnet34-cpu-s0"), toy.dataset.format)
    side = network.info.image_size
    object.__setattr__(
        network, "model", torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * side**2, 7))
    )
    images = torch.zeros((1, *SampleFormat(48, False).shape), dtype=torch.uint8)
    assert count_flops(network, images) == 2 * 3 * side**2 * 7


def test_an_ensembles_cost_is_the_sum_of_its_members(benchmark_copy):
    for name, value in (("efficientnet_lite0-cpu-s0", 2.0), ("resnet34-cpu-s0", 3.0)):
        Efficiency(
            run_id=name, parameters=1, flops=1, weight_bytes=1,
            latency=({"batch_size": 1, "milliseconds": value, "repeats": 5},),
            peak_memory_bytes=None, device="cpu", threads=1,
        ).write(benchmark_copy.run(name).efficiency_path)  # fmt: skip
    run = benchmark_copy.run("pair-cpu")
    assert measure.measure_efficiency(run, CPU).milliseconds(1) == 5.0
    assert Efficiency.read(run.efficiency_path).milliseconds(1) == 5.0


@pytest.fixture
def command(benchmark_copy, toy, monkeypatch):
    """Runs a command on the copy."""
    monkeypatch.setenv("FERSCOPE_ARTIFACTS", str(benchmark_copy.root.parent))
    monkeypatch.setenv("FERSCOPE_DATA", str(toy.data))
    monkeypatch.setattr(console, "width", 200)

    def run(*arguments: str):
        return CliRunner().invoke(cli.app, [*arguments], catch_exceptions=False)

    return run


def test_the_robustness_command_skips_a_damaged_run(command, benchmark_copy, few_conditions):
    weights = benchmark_copy.run("efficientnet_lite0-cpu-s1").weights_path
    weights.write_bytes(weights.read_bytes()[:1000])
    result = command("robustness", "toy", "--images", "8", "--device", "cpu")
    assert result.exit_code == 1
    assert "efficientnet_lite0-cpu-s1" in result.output
    assert "% clean" in result.output
    assert benchmark_copy.run("pair-cpu").robustness_path.is_file()
    assert not benchmark_copy.run("efficientnet_lite0-cpu-s1").robustness_path.exists()
    again = command("robustness", "toy", "resnet34-cpu-s0", "--images", "8", "--device", "cpu")
    assert again.exit_code == 0
    assert "measured before" in again.output


def test_the_efficiency_command_skips_what_is_measured(command, benchmark_copy):
    for name in ("efficientnet_lite0-cpu-s0", "resnet34-cpu-s0"):
        Efficiency(
            run_id=name, parameters=1_500_000, flops=10**9, weight_bytes=1,
            latency=({"batch_size": 1, "milliseconds": 2.0, "repeats": 5},),
            peak_memory_bytes=None, device="cpu", threads=1,
        ).write(benchmark_copy.run(name).efficiency_path)  # fmt: skip
    result = command("efficiency", "toy", "pair-cpu", "--device", "cpu")
    assert result.exit_code == 0
    assert "3.0 M parameters, 2.00 GFLOPs, latency by batch size 4.0 ms at 1" in result.output


def test_the_report_command_writes_one_file(command, benchmark_copy, tmp_path):
    benchmark_copy.run("pair-cpu").report_path.write_text("{")
    result = command("report", "toy", "--out", str(tmp_path / "out.html"))
    assert result.exit_code == 0
    assert "3 runs" in result.output
    assert "skipped: pair-cpu" in result.output
    assert "Leaderboard" in (tmp_path / "out.html").read_text(encoding="utf-8")


def test_a_report_can_be_of_a_split_and_some_classes(command, tmp_path):
    assert get_args(Split) == EVAL_SETS
    out = tmp_path / "out.html"
    few = ("--part", "test_leak_free", "--classes", "Sad, anger,happy")
    result = command("report", "toy", "--out", str(out), *few)
    assert result.exit_code == 0
    assert "Evaluated on: Test, leak-free. Classes: angry, happy, sad." in out.read_text("utf-8")
    with pytest.raises(DataError, match="Unknown class 'sda'"):
        command("report", "toy", "--out", str(out), "--classes", "angry,sda")


def test_imported_runs_are_skipped_and_named_on_request(command, benchmark_copy, few_conditions):
    run = benchmark_copy.run("theirs")
    source = benchmark_copy.runs()[0]
    run.root.mkdir()
    for path in (source.predictions_path, source.report_path):
        (run.root / path.name).write_bytes(path.read_bytes())
    info = source.info().model_copy(
        update={
            "run_id": "theirs",
            "kind": "imported",
            "recipe": {},
            "members": (),
            "preprocessing_hash": ELSEWHERE,
        }
    )
    info.write(run.info_path)
    assert "theirs" not in [one.run_id for one in measure.requested_runs(benchmark_copy, [])]
    for name in ("robustness", "efficiency"):
        result = command(name, "toy", "theirs")
        assert result.exit_code == 1
        assert "was imported as predictions" in " ".join(result.output.split())


def test_a_second_annotation_of_training_images_only_gives_no_second_report(tmp_path):
    toy = toy_benchmark(tmp_path, runs=1)
    run = toy.benchmark.run("efficientnet_lite0-cpu-s0")
    assert run.second_report_path.is_file()
    run.second_report_path.unlink()
    samples = toy.dataset.samples.copy()
    samples.loc[samples["split"] != "train", "second_label"] = None
    predictions = Predictions.read(run.predictions_path, toy.dataset.labels)
    write_run(run, run.info(), predictions, samples)
    assert not run.second_report_path.exists()


def test_the_leak_free_images_are_those_of_the_published_benchmark(tmp_path):
    """Leaks that `find-copies` added after the data were prepared elsewhere count."""
    toy = toy_benchmark(tmp_path, runs=1)
    run = toy.benchmark.run("efficientnet_lite0-cpu-s0")
    published = toy.benchmark.samples()
    test = published.index[published["split"] == "test"]
    published.loc[test[:3], "leak"] = True
    write_table(toy.benchmark.samples_path, published)
    predictions = Predictions.read(run.predictions_path, toy.dataset.labels)
    assert not toy.dataset.samples.loc[toy.dataset.samples["split"] == "test", "leak"].any()
    with atomic_replace(run) as new:
        report = write_run(new, run.info(), predictions, toy.dataset.samples)
    assert report.test_leak_free.samples == report.test.samples - 3 == len(test) - 3
    other = run.info().model_copy(update={"split_hash": "another"})
    with atomic_replace(run) as new:
        report = write_run(new, other, predictions, toy.dataset.samples)
    assert report.test_leak_free.samples == report.test.samples
