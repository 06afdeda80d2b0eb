"""Progress of a transfer: planned work counts, whatever its title."""

import pytest

from fer_core.artifacts import BenchmarkDir
from fer_core.records import TransferProgress
from training.jobs import transfer_progress
from training.jobs.transfer_progress import TransferProgressFile


@pytest.fixture
def progress(monkeypatch):
    monkeypatch.setattr(transfer_progress, "_EVERY", 0.0)
    return TransferProgressFile()


def shares(benchmark, items) -> list[float]:
    """Returns the share of work that is written before each item and after the last."""
    read = []
    for _ in items:
        read.append(TransferProgress.read(benchmark.transfer_progress_path).share)
    return [*read, TransferProgress.read(benchmark.transfer_progress_path).share]


def test_only_planned_work_counts(progress, tmp_path):
    benchmark = BenchmarkDir(tmp_path / "faces")
    with progress.of(benchmark):
        progress.plan(pictures=2, networks=1)
        compared = progress.wrap(range(3), 3, "predicting the weather")
        assert shares(benchmark, compared) == [0, 0, 0, 0]
        assert shares(benchmark, progress.work(range(2), 2, "a")) == [0, 0.25, 0.5]
        assert shares(benchmark, progress.work(range(2), 2, "b")) == [0.5, 0.75, 1]


def test_the_file_is_removed_at_the_end(progress, tmp_path):
    benchmark = BenchmarkDir(tmp_path / "faces")
    with progress.of(benchmark):
        record = TransferProgress.read(benchmark.transfer_progress_path)
        assert (record.stage, record.share) == ("reading the set", 0)
    assert not benchmark.transfer_progress_path.exists()
