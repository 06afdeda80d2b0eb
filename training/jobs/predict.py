"""Predicting the faces in image and video files."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from fer_core.data import video
from fer_core.data.faces import FaceDetector
from fer_core.data.imaging import MAX_BYTES, animation_facts, open_frames, open_picture
from fer_core.data.picture_files import (
    is_readable,
    is_unnamed_picture,
    readable_suffixes,
    unreadable_picture,
)
from fer_core.data.progress import Progress
from fer_core.data.sources.tree import printable
from fer_core.errors import DataError, FerscopeError, ImageError
from fer_core.predictor import Predictor
from fer_core.predictor.face_predictor import FacePredictor, Moment
from fer_core.predictor.predictions import Thresholds
from fer_core.predictor.table import TAKEN_AS_CROP, Sighting, tabulate


@dataclass(frozen=True)
class Files:
    """Image and video files to predict.

    Attributes:
        root: The folder that was searched, or the file's folder.
        pictures: Image files.
        videos: Video files.
        unreadable: Image files in a format that cannot be read, and the reason.
    """

    root: Path
    pictures: tuple[Path, ...]
    videos: tuple[Path, ...]
    unreadable: dict[Path, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PredictOptions:
    """Options of `predict_part`.

    Attributes:
        every: Seconds between the frames of a video; None for all frames.
        all_frames: Whether all frames of an animated image are read, or only the first.
        smooth: Time constant in seconds of the temporal smoothing of videos; 0 for none.
        unsure_below: Least probability of a named class, 0 to 1; of every class or by class.
        jitter: Whether each prediction is the mean over five crops of the face.
    """

    every: float | None = None
    all_frames: bool = False
    smooth: float = 0.0
    unsure_below: Thresholds = 0.0
    jitter: bool = False


@dataclass
class Tally:
    """Result of `predict_part`.

    Attributes:
        table: One row per face and run, and one per run of what shows no face or could not be read
            (the reason is its `note`); see `tabulate`.
        pictures: Number of images read; of a damaged animation at least the first frame.
        frames: Number of video frames read.
        faceless: Images without a readable face, and the reason.
        faceless_frames: Number of such frames.
        cropped: Images that were treated as cropped faces.
        skipped: Unreadable files, and animations that are damaged after their first frames, and the
            reason.
    """

    table: pd.DataFrame = field(default_factory=pd.DataFrame)
    pictures: int = 0
    frames: int = 0
    faceless: dict[str, str] = field(default_factory=dict)
    faceless_frames: int = 0
    cropped: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)

    def note(self, moment: Moment, seen: Sequence[Sighting]) -> None:
        """Counts a picture or frame by what was seen in it."""
        if seen[0].note == TAKEN_AS_CROP:
            self.cropped.append(moment.file)
        if not any(sighting.has_prediction for sighting in seen):
            if moment.frame is None:
                self.faceless[moment.file] = seen[0].note
            else:
                self.faceless_frames += 1


def find_files(path: Path) -> Files:
    """Finds the images and videos in a folder and its subfolders; a file is returned as it is.

    Files without a suffix are images if their content starts as one.

    Raises:
        DataError: If the path does not exist or has no image or video.
    """
    if path.is_file():
        is_video = path.suffix.lower() in video.SUFFIXES
        return Files(path.parent, () if is_video else (path,), (path,) if is_video else ())
    if not path.is_dir():
        raise DataError(f"There is no file or folder {path}. Check the path.")
    files = sorted(file for file in path.rglob("*") if file.is_file())
    videos = tuple(file for file in files if file.suffix.lower() in video.SUFFIXES)
    others = [file for file in files if file.suffix.lower() not in video.SUFFIXES]
    pictures = tuple(file for file in others if is_readable(file) or is_unnamed_picture(file))
    unreadable = {
        file: f"{file.name} {reason}" for file in others if (reason := unreadable_picture(file))
    }
    if not pictures and not videos:
        reason = next(iter(unreadable.values()), "Choose another folder.")
        raise DataError(
            f"{path} has no image ({', '.join(sorted(readable_suffixes()))}) and no video "
            f"({', '.join(video.SUFFIXES)}). {reason}"
        )
    return Files(path, pictures, videos, unreadable)


def check_any_read(tally: Tally) -> None:
    """Refuses a result that is empty.

    Raises:
        DataError: If no file could be read.
    """
    if not (tally.pictures or tally.frames):
        reason = next(iter(tally.skipped.values()), "Choose another file.")
        raise DataError(f"None of {len(tally.skipped)} files could be read. {reason}")


def predict_part(
    files: Files,
    predictor: Predictor,
    run_ids: Sequence[str],
    detector: FaceDetector | None,
    progress: Progress,
    options: PredictOptions | None = None,
) -> Tally:
    """Predicts every face with every run; files that cannot be read have rows alone.

    Args:
        files: Images and videos.
        predictor: Predictor of the runs' benchmark.
        run_ids: At least one run.
        detector: Face detector; None takes each image or frame as one face.
        progress: Shows progress over images and frames.
        options: Frame rate, smoothing, threshold and test-time jitter.

    Raises:
        ArtifactError: If a run is damaged.
        WeightsError: If its weights are missing or damaged.
    """
    options = options or PredictOptions()
    tally = Tally(
        skipped={_name(path, files): printable(why) for path, why in files.unreadable.items()}
    )
    face_predictor = FacePredictor(predictor, run_ids, detector, jitter=options.jitter)
    sightings: list[Sighting] = []
    looked: dict[str, list[int]] = {}
    length = moments_in(files, options.every)
    moments = progress(_moments(files, options, tally), length, "predicting faces")
    for moment, seen in face_predictor.detect(moments):
        sightings += seen
        if moment.frame is not None:
            looked.setdefault(moment.file, []).append(moment.frame)
        tally.note(moment, seen)
    sightings += [
        Sighting(name, None, None, None, None, why) for name, why in tally.skipped.items()
    ]
    tally.table = tabulate(
        sightings,
        looked,
        face_predictor.predictions(),
        smooth=options.smooth,
        unsure_below=options.unsure_below,
    )
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


def _name(path: Path, files: Files) -> str:
    """Returns a file's name in the table, which is written as UTF-8."""
    return printable(path.relative_to(files.root).as_posix())


