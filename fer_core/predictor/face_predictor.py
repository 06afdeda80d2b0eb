"""Predicts the faces of many images or video frames in batches."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fer_core.data.faces import (
    FaceCrop,
    FaceDetector,
    detect_all,
    jittered,
    looks_cropped,
    picture_faces,
    whole_picture,
)
from fer_core.predictor.predictions import Prediction
from fer_core.predictor.predictor import Predictor, listed_runs
from fer_core.predictor.table import NO_FACE, TAKEN_AS_CROP, TOO_SMALL, Sighting

JITTER = 5
"""Number of crops per face that are averaged with `jitter`."""

_FACES = 64
_PICTURES = 8
_PIXELS = 64_000_000
"""Most pixels of images that are held for one batch; a larger image is a batch of its own."""


@dataclass(frozen=True)
class Moment:
    """An image, or a frame of a video or animation.

    Attributes:
        file: Name in the table.
        image: Upright RGB image.
        frame: Index of the frame; None for an image.
        seconds: Time of the frame; None for an image.
    """

    file: str
    image: Image.Image
    frame: int | None = None
    seconds: float | None = None


class FacePredictor:
    """Detects faces in images and predicts them with several runs.

    Args:
        predictor: Predictor of the runs' benchmark.
        run_ids: Ids of at least one run; one that is given again is predicted once.
        detector: Face detector; None treats each image or frame as a cropped face.
        jitter: Whether to average predictions over five crops of each face.
    """

    def __init__(
        self,
        predictor: Predictor,
        run_ids: Sequence[str],
        detector: FaceDetector | None,
        *,
        jitter: bool = False,
    ) -> None:
        self._predictor, self._detector = predictor, detector
        self._run_ids = list(dict.fromkeys(listed_runs(run_ids)))
        self._each = JITTER if jitter else 1
        self._waiting: list[NDArray[np.uint8]] = []
        self._batches: list[list[Prediction]] = []

    def detect(self, moments: Iterable[Moment]) -> Iterator[tuple[Moment, list[Sighting]]]:
        """Detects the faces of images and frames in batches and queues them for prediction.

        Yields each image or frame with its faces, or with one record without a face.
        """
        for batch in _batches(moments):
            for moment, (faces, crops) in zip(batch, self._faces(batch), strict=True):
                self._add(moment.image, crops)
                yield moment, faces

    def predictions(self) -> list[Prediction]:
        """Returns the prediction of each run for the faces that have a prediction, in their order.

        Raises:
            ArtifactError: If a run is damaged.
            WeightsError: If its weights are missing or damaged.
        """
        if self._waiting or not self._batches:
            self._predict()
        return [_joined(parts) for parts in zip(*self._batches, strict=True)]

    def _faces(self, batch: Sequence[Moment]) -> Iterator[tuple[list[Sighting], list[FaceCrop]]]:
        images = [moment.image for moment in batch]
        if self._detector is None:
            for moment in batch:
                yield _taken_whole(moment, "")
            return
        detected = detect_all(images, self._detector)
        for moment, boxes in zip(batch, detected, strict=True):
            faces = picture_faces(moment.image, self._detector, self._predictor.framing, boxes)
            if not boxes and moment.frame is None and looks_cropped(moment.image):
                yield _taken_whole(moment, TAKEN_AS_CROP)
                continue
            crops = list(faces.crops)
            at = (moment.file, moment.frame, moment.seconds)
            seen = [Sighting(*at, index, crop.face) for index, crop in enumerate(crops)]
            small = enumerate(faces.too_small, start=len(seen))
            seen += [Sighting(*at, index, face, TOO_SMALL) for index, face in small]
            yield seen or [Sighting(*at, None, None, NO_FACE)], crops

    def _add(self, image: Image.Image, crops: Sequence[FaceCrop]) -> None:
        for crop in crops:
            versions = jittered(image, crop.frame) if self._each > 1 else (crop.crop,)
            self._waiting += [self._predictor.format.convert(version) for version in versions]
        if len(self._waiting) >= _FACES:
            self._predict()

    def _predict(self) -> None:
        count = len(self._waiting) // self._each
        # Without faces, a dummy face is predicted to get the runs and their classes.
        faces = self._waiting or [np.zeros(self._predictor.format.shape, np.uint8)] * self._each
        predictions = self._predictor.predict(faces, self._run_ids)
        self._batches.append([_mean_of_each(item, self._each, count) for item in predictions])
        self._waiting = []


def _batches(moments: Iterable[Moment]) -> Iterator[list[Moment]]:
    """Yields images and frames in lists of few pixels, because large ones would fill the memory."""
    batch: list[Moment] = []
    pixels = 0
    for moment in moments:
        size = moment.image.width * moment.image.height
        if batch and (len(batch) == _PICTURES or pixels + size > _PIXELS):
            yield batch
            batch, pixels = [], 0
        batch.append(moment)
        pixels += size
    if batch:
        yield batch


def _taken_whole(moment: Moment, note: str) -> tuple[list[Sighting], list[FaceCrop]]:
    crop = whole_picture(moment.image)
    return [Sighting(moment.file, moment.frame, moment.seconds, 0, crop.face, note)], [crop]


def _mean_of_each(prediction: Prediction, each: int, count: int) -> Prediction:
    """Returns the mean over the `each` crops of each of the first `count` faces."""
    values = prediction.probabilities
    means = values.reshape(-1, each, values.shape[1]).mean(axis=1)
    estimates = {
        name: replace(item, values=item.values.reshape(-1, each).mean(axis=1)[:count])
        for name, item in prediction.estimates.items()
    }
    return replace(prediction, probabilities=means[:count], estimates=estimates)


def _joined(parts: Sequence[Prediction]) -> Prediction:
    return replace(
        parts[0],
        probabilities=np.concatenate([part.probabilities for part in parts]),
        seconds=sum(part.seconds for part in parts),
        estimates={
            name: replace(
                item, values=np.concatenate([part.estimates[name].values for part in parts])
            )
            for name, item in parts[0].estimates.items()
        },
    )
