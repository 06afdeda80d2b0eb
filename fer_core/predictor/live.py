"""Predictions on the frames of a camera, drawn into them."""

import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from fer_core.data.faces import FaceCrop, FaceDetector, picture_faces
from fer_core.errors import FerscopeError
from fer_core.figures.boxes import BoxLabel, draw_boxes
from fer_core.predictor.predictions import calibrated

if TYPE_CHECKING:
    import av

    from fer_core.predictor.predictor import Predictor

SIDE = 320
"""Longer side at which a frame is searched: who sits before a camera is near it."""

MAX_FACES = 4
_KEPT = 30


class LiveFaces:
    """Draws boxes and bars into frames; frames are not kept.

    Args:
        predictor: Predictor of the runs' benchmark.
        detector: Face detector.
        run_ids: The runs; the bars show the mean of their probabilities.
    """

    def __init__(
        self, predictor: "Predictor", detector: FaceDetector, run_ids: Sequence[str]
    ) -> None:
        self._predictor, self._detector = predictor, detector
        self._lock = threading.Lock()
        self._run_ids = list(run_ids)
        self._times: deque[float] = deque(maxlen=_KEPT)

    def choose(self, run_ids: Sequence[str]) -> None:
        """Changes the runs from the next frame on."""
        with self._lock:
            self._run_ids = list(run_ids)

    @property
    def predictor(self) -> "Predictor":
        """Predictor of the runs' benchmark."""
        return self._predictor

    @property
    def rate(self) -> float:
        """Frames per second, over the last frames; 0 before the second one."""
        times = list(self._times)
        return (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else 0.0

    def draw(self, picture: Image.Image) -> Image.Image:
        """Returns a frame with its faces' boxes and bars; without runs or on errors, as it is."""
        with self._lock:
            run_ids = list(self._run_ids)
        self._times.append(time.perf_counter())
        if not run_ids:
            return picture
        faces = picture_faces(picture, self._detector, self._predictor.framing)
        crops = faces.crops[:MAX_FACES]
        boxes = [BoxLabel(face, "too small") for face in faces.too_small]
        if crops:
            try:
                boxes += self._labels(crops, run_ids)
            except FerscopeError as error:
                boxes += [BoxLabel(crop.face, str(error)[:60]) for crop in crops]
        return draw_boxes(picture, boxes, self._predictor.labels.names)

    def __call__(self, frame: "av.VideoFrame") -> "av.VideoFrame":
        """Draws into a frame of the camera."""
        import av

        drawn = self.draw(Image.fromarray(frame.to_ndarray(format="rgb24")))
        return av.VideoFrame.from_ndarray(np.asarray(drawn), format="rgb24")

    def _labels(self, crops: Sequence[FaceCrop], run_ids: Sequence[str]) -> list[BoxLabel]:
        predictions = self._predictor.predict([crop.crop for crop in crops], run_ids)
        mean = np.mean([calibrated(p.probabilities, p.temperature) for p in predictions], axis=0)
        names = predictions[0].labels.names
        labels = []
        for crop, shares in zip(crops, mean, strict=True):
            best = int(shares.argmax())
            labels.append(
                BoxLabel(
                    crop.face,
                    f"{names[best]} {shares[best]:.0%}",
                    names[best],
                    {name: float(share) for name, share in zip(names, shares, strict=True)},
                )
            )
        return labels
