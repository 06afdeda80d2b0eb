"""Downloads of Compare on a face: the shown face as picture and page, all faces as data."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from dashboard.cache import inference
from dashboard.cache.benchmarks import Benchmark
from dashboard.components import download
from dashboard.components.face_cards import PickedFace
from dashboard.components.face_input import DetectedPicture
from dashboard.components.tiles import tiles
from fer_core.csv_text import csv_text
from fer_core.data.imaging import SampleFormat
from fer_core.predictor import ExplainedPrediction, Prediction
from fer_core.predictor.export import faces_json, predictions_html, predictions_png
from fer_core.predictor.table import NO_FACE, TOO_SMALL, Sighting, tabulate

CHANGED = "crop or light changed by hand"


@dataclass(frozen=True)
class Faces:
    """The faces of all pictures, of which the page shows one.

    Attributes:
        pictures: All pictures, with and without faces.
        picked: The shown face.
        stored: The shown face in the benchmark's format, with the changes made on the page.
    """

    pictures: Sequence[DetectedPicture]
    picked: PickedFace
    stored: NDArray[np.uint8]


def show(
    benchmark: Benchmark,
    faces: Faces,
    predictions: Sequence[ExplainedPrediction],
    unsure_below: float,
) -> None:
    """Shows the download buttons.

    Args:
        benchmark: The benchmark.
        faces: The faces.
        predictions: Predictions for the shown face.
        unsure_below: Threshold of the calibrated probability.
    """
    info, face = benchmark.info, Image.fromarray(faces.stored)
    run_ids = tuple(prediction.run_id for prediction in predictions)

    def table() -> pd.DataFrame:
        return faces_table(benchmark, faces, run_ids, unsure_below)

    files: tuple[tuple[str, str, Callable[[], str | bytes]], ...] = (
        ("This face (png)", "ferscope-face.png",
         lambda: predictions_png(predictions, face, unsure_below)),
        ("This face (html)", "ferscope-face.html",
         lambda: predictions_html(predictions, face, info, unsure_below)),
        ("All faces (json)", "ferscope-faces.json",
         lambda: json.dumps(faces_json(table(), info, unsure_below), indent=2)),
        ("All faces (csv)", "ferscope-faces.csv", lambda: csv_text(table())),
    )  # fmt: skip
    for column, (label, name, make) in zip(tiles(len(files), "downloads"), files, strict=True):
        with column:
            download.button(label, make, name, width="stretch")


def faces_table(
    benchmark: Benchmark, faces: Faces, run_ids: tuple[str, ...], unsure_below: float
) -> pd.DataFrame:
    """Returns one row per face and run in the format of the command `predict`.

    Pictures without a face have rows with a note.
    """
    sample_format = SampleFormat.of(benchmark.info)
    sightings: list[Sighting] = []
    stored: list[NDArray[np.uint8]] = []
    for picture in faces.pictures:
        sightings += _sightings(picture, faces, sample_format)
        stored += [
            faces.stored if crop is faces.picked.crop else sample_format.convert(crop.crop)
            for crop in picture.crops
        ]
    results = inference.predictions_of(benchmark, run_ids, np.stack(stored))
    predictions = [result for result in results.values() if isinstance(result, Prediction)]
    return tabulate(sightings, {}, predictions, unsure_below=unsure_below)


def _sightings(
    picture: DetectedPicture, faces: Faces, sample_format: SampleFormat
) -> list[Sighting]:
    """Returns the faces of a picture, or that it has none."""

    def sighting(index: int | None, note: str = "") -> Sighting:
        crop = None if index is None else picture.crops[index]
        changed = crop is faces.picked.crop and not np.array_equal(
            sample_format.convert(faces.picked.crop.crop), faces.stored
        )
        note = CHANGED if crop is not None and changed else note
        face = None if crop is None else crop.face
        return Sighting(picture.name, None, None, index, face, note)

    readable = [sighting(index) for index in range(len(picture.crops))]
    small = [
        Sighting(picture.name, None, None, index, face, TOO_SMALL)
        for index, face in enumerate(picture.too_small, start=len(readable))
    ]
    return readable + small or [sighting(None, NO_FACE)]
