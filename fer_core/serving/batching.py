"""Dynamic batching: requests that arrive while the models are busy share the next pass."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item")
Key = TypeVar("Key")
Result = TypeVar("Result")


@dataclass(frozen=True)
class _Waiting(Generic[Item, Key, Result]):
    items: Sequence[Item]
    key: Key
    future: "Future[list[Result]]" = field(default_factory=Future)


class Batcher(Generic[Item, Key, Result]):
    """Batches requests for one worker thread.

    A request starts immediately if the worker is idle; requests are never delayed to fill a batch.
    Later requests wait, and the next pass takes the oldest one and all others with the same key
    that fit. If a pass fails, its requests are retried one by one, so that only the faulty one
    fails.

    Args:
        work: Returns one result per item, in order; called only in the worker thread.
        most: Largest number of items per pass; a single request may have more.
    """

    def __init__(self, work: Callable[[Sequence[Item], Key], Sequence[Result]], most: int) -> None:
        self._work, self._most = work, most
        self._queue: deque[_Waiting[Item, Key, Result]] = deque()
        self._news = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="batcher", daemon=True)
        self._thread.start()

    def submit(self, items: Sequence[Item], key: Key) -> "Future[list[Result]]":
        """Submits items.

        Args:
            items: At least one item.
            key: Further argument of `work`; only requests with equal keys share a pass.

        Raises:
            RuntimeError: If the batcher is closed.
        """
        request: _Waiting[Item, Key, Result] = _Waiting(items, key)
        with self._news:
            if self._closed:
                raise RuntimeError("the batcher is closed")
            self._queue.append(request)
            self._news.notify()
        return request.future

    @property
    def waiting(self) -> int:
        """Number of requests that wait for a pass."""
        with self._news:
            return len(self._queue)

    def close(self) -> None:
        """Finishes waiting requests, rejects new ones, and stops the worker."""
        with self._news:
            self._closed = True
            self._news.notify()
        self._thread.join()

    def _run(self) -> None:
        while batch := self._next():
            live = [request for request in batch if request.future.set_running_or_notify_cancel()]
            if live:
                self._process(live)

    def _next(self) -> list[_Waiting[Item, Key, Result]]:
        with self._news:
            self._news.wait_for(lambda: self._queue or self._closed)
            if not self._queue:
                return []
            batch = [self._queue.popleft()]
            count = len(batch[0].items)
            later: deque[_Waiting[Item, Key, Result]] = deque()
            for request in self._queue:
                if request.key == batch[0].key and count + len(request.items) <= self._most:
                    batch.append(request)
                    count += len(request.items)
                else:
                    later.append(request)
            self._queue = later
            return batch

    def _process(self, batch: list[_Waiting[Item, Key, Result]]) -> None:
        items = [item for request in batch for item in request.items]
        try:
            results = list(self._work(items, batch[0].key))
            if len(results) != len(items):
                raise RuntimeError(f"{len(items)} items gave {len(results)} results")
        except Exception as error:
            if len(batch) == 1:
                batch[0].future.set_exception(error)
            else:
                for request in batch:
                    self._process([request])
            return
        start = 0
        for request in batch:
            end = start + len(request.items)
            request.future.set_result(results[start:end])
            start = end
