"""Cached readers of benchmarks, runs, samples and pictures.

Only the modules of `dashboard.cache` cache. Their keys are stamps of the files that a function
reads (`hash_funcs`), so a run that is trained or replaced while the dashboard runs shows up on
the next rerun. Cached values are shared among visitors and must not be changed.
"""

from collections.abc import Hashable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from dashboard.cache import uploads
from dashboard.cache.stamps import digested, file_stamps, once_per_rerun, stamp
from fer_core.artifacts import ArtifactStore, BenchmarkDir, RunDir
from fer_core.data.atomic_dir import ATTACHED
from fer_core.data.prepared import prepared_folder
from fer_core.data.stored_pictures import Pictures, open_pictures
from fer_core.errors import ArtifactError, FerscopeError
from fer_core.evaluation.ensemble import members_changed
from fer_core.evaluation.lineage import FindRun
from fer_core.evaluation.predictions import Predictions, read_predictions
from fer_core.evaluation.report import Report
from fer_core.figures.palette import model_colours
from fer_core.labels import LabelSet
from fer_core.project import artifacts_root, data_root
from fer_core.records import BenchmarkInfo, RunInfo, TrainingState, shown_titles


@dataclass(frozen=True)
class Run:
    """A finished, readable run.

    Attributes:
        directory: Paths of its files.
        info: Content of `run.json`: recipe, labels and provenance.
        report: Stored metrics and protocol of the run.
        second_report: The report against the images' second annotation; None without one.
        weight_files: Files that its predictions for a new face depend on: its weights, its
            members' weights, and the base weights of LoRA adapters.
    """

    directory: RunDir
    info: RunInfo
    report: Report
    second_report: Report | None
    weight_files: tuple[Path, ...] = ()

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.info.run_id


@dataclass(frozen=True)
class Benchmark:
    """A benchmark with its readable runs.

    Attributes:
        directory: Paths of its files.
        info: Labels, counts and protocol.
        runs: Finished runs, best test accuracy first.
        warnings: One sentence per run that cannot be shown.
        unfinished: Runs whose training is in progress or was stopped.
    """

    directory: BenchmarkDir
    info: BenchmarkInfo
    runs: tuple[Run, ...]
    warnings: tuple[str, ...]
    unfinished: tuple[str, ...]

    def run(self, run_id: str) -> Run:
        """Returns a run by its id."""
        return next(run for run in self.runs if run.run_id == run_id)

    @property
    def titles(self) -> dict[str, str]:
        """Display names by run id; the run id itself if two runs have the same name."""
        return shown_titles({run.run_id: run.info.title for run in self.runs})

    @property
    def colours(self) -> dict[str, str]:
        """Colours by run id; a run keeps its colour when its training finishes."""
        return model_colours([*(run.run_id for run in self.runs), *self.unfinished])


@once_per_rerun
def benchmark_dirs() -> dict[str, BenchmarkDir]:
    """Returns the benchmarks by name, most runs first; the dashboard opens the first.

    Each is followed by the sets to which its runs were transferred.
    """
    directories = ArtifactStore(artifacts_root()).benchmarks()
    ordered = sorted(directories, key=lambda directory: -len(directory.runs()))
    return {
        directory.name: directory
        for benchmark in ordered
        for directory in (benchmark, *benchmark.transfers())
    }


@digested
def _run_stamps(directory: BenchmarkDir) -> Hashable:
    """Returns the key of `benchmark`: the stamps of every file that it reads."""
    runs = directory.runs()
    paths = [
        path
        for run in runs
        for path in (run.info_path, run.report_path, run.second_report_path, run.state_dir)
    ]
    in_progress = tuple(run.run_id for run in runs if _is_training(run))
    stamps = tuple(stamp(path) for path in (directory.info_path, *paths))
    return (str(directory.root), tuple(run.run_id for run in runs), stamps, in_progress)


