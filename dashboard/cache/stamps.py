"""Cache keys from files: a file counts as changed if its modification time or size changes."""

import threading
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

Stamp = tuple[int, int]

HashFuncs = dict[str | type[Any], Callable[[Any], Any]]
"""Type of Streamlit's `hash_funcs`: for each type, the function that makes its cache key."""


_rerun = threading.local()


def new_rerun() -> None:
    """Forgets the stamps of the last rerun; within one rerun, each file is looked at once."""
    _rerun.stamps = {}


def stamp(path: Path) -> Stamp:
    """Returns the modification time in ns and the size of a file; zeros if it is missing."""
    known: dict[Path, Stamp] | None = getattr(_rerun, "stamps", None)
    if known is None:  # outside a rerun
        return _stamp(path)
    if path not in known:
        known[path] = _stamp(path)
    return known[path]


def _stamp(path: Path) -> Stamp:
    try:
        status = path.stat()
    except OSError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_size)


def file_stamps(*paths: str) -> Callable[[Any], Hashable]:
    """Returns a hash function for `Benchmark` or `Run`, for Streamlit's `hash_funcs`.

    Args:
        paths: Attributes of its directory that name the files a cached function reads, such as
            `samples_path`.
    """

    def key(owner: Any) -> Hashable:  # noqa: ANN401 (anything with a directory)
        directory = owner.directory
        return (str(directory.root), *(stamp(getattr(directory, path)) for path in paths))

    return key
