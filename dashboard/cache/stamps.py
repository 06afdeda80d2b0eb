"""Cache keys from files: a file counts as changed if its modification time or size changes."""

import threading
from collections.abc import Callable, Hashable
from functools import wraps
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

Stamp = tuple[int, int]

HashFuncs = dict[str | type[Any], Callable[[Any], Any]]
"""Type of Streamlit's `hash_funcs`: for each type, the function that makes its cache key."""

_Result = TypeVar("_Result")

_rerun = threading.local()


def new_rerun() -> None:
    """Forgets the stamps of the last rerun; within one rerun, each file is looked at once."""
    _rerun.stamps = {}
    _rerun.keys = {}
    _rerun.results = {}


def once_per_rerun(function: Callable[[], _Result]) -> Callable[[], _Result]:
    """Returns a function that keeps its result until the rerun ends.

    Args:
        function: Looks at files; pages call it many times.
    """

    @wraps(function)
    def kept() -> _Result:
        results: dict[Callable[[], object], Any] | None = getattr(_rerun, "results", None)
        if results is None:  # outside a rerun
            return function()
        if function not in results:
            results[function] = function()
        result: _Result = results[function]
        return result

    return kept


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


def digested(key: Callable[[Any], Hashable]) -> Callable[[Any], str]:
    """Returns a hash function that makes a short key of a long one, once per object and rerun.

    Streamlit takes milliseconds to hash the stamps of many files, for each call of a cached
    function.

    Args:
        key: Returns strings, numbers and tuples of them.
    """

    def short(owner: Any) -> str:  # noqa: ANN401 (what `key` takes)
        known: dict[int, tuple[Any, str]] = getattr(_rerun, "keys", {}).setdefault(key, {})
        if id(owner) not in known:  # the owner is kept, so that no other object takes its id
            known[id(owner)] = (owner, sha256(repr(key(owner)).encode()).hexdigest())
        return known[id(owner)][1]

    return short


def file_stamps(*paths: str) -> Callable[[Any], str]:
    """Returns a hash function for `Benchmark` or `Run`, for Streamlit's `hash_funcs`.

    Args:
        paths: Attributes of its directory that name the files a cached function reads, such as
            `samples_path`.
    """

    def stamps(owner: Any) -> Hashable:  # noqa: ANN401 (anything with a directory)
        directory = owner.directory
        return (str(directory.root), *(stamp(getattr(directory, path)) for path in paths))

    return digested(stamps)
