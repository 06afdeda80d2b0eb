"""Cached face detection, and cached predictions for new faces.

Cache keys are the bytes of the face and the stamps of a run's weight files.
"""

from collections.abc import Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from PIL import Image

from dashboard.cache.benchmarks import Benchmark, Run
from dashboard.cache.stamps import HashFuncs, digested, file_stamps, stamp
from fer_core.abilities import Abilities, abilities_of
from fer_core.artifacts import RunDir
from fer_core.data.imaging import open_picture
from fer_core.errors import FerscopeError

if TYPE_CHECKING:  # torch stays out of the pages that need no model
    from fer_core.data.faces import FaceDetector, PictureFaces
    from fer_core.predictor import BasePrediction, ExplainedPrediction, Prediction, Predictor


@digested
def weight_stamps(run: Run) -> Hashable:
    """Returns the cache key of a run's predictions: stamps of its run.json and weight files."""
    files = (run.directory.info_path, *run.weight_files)
    return (str(run.directory.root), tuple(stamp(path) for path in files))


@digested
def all_weight_stamps(benchmark: Benchmark) -> Hashable:
    """Returns the key of everything that all runs of a benchmark predict."""
    return (
        str(benchmark.directory.root),
        benchmark.info.split_hash,
        tuple(weight_stamps(run) for run in benchmark.runs),
    )


def _array_content(array: NDArray[Any]) -> Hashable:
    # Streamlit hashes only a sample of a large array, and would miss a change of a few pixels
    return (array.tobytes(), array.shape, str(array.dtype))


def _framing(benchmark: Benchmark) -> Hashable:
    framing = benchmark.info.framing
    return (framing.box, framing.drop) if framing else None


BY_CONTENT: HashFuncs = {
    Benchmark: file_stamps("info_path"),
    Run: weight_stamps,
    np.ndarray: _array_content,
}
"""Hash functions for functions that run a model on a face."""


@digested
def _weights_and_evidence(run: Run) -> Hashable:
    """Returns the key of a run's maps: its weights, and what chooses its default method."""
    runs = [run.directory.root.parent / name for name in (run.run_id, *run.info.members)]
    measured = [
        stamp(path)
        for root in runs
        for path in (RunDir(root).faithfulness_path, RunDir(root).faithfulness_validation_path)
    ]
    return (weight_stamps(run), tuple(measured))


WITH_EVIDENCE: HashFuncs = {**BY_CONTENT, Run: _weights_and_evidence}
"""Hash functions for functions that return maps with their evidence."""


@st.cache_resource(max_entries=2, show_spinner=False, hash_funcs={Benchmark: all_weight_stamps})
def predictor(benchmark: Benchmark) -> "Predictor":
    """Returns the benchmark's predictor; models stay loaded between visits."""
    from fer_core.predictor import Predictor

    return Predictor(benchmark.directory)


def abilities(run: Run) -> Abilities:
    """Returns what a run can do, and why not more."""
    return abilities_of(run.directory, run.info)


def can_predict(run: Run) -> bool:
    """Returns whether a run can predict a new face; imported predictions cannot."""
    return abilities(run).predicts


@st.cache_resource(max_entries=256, ttl=3600, show_spinner=False, hash_funcs=WITH_EVIDENCE)
def explained_prediction(
    benchmark: Benchmark, run: Run, face: NDArray[np.uint8], explain: str | None
) -> "ExplainedPrediction | str":
    """Returns a run's prediction and saliency map for a face, or the reason why there is none.

    Args:
        benchmark: The benchmark.
        run: One of its runs.
        face: A face in the benchmark's format: uint8, shape (H, W) or (H, W, 3).
        explain: The explained class; the predicted one if None.
    """
    try:
        return predictor(benchmark).predict_and_explain(face, run.run_id, explain)
    except FerscopeError as error:
        return str(error)


@st.cache_resource(
    max_entries=64,
    ttl=3600,
    show_spinner="Running the models ...",
    hash_funcs={**BY_CONTENT, Benchmark: all_weight_stamps},
)
def predictions_of(
    benchmark: Benchmark, run_ids: tuple[str, ...], faces: NDArray[np.uint8]
) -> "dict[str, Prediction | str]":
    """Returns the predictions of runs for faces, or the reason why a run has none.

    Args:
        benchmark: The benchmark.
        run_ids: The runs.
        faces: Faces in the benchmark's format: uint8, shape (N, H, W) or (N, H, W, 3).
    """
    predictions = predictor(benchmark).try_predict(list(faces), run_ids)
    return {
        run_id: str(result) if isinstance(result, FerscopeError) else result
        for run_id, result in predictions.items()
    }


def each_prediction(
    benchmark: Benchmark, run_ids: Sequence[str], face: NDArray[np.uint8]
) -> "Iterator[tuple[str, BasePrediction | str]]":
    """Yields the prediction of each run for a face, or the reason for none, as it is computed.

    Ensembles come last: most of their members have run by then.

    Args:
        benchmark: The benchmark.
        run_ids: The runs.
        face: A face in the benchmark's format.
    """
    known = _predictions_so_far(benchmark, face)
    yield from ((run_id, known[run_id]) for run_id in run_ids if run_id in known)
    missing = [run_id for run_id in run_ids if run_id not in known]
    missing.sort(key=lambda run_id: bool(benchmark.run(run_id).info.members))
    if not missing:
        return
    for run_id, result in predictor(benchmark).predict_each([face], missing):
        known[run_id] = str(result) if isinstance(result, FerscopeError) else result.of_face(0)
        yield run_id, known[run_id]


@st.cache_resource(
    max_entries=64,
    ttl=3600,
    show_spinner=False,
    hash_funcs={**BY_CONTENT, Benchmark: all_weight_stamps},
)
def _predictions_so_far(
    benchmark: Benchmark, face: NDArray[np.uint8]
) -> "dict[str, BasePrediction | str]":
    """Returns the predictions for a face by run; `each_prediction` adds to them."""
    return {}


@st.cache_resource(max_entries=16, ttl=600, show_spinner=False)
def picture(data: bytes, name: str) -> Image.Image:
    """Opens an uploaded picture.

    Raises:
        ImageError: If it is not a usable picture.
    """
    return open_picture(data, name)


@st.cache_resource(
    max_entries=16,
    ttl=600,
    show_spinner="Detecting faces ...",
    hash_funcs={Benchmark: _framing},
)
def picture_faces(benchmark: Benchmark, data: bytes, name: str, *, cropped: bool) -> "PictureFaces":
    """Crops the faces of a picture in the framing of the benchmark's images.

    Args:
        benchmark: The benchmark.
        data: The uploaded file's bytes.
        name: The uploaded file's name.
        cropped: Whether the picture is a cropped face already.

    Returns:
        The faces; without any where none is detected.

    Raises:
        ImageError: If it is not a usable picture.
        DetectorError: If the detector cannot be loaded.
    """
    from fer_core.data import faces

    opened = picture(data, name)
    if cropped:
        return faces.PictureFaces((faces.whole_picture(opened),))
    return faces.picture_faces(opened, face_detector(), benchmark.info.framing)


@st.cache_resource(show_spinner=False)
def face_detector(frame_side: int | None = None) -> "FaceDetector":
    """Returns a face detector.

    Args:
        frame_side: Longer side at which it searches frames of a video, without a pass over tiles,
            which finds small faces; None for pictures.
    """
    from fer_core.data.centerface import CenterFaceDetector
    from fer_core.data.centerface.detector import DetectionSettings

    if frame_side is None:
        return CenterFaceDetector()
    return CenterFaceDetector(DetectionSettings(side=frame_side, max_tiles=0))
