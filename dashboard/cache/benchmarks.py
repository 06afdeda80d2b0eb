"""What pages read: benchmarks, runs, pictures, answers. It and `results_access` alone cache.

Caches are keyed by content: each function that reads a file takes that file's stamp, so a
run that is trained or replaced while the dashboard runs shows up at the next click. What is
returned is shared among visitors and must not be changed.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray
from PIL import Image

from fer_core.artifacts import ArtifactStore, BenchmarkDir, RunDir, read_table
from fer_core.data.imaging import open_picture
from fer_core.data.prepared import PreparedDataset
from fer_core.data.storage import decode
from fer_core.errors import ArtifactError, FerscopeError
from fer_core.evaluation.ensemble import members_changed
from fer_core.evaluation.predictions import Predictions
from fer_core.evaluation.report import Report
from fer_core.figures.palette import model_colours
from fer_core.project import artifacts_root, data_root
from fer_core.records import BenchmarkInfo, Framing, RunInfo, TrainingState, shown_titles

if TYPE_CHECKING:  # torch stays out of the pages that need no model
    from fer_core.data.faces import FaceCrop, FaceDetector
    from fer_core.predictor import Answer, Prediction, Predictor

Stamp = tuple[int, int]


@dataclass(frozen=True)
class Run:
    """A finished, readable run."""

    place: RunDir
    info: RunInfo
    report: Report
    second_report: Report | None

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.info.run_id


@dataclass(frozen=True)
class Benchmark:
    """A benchmark with its readable runs.

    Attributes:
        runs: Best test accuracy first.
        warnings: One sentence for each run that cannot be shown.
        unfinished: Runs whose training is under way or was stopped.
    """

    place: BenchmarkDir
    info: BenchmarkInfo
    runs: tuple[Run, ...]
    warnings: tuple[str, ...]
    unfinished: tuple[str, ...]

    def run(self, run_id: str) -> Run:
        """Returns a run by its id."""
        return next(run for run in self.runs if run.run_id == run_id)

    @property
    def titles(self) -> dict[str, str]:
        """Names to show by run id; the run id itself where two runs share a model's name."""
        return shown_titles({run.run_id: run.info.title for run in self.runs})

    @property
    def colours(self) -> dict[str, str]:
        """Colours by run id; a training under way has the colour that it will keep."""
        return model_colours([*(run.run_id for run in self.runs), *self.unfinished])


def benchmark_names() -> list[str]:
    """Returns the benchmarks that exist; the one with most runs, which opens first, in front."""
    found = ArtifactStore(artifacts_root()).benchmarks()
    return [place.name for place in sorted(found, key=lambda place: -len(place.runs()))]


def benchmark(name: str) -> Benchmark:
    """Reads a benchmark and its runs; a run that cannot be read becomes a warning.

    Raises:
        ArtifactError: If the benchmark itself cannot be read.
    """
    place = ArtifactStore(artifacts_root()).benchmark(name)
    runs = place.runs()
    stamps = tuple(
        stamp(path)
        for run in runs
        for path in (run.info_path, run.report_path, run.second_report_path, run.state_dir)
    )
    under_way = tuple(run.run_id for run in runs if run.under_way.progress_path.is_file())
    return _read_benchmark(place, (stamp(place.info_path), *stamps), under_way)


@dataclass(frozen=True)
class Training:
    """A training that is not finished.

    Attributes:
        place: Its run.
        state: How far it has come.
        history: Its epochs so far; None before the first.
        trace: Training loss within the epochs; None at the very start.
    """

    place: RunDir
    state: TrainingState
    history: pd.DataFrame | None
    trace: pd.DataFrame | None


def trainings(chosen: Benchmark) -> list[Training]:
    """Returns the trainings under way, last heard of first; not cached, they change all the time.

    A table that cannot be read counts as not yet there.
    """
    found = []
    for run in chosen.place.runs():
        with suppress(ArtifactError):
            place = run.under_way
            state = TrainingState.read(place.progress_path)
            history = place.history() if place.history_path.is_file() else None
            trace = place.trace() if place.trace_path.is_file() else None
            found.append(Training(run, state, history, trace))
    return sorted(found, key=lambda training: -training.state.updated)


def samples(chosen: Benchmark) -> pd.DataFrame:
    """Returns the benchmark's samples, indexed by id."""
    return _read_samples(chosen.place, stamp(chosen.place.samples_path))


def predictions(chosen: Benchmark, run: Run) -> Predictions:
    """Returns a run's predictions.

    Raises:
        ArtifactError: If they are missing or damaged.
    """
    return _read_predictions(run.place, chosen.info, stamp(run.place.predictions_path))


def history(run: Run) -> pd.DataFrame | None:
    """Returns how a run's training went; None if it was not trained here or cannot be read."""
    try:
        return _read_history(run.place, stamp(run.place.history_path))
    except ArtifactError:
        return None


def mean_faces(chosen: Benchmark) -> dict[str, NDArray[np.float32]]:
    """Returns the benchmark's mean faces; empty if they are missing or damaged."""
    try:
        return _read_mean_faces(chosen.place, stamp(chosen.place.mean_faces_path))
    except ArtifactError:
        return {}


