"""Files on disk: every path under `artifacts/`, typed records, schema versions.

Nothing else in the project builds a path to a benchmark or a run.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from fer_core.errors import ArtifactError
from fer_core.files import atomic_path, read_json, write_json
from fer_core.labels import LabelSet

SCHEMA_VERSION = 1

PICTURES = "pictures.parquet"
CARD = "card.json"
CARD_TEXT = "CARD.md"
"""Names of files that a prepared set and its benchmark have in common."""

VOTE_PREFIX = "votes_"
"""Columns of `samples.parquet` with annotators' votes: this, then the option."""

_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Record(BaseModel):
    """A frozen JSON file with a schema version; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = SCHEMA_VERSION

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads the record.

        Raises:
            ArtifactError: If the file is missing, corrupt, or of a newer schema.
        """
        content = read_json(path)
        version = content.get("schema_version")
        if isinstance(version, int) and version > SCHEMA_VERSION:
            raise ArtifactError(
                f"{path.name} of {path.parent.name!r} was written by a newer FERscope (schema "
                f"{version}, this one reads up to {SCHEMA_VERSION}). Update FERscope to read it."
            )
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise ArtifactError(
                f"{path.name} of {path.parent.name!r} is corrupt: {where}: {first['msg']}."
            ) from error

    def write(self, path: Path) -> None:
        """Writes the record atomically."""
        write_json(path, self.model_dump(mode="json"))


class SourceInfo(BaseModel):
    """Where the images and labels of a benchmark come from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    licence: str
    reference: str


class Framing(BaseModel):
    """How faces lie in a benchmark's images: where the face detector's box falls.

    Attributes:
        box: The box's longer side, as a share of the image's side; median over images.
        drop: How far the box's centre lies below the image's, as a share of its side; median.
        images: How many images were looked at.
        found: In how many of them a face was found.
        spread: Quartiles of `box`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    box: float
    drop: float
    images: int
    found: int
    spread: tuple[float, float]

    @property
    def margin(self) -> float:
        """What a box lacks on each side to be as wide as the image, in sides of the box."""
        return (1 / self.box - 1) / 2

    @property
    def rise(self) -> float:
        """How far the image's centre lies above the box's, in sides of the box."""
        return self.drop / self.box


class BenchmarkInfo(Record):
    """`benchmark.json`: what every number of a benchmark stands on.

    Attributes:
        side: Stored images are side x side pixels.
        colour: Stored images are RGB; grey otherwise.
        split_hash: Hash of which sample stands in which split under which label.
        counts: Samples by split and class.
        excluded: Samples that take no part, by reason.
        leaked_test: Test samples whose duplicate stood in the original train or validation.
        skipped: Unreadable files and why.
        framing: How faces lie in the images; None where too few were found, or none were sought.
    """

    name: str
    title: str
    labels: tuple[str, ...]
    sources: tuple[SourceInfo, ...]
    side: int
    colour: bool
    split_hash: str
    counts: Mapping[str, Mapping[str, int]]
    excluded: Mapping[str, int]
    leaked_test: int
    skipped: Mapping[str, str]
    protocol: str
    framing: Framing | None = None

    @property
    def label_set(self) -> LabelSet:
        """The classes in canonical order."""
        return LabelSet(self.labels)

    @property
    def train_counts(self) -> NDArray[np.int64]:
        """Training samples by class, in canonical order, shape (K,)."""
        return np.array([self.counts["train"].get(name, 0) for name in self.label_set.names])


class RunInfo(Record):
    """`run.json`: how a run came to be.

    Attributes:
        kind: A trained network, an ensemble of other runs, or predictions made elsewhere.
        recipe: The resolved recipe, as plain values; empty for imported predictions.
        init: `scratch`, `imagenet`, `checkpoint`; `members` for an ensemble; `elsewhere` for
            imported predictions.
        init_source: Where the initial weights were read from.
        labels: The classes; column `i` of the model's logits is `labels[i]`.
        image_size: Side of the network's input in pixels; None for an ensemble or if not known.
        preprocessing_hash: Hash of the input pipeline; members' hashes joined for an ensemble;
            `elsewhere` for imported predictions.
        test_time_augmentation: Whether the predictions average over changed copies of an image.
        parameters: Number of weights; None if not known.
        trained_parameters: Number of weights that training changed; None where it is not known.
        base_hash: Hash of the weights that an adapter stands on; None without an adapter.
        prior_strength: What was added to the logits in the end, in logarithms of the class
            frequencies; chosen on validation. It stands in a network's bias already.
        logit_shift: The same for an ensemble's mean answer, one value a class; empty for none.
        teachers: Run ids that it learned from, or that an ensemble chose among, and when each was
            made: a run of the same name may have been trained anew since.
        members: Run ids that an ensemble averages.
        member_weights: Their weights, summing to 1.
        weights_dtype: `float32`, or `float16` once published; None for an ensemble.
    """

    run_id: str
    kind: Literal["network", "ensemble", "imported"]
    title: str
    family: str
    recipe: Mapping[str, Any]
    labels: tuple[str, ...]
    init: str
    init_source: str
    seed: int
    image_size: int | None
    preprocessing_hash: str
    split_hash: str
    test_time_augmentation: bool = False
    parameters: int | None
    trained_parameters: int | None = None
    base_hash: str | None = None
    prior_strength: float = 0.0
    logit_shift: tuple[float, ...] = ()
    teachers: Mapping[str, str] = {}
    members: tuple[str, ...] = ()
    member_weights: tuple[float, ...] = ()
    weights_dtype: str | None = None
    published: Mapping[str, Any] | None = None
    best_epoch: int | None = None
    epochs: int | None = None
    wall_seconds: float = 0.0
    git_commit: str | None = None
    versions: Mapping[str, str] = {}
    hardware: Mapping[str, str] = {}
    created: str = ""


class TrainingState(Record):
    """`progress.json`: how far a training under way has come; gone once it is finished.

    Attributes:
        epoch, epochs: The epoch under way, from 1, and how many there will be.
        step, steps: Steps done in this epoch, and how many it has.
        loss, accuracy: Of training, averaged over the epoch so far; no loss if it is not finite.
        images_per_second: Over all processes.
        seconds_left: To the last epoch's end.
        updated: When this was written; seconds since 1970.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float | None
    accuracy: float
    images_per_second: float
    seconds_left: float
    updated: float

    @property
    def done(self) -> float:
        """Share of all steps that are done."""
        return min((self.epoch - 1 + self.step / self.steps) / self.epochs, 1.0)


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


def read_table(path: Path, columns: tuple[str, ...] = ()) -> pd.DataFrame:
    """Reads a parquet file that must hold certain columns.

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

    @property
    def taught_path(self) -> Path:
        """Answers for training images, from which students learn; never shipped."""
        return self.state_dir / "taught.npz"

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
        except (OSError, ValueError) as error:
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
