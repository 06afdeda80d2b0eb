"""Files on disk: every path under `artifacts/`.

Nothing else in the project builds a path to a benchmark or a run.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_core.errors import ArtifactError
from fer_core.files import DAMAGED_ARRAYS, atomic_path
from fer_core.records import BenchmarkInfo, RunInfo

PICTURES = "pictures.parquet"
CARD = "card.json"
CARD_TEXT = "CARD.md"
"""Names of files that a prepared set and its benchmark have in common."""

VOTE_PREFIX = "votes_"
"""Columns of `samples.parquet` with annotators' votes: this, then the option."""

_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def safe_name(name: str, what: str) -> str:
    """Returns a name that can be a folder; names may come from an address bar.

    Raises:
        ArtifactError: If it holds anything but letters, digits, dot, dash and underscore.
    """
    if not _SAFE_NAME.fullmatch(name):
        raise ArtifactError(
            f"{name[:60]!r} is no valid {what} name: use letters, digits, '.', '-' and '_'."
        )
    return name


def read_table(
    path: Path, columns: tuple[str, ...] = (), aliases: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Reads a parquet file that must hold certain columns.

    Args:
        path: The file.
        columns: Required columns.
        aliases: Current column names by former names; files with former names are still read.

    Raises:
        ArtifactError: If it is missing, corrupt, or lacks a column.
    """
    try:
        table = pd.read_parquet(path)
    except FileNotFoundError:
        raise ArtifactError(f"{path.name} is missing in {path.parent}.") from None
    except Exception as error:  # pyarrow raises many kinds for damaged files
        raise ArtifactError(
            f"{path.name} of {path.parent.name!r} is corrupt or half-written: {error}."
        ) from error
    table = table.rename(columns=dict(aliases or {}))
    if missing := [name for name in columns if name not in table.columns]:
        raise ArtifactError(
            f"{path.name} of {path.parent.name!r} lacks the columns {', '.join(missing)}."
        )
    return table


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Writes a parquet file atomically."""
    with atomic_path(path) as temporary:
        table.to_parquet(temporary, index=False, compression="zstd")


@dataclass(frozen=True)
class RunDir:
    """The files of one run."""

    root: Path

    @property
    def run_id(self) -> str:
        """The run's name; the name of its folder."""
        return self.root.name

    @property
    def info_path(self) -> Path:
        """`run.json`; written last, so its presence means that the run is finished."""
        return self.root / "run.json"

    @property
    def history_path(self) -> Path:
        """`history.parquet`: one row an epoch."""
        return self.root / "history.parquet"

    @property
    def trace_path(self) -> Path:
        """`trace.parquet`: training loss and accuracy within the epochs."""
        return self.root / "trace.parquet"

    @property
    def progress_path(self) -> Path:
        """`progress.json`: how far a training under way has come; never shipped."""
        return self.root / "progress.json"

    @property
    def weights_path(self) -> Path:
        """`model.safetensors`."""
        return self.root / "model.safetensors"

    @property
    def onnx_path(self) -> Path:
        """`model.onnx`: made by `export`, never shipped."""
        return self.root / "model.onnx"

    @property
    def predictions_path(self) -> Path:
        """`predictions.parquet`: validation and test."""
        return self.root / "predictions.parquet"

    @property
    def report_path(self) -> Path:
        """`report.json`."""
        return self.root / "report.json"

    @property
    def second_report_path(self) -> Path:
        """`report_second_label.json`: the same answers against the images' other annotation."""
        return self.root / "report_second_label.json"

    @property
    def scores_path(self) -> Path:
        """`scores.parquet`: estimates of a score head for scored validation and test images."""
        return self.root / "scores.parquet"

    @property
    def score_report_path(self) -> Path:
        """`score_report.json`: their errors."""
        return self.root / "score_report.json"

    @property
    def robustness_path(self) -> Path:
        """`robustness.parquet`: the same measured on corrupted pictures."""
        return self.root / "robustness.parquet"

    @property
    def efficiency_path(self) -> Path:
        """`efficiency.json`: size, operations, latency and memory."""
        return self.root / "efficiency.json"

    @property
    def corrupted_path(self) -> Path:
        """Answers for corrupted pictures, from which ensembles are computed; never shipped."""
        return self.state_dir / "corrupted.npz"

    def taught_path(self, name: str) -> Path:
        """Answers for training images, from which students learn; never shipped.

        Args:
            name: Of what was asked; empty for a pattern that finds all.
        """
        return self.state_dir / f"taught-{name or '*'}.npz"

    @property
    def faithfulness_path(self) -> Path:
        """`faithfulness.parquet`: how far each saliency method can be believed; from `explain`."""
        return self.root / "faithfulness.parquet"

    @property
    def regions_path(self) -> Path:
        """`regions.parquet`: where saliency lies on each sampled face; from `explain`."""
        return self.root / "regions.parquet"

    @property
    def projection_path(self) -> Path:
        """`projection.parquet`: test images on a plane by what the classifier reads of them."""
        return self.root / "projection.parquet"

    @property
    def state_dir(self) -> Path:
        """Checkpoints of a training under way; never shipped."""
        return self.root / "state"

    @property
    def under_way(self) -> "RunDir":
        """Where history, trace and progress of a training stand until it is finished."""
        return RunDir(self.state_dir / "under_way")

    @property
    def benchmark(self) -> "BenchmarkDir":
        """The benchmark that the run belongs to."""
        return BenchmarkDir(self.root.parent.parent)

    def info(self) -> RunInfo:
        """Reads `run.json`."""
        return RunInfo.read(self.info_path)

    def history(self) -> pd.DataFrame:
        """Reads `history.parquet`."""
        return read_table(self.history_path, ("epoch",))

    def trace(self) -> pd.DataFrame:
        """Reads `trace.parquet`."""
        return read_table(self.trace_path, ("epoch", "loss", "accuracy"))


@dataclass(frozen=True)
class BenchmarkDir:
    """The files of one benchmark."""

    root: Path

    @property
    def name(self) -> str:
        """The benchmark's name; the name of its folder."""
        return self.root.name

    @property
    def store(self) -> "ArtifactStore":
        """The folder of all benchmarks."""
        return ArtifactStore(self.root.parent)

    @property
    def info_path(self) -> Path:
        """`benchmark.json`."""
        return self.root / "benchmark.json"

    @property
    def samples_path(self) -> Path:
        """`samples.parquet`."""
        return self.root / "samples.parquet"

    @property
    def mean_faces_path(self) -> Path:
        """`mean_faces.npz`."""
        return self.root / "mean_faces.npz"

    @property
    def card_path(self) -> Path:
        """`card.json`: the dataset card."""
        return self.root / CARD

    @property
    def card_text_path(self) -> Path:
        """`CARD.md`: the dataset card for people."""
        return self.root / CARD_TEXT

    @property
    def pictures_path(self) -> Path:
        """`pictures.parquet`: only of benchmarks whose pictures may ship."""
        return self.root / PICTURES

    def info(self) -> BenchmarkInfo:
        """Reads `benchmark.json`."""
        return BenchmarkInfo.read(self.info_path)

    def samples(self) -> pd.DataFrame:
        """Reads `samples.parquet`."""
        return read_table(self.samples_path, ("id", "split", "label"))

    def write_mean_faces(self, faces: Mapping[str, NDArray[Any]]) -> None:
        """Writes `mean_faces.npz`; its keys are those of `fer_core.data.aggregates`."""
        with atomic_path(self.mean_faces_path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **dict(faces))  # type: ignore[arg-type]

    def mean_faces(self) -> dict[str, NDArray[np.float32]]:
        """Reads `mean_faces.npz`."""
        try:
            with np.load(self.mean_faces_path, allow_pickle=False) as archive:
                return {key: archive[key] for key in archive.files}
        except DAMAGED_ARRAYS as error:
            raise ArtifactError(
                f"mean_faces.npz of {self.name!r} cannot be read: {error}"
            ) from error

    def run(self, run_id: str) -> RunDir:
        """Returns the place of a run, whether it exists or not."""
        return RunDir(self.root / "runs" / safe_name(run_id, "run"))

    def runs(self) -> list[RunDir]:
        """Returns every run folder, by name; a folder without `run.json` is not finished."""
        folder = self.root / "runs"
        if not folder.is_dir():
            return []
        return [
            RunDir(path)
            for path in sorted(folder.iterdir())
            if path.is_dir() and _SAFE_NAME.fullmatch(path.name)
        ]


@dataclass(frozen=True)
class ArtifactStore:
    """The root of all benchmarks.

    Attributes:
        root: Usually `artifacts/` in the project's folder.
    """

    root: Path

    def benchmark(self, name: str) -> BenchmarkDir:
        """Returns the place of a benchmark, whether it exists or not."""
        return BenchmarkDir(self.root / safe_name(name, "benchmark"))

    def benchmarks(self) -> list[BenchmarkDir]:
        """Returns every benchmark that has a `benchmark.json`, by name."""
        if not self.root.is_dir():
            return []
        return [
            BenchmarkDir(path)
            for path in sorted(self.root.iterdir())
            if (path / "benchmark.json").is_file() and _SAFE_NAME.fullmatch(path.name)
        ]
