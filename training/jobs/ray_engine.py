"""Runs the tasks of a command on a Ray cluster, in a pool of actors that load their networks once.

Ray's pool of actors is used and not `map_batches` of Ray Data (2.60): when that fails it drops
tasks that are finished but not yet read, and its bound on retries is an option that goes away.
"""

import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from fer_core.errors import DataError, FerscopeError, MissingExtraError

TaskT = TypeVar("TaskT", contravariant=True)
ResultT = TypeVar("ResultT", covariant=True)
Task = TypeVar("Task")
Result = TypeVar("Result")

_RETRIES = (
    3  # of a task whose worker died; a file that ends each worker must not be retried for ever
)

_AHEAD = 2  # tasks per worker that are computed or wait for their turn


class Job(Protocol[TaskT, ResultT]):
    """A computation for the workers; it is sent to them, so it holds paths and options only."""

    @property
    def device(self) -> str | None:
        """Device of the networks, "cpu" if the workers need no GPU."""

    def load(self) -> Callable[[TaskT], ResultT]:
        """Loads networks and returns the function of a task; called once a worker.

        Raises:
            FerscopeError: If they cannot be loaded. The caller of `map_on_ray` gets the error.
        """


@dataclass(frozen=True)
class _Done:
    number: int
    result: Any = None
    error: FerscopeError | None = None


class _Worker:
    """A Ray actor that computes tasks, one after the other."""

    def __init__(self, job: Job[Any, Any]) -> None:
        self._job = job
        self._function: Callable[[Any], Any] | None = None

    def run(self, number: int, task: Any) -> _Done:  # noqa: ANN401 (of any job)
        try:
            if self._function is None:  # in __init__ an error would count as a dead worker
                self._function = self._job.load()
            return _Done(number, self._function(task))
        except FerscopeError as error:  # returned, because Ray wraps what is raised
            return _Done(number, error=error)


def map_on_ray(
    tasks: Sequence[Task], job: Job[Task, Result], workers: int | None = None
) -> Iterator[tuple[int, Result]]:
    """Computes tasks on a Ray cluster, and yields them as they are done.

    Ray starts a worker that dies again, and its task is computed once more. The cluster is that
    of `RAY_ADDRESS`; without it, this machine.

    Args:
        tasks: Arguments of the job's function, one per call.
        job: Job that each worker loads.
        workers: Number of workers; None for one per GPU of the cluster, or per CPU core.

    Yields:
        The position of a task and its result, in any order.

    Raises:
        MissingExtraError: If Ray is not installed.
        FerscopeError: If a task cannot be computed, or its workers die repeatedly.
    """
    if not tasks:
        return
    with _cluster() as ray, _plain_errors(ray):
        pool = ray.util.ActorPool(_start_workers(ray, job, len(tasks), workers))
        done: _Done
        for done in pool.map_unordered(_submit, list(enumerate(tasks))):
            if done.error is not None:
                raise done.error
            yield done.number, done.result


def map_in_order_on_ray(
    tasks: Sequence[Task], job: Job[Task, Result], workers: int | None = None
) -> Iterator[Result]:
    """Computes tasks on a Ray cluster as `map_on_ray`, and yields the results in their order.

    Results that are done before their turn wait in memory, `_AHEAD` times as many as workers at
    most.
    """
    if not tasks:
        return
    with _cluster() as ray, _plain_errors(ray):
        actors = _start_workers(ray, job, len(tasks), workers)
        yield from in_order(ray.util.ActorPool(actors), tasks, _AHEAD * len(actors))


def in_order(pool: Any, tasks: Sequence[Any], ahead: int) -> Iterator[Any]:  # noqa: ANN401
    """Computes tasks in a pool of actors, and yields the results in their order.

    Args:
        pool: Ray's pool of actors.
        tasks: Arguments of the job's function, one per call.
        ahead: Number of tasks, from the next one to yield on, that may be computed or wait.
    """
    waiting: dict[int, _Done] = {}
    submitted = 0
    for number in range(len(tasks)):
        while number not in waiting:
            for new in range(submitted, min(len(tasks), number + ahead)):
                pool.submit(_submit, (new, tasks[new]))
                submitted = new + 1
            done: _Done = pool.get_next_unordered()
            waiting[done.number] = done
        done = waiting.pop(number)
        if done.error is not None:
            raise done.error
        yield done.result


def require_seen(paths: Iterable[Path], root: Path) -> None:
    """Checks that a worker sees at least one of the files, which else would count as damaged.

    Raises:
        DataError: If it sees none.
    """
    paths = list(paths)
    if paths and not any(path.exists() for path in paths):
        raise DataError(
            f"The worker on {socket.gethostname()} cannot see {root}. Put the files and the "
            "artifacts on a file system that all machines mount under the same path."
        )


def _start_workers(
    ray: Any,  # noqa: ANN401 (the module)
    job: Job[Any, Any],
    tasks: int,
    workers: int | None,
) -> list[Any]:
    cluster = ray.cluster_resources()
    gpus = 0 if job.device == "cpu" else int(cluster.get("GPU", 0))
    count = min(tasks, workers or gpus or int(cluster.get("CPU", 1)))
    actor = ray.remote(
        num_cpus=1,
        num_gpus=min(1.0, gpus / count) if gpus else 0,
        max_restarts=-1,
        max_task_retries=_RETRIES,
    )(_Worker)
    return [actor.remote(job) for _ in range(count)]


def _submit(actor: Any, numbered: tuple[int, Any]) -> Any:  # noqa: ANN401 (of Ray)
    return actor.run.remote(*numbered)


@contextmanager
def _plain_errors(ray: Any) -> Iterator[None]:  # noqa: ANN401 (the module)
    """Explains why a cluster gave up."""
    try:
        yield
    except ray.exceptions.RayTaskError as error:
        raise FerscopeError(f"A worker of the Ray cluster failed: {error.cause}") from error
    except ray.exceptions.RayError as error:
        raise FerscopeError(
            "A task repeatedly ended its worker, for example because memory ran out. What is "
            "finished is kept: run the command again with fewer --workers, or without "
            "--engine ray."
        ) from error


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
