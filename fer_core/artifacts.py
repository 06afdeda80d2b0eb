"""Paths under `artifacts/`. No other module builds a path to a benchmark or a run."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_core.arrays import read_arrays, write_arrays
from fer_core.errors import ArtifactError
from fer_core.files import content_hash
from fer_core.project import artifacts_root, state_root
from fer_core.records import BenchmarkInfo, RunInfo
from fer_core.tables import read_table

PICTURES = "pictures.parquet"
CARD = "card.json"
CARD_TEXT = "CARD.md"
COPIES = "transformed_copies.parquet"
"""File names that a prepared dataset and its benchmark share."""

VOTE_PREFIX = "votes_"
"""Prefix of the columns of `samples.parquet` that hold annotators' votes."""

TRANSFERS = "transfers"
"""Folder of a benchmark that holds the sets to which its runs were transferred."""

_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def safe_name(name: str, what: str) -> str:
    """Returns a name that is safe as a folder name; names may come from a URL.

    Raises:
        ArtifactError: If it has characters other than letters, digits, '.', '-' and '_', or
            begins with '.', '-' or '_', or is longer than 100.
    """
    if not _SAFE_NAME.fullmatch(name):
        raise ArtifactError(
            f"{name[:60]!r} is not a valid {what} name: use letters, digits, '.', '-' and '_', and "
            "begin with a letter or digit."
        )
    return name