@st.cache_resource(
    max_entries=8, show_spinner="Reading runs ...", hash_funcs={BenchmarkDir: _run_stamps}
)
def benchmark(directory: BenchmarkDir) -> Benchmark:
    """Reads a benchmark and its runs; a run that cannot be read becomes a warning.

    Raises:
        ArtifactError: If the benchmark itself cannot be read.
    """
    info = directory.info()
    runs: list[Run] = []
    warnings: list[str] = []
    unfinished: list[str] = []
    for run in directory.runs():
        if not run.info_path.is_file():
            if run.state_dir.is_dir() or _is_training(run):
                unfinished.append(run.run_id)
            else:
                warnings.append(f"{run.run_id}: run.json is missing; the run was not finished.")
            continue
        try:
            runs.append(_read_run(run, info))
        except FerscopeError as error:
            warnings.append(f"{run.run_id}: {error}")
            if _is_training(run):  # it is being retrained
                unfinished.append(run.run_id)
    warnings += [
        f"{run.run_id}: a member was retrained or deleted after this ensemble was built, so its "
        "metrics are those of the earlier members. Build the ensemble again."
        for run in runs
        if members_changed(run.directory)
    ]
    runs = [replace(run, weight_files=_weight_files(run, runs)) for run in runs]
    runs.sort(key=_by_accuracy)
    return Benchmark(directory, info, tuple(runs), tuple(warnings), tuple(unfinished))


def _by_accuracy(run: Run) -> float:
    """Sorts the best run first; on a set without labels, by its accuracy on validation."""
    report = run.report
    return -(report.test if report.test.samples else report.validation).accuracy.value


def run_finder() -> FindRun:
    """Returns a function that finds a run's metadata by the name of its benchmark and its run id.

    It checks each benchmark's files for changes once, so every rerun needs a new one.
    """
    directories = benchmark_dirs()

    @cache
    def infos(benchmark_name: str) -> dict[str, RunInfo]:
        with suppress(FerscopeError, KeyError):
            runs = benchmark(directories[benchmark_name]).runs
            return {run.run_id: run.info for run in runs}
        return {}

    return lambda benchmark_name, run_id: infos(benchmark_name).get(run_id)


def _is_training(run: RunDir) -> bool:
    return run.under_way.progress_path.is_file()


def _read_run(directory: RunDir, benchmark: BenchmarkInfo) -> Run:
    """Reads a finished run.

    Raises:
        ArtifactError: If it is damaged, or belongs to another run or other classes.
    """
    second = directory.second_report_path
    return Run(
        directory,
        directory.checked_info(benchmark),
        Report.read(directory.report_path),
        Report.read(second) if second.is_file() else None,
    )


def _weight_files(run: Run, runs: list[Run]) -> tuple[Path, ...]:
    """Returns the weight files of a run, or of an ensemble's members among `runs`."""
    run_ids = set(run.info.members) or {run.run_id}
    return tuple(path for other in runs if other.run_id in run_ids for path in _weight_paths(other))


def _weight_paths(run: Run) -> list[Path]:
    paths = [run.directory.weights_path, run.directory.onnx_path]
    model = run.info.recipe.get("model", {})
    kind, _, source = str(model.get("init", "")).partition(":")
    if model.get("lora") and kind == "run":
        benchmark_name, _, run_id = source.partition("/")
        base = run.directory.benchmark.store.benchmark(benchmark_name).run(run_id)
        paths.append(base.weights_path)
    elif model.get("lora") and kind == "file":
        paths.append(Path(source))
    return paths


@dataclass(frozen=True)
class Training:
    """A training in progress.

    Attributes:
        directory: Paths of its run.
        state: Epoch, step and speed.
        history: Metrics of its finished epochs; None before the first.
        trace: Training loss within the epochs; None before the first point.
    """

    directory: RunDir
    state: TrainingState
    history: pd.DataFrame | None
    trace: pd.DataFrame | None


