"""Cached predictions of one network by the content of the face, written in parts."""

import shutil
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_core.arrays import cached_arrays, write_arrays
from fer_core.artifacts import BenchmarkDir

_NAMES = ("sha1", "probabilities")


class PredictionCache:
    """Probabilities of one network by the content of the face.

    Each batch is a file of its own, so that an interruption loses one batch, and what is written
    grows with the number of faces. `merge` makes one file of them.

    Args:
        benchmark: The transferred set.
        run_id: The network's run.
        key: Hash of its weights and preprocessing.
    """

    def __init__(self, benchmark: BenchmarkDir, run_id: str, key: str) -> None:
        self._path = benchmark.cache_dir / "answers" / f"{run_id}-{key}.npz"
        self._parts = self._path.with_suffix(".parts")
        self._rows: dict[str, NDArray[np.float64]] = {}
        for path in (self._path, *sorted(self._parts.glob("*.npz"))):
            self._read(path)
        self._numbers = count(sum(1 for _ in self._parts.glob("*")))

    def missing(self, digests: Sequence[str]) -> list[int]:
        """Returns the positions of the faces without a prediction; of equal faces the first."""
        seen = dict.fromkeys(reversed(digests))
        first = {digest: len(digests) - 1 - index for index, digest in enumerate(reversed(digests))}
        return sorted(first[digest] for digest in seen if digest not in self._rows)

    def add(self, digests: Sequence[str], probabilities: NDArray[np.float64]) -> None:
        """Adds predictions and saves them."""
        self._rows.update(zip(digests, probabilities, strict=True))
        _write(self._parts / f"{next(self._numbers):06d}.npz", digests, probabilities)

    def merge(self) -> None:
        """Writes one file instead of the parts; without parts nothing."""
        if self._parts.is_dir():
            _write(self._path, list(self._rows), np.stack([*self._rows.values()]))
            shutil.rmtree(self._parts, ignore_errors=True)

    def probabilities(self, digests: Sequence[str]) -> NDArray[np.float64]:
        """Returns the probabilities of faces, shape (N, K)."""
        return np.stack([self._rows[digest] for digest in digests])

    def _read(self, path: Path) -> None:
        if cached := cached_arrays(path, _NAMES):
            digests = cached["sha1"].astype(str).tolist()
            self._rows.update(zip(digests, cached["probabilities"], strict=False))


def _write(path: Path, digests: Sequence[str], probabilities: NDArray[np.float64]) -> None:
    # as bytes, because numpy stores four bytes for each character of a text
    write_arrays(path, {"sha1": np.array(digests, dtype="S"), "probabilities": probabilities})
