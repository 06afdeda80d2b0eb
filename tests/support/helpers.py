"""Small datasets for tests: written by code, deterministic, and free of anyone's face."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from fer_core.data.sources.base import Origin, Sample, Skipped
from fer_core.labels import FER2013_CODES, FERPLUS_COLUMNS

USAGES = ("Training", "PublicTest", "PrivateTest")


def noise(count: int, *, seed: int = 0, side: int = 48, colour: bool = False) -> NDArray[np.uint8]:
    """Returns random pictures, uint8 (count, side, side) or (..., 3); no two correlate."""
    shape = (count, side, side, 3) if colour else (count, side, side)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def fer2013_table(rows: int = 42, *, seed: int = 0) -> pd.DataFrame:
    """Returns a table in FER2013's layout; codes go 0 to 6 in turn, splits follow one another.

    `rows` must be a multiple of 21, so that each class stands in each split.
    """
    images = noise(rows, seed=seed)
    return pd.DataFrame(
        {
            "emotion": np.arange(rows) % 7,
            "pixels": [" ".join(map(str, image.ravel())) for image in images],
            "Usage": np.repeat(USAGES, rows // 3),
        }
    )


def votes_table(fer2013: pd.DataFrame) -> pd.DataFrame:
    """Returns FER+ votes for those rows: eight of ten for the row's own class, two unknown."""
    names = [FER2013_CODES[code] for code in fer2013["emotion"]]
    votes = {
        column: [8 * (name == emotion) for name in names]
        for column, emotion in FERPLUS_COLUMNS.items()
    }
    table = pd.DataFrame({"Usage": fer2013["Usage"], "Image name": "", **votes})
    return table.assign(unknown=2)


def write_fer2013(
    folder: Path,
    table: pd.DataFrame | None = None,
    votes: pd.DataFrame | None = None,
    *,
    name: str = "fer2013.csv",
) -> Path:
    """Writes the tables that are given and returns the path of the first.

    The name's ending (`.gz`, `.zip`) decides the compression.
    """
    path = folder / name
    (fer2013_table() if table is None else table).to_csv(path, index=False)
    if votes is not None:
        votes.to_csv(folder / "fer2013new.csv", index=False)
    return path


def write_images(root: Path, layout: Mapping[str, Sequence[NDArray[np.uint8]]]) -> Path:
    """Writes pictures as `<folder>/<number>.png` and returns the root."""
    for folder, images in layout.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for number, image in enumerate(images):
            Image.fromarray(image).save(root / folder / f"{number:03d}.png")
    return root


@dataclass(frozen=True)
class ListSource:
    """A source that gives prepared items, and then fails if an error is given."""

    items: Sequence[Sample | Skipped]
    colour: bool = False
    error: Exception | None = None

    @property
    def origin(self) -> Origin:
        return Origin("list", "A list", "none", "")

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Sample | Skipped]:
        yield from self.items
        if self.error:
            raise self.error


def samples(
    images: NDArray[np.uint8], labels: Sequence[str], split: str | None = None, start: int = 0
) -> list[Sample]:
    """Returns samples with the keys `0000`, `0001` and so on, from `start`."""
    return [
        Sample(key=f"{number:04d}", image=image, label=label, split=split)
        for number, (image, label) in enumerate(zip(images, labels, strict=True), start)
    ]
