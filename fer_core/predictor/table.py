"""Table of predictions for the faces in images and videos."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_core.data.faces import DetectedFace
from fer_core.data.sources.tree import printable
from fer_core.data.temporal_smoothing import smoothed
from fer_core.data.tracking import track
from fer_core.predictor.predictions import Prediction, Thresholds, decide

NO_FACE = "no face found"
TOO_SMALL = "too small to be read"
TAKEN_AS_CROP = "no face found: the whole picture is taken as a cropped face"


@dataclass(frozen=True)
class Sighting:
    """A face in an image or video frame, or a record that there is none.

    Attributes:
        file: Name of the image or video.
        frame: Index of the frame; None for an image.
        seconds: Time of the frame; None for an image.
        index: Index of the face in the image, from 0; None without a face.
        face: Face box; None without a face.
        note: Remark for the table; empty for most faces.
    """

    file: str
    frame: int | None
    seconds: float | None
    index: int | None
    face: DetectedFace | None
    note: str = ""

    @property
    def has_prediction(self) -> bool:
        """Whether the runs predict this face."""
        return self.face is not None and self.note != TOO_SMALL


def tabulate(
    sightings: Sequence[Sighting],
    looked: Mapping[str, Sequence[int]],
    predictions: Sequence[Prediction],
    *,
    smooth: float = 0.0,
    unsure_below: Thresholds = 0.0,
) -> pd.DataFrame:
    """Returns one row per face and run, and one per run for each image or frame without a face.

    The columns are `file`, `frame` and `seconds` (videos only), `face` (images: 0 is the largest;
    videos: one number per person; empty without a face), `left`, `top`, `right`, `bottom` (in
    pixels), `score` (of the detector; 1 without a detector), `note`, `run`, `answer` (None if
    unsure or without a face), `confidence`, `temperature` (None if not fitted), `p_<label>`
    (temperature-scaled), and with smoothing `smoothed_answer` and `smoothed_<label>` (videos only).
    Runs with a regression head also have `estimate_<target>`, `estimate_<target>_low` and
    `estimate_<target>_high`: the estimate and the ends of its 90% interval.

    Args:
        sightings: Faces in the order of files and frames.
        looked: Frames of each video, with or without faces; tracking needs the gaps.
        predictions: Prediction of each run for the sightings with `has_prediction`, in order.
        smooth: Time constant of the smoothing of videos in seconds; 0 disables it.
        unsure_below: Threshold of the calibrated probability, 0 to 1, of every class or by class;
            below it there is no label.
    """
    boxes = [
        (face.left, face.top, face.right, face.bottom, face.score) if face else (np.nan,) * 5
        for face in (seen.face for seen in sightings)
    ]
    base = pd.DataFrame(
        {
            "file": [printable(seen.file) for seen in sightings],
            "frame": pd.array([seen.frame for seen in sightings], dtype="Int64"),
            "seconds": pd.array([seen.seconds for seen in sightings], dtype="Float64"),
            "face": pd.array(face_numbers(sightings, looked), dtype="Int64"),
        }
    )
    base[["left", "top", "right", "bottom", "score"]] = np.array(boxes).reshape(-1, 5)
    base["note"] = [printable(seen.note) for seen in sightings]
    predicted = np.array([seen.has_prediction for seen in sightings], dtype=bool)
    parts = [_rows(base, predicted, item, smooth, unsure_below) for item in predictions]
    # sorted by face, then by run
    order = np.arange(len(parts) * len(base)).reshape(len(parts), len(base)).T.ravel()
    return pd.concat(parts, ignore_index=True).iloc[order].reset_index(drop=True)


def _rows(
    base: pd.DataFrame,
    predicted: NDArray[np.bool_],
    prediction: Prediction,
    smooth: float,
    unsure_below: Thresholds,
) -> pd.DataFrame:
    names = prediction.labels.names

    def named(rows: NDArray[np.float64]) -> list[str | None]:
        return [
            None if np.isnan(row).any() else decide(row, prediction.labels, unsure_below)
            for row in rows
        ]

    values = np.full((len(base), len(names)), np.nan)
    values[predicted] = prediction.calibrated
    columns: dict[str, Any] = {
        "run": prediction.run_id,
        "answer": named(values),
        "confidence": values.max(axis=1),
        "temperature": prediction.temperature,
    }
    columns |= {f"p_{name}": values[:, k] for k, name in enumerate(names)}
    columns |= _estimates(prediction, predicted)
    if smooth > 0 and base["seconds"].notna().any():
        steady = _smoothed(base, predicted, values, smooth)
        columns["smoothed_answer"] = named(steady)
        columns |= {f"smoothed_{name}": steady[:, k] for k, name in enumerate(names)}
    return base.assign(**columns)


def _estimates(
    prediction: Prediction, predicted: NDArray[np.bool_]
) -> dict[str, NDArray[np.float64]]:
    """Returns the columns of a regression head's estimates; NaN without a face."""
    columns = {}
    for name, item in prediction.estimates.items():
        margin = np.nan if item.margin is None else item.margin
        for suffix, offset in (("", 0.0), ("_low", -margin), ("_high", margin)):
            column = np.full(len(predicted), np.nan)
            column[predicted] = item.values + offset
            columns[f"estimate_{name}{suffix}"] = column
    return columns


