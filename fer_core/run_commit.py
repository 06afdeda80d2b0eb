"""Atomic replacement of a run's files, recovery after an interruption, and the run lock."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fer_core.artifacts import RunDir
from fer_core.errors import ArtifactError
from fer_core.files import try_lock

_EARLIER = "earlier.json"
_NEW = "new"


@contextmanager
def atomic_replace(run: RunDir) -> Iterator[RunDir]:
    """Yields a temporary run folder whose files replace the run's when the block succeeds.

    Files that the block does not write are kept, unless the run was retrained (another `created`
    in `run.json`): then measurements of the earlier weights are removed. An error inside the block,
    such as a full disk, changes nothing. An interruption while files are being moved is completed
    by the next `recover`.

    Raises:
        ArtifactError: If the files cannot be written or moved.
    """
    recover(run)
    temporary = RunDir(run.state_dir / _NEW / run.run_id)
    shutil.rmtree(temporary.root, ignore_errors=True)
    try:
        temporary.root.mkdir(parents=True)
        yield temporary
        temporary.root.replace(_ready(run))
    except OSError as error:
        raise ArtifactError(
            f"{run.run_id} could not be saved ({error.strerror or error}); the run is "
            f"unchanged. Check that {run.root} is writable and that the disk is not full."
        ) from error
    finally:
        shutil.rmtree(temporary.root.parent, ignore_errors=True)
        recover(run)
        for folder in (run.state_dir, run.root):  # empty: the run was never finished
            with suppress(OSError):
                folder.rmdir()


def replaced_run(run: RunDir) -> RunDir:
    """Returns the run that a temporary run of `atomic_replace` will replace, or the run itself."""
    parent = run.root.parent
    return RunDir(parent.parent.parent) if _is_temporary(parent) else run


def _is_temporary(folder: Path) -> bool:
    return folder.name == _NEW and folder.parent == RunDir(folder.parent.parent).state_dir


@contextmanager
def run_lock(run: RunDir) -> Iterator[None]:
    """Holds a run's lock: two trainings of one run would delete each other's checkpoints.

    Raises:
        ArtifactError: If another process holds the lock, or the run's folder cannot be created.
    """
    try:
        run.state_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArtifactError(
            f"{run.state_dir} cannot be created ({error.strerror or error}). Pass a writable "
            "folder with --artifacts."
        ) from error
    with try_lock(run.state_dir) as locked:
        if not locked:
            raise ArtifactError(
                f"Another process is training {run.run_id}. Wait until it finishes, or train "
                "with another --seed."
            )
        try:
            yield
        finally:
            for folder in (run.state_dir, run.root):  # empty: nothing was written
                with suppress(OSError):
                    folder.rmdir()


def recover(run: RunDir) -> None:
    """Completes an interrupted `atomic_replace`, if there is one.

    The process may be killed after any step; the next call continues from there. `run.json` is
    removed first and written last, so that a reader in between sees an unfinished run and never a
    mixture of two.

    Raises:
        ArtifactError: If the files cannot be moved; they stay where they are.
    """
    ready = _ready(run)
    if not ready.is_dir():
        return
    try:
        if run.info_path.is_file() and (ready / run.info_path.name).is_file():
            run.info_path.replace(ready / _EARLIER)
        if (ready / _EARLIER).is_file():
            if _is_retrained(ready):
                for path in run.root.iterdir():
                    if path.is_file():
                        path.unlink()
            (ready / _EARLIER).unlink()
        for path in sorted(ready.iterdir(), key=lambda path: path.name == run.info_path.name):
            path.replace(run.root / path.name)
        ready.rmdir()
    except OSError as error:
        raise ArtifactError(
            f"The files of {run.run_id} are written but cannot be moved from {ready} "
            f"({error.strerror or error}). Make {run.root} writable; the next train, publish or "
            "evaluate of the run moves them."
        ) from error


def _ready(run: RunDir) -> Path:
    return run.state_dir / "ready"


def _is_retrained(ready: Path) -> bool:
    new, earlier = RunDir(ready).info(), ready / _EARLIER
    with suppress(ArtifactError):
        return new.created != type(new).read(earlier).created
    return False
