"""The test ledger of earlier runs, from the versions of their predictions in git."""

import subprocess
from pathlib import Path

from fer_core.artifacts import BenchmarkDir, RunDir
from fer_core.errors import ArtifactError
from fer_core.records import LedgerEntry


def fill_ledgers(benchmark: BenchmarkDir) -> list[str]:
    """Writes a ledger to each run that has none: one entry per version of its predictions in git.

    Returns:
        Ids of the runs whose `run.json` was written.

    Raises:
        ArtifactError: If git cannot be asked.
    """
    written = []
    for run in benchmark.finished_runs():
        info = run.info()
        if info.test_ledger:
            continue
        if versions := _versions(run):
            info.model_copy(update={"test_ledger": versions}).write(run.info_path)
            written.append(run.run_id)
    return written


def _versions(run: RunDir) -> tuple[LedgerEntry, ...]:
    """Returns the commits that changed a run's predictions, the earliest first."""
    path = run.predictions_path
    command = [
        *("git", "-C", str(path.parent), "log", "--follow", "--format=%cI %h", "--abbrev=12"),
        *("--", path.name),
    ]
    try:
        result = subprocess.run(  # noqa: S603 (fixed command, no shell)
            command, capture_output=True, text=True, check=True, timeout=60
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ArtifactError(
            f"git cannot say how often {_shown(path)} was written ({error}). Run the command in a "
            "checkout with its history."
        ) from error
    lines = (line.split() for line in reversed(result.stdout.splitlines()))
    return tuple(LedgerEntry(time=time, commit=commit) for time, commit in lines)


def _shown(path: Path) -> str:
    return "/".join(path.parts[-2:])
