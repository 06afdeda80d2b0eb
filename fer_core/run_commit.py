"""A run's files are written beside it and take its place together, or not at all."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fer_core.artifacts import RunDir
from fer_core.errors import ArtifactError
from fer_core.files import try_lock

_EARLIER = "earlier.json"


@contextmanager
def atomic_replace(run: RunDir) -> Iterator[RunDir]:
    """Gives a place for a run's new files; they replace the old ones when all are written.

    Files of the run that are not written anew stay, unless the run was made anew: then what was
    measured on earlier weights would be shown as the new run's. On any error while they are
    written, and on a full disk, nothing changes. Once all are written they do take their place:
    if that is interrupted, `recover` goes on with it.

    Raises:
        ArtifactError: If the files cannot be put in place.
    """
    recover(run)
    place = RunDir(run.state_dir / "new" / run.run_id)
    shutil.rmtree(place.root, ignore_errors=True)
    try:
        place.root.mkdir(parents=True)
        yield place
        place.root.replace(_ready(run))
    except OSError as error:
        raise ArtifactError(
            f"{run.run_id} could not be saved ({error.strerror or error}); the run is left as it "
            f"was. Check that {run.root} may be written."
        ) from error
    finally:
        shutil.rmtree(place.root.parent, ignore_errors=True)
        recover(run)
        for folder in (run.state_dir, run.root):  # of a run that was never finished
            with suppress(OSError):
                folder.rmdir()


@contextmanager
def run_lock(run: RunDir) -> Iterator[None]:
    """Trains a run in one command at a time: two would remove each other's checkpoints.

    Raises:
        ArtifactError: If another process is at it, or the run's folder cannot be made.
    """
    try:
        run.state_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArtifactError(
            f"{run.state_dir} cannot be made ({error.strerror or error}). Give a folder of "
            "artifacts that may be written."
        ) from error
    with try_lock(run.state_dir) as held:
        if not held:
            raise ArtifactError(
                f"Another process is training {run.run_id}. Wait until it is finished, or train "
                "with another --seed."
            )
        try:
            yield
        finally:
            for folder in (run.state_dir, run.root):  # of a run that left nothing
                with suppress(OSError):
                    folder.rmdir()


def recover(run: RunDir) -> None:
    """Puts a run's written files in their place, if there are any that wait for it.

    Each step may be the last before the process is killed, and the next call goes on from there.
    `run.json` goes first and comes last, so that whoever looks in the moment between sees an
    unfinished run and not a mixture.

    Raises:
        ArtifactError: If they cannot be put in place; they stay where they are.
    """
    ready = _ready(run)
    if not ready.is_dir():
        return
    try:
        if run.info_path.is_file() and (ready / run.info_path.name).is_file():
            run.info_path.replace(ready / _EARLIER)
        if (ready / _EARLIER).is_file():
            if _made_anew(ready):
                for path in run.root.iterdir():
                    if path.is_file():
                        path.unlink()
            (ready / _EARLIER).unlink()
        for path in sorted(ready.iterdir(), key=lambda path: path.name == run.info_path.name):
            path.replace(run.root / path.name)
        ready.rmdir()
    except OSError as error:
        raise ArtifactError(
            f"The files of {run.run_id} are written, but cannot be put in place "
            f"({error.strerror or error}). They wait in {ready}, and are put in place when the "
            f"run is next trained, published or evaluated and {run.root} may be written."
        ) from error


def _ready(run: RunDir) -> Path:
    return run.state_dir / "ready"


def _made_anew(ready: Path) -> bool:
    new, earlier = RunDir(ready).info(), ready / _EARLIER
    with suppress(ArtifactError):
        return new.created != type(new).read(earlier).created
    return False
