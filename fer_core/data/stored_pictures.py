"""The pictures of a benchmark that are on this machine: prepared, attached, or shipped with it."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from fer_core.artifacts import BenchmarkDir
from fer_core.data.attach import read_attached
from fer_core.data.prepared import PreparedDataset, is_prepared
from fer_core.data.storage import decode
from fer_core.errors import ArtifactError, FerscopeError
from fer_core.records import BenchmarkInfo
from fer_core.tables import read_table


@dataclass(frozen=True)
class Pictures:
    """Stored images by sample id.

    Attributes:
        images: uint8, shape (N, side, side) or (N, side, side, 3).
        rows: Position in `images` by sample id.
    """

    images: NDArray[np.uint8]
    rows: dict[str, int]

    def get(self, sample_id: str) -> Image.Image | None:
        """Returns a sample's picture, or None if it is missing."""
        row = self.rows.get(sample_id)
        return None if row is None else Image.fromarray(np.asarray(self.images[row]))


def open_pictures(
    benchmark: BenchmarkDir, info: BenchmarkInfo, samples: pd.DataFrame, folder: Path
) -> Pictures | None:
    """Returns the pictures that are on this machine, or None.

    They come from the prepared dataset if it is on this machine, else from the pictures that were
    attached, else from the benchmark itself if its licence allows it to ship pictures.

    Args:
        benchmark: The benchmark.
        info: Metadata of the benchmark.
        samples: Samples of the benchmark.
        folder: Folder of its prepared dataset and of attached pictures.
    """
    if is_prepared(folder):
        with suppress(FerscopeError):  # it has another split
            return _prepared(folder, info.split_hash)
    with suppress(FerscopeError):  # nothing is attached
        attached = read_attached(folder, samples)
        return Pictures(attached.images, dict(attached.rows))
    try:
        return _shipped(benchmark, info)
    except FerscopeError:
        return None


def _prepared(folder: Path, split_hash: str) -> Pictures:
    dataset = PreparedDataset.open(folder)
    if dataset.info.split_hash != split_hash:
        raise ArtifactError(
            f"The prepared dataset in {folder} has another split than this benchmark."
        )
    ids = dataset.samples["id"].tolist()
    return Pictures(dataset.images, {name: row for row, name in enumerate(ids)})


def _shipped(benchmark: BenchmarkDir, info: BenchmarkInfo) -> Pictures:
    table = read_table(benchmark.pictures_path, ("id", "webp"))
    try:
        images = np.stack([decode(data, info.colour) for data in table["webp"]])
    except (OSError, ValueError) as error:
        raise ArtifactError(f"The pictures of {info.name!r} are damaged: {error}.") from error
    return Pictures(images, {name: row for row, name in enumerate(table["id"])})
