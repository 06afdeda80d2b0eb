"""Computed results on disk, by a hash of everything that they depend on.

The entries are in `cache/results/` of a benchmark, or of the benchmark's folder under
`FERSCOPE_STATE`. They can be deleted at any time. An entry that is damaged, or was written by
another version of the computation, counts as missing.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from fer_core.errors import ArtifactError
from fer_core.files import write_text
from fer_core.project import state_root

MOST_ENTRIES = 2000

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class ResultCache:
    """Results of one benchmark.

    Attributes:
        folder: Folder of the entries; need not exist.
    """

    folder: Path

    @classmethod
    def of(cls, benchmark: Path) -> "ResultCache":
        """Returns the cache of a benchmark.

        Args:
            benchmark: The benchmark's folder.
        """
        state = state_root()
        return cls((benchmark if state is None else state / benchmark.name) / "cache" / "results")

    def get_or_compute(
        self,
        name: str,
        key: Mapping[str, object],
        compute: Callable[[], _Result],
        form: "JsonForm[_Result]",
    ) -> _Result:
        """Returns a stored result, or computes and stores it.

        Args:
            name: Name of the computation, with its version.
            key: Everything that the result depends on.
            compute: Computes the result.
            form: Converts it to and from JSON.
        """
        path = self.folder / f"{name}-{_hash(json.dumps(key, sort_keys=True, default=str))}.json"
        stored = _read(path)
        if stored is not None:
            with suppress(ValueError, KeyError, TypeError):
                return form.read(stored)
        result = compute()
        with suppress(ArtifactError):  # read-only or full: the result is computed again next time
            self._write(path, form.write(result))
        return result

    def _write(self, path: Path, content: object) -> None:
        text = json.dumps(content)
        write_text(path, f"{_hash(text)}\n{text}")
        entries = list(self.folder.glob("*.json"))
        if len(entries) > MOST_ENTRIES:
            with suppress(OSError):  # another process removed it
                min(entries, key=lambda entry: entry.stat().st_mtime).unlink()


@dataclass(frozen=True)
class JsonForm(Generic[_Result]):
    """Conversion of a result to and from JSON.

    Attributes:
        write: Returns plain values; NaN is allowed.
        read: Returns the result; raises ValueError, KeyError or TypeError for other content.
    """

    write: Callable[[_Result], object]
    read: Callable[[Any], _Result]


def _read(path: Path) -> object | None:
    """Returns the content of an entry; None if it is missing or damaged."""
    try:
        checksum, _, text = path.read_text(encoding="utf-8").partition("\n")
        return json.loads(text) if checksum == _hash(text) else None
    except (OSError, ValueError):
        return None


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
