"""Weights & Biases: off by default, offline when asked for, clear when it is missing."""

import builtins
import re
import sys

import pytest

from fer_core.artifacts import RunDir
from fer_core.engine.callbacks import EpochRecord
from fer_core.errors import RecipeError
from fer_core.evaluation.report import Report
from tests.support.builders import toy_benchmark, toy_recipe
from training.callbacks.wandb import WandbTracker, tracked, tracking_id

RECORD = EpochRecord(1, 2.0, 0.3, 1.9, 0.4, 0.35, 1e-3, 100.0, 1.0, 32)


class Watcher:
    def __init__(self):
        self.records = []

    def on_step(self, news):
        pass

    def on_epoch(self, record):
        self.records.append(record)


def test_offline_tracking_writes_to_its_folder_and_forwards_events(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")  # whatever happens, nothing leaves
    watcher = Watcher()
    with WandbTracker(watcher, toy_recipe(), "offline", tmp_path, "toy.a") as tracker:
        assert wandb.run.id == "toy.a"
        assert wandb.run.settings.mode == "offline"
        assert wandb.run.config["model"]["image_size"] == 32
        tracker.on_epoch(RECORD)
        assert wandb.run.summary["accuracy"] == 0.4
    assert watcher.records == [RECORD]
    files = list((tmp_path / "wandb").glob("offline-run-*/*.wandb"))
    assert len(files) == 1
    assert files[0].stat().st_size > 0


def test_without_tracking_no_file_is_created(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    watcher, run = Watcher(), RunDir(tmp_path / "toy" / "runs" / "tiny-cpu-s0")
    with tracked(watcher, toy_recipe(), run, "none", resume=False) as observer:
        assert observer is watcher
    assert not list(tmp_path.iterdir())


def test_only_a_resumed_training_reuses_its_tracking_id(tmp_path):
    run = RunDir(tmp_path / "toy" / "runs" / "tiny-cpu-s0")
    first = tracking_id(run, resume=True)  # there was nothing to resume
    assert re.fullmatch(r"toy\.tiny-cpu-s0\.[0-9a-f]{8}", first)
    (run.state_dir / "last.safetensors").write_bytes(b"a checkpoint")
    assert tracking_id(run, resume=True) == first
    anew = tracking_id(run, resume=False)
    assert anew != first
    assert tracking_id(run, resume=True) == anew
    (run.state_dir / "last.safetensors").unlink()  # it is finished; an overwrite begins
    assert tracking_id(run, resume=True) not in (first, anew)


def test_a_missing_wandb_is_named(tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    real = builtins.__import__

    def without(name, *arguments, **options):
        if name == "wandb":
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(RecipeError, match="pip install wandb"):
        WandbTracker(Watcher(), toy_recipe(), "offline", tmp_path, "toy.a")


def test_a_finished_run_logs_results_confusions_and_itself(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.chdir(tmp_path)
    toy = toy_benchmark(tmp_path, runs=1)
    run = toy.benchmark.run("efficientnet_lite0-cpu-s0")
    logged, artifacts = {}, []
    test = Report.read(run.report_path).test
    with WandbTracker(Watcher(), toy_recipe(), "offline", tmp_path, "toy.b") as tracker:
        log = wandb.run.log
        monkeypatch.setattr(wandb.run, "log", lambda row, **options: logged.update(row) or log(row))
        monkeypatch.setattr(wandb.run, "log_artifact", artifacts.append)
        tracker.finish_run(run)
        summary = wandb.run.summary
        assert summary["test/accuracy"] == test.accuracy.value
        assert summary["test/macro_recall_low"] == test.macro_recall.low
        assert summary["split_hash"] == toy.dataset.info.split_hash
    table = logged["test/confusion"]
    assert len(table.data) == 49
    assert sum(row[2] for row in table.data) == test.samples
    (artifact,) = [made for made in artifacts if made.type == "model"]  # tables are some, too
    assert artifact.name == "toy.efficientnet_lite0-cpu-s0"
    assert set(artifact.manifest.entries) == {"run.json", "report.json", "model.safetensors"}
