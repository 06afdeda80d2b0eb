"""A run's files take their place together, whenever the process is killed."""

from pathlib import Path

import pytest

from fer_core.artifacts import RunDir
from fer_core.errors import ArtifactError
from fer_core.run_commit import atomic_replace, recover, run_lock
from tests.support.builders import toy_benchmark


@pytest.fixture
def run(tmp_path):
    run = toy_benchmark(tmp_path, runs=1).benchmark.run("efficientnet_lite0-cpu-s0")
    run.robustness_path.write_text("of the earlier weights")
    return run


def write_new(run: RunDir, place: RunDir, created: str = "2030-01-01T00:00:00+00:00") -> None:
    place.weights_path.write_text("new weights")
    place.predictions_path.write_text("new predictions")
    run.info().model_copy(update={"created": created}).write(place.info_path)


def files(run: RunDir) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in run.root.iterdir() if path.is_file()}


def make_anew(run: RunDir) -> None:
    with atomic_replace(run) as place:
        write_new(run, place)


def test_a_run_is_trained_by_one_process_at_a_time(run):
    with run_lock(run):
        for _ in range(2):  # being refused does not remove the folder that carries the lock
            message = "Another process is training efficientnet_lite0"
            with pytest.raises(ArtifactError, match=message), run_lock(run):
                pass
        make_anew(run)
    with run_lock(run):
        assert run.state_dir.is_dir()
    assert not run.state_dir.exists()
    begun = run.benchmark.run("begun-cpu-s0")
    with pytest.raises(ValueError, match="no data"), run_lock(begun):
        raise ValueError("no data")
    assert not begun.root.exists()


def test_a_retrained_run_keeps_no_file_of_the_earlier_one(run):
    make_anew(run)
    assert set(files(run)) == {"run.json", "model.safetensors", "predictions.parquet"}
    assert not run.state_dir.exists()


def test_an_updated_run_keeps_files_that_are_not_rewritten(run):
    before = files(run)
    with atomic_replace(run) as place:
        write_new(run, place, run.info().created)
    after = files(run)
    assert set(after) == set(before) | {"model.safetensors"}
    assert after["robustness.parquet"] == before["robustness.parquet"]
    assert after["predictions.parquet"] == b"new predictions"


def test_an_error_while_files_are_written_changes_nothing(run):
    before = files(run)

    def fail():
        with atomic_replace(run) as place:
            write_new(run, place)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert files(run) == before
    assert not run.state_dir.exists()


@pytest.mark.parametrize("call", range(9))
def test_recover_completes_a_commit_killed_at_any_move(run, monkeypatch, call):
    """The process ends at its n-th change to the disk; the next command goes on from there."""
    real = {name: getattr(Path, name) for name in ("replace", "unlink", "rmdir")}
    moves: list[str] = []
    staged = run.state_dir / "new" / run.run_id

    def counted(name):
        def change(path, *arguments, **options):
            if path == staged:  # from then on the files are complete
                moves.append(name)
            elif moves:
                moves.append(name)
                if len(moves) > call + 1:
                    raise KeyboardInterrupt
            return real[name](path, *arguments, **options)

        return change

    for name in real:
        monkeypatch.setattr(Path, name, counted(name))
    with pytest.raises(KeyboardInterrupt):
        make_anew(run)
    monkeypatch.undo()
    recover(run)
    after = files(run)
    assert set(after) == {"run.json", "model.safetensors", "predictions.parquet"}
    assert after["model.safetensors"] == b"new weights"
    assert run.info().created.startswith("2030")


def test_files_that_cannot_be_moved_are_kept_for_recovery(run, monkeypatch):
    real = Path.replace

    def refused(path, target):
        if path.name == "model.safetensors":
            raise PermissionError(13, "Permission denied")
        return real(path, target)

    monkeypatch.setattr(Path, "replace", refused)
    with pytest.raises(ArtifactError, match=r"written but cannot be moved.*ready"):
        make_anew(run)
    assert not run.info_path.exists()  # an unfinished run, no mixture
    monkeypatch.undo()
    recover(run)
    assert files(run)["model.safetensors"] == b"new weights"
    assert run.info_path.exists()
