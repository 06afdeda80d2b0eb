"""Asks runs about the faces in pictures and videos."""

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
    """What is to be looked at.

    Attributes:
        root: The folder, or the file's folder.
        pictures: Picture files.
        videos: Video files.
    """

    root: Path
    pictures: tuple[Path, ...]
    videos: tuple[Path, ...]


@dataclass
class Tally:
    """What came of the files.

    Attributes:
        table: One row a face and run; see `answer_files`.
        pictures: Pictures that were read.
        frames: Video frames that were looked at.
        faceless: Pictures and frames without a face.
        skipped: Files that could not be read, with the reason.
    """

    table: pd.DataFrame = field(default_factory=pd.DataFrame)
    pictures: int = 0
    frames: int = 0
    faceless: int = 0
    skipped: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Moment:
    """A picture, or one frame of a video."""

    file: str
    image: Image.Image
    frame: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class _Sighting:
    """A face that was found; its picture is not kept."""

    file: str
    frame: int | None
    seconds: float | None
    place: int
    face: DetectedFace


def find_files(place: Path) -> Files:
    """Lists the pictures and videos of a folder and all folders in it, or takes one file.

    Raises:
        DataError: If there is no such place, or nothing in it.
    """
    if place.is_file():
        is_video = place.suffix.lower() in video.SUFFIXES
        return Files(place.parent, () if is_video else (place,), (place,) if is_video else ())
    if not place.is_dir():
        raise DataError(f"There is no file or folder {place}. Give the path of one.")
    found = sorted(path for path in place.rglob("*") if path.is_file())
    pictures = tuple(path for path in found if path.suffix.lower() in PICTURES)
    videos = tuple(path for path in found if path.suffix.lower() in video.SUFFIXES)
    if not pictures and not videos:
        raise DataError(
            f"{place} holds no picture ({', '.join(PICTURES)}) and no video "
            f"({', '.join(video.SUFFIXES)}). Give another folder."
        )
    return Files(place, pictures, videos)


def answer_files(
    files: Files,
    predictor: Predictor,
    run_ids: Sequence[str],
    detector: FaceDetector | None,
    progress: Progress,
    *,
    every: float | None = None,
    smooth: float = 0.0,
    unsure_below: float = 0.0,
) -> Tally:
    """Asks runs about every face.

    The table has the columns `file` (below the folder), `frame` and `seconds` (of videos), `face`
    (of pictures: 0 is the largest; of videos: one number a person), `left`, `top`, `right`,
    `bottom` (pixels), `score` (the detector's; 1 without one), `run`, `answer` (None where
    unsure), `confidence`, `temperature` (None where not fitted), `p_<label>` (at that
    temperature), and with smoothing `smoothed_answer` and `smoothed_<label>` (of videos).

    Args:
        files: Where to look.
        predictor: Who is asked.
        run_ids: At least one run.
        detector: What finds faces; None takes each picture or frame as one face.
        progress: Gives pictures and frames on, showing how far they are.
        every: Seconds between two frames of a video; all frames if None.
        smooth: Seconds of the memory with which answers are steadied; 0 leaves that out.
        unsure_below: Least probability of a named class, 0 to 1.

    Raises:
        DataError: If no face was found anywhere.
        ArtifactError: If a run is damaged.
        WeightsError: If its weights are missing or damaged.
    """
    tally = Tally()
    sightings: list[_Sighting] = []
    gathered: list[list[Prediction]] = []
    waiting: list[NDArray[np.uint8]] = []
    looked: dict[str, list[int]] = {}
    length = len(files.pictures) + _frames_in(files.videos, every)
    for moment in progress(_moments(files, every, tally), length, "looking at faces"):
        found = every_face(moment.image, detector, predictor.framing)
        tally.faceless += not found
        if moment.frame is not None:
            looked.setdefault(moment.file, []).append(moment.frame)
        for place, crop in enumerate(found):
            sightings.append(_Sighting(moment.file, moment.frame, moment.seconds, place, crop.face))
            waiting.append(predictor.format.convert(crop.crop))
        if len(waiting) >= BATCH:
            gathered.append(predictor.predict(waiting, run_ids))
            waiting.clear()
    if waiting:
        gathered.append(predictor.predict(waiting, run_ids))
    if not sightings:
        raise _nothing_found(tally)
    tally.table = _table(sightings, looked, gathered, smooth, unsure_below)
    return tally