def pictures(chosen: Benchmark) -> "Pictures | None":
    """Returns the benchmark's pictures, or None.

    They come from the prepared set if it is on this machine, else from the benchmark itself, if
    it is one of the few whose pictures may ship.
    """
    folder = data_root() / chosen.info.name
    if (folder / "images.npy").is_file():
        try:
            return _open_pictures(folder, chosen.info.split_hash, stamp(folder / "benchmark.json"))
        except FerscopeError:
            pass  # another split's set
    try:
        return _shipped_pictures(
            chosen.place, chosen.info.colour, stamp(chosen.place.pictures_path)
        )
    except FerscopeError:
        return None


@dataclass(frozen=True)
class Pictures:
    """Stored images by sample id."""

    images: NDArray[np.uint8]
    rows: dict[str, int]

    def get(self, sample_id: str) -> Image.Image | None:
        """Returns a sample's picture, or None if the set lacks it."""
        row = self.rows.get(sample_id)
        return None if row is None else Image.fromarray(np.asarray(self.images[row]))


def predictor(chosen: Benchmark) -> "Predictor":
    """Returns the benchmark's predictor; models stay loaded between visits."""
    return _make_predictor(chosen.place, _weights(chosen))


def answers_faces(run: Run) -> bool:
    """Whether a run can be asked about a face; imported predictions cannot."""
    return run.info.kind != "imported" or run.place.onnx_path.is_file()


def answer(
    chosen: Benchmark, run: Run, face: NDArray[np.uint8], explain: str | None
) -> "Answer | str":
    """Returns a run's answer for a face in the benchmark's format, or why there is none."""
    return _answer(face.tobytes(), face.shape, basis(chosen, run), explain, chosen, run)


def predictions_of(
    chosen: Benchmark, run_ids: Sequence[str], faces: NDArray[np.uint8]
) -> "dict[str, Prediction | str]":
    """Returns what runs say of faces in the benchmark's format, or why one says nothing.

    Args:
        chosen: The benchmark.
        run_ids: The runs that are asked.
        faces: uint8, shape (N, H, W) or (N, H, W, 3).
    """
    return _predictions_of(faces.tobytes(), faces.shape, tuple(run_ids), _weights(chosen), chosen)


@st.cache_resource(max_entries=16, ttl=600, show_spinner=False)
def picture(data: bytes, name: str) -> Image.Image:
    """Opens a picture from outside.

    Raises:
        ImageError: If it is no usable picture.
    """
    return open_picture(data, name)


def face_crops(
    chosen: Benchmark, data: bytes, name: str, *, cropped: bool
) -> "tuple[FaceCrop, ...]":
    """Cuts out the faces of a picture as the benchmark frames its own.

    Args:
        chosen: The benchmark.
        data: The file's bytes, from outside.
        name: The file's name, from outside.
        cropped: Whether the picture is a cropped face already.

    Raises:
        ImageError: If it is no usable picture or shows no face.
    """
    framing = chosen.info.framing
    key = (framing.box, framing.drop) if framing else None
    return _face_crops(data, name, cropped, key, framing)


@st.cache_resource(max_entries=16, ttl=600, show_spinner="Looking for faces ...")
def _face_crops(
    data: bytes,
    name: str,
    cropped: bool,
    key: tuple[float, float] | None,
    _framing: Framing | None,
) -> "tuple[FaceCrop, ...]":
    from fer_core.data.faces import find_faces, whole_picture

    opened = picture(data, name)
    if cropped:
        return (whole_picture(opened),)
    return find_faces(opened, _face_detector(), _framing, name)


@st.cache_resource(show_spinner=False)
def _face_detector() -> "FaceDetector":
    from fer_core.data.faces import DlibDetector

    return DlibDetector()


def _weights(chosen: Benchmark) -> tuple[object, ...]:
    """What the benchmark's answers depend on."""
    return tuple(basis(chosen, run) for run in chosen.runs)


def basis(chosen: Benchmark, run: Run) -> tuple[object, ...]:
    """Returns what a run's answers depend on beside the face: a key for what is cached of them."""
    names = set(run.info.members) or {run.run_id}
    files = [path for other in chosen.runs if other.run_id in names for path in _weights_of(other)]
    made = stamp(run.place.info_path)  # of an ensemble: its weights and shift
    stamps = tuple(stamp(path) for path in files)
    return (chosen.place, chosen.info.split_hash, run.run_id, made, stamps)


def _weights_of(run: Run) -> list[Path]:
    """Returns the files that a run's answers stand on: its weights, and under LoRA its base's."""
    paths = [run.place.weights_path, run.place.onnx_path]
    model = run.info.recipe.get("model", {})
    kind, _, where = str(model.get("init", "")).partition(":")
    if model.get("lora") and kind == "run":
        benchmark, _, run_id = where.partition("/")
        base = run.place.benchmark.store.benchmark(benchmark).run(run_id)
        paths.append(base.weights_path)
    elif model.get("lora") and kind == "file":
        paths.append(Path(where))
    return paths


