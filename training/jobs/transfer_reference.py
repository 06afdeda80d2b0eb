"""Statistics of a benchmark's faces that transferred sets are compared with.

They are computed where the benchmark is prepared and published without any picture.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image

from fer_core.abilities import abilities_of
from fer_core.artifacts import BenchmarkDir
from fer_core.data.faces import CropSquare, FaceDetector, MeasuringDetector
from fer_core.data.imaging import SampleFormat
from fer_core.data.prepared import PreparedDataset
from fer_core.data.progress import Progress, silent
from fer_core.engine.features import pooled_features
from fer_core.engine.networks import load_network
from fer_core.errors import ArtifactError
from fer_core.evaluation.embedding_distance import FeatureSpace
from fer_core.evaluation.shift_reference import MEASURES, ShiftReference
from fer_core.files import content_hash
from fer_core.predictor import Predictor
from fer_core.records import Framing
from fer_core.tables import write_table

TRAINING_FACES = 1000
HELD_OUT_FACES = 600
MEASURED_FACES = 150
"""Faces that are sampled at most, for the features and for the framing."""

_SMALL = 12e6  # parameters of a network whose features cost little
_BATCH = 64


def reference_network(benchmark: BenchmarkDir) -> str:
    """Returns the network whose features are compared: the most accurate of the small ones.

    Raises:
        ArtifactError: If the benchmark has no network.
    """
    from fer_core.evaluation.report import Report

    best: tuple[bool, float, str] | None = None
    for run in benchmark.runs():
        try:
            info, report = run.info(), Report.read(run.report_path)
            if not abilities_of(run, info).has_layers:
                continue
        except ArtifactError:
            continue
        small = (info.parameters or 0) <= _SMALL
        candidate = (small, report.validation.accuracy.value, run.run_id)
        best = candidate if best is None else max(best, candidate)
    if best is None:
        raise ArtifactError(f"{benchmark.name} has no network. Train one first.")
    return best[2]


def features_of(
    benchmark: BenchmarkDir,
    run_id: str,
    images: NDArray[np.uint8],
    device: torch.device | None = None,
    progress: Progress = silent,
    reduced: Callable[[NDArray[np.float64]], NDArray[np.float64]] = lambda features: features,
) -> NDArray[np.float64]:
    """Returns a network's pooled features of stored images, shape (N, D).

    Args:
        benchmark: The benchmark of the network.
        run_id: Id of the network's run.
        images: uint8, shape (N, H, W) or (N, H, W, 3).
        device: Device to predict on; that of the weights if None.
        progress: Shows progress.
        reduced: What to keep of the features of each batch, shape (B, D); all by default.
    """
    info = benchmark.info()
    network = load_network(benchmark.run(run_id), SampleFormat.of(info))
    network.model.eval()
    if device is not None:
        network.model.to(device)
    starts = range(0, len(images), _BATCH)
    parts = [
        reduced(
            pooled_features(
                network.model,
                network.spec,
                network.preprocessing,
                np.array(images[start : start + _BATCH]),
            ).astype(np.float64)
        )
        for start in progress(starts, len(starts), "comparing with the benchmark's faces")
    ]
    return np.concatenate(parts)


def measure_placement(
    images: NDArray[np.uint8],
    detector: FaceDetector,
    progress: Progress = silent,
) -> dict[str, NDArray[np.float64]]:
    """Measures size, position and roll of the face in stored images.

    Args:
        images: uint8, shape (N, H, W) or (N, H, W, 3).
        detector: Face detector.
        progress: Shows progress.

    Returns:
        `MEASURES` by name, shape (N,) each; NaN where no face is detected.
    """
    values = {name: np.full(len(images), np.nan) for name in MEASURES}
    if not isinstance(detector, MeasuringDetector):
        return values
    title = "measuring how faces are framed"
    for index in progress(range(len(images)), len(images), title):
        image = Image.fromarray(np.asarray(images[index])).convert("RGB")
        face, side = detector.inside([image])[0], image.width
        if face is None:
            continue
        square = face.square
        values["box"][index] = square.side / side
        values["right"][index] = square.x / side - 0.5
        values["drop"][index] = square.y / side - 0.5
        if face.landmarks is not None:
            (x0, y0), (x1, y1) = face.landmarks.left_eye, face.landmarks.right_eye
            values["roll"][index] = np.degrees(np.arctan2(y1 - y0, x1 - x0))
    return values


def sample(rows: NDArray[np.int64], most: int, seed: int = 0) -> NDArray[np.int64]:
    """Returns at most so many rows, drawn at random, ascending."""
    return np.sort(np.random.default_rng(seed).permutation(rows)[:most])


def build_reference(
    benchmark: BenchmarkDir,
    dataset: PreparedDataset,
    detector: FaceDetector,
    progress: Progress = silent,
) -> ShiftReference:
    """Computes and writes a benchmark's statistics.

    Args:
        benchmark: The benchmark.
        dataset: Prepared data set of the benchmark.
        detector: Face detector.
        progress: Shows progress.
    """
    run_id = reference_network(benchmark)
    training = sample(dataset.rows("train"), TRAINING_FACES)
    held_out = sample(dataset.rows("validation"), HELD_OUT_FACES)
    rows = np.concatenate([training, held_out])
    features = features_of(benchmark, run_id, np.asarray(dataset.images[rows]), None, progress)
    space = FeatureSpace.fit(features[: len(training)], features[len(training) :])
    measured = sample(dataset.rows("validation"), MEASURED_FACES, seed=1)
    placement = measure_placement(np.asarray(dataset.images[measured]), detector, progress)
    reference = ShiftReference(
        run_id=run_id,
        weights=content_hash(benchmark.run(run_id).weights_path),
        split_hash=dataset.info.split_hash,
        space=space,
        placement={name: _quantiles(values) for name, values in placement.items()},
        detected=float(np.isfinite(placement["box"]).mean()),
    )
    reference.write(benchmark.reference_path)
    return reference


def reference_of(
    benchmark: BenchmarkDir,
    dataset: PreparedDataset | None,
    detector: FaceDetector,
    progress: Progress = silent,
) -> ShiftReference | None:
    """Returns a benchmark's statistics; computes them if the pictures are here.

    None if they are missing or of other weights, and the pictures are not on this machine.
    """
    try:
        reference = ShiftReference.read(benchmark.reference_path)
        current = content_hash(benchmark.run(reference.run_id).weights_path)
        if reference.weights == current and reference.split_hash == benchmark.info().split_hash:
            return reference
    except (ArtifactError, OSError):
        pass
    if dataset is None or dataset.info.split_hash != benchmark.info().split_hash:
        return None
    try:
        return build_reference(benchmark, dataset, detector, progress)
    except ArtifactError:
        return None


def _quantiles(values: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    finite = np.asarray(values)[np.isfinite(values)]
    if not len(finite):
        return np.full(101, np.nan)
    quantiles: NDArray[np.float64] = np.quantile(finite, np.linspace(0, 1, 101))
    return quantiles


def measure_set(
    origin: BenchmarkDir,
    benchmark: BenchmarkDir,
    dataset: PreparedDataset,
    reference: ShiftReference,
    detector: FaceDetector,
    progress: Progress = silent,
) -> None:
    """Measures a transferred set's faces and writes `measurements.parquet`.

    All faces are placed in the embedding. Of a sample, position and roll are measured, and what the
    reference network predicts once the face is cropped in the benchmark's framing.

    Args:
        origin: The benchmark.
        benchmark: The transferred set.
        dataset: Prepared faces of the set.
        reference: Statistics of the benchmark.
        detector: Face detector.
        progress: Shows progress.
    """
    images = dataset.images
    distances = features_of(
        origin, reference.run_id, images, None, progress, reference.space.distances
    )
    table = pd.DataFrame({"id": dataset.samples["id"], "distance": distances})
    labelled = dataset.samples["label"].notna().to_numpy()
    rows = sample(np.flatnonzero(labelled), MEASURED_FACES)
    if len(rows) < MEASURED_FACES:
        rest = sample(np.flatnonzero(~labelled), MEASURED_FACES - len(rows))
        rows = np.sort(np.concatenate([rows, rest])).astype(np.int64)
    selected = np.asarray(images[rows])
    placement = measure_placement(selected, detector, progress)
    for name, values in placement.items():
        table[name] = np.nan
        table.loc[rows, name] = values
    table["reframed"] = pd.Series([None] * len(table), dtype="str")
    seen = np.isfinite(placement["box"])
    if seen.any() and (framing := origin.info().framing) is not None:
        crops = [
            np.asarray(reframed(Image.fromarray(image), placement_of(placement, index), framing))
            for index, image in enumerate(selected)
            if seen[index]
        ]
        predictor = Predictor(origin, capacity=1)
        (prediction,) = predictor.predict(crops, [reference.run_id])
        names = np.array(prediction.labels.names, dtype=object)
        table.loc[rows[seen], "reframed"] = names[prediction.probabilities.argmax(axis=1)]
    write_table(benchmark.measurements_path, table)


def placement_of(placement: dict[str, NDArray[np.float64]], index: int) -> tuple[float, ...]:
    """Returns size, distance to the right and downwards of one face, as shares of the side."""
    return tuple(float(placement[name][index]) for name in ("box", "right", "drop"))


def reframed(image: Image.Image, face: tuple[float, ...], framing: Framing) -> Image.Image:
    """Crops a face in the benchmark's framing; beyond the image its edge pixels are repeated.

    Args:
        image: A stored image.
        face: Result of `placement_of`.
        framing: Framing of the benchmark.
    """
    box, right, drop = face
    side = max(1, round(box * image.width / framing.box))
    left = image.width * (0.5 + right) - side / 2
    top = image.height * (0.5 + drop) - framing.drop * side - side / 2
    return CropSquare(round(left), round(top), side).cut(image)
