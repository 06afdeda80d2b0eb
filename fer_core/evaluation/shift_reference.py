"""`reference.npz`: statistics of a benchmark's faces that transferred sets are compared with."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fer_core.errors import ArtifactError
from fer_core.evaluation.embedding_distance import FeatureSpace
from fer_core.files import DAMAGED_ARRAYS, atomic_path

Floats = NDArray[np.float64]

MEASURES: Mapping[str, str] = {
    "box": "size of the face in the image",
    "right": "distance of the face from the centre, to the right",
    "drop": "distance of the face from the centre, downwards",
    "roll": "rotation of the face in degrees",
}
"""What is measured of a face's position; lengths are shares of the image's side."""


@dataclass(frozen=True)
class ShiftReference:
    """Statistics of a benchmark's faces.

    Attributes:
        run_id: The network whose features are compared.
        weights: Hash of its weights.
        split_hash: Split of the benchmark.
        space: Where the benchmark's faces lie in its features.
        placement: Quantiles 0, 0.01, ... 1 of `MEASURES`, shape (101,) each.
        detected: Share of the images in which a face was detected.
    """

    run_id: str
    weights: str
    split_hash: str
    space: FeatureSpace
    placement: Mapping[str, Floats]
    detected: float

    def write(self, path: Path) -> None:
        """Writes the file atomically; float32 is precise enough and half as large."""
        arrays = {
            "run_id": np.array(self.run_id),
            "weights": np.array(self.weights),
            "split_hash": np.array(self.split_hash),
            "mean": self.space.mean.astype(np.float32),
            "axes": self.space.axes.astype(np.float32),
            "quantiles": self.space.quantiles,
            "detected": np.array(self.detected),
            **{f"placement_{name}": values for name, values in self.placement.items()},
        }
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads the file.

        Raises:
            ArtifactError: If it is missing or damaged.
        """
        try:
            with np.load(path, allow_pickle=False) as archive:
                space = FeatureSpace(
                    archive["mean"].astype(np.float64),
                    archive["axes"].astype(np.float64),
                    archive["quantiles"],
                )
                return cls(
                    str(archive["run_id"]),
                    str(archive["weights"]),
                    str(archive["split_hash"]),
                    space,
                    {name: archive[f"placement_{name}"] for name in MEASURES},
                    float(archive["detected"]),
                )
        except DAMAGED_ARRAYS as error:
            raise ArtifactError(f"{path.name} of {path.parent.name!r} cannot be read.") from error
