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
    """

    run: RunDir
    path: Path
    stamp: str

    def complete(
        self,
        names: Sequence[str],
        images: ReadImages,
        stored: SampleFormat,
        device: torch.device,
        progress: Progress,
    ) -> Mapping[str, NDArray[np.float16]]:
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

    def _predict(self, model: Classifier, images: NDArray[np.uint8]) -> NDArray[np.float16]:
        probabilities = model.probabilities(images, np.arange(len(images)), 32)
        if not np.isfinite(probabilities).all():
            raise ArtifactError(
                f"The predictions of {self.run.run_id} are not finite; its weights are damaged. "
                "Train it again."
            )
        return probabilities.astype(np.float16)

    def _read(self) -> dict[str, NDArray[np.float16]]:
        saved = cached_arrays(self.path)
        return saved if str(saved.pop("stamp", None)) == self.stamp else {}

    def _write(self, saved: Mapping[str, NDArray[np.float16]]) -> None:
        write_arrays(self.path, {"stamp": self.stamp, **saved}, compress=True)