def moments_in(files: Files, every: float | None) -> int:
    """Returns the number of images and of the frames of videos that are read."""
    total = len(files.pictures)
    for path in files.videos:
        try:
            total += video.video_facts(path).taken(every)
        except DataError:  # it is named as skipped when its turn comes
            total += 1
    return total


def _moments(files: Files, options: PredictOptions, tally: Tally) -> Iterator[Moment]:
    """Gives pictures and frames one by one; what cannot be read goes to `tally.skipped`."""
    for path in files.pictures:
        name = _name(path, files)
        try:
            for count, moment in enumerate(_of_picture(path, name, all_frames=options.all_frames)):
                tally.pictures += count == 0  # damage of a later frame does not undo the first
                yield moment
        except (ImageError, OSError) as error:
            tally.skipped[name] = printable(str(error))
    for path in files.videos:
        name = _name(path, files)
        before = tally.frames
        try:
            for frame in video.read_frames(path, options.every):
                tally.frames += 1
                yield Moment(name, frame.image, frame.number, frame.seconds)
        except DataError as error:
            tally.skipped[name] = printable(str(error))
        else:
            if tally.frames == before:
                tally.skipped[name] = f"{printable(path.name)} has no readable frame."


def _of_picture(path: Path, name: str, *, all_frames: bool) -> Iterator[Moment]:
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if not all_frames or animation_facts(data, path.name).frames == 1:
        yield Moment(name, open_picture(data, path.name))
        return
    for frame in open_frames(data, path.name):
        yield Moment(name, frame.image, frame.number, frame.seconds)
