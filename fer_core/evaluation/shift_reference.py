"""`reference.npz`: statistics of a benchmark's faces that transferred sets are compared with."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fer_core.arrays import read_arrays, write_arrays
from fer_core.evaluation.embedding_distance import FeatureSpace

Floats = NDArray[np.float64]

MEASURES: Mapping[str, str] = {
    "box": "size of the face in the image",
    "right": "distance of the face from the centre, to the right",
    "drop": "distance of the face from the centre, downwards",
    "roll": "rotation of the face in degrees",
}
"""Measures of a face's position, with titles; lengths are shares of the image's side."""


_ARRAYS = ("run_id", "weights", "split_hash", "mean", "axes", "quantiles", "detected")


@dataclass(frozen=True)
class ShiftReference:
    """Statistics of a benchmark's faces.

    Attributes:
        run_id: The network whose features are compared.
        weights: Hash of its weights.
        split_hash: Split of the benchmark.
        space: Distribution of the benchmark's faces in the network's features.
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
        arrays: dict[str, ArrayLike] = {
            "run_id": self.run_id,
            "weights": self.weights,
            "split_hash": self.split_hash,
            "mean": self.space.mean.astype(np.float32),
            "axes": self.space.axes.astype(np.float32),
            "quantiles": self.space.quantiles,
            "detected": self.detected,
            **{f"placement_{name}": values for name, values in self.placement.items()},
        }
        write_arrays(path, arrays, compress=True)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads the file.

        Raises:
            ArtifactError: If it is missing or damaged.
        """
        placements = {name: f"placement_{name}" for name in MEASURES}
        arrays = read_arrays(path, (*_ARRAYS, *placements.values()))
        return cls(
            str(arrays["run_id"]),
            str(arrays["weights"]),
            str(arrays["split_hash"]),
            FeatureSpace(
                arrays["mean"].astype(np.float64),
                arrays["axes"].astype(np.float64),
                arrays["quantiles"],
            ),
            {name: arrays[key] for name, key in placements.items()},
            float(arrays["detected"]),
        )
