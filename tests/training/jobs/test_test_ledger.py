"""The ledger as it is written: by evaluations, and from git for runs that are older."""

import os
import subprocess

import pytest

from fer_core.artifacts import ArtifactStore
from fer_core.data.prepared import PreparedDataset
from fer_core.evaluation.leaderboard import read_results
from fer_core.project import ROOT
from fer_core.run_commit import atomic_replace
from tests.support.builders import constructed_predictions
from training.jobs.ensembles import evaluate_ensemble
from training.jobs.evaluate import write_run
from training.jobs.test_ledger import fill_ledgers


@pytest.fixture
def dataset(toy) -> PreparedDataset:
    return toy.dataset


def test_each_evaluation_adds_an_entry(benchmark_copy, dataset):
    run = benchmark_copy.run("resnet34-cpu-s0")
    assert len(run.info().test_ledger) == 1
    with atomic_replace(run) as new:
        write_run(new, run.info(), constructed_predictions(dataset, 0), dataset.samples)
    assert len(run.info().test_ledger) == 2


def test_a_retraining_of_the_same_id_continues_the_ledger(benchmark_copy, dataset):
    run = benchmark_copy.run("resnet34-cpu-s0")
    fresh = run.info().model_copy(update={"created": "2026-02-02", "test_ledger": ()})
    with atomic_replace(run) as new:
        write_run(new, fresh, constructed_predictions(dataset, 1), dataset.samples)
    assert run.info().created == "2026-02-02"
    assert len(run.info().test_ledger) == 2


def test_an_older_run_counts_as_read_once_before(benchmark_copy, dataset):
    run = benchmark_copy.run("resnet34-cpu-s0")
    run.info().model_copy(update={"test_ledger": ()}).write(run.info_path)
    with atomic_replace(run) as new:
        write_run(new, run.info(), constructed_predictions(dataset, 0), dataset.samples)
    first, second = run.info().test_ledger
    assert first.time == run.info().created
    assert second.time > first.time


def test_the_leaderboard_counts_a_member_and_its_ensemble(benchmark_copy):
    evaluate_ensemble(benchmark_copy.run("pair-cpu"))  # the second reading of the ensemble
    results = read_results(benchmark_copy)
    counts = {entry.run_id: entry.values["test_readings"] for entry in results.entries}
    assert counts == {
        "efficientnet_lite0-cpu-s0": 3,
        "efficientnet_lite0-cpu-s1": 1,
        "resnet34-cpu-s0": 3,
        "pair-cpu": 4,
    }


def test_ledgers_of_older_runs_come_from_git(benchmark_copy):
    folder = benchmark_copy.root.parent
    identity = {f"GIT_{who}_{what}": "x@y" for who in ("AUTHOR", "COMMITTER")
                for what in ("NAME", "EMAIL")}  # fmt: skip

    def git(*arguments: str) -> None:
        command = ["git", "-C", str(folder), *arguments]
        subprocess.run(command, check=True, capture_output=True, env=os.environ | identity)

    run, other = benchmark_copy.run("resnet34-cpu-s0"), benchmark_copy.run("pair-cpu")
    run.info().model_copy(update={"test_ledger": ()}).write(run.info_path)
    git("init")
    git("add", ".")
    git("commit", "-m", "first")
    second = benchmark_copy.run("efficientnet_lite0-cpu-s1").predictions_path
    run.predictions_path.write_bytes(second.read_bytes())
    git("commit", "-am", "second")
    before = other.info()
    assert fill_ledgers(ArtifactStore(folder).benchmark("toy")) == ["resnet34-cpu-s0"]
    entries = run.info().test_ledger
    assert len(entries) == 2
    assert all(len(entry.commit) == 12 for entry in entries)
    assert entries[0].time <= entries[1].time
    assert other.info() == before
    assert fill_ledgers(benchmark_copy) == []


def test_the_shipped_runs_have_their_readings_since_the_first_commit():
    least = {
        "all_ensemble-cpu": 5,
        "efficientnet_b4-cpu-s0": 2,
        "efficientnet_lite0-cpu-s0": 3,
        "efficientnet_lite1-cpu-s0": 3,
        "efficientnet_lite2-cpu-s0": 2,
        "greedy_ensemble-cpu": 5,
        "hf_vit-cpu-s0": 1,
        "resnet34-cpu-s0": 2,
        "resnet_effnet_ensemble-cpu": 3,
        "scratch_vit-cpu-s0": 1,
        "vgg16-cpu-s0": 1,
        "vit_tiny-cpu-s0": 2,
    }
    benchmark = ArtifactStore(ROOT / "artifacts").benchmark("ferplus")
    counts = {run_id: len(benchmark.run(run_id).info().test_ledger) for run_id in least}
    assert all(counts[run_id] >= count for run_id, count in least.items()), counts
