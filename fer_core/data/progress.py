"""How long work tells how far it is, without knowing who listens."""

from collections.abc import Callable, Iterable
from typing import Any

Progress = Callable[[Iterable[Any], int, str], Iterable[Any]]
"""Wraps an iterable of known length to show how far it is; gets (iterable, length, title)."""


def silent(items: Iterable[Any], length: int, title: str) -> Iterable[Any]:
    """Shows nothing."""
    return items
