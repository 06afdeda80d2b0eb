"""Predictions of the faces in a video, over time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import pandas as pd

from fer_core.data.faces import FaceDetector
from fer_core.data.progress import Progress
from fer_core.data.video import Source, read_frames, video_facts
from fer_core.errors import DataError
from fer_core.predictor.face_predictor import FacePredictor, Moment
from fer_core.predictor.predictor import Predictor
from fer_core.predictor.table import Sighting, tabulate


@dataclass(frozen=True)
class VideoOptions:
    """Options of `predict_video`.

    Attributes:
        every: Seconds between frames; None for all frames.
        smooth: Time constant in seconds of the temporal smoothing; 0 for none.
        max_frames: Frames after which the rest is left out.
    """

    every: float | None = 0.1
    smooth: float = 0.0
    max_frames: int = 6000


def predict_video(
    video: tuple[Source, str],
    predictor: Predictor,
    run_ids: Sequence[str],
    detector: FaceDetector,
    options: VideoOptions,
    progress: Progress,
) -> pd.DataFrame:
    """Predicts every face of a video with every run.

    Args:
        video: A path or an open file, and its name.
        predictor: Predictor of the runs' benchmark.
        run_ids: At least one run.
        detector: Face detector.
        options: Frame rate and smoothing.
        progress: Shows progress over frames.

    Returns:
        As `tabulate`: one row per face, frame and run, and rows for frames without a face.

    Raises:
        DataError: If the video has no readable frame.
        ArtifactError: If a run is damaged.
        WeightsError: If its weights are missing or damaged.
    """
    source, name = video
    face_predictor = FacePredictor(predictor, run_ids, detector)
    sightings: list[Sighting] = []
    frames: list[int] = []
    expected = min(options.max_frames, video_facts(source, name).taken(options.every))

    def moments() -> Iterator[Moment]:
        for frame in islice(read_frames(source, options.every, name), options.max_frames):
            frames.append(frame.number)
            yield Moment(name, frame.image, frame.number, frame.seconds)

    for _, seen in face_predictor.detect(progress(moments(), expected, "predicting faces")):
        sightings += seen
    if not sightings:
        raise DataError(f"{name} has no readable frame. Convert it: ffmpeg -i input output.mp4")
    return tabulate(sightings, {name: frames}, face_predictor.predictions(), smooth=options.smooth)