@dataclass(frozen=True)
class RunDir:
    """File paths of one run.

    A run of a transferred set is a run of the benchmark that it comes from with other predictions.
    What describes the model alone (weights, history, cost, faithfulness) is therefore that run's,
    unless the set's own run has the file.
    """

    root: Path

    @property
    def run_id(self) -> str:
        """The run's id, which is its folder's name."""
        return self.root.name

    @property
    def origin(self) -> "RunDir | None":
        """The run that was transferred; None for a run of a benchmark of its own."""
        origin = self.benchmark.origin
        return None if origin is None else RunDir(origin.root / "runs" / self.run_id)

    def _model_file(self, name: str) -> Path:
        """Returns a file that describes the model; the transferred run's if this one has none."""
        path, origin = self.root / name, self.origin
        return path if origin is None or path.is_file() else origin.root / name

    @property
    def info_path(self) -> Path:
        """`run.json`. It is written last: a run is finished once it exists."""
        return self.root / "run.json"

    @property
    def history_path(self) -> Path:
        """`history.parquet`: one row per epoch."""
        return self._model_file("history.parquet")

    @property
    def trace_path(self) -> Path:
        """`trace.parquet`: training loss and accuracy within epochs."""
        return self._model_file("trace.parquet")

    @property
    def progress_path(self) -> Path:
        """`progress.json`: progress of a running training; not in git."""
        return self.root / "progress.json"

    @property
    def weights_path(self) -> Path:
        """`model.safetensors`."""
        return self._model_file(self.own_weights_path.name)

    @property
    def own_weights_path(self) -> Path:
        """`model.safetensors` of this folder; on a transferred set, only adapted runs have one."""
        return self.root / "model.safetensors"

    @property
    def onnx_path(self) -> Path:
        """`model.onnx`: written by `export`; not in git."""
        return self._model_file("model.onnx")

    @property
    def graph_path(self) -> Path:
        """`graph.onnx`: the network without its weights, which it reads in `model.safetensors`."""
        return self._model_file("graph.onnx")

    @property
    def predictions_path(self) -> Path:
        """`predictions.parquet`: probabilities on validation and test."""
        return self.root / "predictions.parquet"

    @property
    def report_path(self) -> Path:
        """`report.json`: metrics with intervals."""
        return self.root / "report.json"

    @property
    def second_report_path(self) -> Path:
        """`report_second_label.json`: metrics against the images' second annotation."""
        return self.root / "report_second_label.json"

    @property
    def regression_path(self) -> Path:
        """`scores.parquet`: a regression head's predictions on validation and test."""
        return self.root / "scores.parquet"

    @property
    def regression_report_path(self) -> Path:
        """`score_report.json`: a regression head's errors."""
        return self.root / "score_report.json"

    @property
    def robustness_path(self) -> Path:
        """`robustness.parquet`: metrics on corrupted test images."""
        return self.root / "robustness.parquet"

    @property
    def framing_path(self) -> Path:
        """`framing.parquet`: metrics on framing-shifted validation and test images."""
        return self.root / "framing.parquet"

    @property
    def probes_path(self) -> Path:
        """`probes.parquet`: probabilities of the drawn faces of a probe."""
        return self.root / "probes.parquet"

    @property
    def real_changes_path(self) -> Path:
        """`real_changes.parquet`: how changes of validation pictures change the predictions."""
        return self.root / "real_changes.parquet"

    @property
    def efficiency_path(self) -> Path:
        """`efficiency.json`: size, FLOPs, latency and memory."""
        return self._model_file("efficiency.json")

    @property
    def corrupted_path(self) -> Path:
        """Predictions on corrupted images, reused for ensembles; not in git."""
        return self.state_dir / "corrupted.npz"

    @property
    def framing_cache_path(self) -> Path:
        """Predictions on framing-shifted images, reused for ensembles; not in git."""
        return self.state_dir / "framing.npz"

    @property
    def probe_cache_path(self) -> Path:
        """Predictions on drawn and changed pictures, reused for ensembles; not in git."""
        return self.state_dir / "probes.npz"

    def soft_targets_path(self, key: str) -> Path:
        """Returns where soft targets for students are cached; not in git.

        Args:
            key: Hash of the weights and the images; empty for a glob pattern that matches all.
        """
        return self.state_dir / f"taught-{key or '*'}.npz"

    @property
    def embeddings_path(self) -> Path:
        """Embeddings of the benchmark's images by this network; written by `embed`; not in git."""
        return self.benchmark.cache_dir / "embeddings" / f"{self.run_id}.npz"

    @property
    def embedding_key(self) -> str:
        """Inputs of embeddings: hashes of the weights and of the split."""
        return f"{content_hash(self.weights_path)} {self.benchmark.info().split_hash}"

    @property
    def faithfulness_path(self) -> Path:
        """`faithfulness.parquet`: faithfulness of each saliency method; written by `explain`."""
        return self._model_file("faithfulness.parquet")

    @property
    def faithfulness_validation_path(self) -> Path:
        """`faithfulness_validation.parquet`: the same on validation; chooses the default method."""
        return self._model_file("faithfulness_validation.parquet")

    @property
    def regions_path(self) -> Path:
        """`regions.parquet`: saliency by facial region of sampled images; written by `explain`."""
        return self.root / "regions.parquet"

    @property
    def projection_path(self) -> Path:
        """`projection.parquet`: 2-D projection of test images' features; written by `explain`."""
        return self.root / "projection.parquet"

    @property
    def state_dir(self) -> Path:
        """Checkpoints and caches of a running training; not in git."""
        return self.root / "state"

    @property
    def under_way(self) -> "RunDir":
        """History, trace and progress of a running training, until it finishes."""
        return RunDir(self.state_dir / "under_way")

    @property
    def benchmark(self) -> "BenchmarkDir":
        """The benchmark that the run belongs to."""
        return BenchmarkDir(self.root.parent.parent)

    def info(self) -> RunInfo:
        """Reads `run.json`."""
        return RunInfo.read(self.info_path)

    def checked_info(self, benchmark: BenchmarkInfo) -> RunInfo:
        """Reads `run.json` and checks that it is this run's and of this benchmark's classes.

        Raises:
            ArtifactError: If it is missing or damaged, belongs to another run or to other classes,
                or if a file is a symbolic link to a place outside the benchmark's folder.
        """
        self._require_inside()
        info = self.info()
        if info.run_id != self.run_id:
            raise ArtifactError(
                f"its run.json belongs to {info.run_id!r}. Rename the folder, or restore run.json."
            )
        if info.labels != benchmark.labels:
            raise ArtifactError(
                f"its classes ({', '.join(info.labels)}) are not the benchmark's. Train or import "
                "it for this benchmark."
            )
        return info

    def _require_inside(self) -> None:
        home = self.root.parent.resolve()
        for path in (self.root, *self.root.iterdir()):
            if path.is_symlink() and not path.resolve().is_relative_to(home):
                raise ArtifactError(
                    f"{path.name} is a symbolic link to a place outside the artifacts. Copy the "
                    "files here instead."
                )

    def history(self) -> pd.DataFrame:
        """Reads `history.parquet`."""
        return read_table(self.history_path, ("epoch",))

    def trace(self) -> pd.DataFrame:
        """Reads `trace.parquet`."""
        return read_table(self.trace_path, ("epoch", "loss", "accuracy"))


