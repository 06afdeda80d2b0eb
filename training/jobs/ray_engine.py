"""Predicting the parts of many files on a Ray cluster; parts that are done are kept."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from fer_core.artifacts import BenchmarkDir
from fer_core.data.centerface import CenterFaceDetector
from fer_core.data.progress import Progress, silent
from fer_core.errors import DataError, FerscopeError, MissingExtraError
from fer_core.predictor import Predictor
from training.jobs.predict import Files, PredictOptions, Tally, predict_part
from training.jobs.predict_parts import PartsFolder, split_files

if TYPE_CHECKING:
    from fer_core.evaluation.operating_points import OperatingPoint

_RETRIES = 3  # of a part whose worker died; a file that ends each worker must not go on for ever

PredictFiles = Callable[[Files], Tally]


class Job(Protocol):
    """What a worker needs to predict files; it is sent to the workers by pickle."""

    def load(self) -> PredictFiles:
        """Loads the networks; called once a worker."""


@dataclass(frozen=True)
class PredictJob:
    """Loads the predictor of the command `predict` in a worker.

    Attributes:
        artifacts: The benchmark's folder, which each worker must see under this path.
        run_ids: At least one run.
        options: Frame rate, smoothing, threshold and test-time jitter.
        cropped: Whether the files show cropped faces.
        device: "cpu", or None for the best device of the worker.
        point: Temperature and class priors that a run is predicted with.
    """

    artifacts: Path
    run_ids: tuple[str, ...]
    options: PredictOptions
    cropped: bool
    device: str | None = None
    point: "OperatingPoint | None" = None

    def load(self) -> PredictFiles:
        """Loads the predictor and the face detector.

        Raises:
            ArtifactError: If the benchmark is damaged or cannot be seen from here.
        """
        predictor = Predictor(BenchmarkDir(self.artifacts), self.device)
        if self.point is not None:
            predictor.obey(self.point)
        detector = None if self.cropped else CenterFaceDetector()
        return lambda files: predict_part(
            files, predictor, self.run_ids, detector, silent, self.options
        )


class _Worker:
    """A Ray actor that predicts parts, one after the other."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._predict: PredictFiles | None = None

    def predict(self, number: int, files: Files) -> tuple[int, Tally]:
        paths = [*files.pictures, *files.videos]
        if paths and not any(path.exists() for path in paths):  # else all would count as damaged
            raise DataError(
                f"The worker on {socket.gethostname()} cannot see {files.root}. Put the files and "
                "the artifacts on a file system that all machines mount under the same path."
            )
        if self._predict is None:  # not in __init__, whose errors Ray reports as a dead worker
            self._predict = self._job.load()
        return number, self._predict(files)


def predict_parts_on_ray(
    files: Files, folder: PartsFolder, job: Job, progress: Progress, workers: int | None = None
) -> None:
    """Predicts the missing parts on a Ray cluster and writes them to the folder.

    `predict_in_parts` then reads them, so the rows are those of one machine. Ray starts a worker
    that dies again, and its part is predicted once more. The cluster is that of `RAY_ADDRESS`;
    without it, this machine.

    Args:
        files: Images and videos.
        folder: Keeps the finished parts.
        job: What each worker loads.
        progress: Shows progress over parts.
        workers: Number of workers; None for one a GPU of the cluster, without GPU one a CPU core.

    Raises:
        MissingExtraError: If Ray is not installed.
        FerscopeError: If a part cannot be predicted, or its workers die again and again.
    """
    folder.start()
    parts = enumerate(split_files(_absolute(files)))
    todo = [(number, some) for number, some in parts if folder.read(number) is None]
    if not todo:
        return
    with _cluster() as ray, _plain_errors(ray):
        actors = _start_workers(ray, job, len(todo), workers)
        pool = ray.util.ActorPool(actors)
        done = pool.map_unordered(lambda actor, item: actor.predict.remote(*item), todo)
        for number, tally in progress(done, len(todo), f"parts on {len(actors)} workers"):
            folder.write(number, tally)


@contextmanager
def _plain_errors(ray: Any) -> Iterator[None]:  # noqa: ANN401 (the module)
    """Raises a worker's own error, without Ray's wrapping."""
    try:
        yield
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        raise cause if isinstance(cause, FerscopeError) else FerscopeError(str(error)) from error
    except ray.exceptions.RayError as error:
        raise FerscopeError(
            f"Workers died {_RETRIES + 1} times on the same part, for example of too little "
            "memory. Finished parts are kept: start the command again with fewer --workers, "
            "or without --engine ray."
        ) from error


def _start_workers(ray: Any, job: Job, parts: int, workers: int | None) -> list[Any]:  # noqa: ANN401
    resources = ray.cluster_resources()
    gpus = 0 if getattr(job, "device", None) == "cpu" else int(resources.get("GPU", 0))
    count = min(parts, workers or gpus or int(resources.get("CPU", 1)))
    remote = ray.remote(
        num_cpus=1,
        num_gpus=min(1.0, gpus / count) if gpus else 0,
        max_restarts=-1,
        max_task_retries=_RETRIES,
    )(_Worker)
    return [remote.remote(job) for _ in range(count)]


@contextmanager
def _cluster() -> Iterator[Any]:
    """Connects to a cluster, or starts one here; what was connected before stays so."""
    try:
        import ray
        import ray.util
    except ImportError as error:
        raise MissingExtraError(
            "--engine ray needs Ray. Install it with: pip install 'ferscope[ray]'."
        ) from error
    mine = not ray.is_initialized()
    if mine:
        ray.init(log_to_driver=False)
    try:
        yield ray
    finally:
        if mine:
            ray.shutdown()


def _absolute(files: Files) -> Files:
    """Names files so that workers with another working folder find them."""
    return Files(
        files.root.absolute(),
        tuple(path.absolute() for path in files.pictures),
        tuple(path.absolute() for path in files.videos),
        {path.absolute(): why for path, why in files.unreadable.items()},
    )
