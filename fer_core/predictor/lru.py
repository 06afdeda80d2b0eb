"""A bounded memory of what was used last."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class LRUCache(Generic[Key, Value]):
    """Keeps the values used last; threads may share it.

    Args:
        capacity: Values kept; the one unused longest makes room.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._values: OrderedDict[Key, Value] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Key, make: Callable[[], Value]) -> Value:
        """Returns a key's value; the first asker of a new key makes it.

        `make` runs under the lock, so it must be quick.
        """
        with self._lock:
            if key not in self._values:
                while len(self._values) >= self._capacity:
                    self._values.popitem(last=False)
                self._values[key] = make()
            self._values.move_to_end(key)
            return self._values[key]

    def keys(self) -> list[Key]:
        """Returns the keys, the one unused longest first."""
        with self._lock:
            return list(self._values)

    def values(self) -> list[Value]:
        """Returns the values, the one unused longest first."""
        with self._lock:
            return list(self._values.values())