@dataclass(frozen=True)
class BenchmarkDir:
    """File paths of one benchmark."""

    root: Path

    @property
    def name(self) -> str:
        """The folder's name; for a transferred set `<benchmark>/transfers/<set>`."""
        return self.root.name if not self.is_transfer else "/".join(self.root.parts[-3:])

    @property
    def is_transfer(self) -> bool:
        """Whether it is a set to which a benchmark's runs were transferred."""
        return self.root.parent.name == TRANSFERS

    @property
    def origin(self) -> "BenchmarkDir | None":
        """The benchmark whose runs were transferred; None for a benchmark of its own."""
        if not self.is_transfer:
            return None
        beside = self.root.parent.parent
        if (beside / "benchmark.json").is_file():
            return BenchmarkDir(beside)
        return BenchmarkDir(artifacts_root() / beside.name)  # the set is in the state folder

    @property
    def store(self) -> "ArtifactStore":
        """The folder that holds all benchmarks."""
        return ArtifactStore((self.origin or self).root.parent)

    def transfer(self, name: str) -> "BenchmarkDir":
        """Returns the paths of a transferred set, which need not exist.

        Sets of visitors of the dashboard are in the state folder, if there is one.
        """
        folder = self.root / TRANSFERS / safe_name(name, "set")
        state = self._state_transfers()
        if state is not None and not folder.is_dir() and (state / name).is_dir():
            return BenchmarkDir(state / name)
        return BenchmarkDir(folder)

    def transfers(self) -> list["BenchmarkDir"]:
        """Returns all finished transferred sets, by name."""
        transfers: dict[str, BenchmarkDir] = {}
        for folder in (self._state_transfers(), self.root / TRANSFERS):
            if folder is not None:
                transfers |= {path.name: BenchmarkDir(path) for path in _benchmark_folders(folder)}
        return [transfers[name] for name in sorted(transfers)]

    def _state_transfers(self) -> Path | None:
        state = state_root()
        return None if state is None else state / self.root.name / TRANSFERS

    @property
    def transfer_progress_path(self) -> Path:
        """`progress.json`: progress of a running `transfer`, or why it failed; not in git."""
        return self.cache_dir / "progress.json"

    @property
    def shift_path(self) -> Path:
        """`shift.json`: how a transferred set differs from the benchmark; written by `transfer`."""
        return self.root / "shift.json"

    @property
    def measurements_path(self) -> Path:
        """`measurements.parquet`: embedding distance and placement of a transferred set's faces."""
        return self.root / "measurements.parquet"

    @property
    def estimate_checks_path(self) -> Path:
        """`estimate_checks.parquet`: estimates of accuracy without labels, where labels exist."""
        return self.root / "estimate_checks.parquet"

    @property
    def reference_path(self) -> Path:
        """`reference.npz`: statistics of its faces that transferred sets are compared with."""
        return self.root / "reference.npz"

    @property
    def info_path(self) -> Path:
        """`benchmark.json`: labels, sources, split hash and counts."""
        return self.root / "benchmark.json"

    @property
    def samples_path(self) -> Path:
        """`samples.parquet`: one row per sample."""
        return self.root / "samples.parquet"

    @property
    def train_labels_path(self) -> Path:
        """`train_labels.parquet`: likely label errors of train; written by `check-labels`."""
        return self.root / "train_labels.parquet"

    @property
    def cache_dir(self) -> Path:
        """Results of interrupted commands, which continue from there; not in git."""
        return self.root / "cache"

    @property
    def mean_faces_path(self) -> Path:
        """`mean_faces.npz`: mean and standard deviation images by split and class."""
        return self.root / "mean_faces.npz"

    @property
    def card_path(self) -> Path:
        """`card.json`: the dataset card, as data."""
        return self.root / CARD

    @property
    def card_text_path(self) -> Path:
        """`CARD.md`: the dataset card, as text."""
        return self.root / CARD_TEXT

    @property
    def copies_path(self) -> Path:
        """`transformed_copies.parquet`: pairs of images that are one picture or one scene."""
        return self.root / COPIES

    @property
    def pictures_path(self) -> Path:
        """`pictures.parquet`: images of benchmarks whose licence allows publishing them."""
        return self.root / PICTURES

    def info(self) -> BenchmarkInfo:
        """Reads `benchmark.json`."""
        return BenchmarkInfo.read(self.info_path)

    def samples(self) -> pd.DataFrame:
        """Reads `samples.parquet`."""
        return read_table(self.samples_path, ("id", "split", "label"))

    def write_mean_faces(self, faces: Mapping[str, NDArray[Any]]) -> None:
        """Writes `mean_faces.npz`; keys as in `fer_core.data.aggregates`.

        They are shown as pictures, so whole grey levels are stored.
        """
        levels = {key: np.rint(face).astype(np.uint8) for key, face in faces.items()}
        write_arrays(self.mean_faces_path, levels, compress=True)

    def mean_faces(self) -> dict[str, NDArray[np.float32]]:
        """Reads `mean_faces.npz`."""
        faces = read_arrays(self.mean_faces_path)
        return {key: face.astype(np.float32) for key, face in faces.items()}

    def run(self, run_id: str) -> RunDir:
        """Returns a run's paths; the run need not exist."""
        return RunDir(self.root / "runs" / safe_name(run_id, "run"))

    def runs(self) -> list[RunDir]:
        """Returns all run folders by name; one without `run.json` is not finished."""
        folder = self.root / "runs"
        if not folder.is_dir():
            return []
        return [
            RunDir(path)
            for path in sorted(folder.iterdir())
            if path.is_dir() and _SAFE_NAME.fullmatch(path.name)
        ]

    def finished_runs(self) -> list[RunDir]:
        """Returns the folders of the finished runs, by name."""
        return [run for run in self.runs() if run.info_path.is_file()]

    def find_run(self, run_id: str) -> RunInfo | None:
        """Returns a run's metadata; None if no readable run has this id."""
        try:
            return self.run(run_id).info()
        except ArtifactError:
            return None


