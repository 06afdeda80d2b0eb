"""A queue for long work: a few visitors compute at once, others wait in order and see their place.

Two visitors who ask for the same thing compute it once: the second waits and finds it in the
cache. `FERSCOPE_WORKERS` sets how many compute at once.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager

import streamlit as st

WORKERS = "FERSCOPE_WORKERS"
DEFAULT_WORKERS = 2
"""Each piece of work uses several cores; more at once would only slow one another down."""

_REMEMBERED = 2048
_SECONDS = 0.3


class WorkQueue:
    """Lets a limited number of threads work at once, first come, first served.

    Args:
        workers: Number of threads that work at once.
    """

    def __init__(self, workers: int) -> None:
        self._workers = max(1, workers)
        self._changed = threading.Condition()
        self._waiting: list[object] = []
        self._working = 0
        self._done: OrderedDict[Hashable, None] = OrderedDict()

    @contextmanager
    def turn(self, key: Hashable, waiting: Callable[[int], object]) -> Iterator[None]:
        """Waits for a turn, and ends it with the block.

        Args:
            key: The work. What was done before is in a cache and needs no turn.
            waiting: Called several times a second while waiting, with the number of requests that
                come first. An exception in it leaves the queue.
        """
        if self._was_done(key):
            yield
            return
        self._wait(waiting)
        try:
            yield
            self._note(key)
        finally:
            with self._changed:
                self._working -= 1
                self._changed.notify_all()

    def _wait(self, waiting: Callable[[int], object]) -> None:
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
        try:
            while (ahead := self._ahead(ticket)) > 0:
                waiting(ahead)
        except BaseException:
            with self._changed:
                self._waiting.remove(ticket)
                self._changed.notify_all()
            raise

    def _ahead(self, ticket: object) -> int:
        """Returns how many requests come first; 0 takes the turn. Waits a moment if there are."""
        with self._changed:
            if self._is_next(ticket):
                self._waiting.remove(ticket)
                self._working += 1
                return 0
            self._changed.wait(_SECONDS)
            return max(1, self._working + self._waiting.index(ticket) - self._workers + 1)

    def _is_next(self, ticket: object) -> bool:
        return self._waiting[0] is ticket and self._working < self._workers

    def _was_done(self, key: Hashable) -> bool:
        with self._changed:
            return key in self._done

    def _note(self, key: Hashable) -> None:
        with self._changed:
            self._done[key] = None
            self._done.move_to_end(key)
            while len(self._done) > _REMEMBERED:
                self._done.popitem(last=False)


def _workers() -> int:
    try:
        return int(os.environ.get(WORKERS, DEFAULT_WORKERS))
    except ValueError:
        return DEFAULT_WORKERS


_queue = WorkQueue(_workers())


@contextmanager
def queued(*key: Hashable) -> Iterator[None]:
    """Waits for a turn of the server's queue; the page shows how many requests come first.

    Args:
        key: Everything that the work depends on.
    """
    place = st.empty()

    def show(ahead: int) -> None:
        requests = "1 request is" if ahead == 1 else f"{ahead} requests are"
        place.info(f"{requests} ahead of yours.", icon=":material/hourglass_top:")

    with _queue.turn(hash(key), show):  # a key may hold a whole video
        place.empty()
        yield
