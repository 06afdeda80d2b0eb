"""A run's files are written beside it and take its place together, or not at all."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fer_core.artifacts import RunDir
from fer_core.errors import ArtifactError


@contextmanager
def replaced(run: RunDir) -> Iterator[RunDir]:
    """Gives a place for a run's new files; they replace the old ones when all are written.

    Files of the run that are not written anew stay, unless the run was made anew: then what was
    measured on earlier weights would be shown as the new run's. On any error, and on a full disk,
    nothing changes. `run.json` goes first and comes last, so that whoever looks in the moment
    between sees an unfinished run and not a mixture.

    Raises:
        ArtifactError: If the files cannot be put in place.
    """
    place = RunDir(run.state_dir / "new" / run.run_id)
    shutil.rmtree(place.root, ignore_errors=True)
    try:
        place.root.mkdir(parents=True)
        yield place
        _swap(place, run)
    except OSError as error:
        raise ArtifactError(
            f"{run.run_id} could not be saved ({error.strerror or error}); the run is left as it "
            f"was. Check that {run.root} may be written."
        ) from error
    finally:
        shutil.rmtree(place.root.parent, ignore_errors=True)
        for folder in (run.state_dir, run.root):  # of a run that was never finished
            with suppress(OSError):
                folder.rmdir()


def _swap(place: RunDir, run: RunDir) -> None:
    new = {path.name for path in place.root.iterdir()}
    outdated: list[Path] = []
    if place.info_path.name in new:
        with suppress(ArtifactError):
            if run.info().created != place.info().created:
                outdated = [path for path in run.root.iterdir() if path.is_file()]
        run.info_path.unlink(missing_ok=True)
    for path in outdated:
        path.unlink(missing_ok=True)
    for name in sorted(new, key=lambda name: name == run.info_path.name):
        (place.root / name).replace(run.root / name)