def _smoothed(
    base: pd.DataFrame, predicted: NDArray[np.bool_], values: NDArray[np.float64], span: float
) -> NDArray[np.float64]:
    """Smooths the predictions of each person; other rows, such as those of images, stay NaN."""
    steady = np.full_like(values, np.nan)
    timed = np.flatnonzero(predicted & base["seconds"].notna().to_numpy())
    seconds = base["seconds"].to_numpy(dtype=np.float64, na_value=np.nan)
    for rows in base.iloc[timed].groupby(["file", "face"]).indices.values():
        indices = timed[rows]
        steady[indices] = smoothed(seconds[indices], values[indices], span)
    return steady


def face_numbers(
    sightings: Sequence[Sighting], looked: Mapping[str, Sequence[int]]
) -> list[int | None]:
    """Returns the number of each face: its index in an image, or the person's number in a video.

    Args:
        sightings: Faces, and records without a face.
        looked: Frames of each video, with or without faces.
    """
    numbers = [seen.index for seen in sightings]
    videos = {name: {frame: list[int]() for frame in frames} for name, frames in looked.items()}
    times: dict[tuple[str, int], float] = {}
    for row, seen in enumerate(sightings):
        if seen.frame is not None and seen.seconds is not None:
            times[seen.file, seen.frame] = seen.seconds
        if seen.frame is not None and seen.face is not None:
            videos[seen.file][seen.frame].append(row)
    for name, frames in videos.items():
        seconds = [times.get((name, frame), float("nan")) for frame in frames]
        boxes = [
            [face for row in rows if (face := sightings[row].face) is not None]
            for rows in frames.values()
        ]
        for rows, people in zip(frames.values(), track(boxes, seconds), strict=True):
            for row, person in zip(rows, people, strict=True):
                numbers[row] = person
    return numbers


def prediction_changes(table: pd.DataFrame) -> pd.DataFrame:
    """Returns the moments at which a run's prediction for a person changes.

    Args:
        table: Result of `tabulate` for one video; smoothed predictions are used if there are any.

    Returns:
        Columns `seconds`, `frame`, `face`, `run`, `before` and `after`, in the order of time.
    """
    column = "smoothed_answer" if "smoothed_answer" in table else "answer"
    predicted = table[table[column].notna()].sort_values("frame")
    before = predicted.groupby(["face", "run"], sort=False)[column].shift()
    changed = predicted[before.notna() & (before != predicted[column])]
    result = changed[["seconds", "frame", "face", "run"]].copy()
    result["before"] = before[changed.index]
    result["after"] = changed[column]
    return result.sort_values(["frame", "face", "run"]).reset_index(drop=True)