@dataclass(frozen=True)
class ArtifactStore:
    """The folder that holds all benchmarks.

    Attributes:
        root: Usually `artifacts/`.
    """

    root: Path

    def benchmark(self, name: str) -> BenchmarkDir:
        """Returns a benchmark's paths; the benchmark need not exist.

        Args:
            name: The benchmark's name, or `<benchmark>/transfers/<set>`.

        Raises:
            ArtifactError: If it is not a valid name.
        """
        origin, _, rest = name.partition("/")
        folder, _, transferred = rest.partition("/")
        if rest and folder == TRANSFERS:
            return self.benchmark(origin).transfer(transferred)
        return BenchmarkDir(self.root / safe_name(name, "benchmark"))

    def find_run(self, benchmark: str, run_id: str) -> RunInfo | None:
        """Returns the metadata of a benchmark's run; None if no readable run has this id."""
        try:
            return self.benchmark(benchmark).find_run(run_id)
        except ArtifactError:
            return None

    def benchmarks(self) -> list[BenchmarkDir]:
        """Returns all benchmarks with a `benchmark.json`, by name, without transferred sets."""
        return [BenchmarkDir(path) for path in _benchmark_folders(self.root)]


def _benchmark_folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [
        path
        for path in sorted(folder.iterdir())
        if (path / "benchmark.json").is_file() and _SAFE_NAME.fullmatch(path.name)
    ]
