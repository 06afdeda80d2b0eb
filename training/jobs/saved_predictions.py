"""Predictions of a network on several sets of pictures, saved after each for resuming."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from fer_core.abilities import model_file
from fer_core.arrays import cached_arrays, write_arrays
from fer_core.artifacts import RunDir
from fer_core.data.imaging import SampleFormat
from fer_core.data.progress import Progress
from fer_core.engine.classifiers import Classifier, load_fastest
from fer_core.errors import ArtifactError
from fer_core.records import RunInfo

ReadImages = Callable[[str], NDArray[np.uint8]]
"""Returns the pictures of a set: uint8, shape (N, H, W) or (N, H, W, 3)."""


def weights_stamp(run: RunDir) -> str:
    """Returns size and time of change of a network's weights; empty if they are missing."""
    file = model_file(run, run.info())
    if not file.is_file():
        return ""
    weights = file.stat()
    return f"{weights.st_size} {weights.st_mtime_ns}"


@dataclass(frozen=True)
class SavedPredictions:
    """A network's predictions by name of the set of pictures.

    Attributes:
        run: The network's run.
        path: File of the predictions, which are reused for ensembles.
        stamp: Hash of the pictures and the weights. Saved predictions with another
            stamp are not used.
        batch_size: Pictures per step.
        dtype: Precision in which predictions are saved and returned.
    """

    run: RunDir
    path: Path
    stamp: str
    batch_size: int = 32
    dtype: type[np.float16] | type[np.float32] = np.float16

    def complete(
        self,
        names: Sequence[str],
        images: ReadImages,
        stored: SampleFormat,
        device: torch.device,
        progress: Progress,
    ) -> Mapping[str, NDArray[np.floating]]:
        """Predicts the sets that are not saved yet.

        Args:
            names: Names of the sets.
            images: Returns the pictures of a set.
            stored: Format of the pictures.
            device: Device to predict on.
            progress: Shows progress over the sets.

        Returns:
            Probabilities by name, shape (N, K).

        Raises:
            FerscopeError: If the run or its weights are damaged.
        """
        saved = self._read()
        model: Classifier | None = None
        for name in progress(names, len(names), self.run.run_id):
            if name in saved:
                continue
            model = model or load_fastest(self.run, stored, device)
            saved[name] = self._predict(model, images(name))
            self._write(saved)
        return {name: saved[name] for name in names}

    def _predict(self, model: Classifier, images: NDArray[np.uint8]) -> NDArray[np.floating]:
        probabilities = model.probabilities(images, np.arange(len(images)), self.batch_size)
        if not np.isfinite(probabilities).all():
            raise ArtifactError(
                f"The predictions of {self.run.run_id} are not finite; its weights are damaged. "
                "Train it again."
            )
        return probabilities.astype(self.dtype)

    def _read(self) -> dict[str, NDArray[np.floating]]:
        saved = cached_arrays(self.path)
        return saved if str(saved.pop("stamp", None)) == self.stamp else {}

    def _write(self, saved: Mapping[str, NDArray[np.floating]]) -> None:
        write_arrays(self.path, {"stamp": self.stamp, **saved}, compress=True)


def saved_by_member(
    run: RunDir, info: RunInfo, saved_of: Callable[[RunDir], SavedPredictions], *, again: bool
) -> list[SavedPredictions]:
    """Returns the saved predictions of a network, or of an ensemble's members.

    Args:
        run: A network's or an ensemble's run.
        info: Its `run.json`.
        saved_of: Returns the saved predictions of a network.
        again: Whether to delete those of `run` first; those of members stay.
    """
    members = [saved_of(run.benchmark.run(name)) for name in info.members or (run.run_id,)]
    for saved in members:
        if again and saved.run.run_id == run.run_id:
            saved.path.unlink(missing_ok=True)
    return members
