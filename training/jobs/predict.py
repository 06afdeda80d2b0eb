"""Predicting the faces in image and video files."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from fer_core.data import video
from fer_core.data.faces import DetectedFace, FaceDetector, every_face
from fer_core.data.imaging import MAX_BYTES, open_picture
from fer_core.data.progress import Progress
from fer_core.data.temporal_smoothing import smoothed
from fer_core.data.tracking import track
from fer_core.errors import DataError, FerscopeError, ImageError
from fer_core.predictor import Prediction, Predictor, decide

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
BATCH = 64


@dataclass(frozen=True)
class Files:
    """Image and video files to predict.

    Attributes:
        root: The folder that was searched, or the file's folder.
        pictures: Image files.
        videos: Video files.
    """

    root: Path
    pictures: tuple[Path, ...]
    videos: tuple[Path, ...]


@dataclass(frozen=True)
class PredictOptions:
    """Options of `predict_files`.

    Attributes:
        every: Seconds between the frames of a video; None for all frames.
        smooth: Time constant in seconds of the temporal smoothing of videos; 0 for none.
        unsure_below: No class is named below this probability, 0 to 1.
    """

    every: float | None = None
    smooth: float = 0.0
    unsure_below: float = 0.0


@dataclass
class Tally:
    """Result of `predict_files`.

    Attributes:
        table: One row per face and run; see `predict_files`.
        pictures: Number of images read.
        frames: Number of video frames read.
        faceless: Number of images and frames without a face.
        skipped: Unreadable files and the reason.
    """

    table: pd.DataFrame = field(default_factory=pd.DataFrame)
    pictures: int = 0
    frames: int = 0
    faceless: int = 0
    skipped: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Frame:
    """An image, or one frame of a video."""

    file: str
    image: Image.Image
    frame: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class _FrameFace:
    """A detected face with its file and frame, without pixels."""

    file: str
    frame: int | None
    seconds: float | None
    index: int
    face: DetectedFace


def find_files(path: Path) -> Files:
    """Finds the images and videos in a folder and its subfolders; a file stands for itself.

    Raises:
        DataError: If the path does not exist or has no image or video.
    """
    if path.is_file():
        is_video = path.suffix.lower() in video.SUFFIXES
        return Files(path.parent, () if is_video else (path,), (path,) if is_video else ())
    if not path.is_dir():
        raise DataError(f"There is no file or folder {path}. Check the path.")
    files = sorted(file for file in path.rglob("*") if file.is_file())
    pictures = tuple(file for file in files if file.suffix.lower() in PICTURES)
    videos = tuple(file for file in files if file.suffix.lower() in video.SUFFIXES)
    if not pictures and not videos:
        raise DataError(
            f"{path} has no image ({', '.join(PICTURES)}) and no video "
            f"({', '.join(video.SUFFIXES)}). Choose another folder."
        )
    return Files(path, pictures, videos)


def predict_files(
    files: Files,
    predictor: Predictor,
    run_ids: Sequence[str],
    detector: FaceDetector | None,
    progress: Progress,
    options: PredictOptions | None = None,
) -> Tally:
    """Predicts every face with every run.

    The table has the columns `file` (relative to the folder), `frame` and `seconds` (videos),
    `face` (images: 0 is the largest; videos: one number per person), `left`, `top`, `right`,
    `bottom` (pixels), `score` (the detector's confidence; 1 without a detector), `run`, `answer`
    (None below `unsure_below`), `confidence`, `temperature` (None if not fitted), `p_<label>` (at
    that temperature), and with smoothing `smoothed_answer` and `smoothed_<label>` (videos).

    Args:
        files: Images and videos.
        predictor: Predictor of the runs' benchmark.
        run_ids: At least one run.
        detector: Face detector; None takes each image or frame as one face.
        progress: Shows progress over images and frames.
        options: Frame rate, smoothing and threshold.

    Raises:
        DataError: If no face was found anywhere.
        ArtifactError: If a run is damaged.
        WeightsError: If its weights are missing or damaged.
    """
    options = options or PredictOptions()
    tally = Tally()
    faces: list[_FrameFace] = []
    batches: list[list[Prediction]] = []
    crops: list[NDArray[np.uint8]] = []
    video_frames: dict[str, list[int]] = {}
    length = len(files.pictures) + _frames_in(files.videos, options.every)
    for frame in progress(_frames(files, options.every, tally), length, "predicting faces"):
        frame_faces = every_face(frame.image, detector, predictor.framing)
        tally.faceless += not frame_faces
        if frame.frame is not None:
            video_frames.setdefault(frame.file, []).append(frame.frame)
        for index, crop in enumerate(frame_faces):
            faces.append(_FrameFace(frame.file, frame.frame, frame.seconds, index, crop.face))
            crops.append(predictor.format.convert(crop.crop))
        if len(crops) >= BATCH:
            batches.append(predictor.predict(crops, run_ids))
            crops.clear()
    if crops:
        batches.append(predictor.predict(crops, run_ids))
    if not faces:
        raise _no_face_error(tally)
    tally.table = _table(faces, video_frames, batches, options)
    return tally


def usable_runs(predictor: Predictor, run_ids: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Tests every run on a grey image.

    Returns:
        Runs that can predict, and the other runs with the reason.
    """
    grey = np.full(predictor.format.shape, 128, np.uint8)
    results = predictor.try_predict([grey], run_ids)
    damaged = {
        name: str(result) for name, result in results.items() if isinstance(result, FerscopeError)
    }
    return [name for name in results if name not in damaged], damaged


def _frames_in(videos: Sequence[Path], every: float | None) -> int:
    total = 0
    for path in videos:
        try:
            total += video.video_facts(path).taken(every)
        except DataError:  # it is reported as skipped when it is read
            total += 1
    return total


def _frames(files: Files, every: float | None, tally: Tally) -> Iterator[_Frame]:
    for path in files.pictures:
        name = path.relative_to(files.root).as_posix()
        try:
            with path.open("rb") as file:
                image = open_picture(file.read(MAX_BYTES + 1), path.name)
        except (ImageError, OSError) as error:
            tally.skipped[name] = str(error)
            continue
        tally.pictures += 1
        yield _Frame(name, image)
    for path in files.videos:
        name = path.relative_to(files.root).as_posix()
        before = tally.frames
        try:
            for frame in video.read_frames(path, every):
                tally.frames += 1
                yield _Frame(name, frame.image, frame.number, frame.seconds)
        except DataError as error:
            tally.skipped[name] = str(error)
        else:
            if tally.frames == before:
                tally.skipped[name] = f"{path.name} has no readable frame."


def _no_face_error(tally: Tally) -> DataError:
    if not tally.pictures + tally.frames:
        reason = next(iter(tally.skipped.values()), "Choose another file.")
        return DataError(f"None of {len(tally.skipped)} files could be read. {reason}")
    return DataError(
        f"No face was detected in {tally.pictures} images and {tally.frames} video frames. Use "
        "images in which faces look towards the camera and are at least a tenth of the longer "
        "side wide, or pass --cropped if they are cropped faces."
    )


def _table(
    faces: list[_FrameFace],
    video_frames: Mapping[str, Sequence[int]],
    batches: list[list[Prediction]],
    options: PredictOptions,
) -> pd.DataFrame:
    base = pd.DataFrame(
        {
            "file": [face.file for face in faces],
            "frame": pd.array([face.frame for face in faces], dtype="Int64"),
            "seconds": pd.array([face.seconds for face in faces], dtype="Float64"),
            "face": _face_numbers(faces, video_frames),
            "left": [face.face.left for face in faces],
            "top": [face.face.top for face in faces],
            "right": [face.face.right for face in faces],
            "bottom": [face.face.bottom for face in faces],
            "score": [face.face.score for face in faces],
        }
    )
    tables = []
    for index, prediction in enumerate(batches[0]):
        values = np.concatenate([batch[index].calibrated for batch in batches])
        tables.append(_predictions(base, prediction, values, options))
    # one row per face and run, with the runs of a face below each other
    order = np.arange(len(tables) * len(base)).reshape(len(tables), len(base)).T.ravel()
    return pd.concat(tables, ignore_index=True).iloc[order].reset_index(drop=True)


def _predictions(
    base: pd.DataFrame,
    prediction: Prediction,
    values: NDArray[np.float64],
    options: PredictOptions,
) -> pd.DataFrame:
    """Returns the base columns with one run's predictions, and the smoothed ones of videos."""
    labels = prediction.labels

    def decisions(rows: NDArray[np.float64]) -> list[str | None]:
        return [decide(row, labels, options.unsure_below) for row in rows]

    columns: dict[str, Any] = {
        "run": prediction.run_id,
        "answer": decisions(values),
        "confidence": values.max(axis=1),
        "temperature": prediction.temperature,
    }
    columns |= {f"p_{name}": values[:, k] for k, name in enumerate(labels.names)}
    if options.smooth > 0 and base["seconds"].notna().any():
        smooth = np.full_like(values, np.nan)
        answers = np.full(len(values), None, dtype=object)
        timed = base[base["seconds"].notna()]
        for rows in timed.groupby(["file", "face"]).indices.values():
            indices = timed.index.to_numpy()[rows]
            seconds = base["seconds"].to_numpy(dtype=np.float64)[indices]
            smooth[indices] = smoothed(seconds, values[indices], options.smooth)
            answers[indices] = decisions(smooth[indices])
        columns["smoothed_answer"] = answers
        columns |= {f"smoothed_{name}": smooth[:, k] for k, name in enumerate(labels.names)}
    return base.assign(**columns)


def _face_numbers(
    faces: Sequence[_FrameFace], video_frames: Mapping[str, Sequence[int]]
) -> list[int]:
    """Returns each face's number: its index in an image, its person's number in a video.

    Args:
        faces: All faces.
        video_frames: All frames of each video, because tracking needs those without a face.
    """
    numbers = [face.index for face in faces]
    videos = {
        name: {frame: list[int]() for frame in frames} for name, frames in video_frames.items()
    }
    for index, face in enumerate(faces):
        if face.frame is not None:
            videos[face.file][face.frame].append(index)
    for frames in videos.values():
        tracks = track([faces[index].face for index in indices] for indices in frames.values())
        for indices, persons in zip(frames.values(), tracks, strict=True):
            for index, person in zip(indices, persons, strict=True):
                numbers[index] = person
    return numbers
