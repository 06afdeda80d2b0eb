"""What a training leaves behind while it goes on, and after a stop."""

import pandas as pd
import pytest

from fer_core.artifacts import ArtifactStore
from fer_core.engine.callbacks import EpochRecord, StepMetrics
from fer_core.errors import ArtifactError
from fer_core.records import TrainingState
from fer_core.tables import write_table
from training.callbacks import progress_files as module
from training.callbacks.progress_files import ProgressWriter


class Watcher:
    def __init__(self):
        self.heard = []

    def on_step(self, news):
        self.heard.append(news)

    def on_epoch(self, record):
        self.heard.append(record)


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SECONDS", 0.0)
    return ArtifactStore(tmp_path).benchmark("toy").run("tiny-cpu-s0")


def news(epoch, step, loss=1.0, accuracy=0.5, *, steps=40, epochs=2):
    return StepMetrics(epoch, epochs, step, steps, loss, accuracy, 100.0, 60.0)


def record(epoch, accuracy=0.4):
    return EpochRecord(epoch, 2.0, 0.3, 1.9, accuracy, 0.35, 1e-3, 100.0, 1.0, 32)


def test_the_state_file_shows_progress_and_is_removed_at_the_end(run):
    watcher = Watcher()
    journal = ProgressWriter(watcher, run)
    journal.on_step(news(2, 10, 0.7))
    state = TrainingState.read(run.progress_path)
    assert (state.epoch, state.epochs, state.step, state.loss) == (2, 2, 10, 0.7)
    assert state.done == pytest.approx((1 + 10 / 40) / 2)
    assert watcher.heard == [news(2, 10, 0.7)]
    journal.close()
    assert not run.progress_path.exists()
    journal.close()  # twice does no harm


def test_a_trace_point_is_the_mean_of_its_steps(run):
    journal = ProgressWriter(Watcher(), run)
    # losses 4, 2, 1, 1: the means so far that an engine tells are 4, 3, 7/3, 2
    for step, mean in enumerate((4, 3, 7 / 3, 2), start=1):
        journal.on_step(news(1, step, mean, accuracy=step / 10))
    trace = run.trace()
    assert trace["epoch"].tolist() == [2 / 40, 4 / 40]  # every 40 / 20 steps
    assert trace["loss"].tolist() == pytest.approx([3, 1])
    assert trace["accuracy"].tolist() == pytest.approx([0.2, (0.4 * 4 - 0.2 * 2) / 2])


def test_an_epoch_has_the_configured_number_of_trace_points(run):
    journal = ProgressWriter(Watcher(), run)
    for epoch in (1, 2):
        for step in range(1, 48):
            journal.on_step(news(epoch, step, steps=47))
    epochs = run.trace()["epoch"]
    assert len(epochs) <= 2 * module.POINTS
    assert {1.0, 2.0} <= set(epochs)
    assert epochs.is_monotonic_increasing
    assert epochs.is_unique


def test_the_trace_of_a_resumed_training_continues_after_its_checkpoint(run):
    first = ProgressWriter(Watcher(), run)
    for step in range(1, 31):
        first.on_step(news(1, step, loss=3.0))
    # resumed from a checkpoint at step 20: what came after it is dropped
    second = ProgressWriter(Watcher(), run)
    for step in range(21, 41):
        second.on_step(news(1, step, loss=(3.0 * 20 + 1.0 * (step - 20)) / step))
    trace = run.trace()
    assert trace["epoch"].is_monotonic_increasing
    assert trace["epoch"].is_unique
    assert trace[trace["epoch"] <= 0.5]["loss"].tolist() == pytest.approx([3.0] * 10)
    assert trace[trace["epoch"] > 0.5]["loss"].tolist() == pytest.approx([1.0] * 10)


def test_a_new_training_removes_the_earlier_trace(run):
    old = ProgressWriter(Watcher(), run)
    for step in range(1, 41):
        old.on_step(news(1, step))
    old.on_epoch(record(1, 0.9))
    old.on_epoch(record(2, 0.95))
    new = ProgressWriter(Watcher(), run)
    new.on_step(news(1, 1))
    new.on_step(news(1, 2))
    new.on_epoch(record(1, 0.4))
    assert run.trace()["epoch"].tolist() == [2 / 40]
    assert run.history()["accuracy"].tolist() == [0.4]


def test_history_grows_per_epoch_and_repeated_epochs_are_replaced(run):
    journal = ProgressWriter(Watcher(), run)
    for epoch, accuracy in ((1, 0.1), (2, 0.2), (2, 0.3)):
        journal.on_epoch(record(epoch, accuracy))
    assert run.history()[["epoch", "accuracy"]].to_numpy().tolist() == [[1, 0.1], [2, 0.3]]


def test_epochs_after_a_lost_history_are_kept(run):
    ProgressWriter(Watcher(), run).on_epoch(record(7, 0.7))
    assert run.history()["epoch"].tolist() == [7]


def test_a_nan_loss_is_reported_without_ending_the_training(run):
    journal = ProgressWriter(Watcher(), run)
    journal.on_step(news(1, 1, loss=float("nan")))
    assert TrainingState.read(run.progress_path).loss is None


def test_an_unwritable_progress_file_does_not_end_the_training(run, monkeypatch):
    def full(*_):
        raise ArtifactError("The disk is full")

    monkeypatch.setattr(module, "write_table", full)
    monkeypatch.setattr(TrainingState, "write", full)
    watcher = Watcher()
    journal = ProgressWriter(watcher, run)
    journal.on_step(news(1, 2))
    journal.on_epoch(record(1))
    assert watcher.heard == [news(1, 2), record(1)]


def test_a_damaged_trace_is_replaced(run):
    write_table(run.trace_path, pd.DataFrame({"epoch": [0.1]}))
    journal = ProgressWriter(Watcher(), run)
    journal.on_step(news(1, 21))
    journal.on_step(news(1, 23))
    assert run.trace()["epoch"].tolist() == [23 / 40]
