"""Transfers in the background: a process of their own, whose progress is a file.

A rerun, a closed tab or a restart of the dashboard does not stop them.
"""

import os
import re
import shutil
import subprocess
import sys
import threading
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

UPLOADS = "uploads"
_FORMER_UPLOAD = "upload.zip"
_STARTING = 0
_START_SECONDS = 180
"""Imports take seconds, on a busy machine longer."""
_FORGOTTEN_SECONDS = 3600
"""A transfer that has not begun by then was lost in a crash."""


@dataclass(frozen=True)
class TransferJob:
    """A transfer that the visitor starts.

    Attributes:
        name: Name of the set.
        options: Further options of `transfer`, such as `--cropped`.
        labels: Content of a csv of labels; None without one.
    """

    name: str
    options: tuple[str, ...] = ()
    labels: bytes | None = None


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
    folder = _uploads(benchmark)
    path = _save(folder / f"{job.name}.zip", content)
    _start(origin, job, str(path), folder)


def start_path(origin: BenchmarkDir, job: TransferJob, path: Path) -> None:
    """Starts the transfer of a folder or file on this machine; errors as `start_upload`."""
    _start(origin, job, str(path), _uploads(_prepare(origin, job.name)))


def running(origin: BenchmarkDir) -> dict[str, TransferProgress]:
    """Returns the progress of transfers that run or failed, by the name of the set."""
    jobs: dict[str, TransferProgress] = {}
    for root in _roots(origin):
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


def tidy(origin: BenchmarkDir) -> None:
    """Deletes uploaded files of transfers that ended, such as while the dashboard did not run.

    Of those that end while it runs, they are deleted at once.
    """
    for root in _roots(origin):
        for path in (root / TRANSFERS).glob("*/cache/uploaded"):
            benchmark = BenchmarkDir(path.parent.parent)
            if not _may_read_uploads(benchmark):
                _delete_uploads(benchmark)


def shown_error(benchmark: BenchmarkDir, error: str) -> str:
    """Returns why a transfer failed, in words of the page: no options, no paths of uploads."""
    folder = re.escape(f"{benchmark.cache_dir / UPLOADS}{os.sep}")
    text = re.sub(rf"{folder}\d+{re.escape(os.sep)}", "", error)
    for option, widget in _WIDGETS.items():
        text = text.replace(option, widget)
    return f"{text} (Options with -- are those of the command.)" if "--" in text else text


_WIDGETS = {
    "pass --unlabelled": "tick 'Ignore labels'",
    "also --group folder": "also 'Folders are persons'",
    "with --group folder": "with 'Folders are persons'",
    "--group folder": "'Folders are persons'",
    "pass --cropped": "tick 'The pictures are cropped faces'",
}


def _may_read_uploads(benchmark: BenchmarkDir) -> bool:
    """Whether the transfer to a set runs, or may be about to begin."""
    try:
        progress = TransferProgress.read(benchmark.transfer_progress_path)
    except ArtifactError:
        marker = benchmark.cache_dir / "uploaded"
        age = time.time() - marker.stat().st_mtime if marker.is_file() else 0.0
        return not benchmark.info_path.is_file() and age < _FORGOTTEN_SECONDS
    if progress.error:
        return False
    if progress.process == _STARTING:
        return time.time() - progress.updated < _FORGOTTEN_SECONDS
    return _alive(progress)


def _delete_uploads(benchmark: BenchmarkDir) -> None:
    shutil.rmtree(benchmark.cache_dir / UPLOADS, ignore_errors=True)
    (benchmark.cache_dir / _FORMER_UPLOAD).unlink(missing_ok=True)


def _delete_after(process: "subprocess.Popen[bytes]", folder: Path) -> None:
    """Deletes the uploaded files when the transfer ends, whether it failed or not."""
    process.wait()
    shutil.rmtree(folder, ignore_errors=True)


def _uploads(benchmark: BenchmarkDir) -> Path:
    """Returns a folder for the uploaded files of one start."""
    return benchmark.cache_dir / UPLOADS / str(time.time_ns())


def _save(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
    return path


def _roots(origin: BenchmarkDir) -> list[Path]:
    state = state_root()
    return [origin.root, *([] if state is None else [state / origin.name])]


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


def _start(origin: BenchmarkDir, job: TransferJob, path: str, folder: Path) -> None:
    benchmark, options = home(origin, job.name), job.options
    if job.labels is not None:
        options += ("--labels", str(_save(folder / "labels.csv", job.labels)))
    command = transfer_command(origin, TransferJob(job.name, options), path)
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
        process = subprocess.Popen(  # noqa: S603 (our own command; names are checked)
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment,
            start_new_session=True,
        )  # fmt: skip
    threading.Thread(target=_delete_after, args=(process, folder), daemon=True).start()


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