def trainings(benchmark: Benchmark) -> list[Training]:
    """Returns the trainings in progress, most recently updated first.

    Not cached, because they change all the time. A table that cannot be read counts as missing.
    """
    current = []
    for run in benchmark.directory.runs():
        with suppress(ArtifactError):
            files = run.under_way
            state = TrainingState.read(files.progress_path)
            history = files.history() if files.history_path.is_file() else None
            trace = files.trace() if files.trace_path.is_file() else None
            current.append(Training(run, state, history, trace))
    return sorted(current, key=lambda training: -training.state.updated)


@st.cache_resource(
    max_entries=8,
    show_spinner="Reading samples ...",
    hash_funcs={Benchmark: file_stamps("samples_path")},
)
def samples(benchmark: Benchmark) -> pd.DataFrame:
    """Returns the benchmark's samples, indexed by id.

    Raises:
        ArtifactError: If they are missing or damaged.
    """
    return benchmark.directory.samples().set_index("id", drop=False)


@st.cache_resource(
    max_entries=32,
    show_spinner=False,  # threads without a page call it, too
    hash_funcs={Run: file_stamps("predictions_path")},
)
def predictions(run: Run) -> Predictions:
    """Returns a run's predictions.

    Raises:
        ArtifactError: If they are missing or damaged.
    """
    return read_predictions(run.directory, LabelSet(run.info.labels))


@st.cache_resource(
    max_entries=64, show_spinner=False, hash_funcs={Run: file_stamps("history_path")}
)
def history(run: Run) -> pd.DataFrame | None:
    """Returns a run's training history; None if it was not trained here or cannot be read."""
    try:
        return run.directory.history()
    except ArtifactError:
        return None


@st.cache_resource(
    max_entries=8, show_spinner=False, hash_funcs={Benchmark: file_stamps("mean_faces_path")}
)
def mean_faces(benchmark: Benchmark) -> dict[str, NDArray[np.float32]]:
    """Returns the benchmark's mean faces; empty if they are missing or damaged."""
    try:
        return benchmark.directory.mean_faces()
    except ArtifactError:
        return {}


def _stored_stamps(benchmark: Benchmark) -> Hashable:
    """Returns stamps of the prepared dataset's, the attached and the benchmark's files."""
    folder = data_folder(benchmark)
    attached = folder / ATTACHED
    local = (folder / "images.npy", folder / "benchmark.json", attached / "samples.parquet")
    directory = benchmark.directory
    stamps = tuple(stamp(path) for path in (*local, directory.pictures_path))
    return (str(directory.root), str(folder), benchmark.info.split_hash, stamps)


def picture_stamps(benchmark: Benchmark) -> Hashable:
    """Returns the key of what is computed from `pictures`; a visitor's own have a key of theirs."""
    uploaded = uploads.of_session(benchmark)
    return _stored_stamps(benchmark), uploaded.token if uploaded else ""


def pictures(benchmark: Benchmark) -> Pictures | None:
    """Returns the benchmark's pictures, or None; those that this visitor attached come first.

    A visitor's upload stays in the visitor's session: it is neither stored nor cached.
    """
    uploaded = uploads.of_session(benchmark)
    if uploaded is not None:
        return Pictures(uploaded.pictures.images, dict(uploaded.pictures.rows))
    return stored_pictures(benchmark)


@st.cache_resource(
    max_entries=4,
    show_spinner="Opening pictures ...",
    hash_funcs={Benchmark: _stored_stamps},
)
def stored_pictures(benchmark: Benchmark) -> Pictures | None:
    """Returns the pictures that are on this machine, or None; see `open_pictures`."""
    table = samples(benchmark).reset_index(drop=True)
    return open_pictures(benchmark.directory, benchmark.info, table, data_folder(benchmark))


def data_folder(benchmark: Benchmark) -> Path:
    """Returns the folder of the prepared dataset and of attached pictures."""
    return prepared_folder(data_root(), benchmark.directory)
