"""Transfers in the background: a process of their own, whose progress is a file.

A rerun, a closed tab or a restart of the dashboard does not stop them.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fer_core.artifacts import TRANSFERS, BenchmarkDir, safe_name
from fer_core.errors import ArtifactError
from fer_core.files import atomic_path
from fer_core.project import ROOT, artifacts_root, data_root, state_root
from fer_core.records import TransferProgress

UPLOAD = "upload.zip"
_STARTING = 0
_START_SECONDS = 180
"""Imports take seconds, on a busy machine longer."""


@dataclass(frozen=True)
class TransferJob:
    """A transfer that the visitor starts.

    Attributes:
        name: Name of the set.
        options: Further options of `transfer`, such as `--cropped`.
    """

    name: str
    options: tuple[str, ...] = ()


def home(origin: BenchmarkDir, name: str) -> BenchmarkDir:
    """Returns where a visitor's set is kept: in the state folder, if there is one.

    Raises:
        ArtifactError: If the name is not valid.
    """
    state = state_root()
    root = origin.root if state is None else state / origin.name
    return BenchmarkDir(root / TRANSFERS / safe_name(name, "set"))


def start_upload(origin: BenchmarkDir, job: TransferJob, content: bytes) -> None:
    """Saves an uploaded zip and starts its transfer.

    Raises:
        ArtifactError: If the name is taken or not valid, a transfer is running, or nothing can be
            written.
    """
    benchmark = _prepare(origin, job.name)
    path = benchmark.cache_dir / UPLOAD
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
    _start(origin, job, str(path), benchmark)


def start_path(origin: BenchmarkDir, job: TransferJob, path: Path) -> None:
    """Starts the transfer of a folder or file on this machine; errors as `start_upload`."""
    _start(origin, job, str(path), _prepare(origin, job.name))


def running(origin: BenchmarkDir) -> dict[str, TransferProgress]:
    """Returns the progress of transfers that run or failed, by the name of the set."""
    state = state_root()
    roots = [origin.root, *([] if state is None else [state / origin.name])]
    jobs: dict[str, TransferProgress] = {}
    for root in roots:
        for path in sorted((root / TRANSFERS).glob("*/cache/progress.json")):
            with suppress(ArtifactError):
                progress = TransferProgress.read(path)
                if not progress.error and not _alive(progress):
                    text = "The transfer was stopped. Start it again to continue."
                    progress = progress.model_copy(update={"error": text})
                jobs[path.parent.parent.name] = progress
    return jobs


def is_uploaded(benchmark: BenchmarkDir) -> bool:
    """Whether a set was added on the page, and may be deleted there."""
    return (benchmark.cache_dir / "uploaded").is_file()


def remove(benchmark: BenchmarkDir) -> None:
    """Deletes a set that was added on the page, with its pictures and what is left of a failure.

    Raises:
        ArtifactError: If it was not added on the page.
    """
    if not (is_uploaded(benchmark) and benchmark.is_transfer):
        raise ArtifactError(
            f"{benchmark.name} was not added on this page, so it cannot be deleted here. Delete "
            f"its folder {TRANSFERS}/{benchmark.root.name} of the benchmark."
        )
    origin = benchmark.origin
    shutil.rmtree(benchmark.root, ignore_errors=True)
    if origin is not None:
        pictures = data_root() / TRANSFERS / origin.name / benchmark.root.name
        shutil.rmtree(pictures, ignore_errors=True)


def tidy(benchmark: BenchmarkDir) -> None:
    """Deletes the uploaded zip of a finished transfer; its faces are stored by then."""
    if benchmark.info_path.is_file() and not benchmark.transfer_progress_path.is_file():
        (benchmark.cache_dir / UPLOAD).unlink(missing_ok=True)


def _prepare(origin: BenchmarkDir, name: str) -> BenchmarkDir:
    benchmark = home(origin, name)
    if (origin.transfer(name)).info_path.is_file():
        raise ArtifactError(f"A set {name!r} exists already. Enter another name.")
    if [job for job in running(origin).values() if not job.error]:
        raise ArtifactError("Another transfer is running. Wait until it is finished.")
    try:
        benchmark.cache_dir.mkdir(parents=True, exist_ok=True)
        (benchmark.cache_dir / "uploaded").touch()
        benchmark.transfer_progress_path.unlink(missing_ok=True)
    except OSError as error:
        raise ArtifactError(
            f"The set cannot be stored ({error.strerror}). Set FERSCOPE_STATE to a folder that can "
            "be written."
        ) from error
    return benchmark


def _start(origin: BenchmarkDir, job: TransferJob, path: str, benchmark: BenchmarkDir) -> None:
    command = transfer_command(origin, job, path)
    environment = {
        **os.environ,
        "FERSCOPE_ARTIFACTS": str(artifacts_root().resolve()),
        "FERSCOPE_DATA": str(data_root().resolve()),
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(
            os.pathsep
        ),
    }
    TransferProgress(
        stage="starting", done=0, total=0, share=0, seconds_left=None, updated=time.time(),
        process=_STARTING,
    ).write(benchmark.transfer_progress_path)  # fmt: skip
    with (benchmark.cache_dir / "log.txt").open("wb") as log:
        subprocess.Popen(  # noqa: S603 (our own command; names are checked)
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment,
            start_new_session=True,
        )  # fmt: skip


def transfer_command(origin: BenchmarkDir, job: TransferJob, path: str) -> Sequence[str]:
    """Returns the command line of a transfer."""
    return (
        sys.executable, "-m", "training", "transfer", origin.name, path, "--name", job.name,
        *job.options,
    )  # fmt: skip


def _alive(progress: TransferProgress) -> bool:
    process = progress.process
    if process == _STARTING:
        return time.time() - progress.updated < _START_SECONDS
    with suppress(ChildProcessError, OSError):
        os.waitpid(process, os.WNOHANG)  # a finished child of this process is no zombie
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
