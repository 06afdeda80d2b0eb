"""Progress of a transfer, on the terminal and in a file that the dashboard reads."""

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from fer_core.artifacts import BenchmarkDir
from fer_core.data.progress import Progress, silent
from fer_core.errors import ArtifactError, FerscopeError
from fer_core.records import TransferProgress

_EVERY = 0.5  # seconds between two writes


class TransferProgressFile:
    """Writes `progress.json` of a transferred set and passes progress on.

    The file is removed when the transfer ends; if it fails, the file says why.

    Args:
        shown: Shows progress elsewhere, such as on the terminal.
    """

    def __init__(self, shown: Progress = silent) -> None:
        self._shown = shown
        self._benchmark: BenchmarkDir | None = None
        self._total = 0
        self._done = 0
        self._started = time.monotonic()
        self._written = 0.0

    @contextmanager
    def of(self, benchmark: BenchmarkDir) -> Iterator[None]:
        """Writes the progress of this set while the block runs."""
        self._benchmark = benchmark
        self._write("reading the set", 0, 0)
        try:
            yield
        except FerscopeError as error:
            self._write("failed", 0, 0, error=str(error))
            raise
        except BaseException:
            self._write(
                "failed", 0, 0, error="The transfer was stopped. Start it again to continue."
            )
            raise
        benchmark.transfer_progress_path.unlink(missing_ok=True)

    def plan(self, pictures: int, networks: int) -> None:
        """Sets the work to come: finding faces counts as much as one network."""
        self._total = pictures * (networks + 1)

    def work(self, items: Iterable[Any], length: int, title: str) -> Iterator[Any]:
        """Yields items of the planned work, and reports progress as `wrap` does."""
        for item in self.wrap(items, length, title):
            yield item
            self._done += 1

    def wrap(self, items: Iterable[Any], length: int, title: str) -> Iterator[Any]:
        """Yields items that are not planned work, and reports progress.

        See `fer_core.data.progress.Progress`.
        """
        self._write(title, 0, length)
        for index, item in enumerate(self._shown(items, length, title), start=1):
            yield item
            if time.monotonic() - self._written >= _EVERY:
                self._write(title, index, length)

    def _write(self, stage: str, done: int, total: int, error: str = "") -> None:
        if self._benchmark is None:
            return
        self._written = time.monotonic()
        share = min(1.0, self._done / self._total) if self._total else 0.0
        seconds = self._written - self._started
        record = TransferProgress(
            stage=stage,
            done=done,
            total=total,
            share=share,
            seconds_left=seconds * (1 - share) / share if share > 0.02 else None,
            updated=time.time(),
            process=os.getpid(),
            error=error,
        )
        with suppress(ArtifactError):  # a full disk shows where results are written
            record.write(self._benchmark.transfer_progress_path)
