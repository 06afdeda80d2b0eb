"""PreparedDataset: memory-mapped uint8 images and a table with one row per sample."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_core.artifacts import TRANSFERS, VOTE_PREFIX, BenchmarkDir
from fer_core.data.imaging import SampleFormat
from fer_core.data.leaks import leaking_groups
from fer_core.data.sources.base import NO_MAJORITY
from fer_core.errors import ArtifactError, DataError
from fer_core.labels import LabelSet
from fer_core.records import BenchmarkInfo
from fer_core.tables import read_table

_IMAGES = "images.npy"


def prepared_folder(data: Path, benchmark: BenchmarkDir) -> Path:
    """Returns the folder of a benchmark's prepared images; it need not exist.

    Those of a transferred set are beside its benchmark if a visitor uploaded it, else in
    `transfers/` of the data folder: preparing the benchmark again replaces that benchmark's folder.

    Args:
        data: Folder of prepared datasets.
        benchmark: The benchmark or the transferred set.
    """
    origin = benchmark.origin
    if origin is None:
        return data / benchmark.name
    if benchmark.root.parent.parent != origin.root:  # in the state folder
        return benchmark.root / "prepared"
    return data / TRANSFERS / origin.name / benchmark.root.name


def is_prepared(folder: Path) -> bool:
    """Whether a folder has a prepared dataset; it may be damaged."""
    return (folder / _IMAGES).is_file()


@dataclass(frozen=True)
class PreparedDataset:
    """A dataset ready for training.

    Attributes:
        info: Description of the data set; the benchmark's artifacts contain a copy.
        samples: One row per image, in the order of `images`.
        images: uint8 memory map, shape (N, side, side) or (N, side, side, 3).
        folder: Folder of the data set.
    """

    info: BenchmarkInfo
    samples: pd.DataFrame
    images: NDArray[np.uint8]
    folder: Path

    @classmethod
    def open(cls, folder: Path) -> "PreparedDataset":
        """Opens a folder that `python -m training prepare` wrote; images stay on disk.

        Raises:
            DataError: If the folder is not a prepared dataset, or its files are inconsistent.
        """
        if not is_prepared(folder):
            raise DataError(
                f"There is no prepared dataset in {folder}. "
                "Create one with: python -m training prepare --help"
            )
        try:
            info = BenchmarkInfo.read(folder / "benchmark.json")
            samples = read_table(folder / "samples.parquet", ("id", "split", "label"))
        except ArtifactError as error:
            raise DataError(f"{error} Prepare the set again.") from error
        try:
            images = np.load(folder / _IMAGES, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise DataError(
                f"{folder / _IMAGES} is damaged ({error}). Prepare the set again."
            ) from error
        expected = (len(samples), *SampleFormat.of(info).shape)
        if images.shape != expected or images.dtype != np.uint8:
            raise DataError(
                f"{folder / _IMAGES} holds {images.dtype} of shape {images.shape}, and "
                f"samples.parquet needs uint8 of shape {expected}. Prepare the set again."
            )
        return cls(info, samples, images, folder)

    @classmethod
    def open_if_present(cls, folder: Path) -> "PreparedDataset | None":
        """Opens a folder as `open` does; returns None if it has no prepared dataset.

        Raises:
            DataError: If its files are inconsistent.
        """
        return cls.open(folder) if is_prepared(folder) else None

    @property
    def labels(self) -> LabelSet:
        """The classes in canonical order."""
        return self.info.label_set

    @property
    def format(self) -> SampleFormat:
        """Size and colour of the stored images."""
        return SampleFormat.of(self.info)

    def rows(self, split: str) -> NDArray[np.int64]:
        """Returns the row numbers of a split's samples, ascending."""
        return np.flatnonzero((self.samples["split"] == split).to_numpy()).astype(np.int64)

    def targets(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns the class index of each row; shape (len(rows),)."""
        position = {name: index for index, name in enumerate(self.labels.names)}
        names = self.samples["label"].to_numpy()[rows]
        return np.array([position[name] for name in names], dtype=np.int64)

    def soft_targets(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Returns the distribution of annotator votes over the classes.

        A class with a single vote is ignored, as in the strict-majority rule. If another class has
        more votes than the label, because the label was corrected or comes from another
        annotation, the target is one-hot.

        Returns:
            float32, shape (len(rows), classes), rows sum to 1.
        """
        unlabelled = self.samples["label"].isna().to_numpy()[rows]
        hard = np.zeros((len(rows), len(self.labels)), dtype=np.float32)
        labelled = np.flatnonzero(~unlabelled)
        hard[labelled, self.targets(rows[labelled])] = 1
        votes = _votes(self.samples, self.labels)
        if votes is None:
            return hard
        counts = votes[rows]
        total = counts.sum(axis=1, keepdims=True)
        label_leads = (counts * hard).sum(axis=1) == counts.max(axis=1)
        usable = (total > 0) & (unlabelled | label_leads)[:, None]
        return np.where(usable, counts / np.maximum(total, 1), hard).astype(np.float32)

    def no_majority_rows(self) -> NDArray[np.int64]:
        """Returns the rows of `no_majority` images."""
        return np.flatnonzero(no_majority(self.samples, self.labels)).astype(np.int64)


def no_majority(samples: pd.DataFrame, labels: LabelSet) -> NDArray[np.bool_]:
    """Marks training images without a majority label whose votes can serve as soft labels.

    These are images of the original training data whose annotators disagree, with at least half of
    the votes for the benchmark's classes and without a duplicate, or another image of their group
    (a person or a video), in validation or test.

    Args:
        samples: The data set's table.
        labels: The data set's classes.

    Returns:
        Boolean mask, shape (len(samples),).
    """
    votes = _votes(samples, labels)
    if votes is None:
        return np.zeros(len(samples), dtype=bool)
    columns = [name for name in samples.columns if name.startswith(VOTE_PREFIX)]
    all_votes = samples[columns].to_numpy(dtype=np.float32).sum(axis=1)
    split = samples["original_split"].to_numpy(dtype=object)
    groups = samples["duplicate_group"].to_numpy()
    if "group" in samples.columns:
        groups = leaking_groups(samples, np.empty((0, 2), dtype=np.int64))
    held_out = np.unique(groups[(groups >= 0) & (split != "train")])
    mask: NDArray[np.bool_] = (
        samples["label"].isna().to_numpy()
        & (samples["excluded"] == NO_MAJORITY).to_numpy()
        & (split == "train")
        & (votes.sum(axis=1) >= all_votes / 2)
        & (votes.sum(axis=1) > 0)
        & ~np.isin(groups, held_out)
    )
    return mask


def _votes(samples: pd.DataFrame, labels: LabelSet) -> NDArray[np.float32] | None:
    """Returns votes by class without single votes, shape (N, classes); None without votes."""
    columns = [f"{VOTE_PREFIX}{name}" for name in labels.names]
    if not set(columns) <= set(samples.columns):
        return None
    votes = samples[columns].to_numpy(dtype=np.float32)
    return np.where(votes > 1, votes, 0).astype(np.float32)
