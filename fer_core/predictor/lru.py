"""A thread-safe LRU cache."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class LRUCache(Generic[Key, Value]):
    """Keeps the most recently used values; thread-safe.

    Args:
        capacity: Largest number of values; the least recently used is evicted.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._values: OrderedDict[Key, Value] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Key, make: Callable[[], Value]) -> Value:
        """Returns the value of a key, creating it if it is missing.

        `make` runs under the lock, so it must be fast.
        """
        with self._lock:
            if key not in self._values:
                while len(self._values) >= self._capacity:
                    self._values.popitem(last=False)
                self._values[key] = make()
            self._values.move_to_end(key)
            return self._values[key]

    def keys(self) -> list[Key]:
        """Returns the keys, least recently used first."""
        with self._lock:
            return list(self._values)

    def values(self) -> list[Value]:
        """Returns the values, least recently used first."""
        with self._lock:
            return list(self._values.values())