def sound_runs(predictor: Predictor, run_ids: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Tries every run on a grey image.

    Returns:
        Runs that answer, and the others with the reason.
    """
    grey = np.full(predictor.format.shape, 128, np.uint8)
    given = predictor.try_predict([grey], run_ids)
    damaged = {name: str(one) for name, one in given.items() if isinstance(one, FerscopeError)}
    return [name for name in given if name not in damaged], damaged


def _frames_in(videos: Sequence[Path], every: float | None) -> int:
    total = 0
    for path in videos:
        try:
            total += video.video_facts(path).taken(every)
        except DataError:  # it is named as skipped when its turn comes
            total += 1
    return total


def _moments(files: Files, every: float | None, tally: Tally) -> Iterator[_Moment]:
    for path in files.pictures:
        name = path.relative_to(files.root).as_posix()
        try:
            with path.open("rb") as file:
                image = open_picture(file.read(MAX_BYTES + 1), path.name)
        except (ImageError, OSError) as error:
            tally.skipped[name] = str(error)
            continue
        tally.pictures += 1
        yield _Moment(name, image)
    for path in files.videos:
        name = path.relative_to(files.root).as_posix()
        before = tally.frames
        try:
            for frame in video.read_frames(path, every):
                tally.frames += 1
                yield _Moment(name, frame.image, frame.number, frame.seconds)
        except DataError as error:
            tally.skipped[name] = str(error)
        else:
            if tally.frames == before:
                tally.skipped[name] = f"{path.name} holds no frame that can be read."


def _nothing_found(tally: Tally) -> DataError:
    looked = tally.pictures + tally.frames
    if not looked:
        reason = next(iter(tally.skipped.values()), "Give another file.")
        return DataError(f"None of {len(tally.skipped)} files could be read. {reason}")
    return DataError(
        f"No face was found in {tally.pictures} pictures and {tally.frames} video frames. Use "
        "some in which faces look towards the camera and are at least a tenth as wide as the "
        "picture is long, or add --cropped if they are cropped faces already."
    )


def _table(
    sightings: list[_Sighting],
    looked: Mapping[str, Sequence[int]],
    gathered: list[list[Prediction]],
    smooth: float,
    unsure_below: float,
) -> pd.DataFrame:
    base = pd.DataFrame(
        {
            "file": [seen.file for seen in sightings],
            "frame": pd.array([seen.frame for seen in sightings], dtype="Int64"),
            "seconds": pd.array([seen.seconds for seen in sightings], dtype="Float64"),
            "face": _numbered(sightings, looked),
            "left": [seen.face.left for seen in sightings],
            "top": [seen.face.top for seen in sightings],
            "right": [seen.face.right for seen in sightings],
            "bottom": [seen.face.bottom for seen in sightings],
            "score": [seen.face.score for seen in sightings],
        }
    )
    parts = []
    for place, first in enumerate(gathered[0]):
        values = np.concatenate([batch[place].calibrated for batch in gathered])
        parts.append(_answers(base, first, values, smooth, unsure_below))
    # one row a face and run, the runs of a face below each other
    order = np.arange(len(parts) * len(base)).reshape(len(parts), len(base)).T.ravel()
    return pd.concat(parts, ignore_index=True).iloc[order].reset_index(drop=True)


def _answers(
    base: pd.DataFrame,
    said: Prediction,
    values: NDArray[np.float64],
    smooth: float,
    unsure_below: float,
) -> pd.DataFrame:
    def named(rows: NDArray[np.float64]) -> list[str | None]:
        return [decide(row, said.labels, unsure_below) for row in rows]

    columns: dict[str, Any] = {
        "run": said.run_id,
        "answer": named(values),
        "confidence": values.max(axis=1),
        "temperature": said.temperature,
    }
    columns |= {f"p_{name}": values[:, k] for k, name in enumerate(said.labels.names)}
    if smooth > 0 and base["seconds"].notna().any():
        steady = np.full_like(values, np.nan)
        answers = np.full(len(values), None, dtype=object)
        timed = base[base["seconds"].notna()]
        for rows in timed.groupby(["file", "face"]).indices.values():
            places = timed.index.to_numpy()[rows]
            seconds = base["seconds"].to_numpy(dtype=np.float64)[places]
            steady[places] = smoothed(seconds, values[places], smooth)
            answers[places] = named(steady[places])
        columns["smoothed_answer"] = answers
        columns |= {f"smoothed_{name}": steady[:, k] for k, name in enumerate(said.labels.names)}
    return base.assign(**columns)


def _numbered(sightings: Sequence[_Sighting], looked: Mapping[str, Sequence[int]]) -> list[int]:
    """Returns each sighting's number: its place in a picture, its person's in a video.

    Args:
        sightings: All faces.
        looked: The frames of each video, with faces or without: an absence has a length.
    """
    numbers = [seen.place for seen in sightings]
    videos = {name: {frame: list[int]() for frame in frames} for name, frames in looked.items()}
    for index, seen in enumerate(sightings):
        if seen.frame is not None:
            videos[seen.file][seen.frame].append(index)
    for frames in videos.values():
        found = track([sightings[index].face for index in indices] for indices in frames.values())
        for indices, persons in zip(frames.values(), found, strict=True):
            for index, person in zip(indices, persons, strict=True):
                numbers[index] = person
    return numbers
