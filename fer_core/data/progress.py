"""Progress reporting that does not depend on how progress is shown."""

from collections.abc import Callable, Iterable
from typing import Any

Progress = Callable[[Iterable[Any], int, str], Iterable[Any]]
"""Wraps (iterable, length, title) to report progress while it is iterated."""


def silent(items: Iterable[Any], length: int, title: str) -> Iterable[Any]:
    """Returns the iterable without reporting progress."""
    return items