def stamp(path: Path) -> Stamp:
    """Time and size of a file: they change when it is replaced. Zeros if it is missing."""
    try:
        status = path.stat()
    except OSError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_size)


@st.cache_resource(max_entries=8, show_spinner="Reading runs ...")
def _read_benchmark(
    place: BenchmarkDir, stamps: tuple[Stamp, ...], under_way: tuple[str, ...]
) -> Benchmark:
    runs: list[Run] = []
    warnings: list[str] = []
    unfinished: list[str] = []
    info = place.info()
    for run in place.runs():
        if not run.info_path.is_file():
            if run.state_dir.is_dir() or run.run_id in under_way:
                unfinished.append(run.run_id)
            else:
                warnings.append(f"{run.run_id}: run.json is missing; the run was not finished.")
            continue
        try:
            second = run.second_report_path
            read = Run(
                run,
                run.info(),
                Report.read(run.report_path),
                Report.read(second) if second.is_file() else None,
            )
            if read.info.run_id != run.run_id:
                raise ArtifactError(f"its run.json belongs to {read.info.run_id!r}.")
            if read.info.labels != info.labels:
                raise ArtifactError("its classes are not the benchmark's.")
        except FerscopeError as error:
            warnings.append(f"{run.run_id}: {error}")
            if run.run_id in under_way:  # it is being trained anew
                unfinished.append(run.run_id)
        else:
            runs.append(read)
    warnings += [
        f"{run.run_id}: a member was made anew or deleted since it was chosen, so these numbers "
        "are of earlier members. Train the average again."
        for run in runs
        if members_changed(run.place)
    ]
    runs.sort(key=lambda run: -run.report.test.accuracy.value)
    return Benchmark(place, info, tuple(runs), tuple(warnings), tuple(unfinished))


@st.cache_resource(max_entries=8, show_spinner="Reading samples ...")
def _read_samples(place: BenchmarkDir, stamp: Stamp) -> pd.DataFrame:
    return place.samples().set_index("id", drop=False)


@st.cache_resource(max_entries=32, show_spinner="Reading predictions ...")
def _read_predictions(place: RunDir, _info: BenchmarkInfo, stamp: Stamp) -> Predictions:
    return Predictions.read(place.predictions_path, _info.label_set)


@st.cache_resource(max_entries=64, show_spinner=False)
def _read_history(place: RunDir, stamp: Stamp) -> pd.DataFrame:
    return place.history()


@st.cache_resource(max_entries=8, show_spinner=False)
def _read_mean_faces(place: BenchmarkDir, stamp: Stamp) -> dict[str, NDArray[np.float32]]:
    return place.mean_faces()


@st.cache_resource(max_entries=4, show_spinner="Opening pictures ...")
def _open_pictures(folder: Path, split_hash: str, stamp: Stamp) -> Pictures:
    dataset = PreparedDataset.open(folder)
    if dataset.info.split_hash != split_hash:
        raise ArtifactError(f"The prepared set in {folder} is not the one of this benchmark.")
    ids = dataset.samples["id"].tolist()
    return Pictures(dataset.images, {name: row for row, name in enumerate(ids)})


@st.cache_resource(max_entries=4, show_spinner="Opening pictures ...")
def _shipped_pictures(place: BenchmarkDir, colour: bool, stamp: Stamp) -> Pictures:
    table = read_table(place.pictures_path, ("id", "webp"))
    try:
        images = np.stack([decode(data, colour) for data in table["webp"]])
    except (OSError, ValueError) as error:
        raise ArtifactError(f"The pictures of {place.name!r} are damaged: {error}.") from error
    return Pictures(images, {name: row for row, name in enumerate(table["id"])})


@st.cache_resource(max_entries=2, show_spinner=False)
def _make_predictor(place: BenchmarkDir, weights: tuple[object, ...]) -> "Predictor":
    from fer_core.predictor import Predictor

    return Predictor(place)


@st.cache_resource(max_entries=256, ttl=3600, show_spinner=False)
def _answer(
    face: bytes,
    shape: tuple[int, ...],
    basis: tuple[object, ...],
    explain: str | None,
    _benchmark: Benchmark,
    _run: Run,
) -> "Answer | str":
    stored = np.frombuffer(face, dtype=np.uint8).reshape(shape)
    try:
        return predictor(_benchmark).answer(stored, _run.run_id, explain)
    except FerscopeError as error:
        return str(error)


@st.cache_resource(max_entries=64, ttl=3600, show_spinner="Asking the models ...")
def _predictions_of(
    faces: bytes,
    shape: tuple[int, ...],
    run_ids: tuple[str, ...],
    weights: tuple[object, ...],
    _benchmark: Benchmark,
) -> "dict[str, Prediction | str]":
    stored = np.frombuffer(faces, dtype=np.uint8).reshape(shape)
    given = predictor(_benchmark).try_predict(list(stored), run_ids)
    return {
        run_id: str(result) if isinstance(result, FerscopeError) else result
        for run_id, result in given.items()
    }
