"""Limits on concurrent requests: in all, and by the client's address."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from fer_core.serving.errors import RefusedError

RETRY_AFTER = 2
"""Value of Retry-After in seconds: a few forward passes."""


class Gate:
    """Limits the number of concurrent requests.

    No address may hold more places than are left for all others. So one client can take half of
    the places, two can take a third each, and there is always one left for the next. This is the
    dynamic threshold of Choudhury and Hahne (1998) with factor 1.

    Args:
        most: Largest number of concurrent requests.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: Counter[str] = Counter()

    @property
    def inside(self) -> int:
        """Number of admitted requests."""
        return self._held.total()

    @contextmanager
    def entered(self, address: str = "") -> Iterator[None]:
        """Admits one request; call it only in the event loop's thread.

        Args:
            address: Address of the client.

        Raises:
            RefusedError: If the limit is reached.
        """
        free = self._most - self.inside
        if free <= 0:
            raise _busy(f"The limit of {self._most} concurrent requests is reached.")
        if self._held[address] > free:
            raise _busy(
                f"Your address has {self._held[address]} concurrent requests, and the {free} still "
                "free are reserved for other clients."
            )
        self._held[address] += 1
        try:
            yield
        finally:
            self._held[address] -= 1
            self._held += Counter()  # forgets addresses without requests


def _busy(cause: str) -> RefusedError:
    detail = f"{cause} Try again in {RETRY_AFTER} seconds."
    return RefusedError(503, "busy", detail, retry_after=RETRY_AFTER)
