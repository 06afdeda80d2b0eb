"""Measures the framing of a benchmark's images, so that uploads are cropped the same way."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from fer_core.data.faces import DetectedFace, FaceDetector, MeasuringDetector
from fer_core.data.imaging import BACKGROUND
from fer_core.data.progress import Progress, silent
from fer_core.records import Framing

IMAGES = 300
"""Maximum number of sampled images. Boxes vary by a tenth of the frame, so the median's standard
error is 0.007."""

FEWEST = 30
"""Minimum number of images with a detected face."""

PATIENCE = 40
"""Number of images without a single face after which the measurement stops."""

_SIDE = 200
_BORDER = 0.25


def measure_framing(
    images: NDArray[np.uint8],
    rows: NDArray[np.int64],
    detector: FaceDetector,
    *,
    seed: int = 0,
    progress: Progress = silent,
) -> Framing | None:
    """Detects the face in sampled images and summarises the position of its box.

    Images are mostly cropped faces without the context that a detector needs, so each is enlarged
    and gets a grey border. Crops of photographs are measured in the same way
    (`faces.picture_faces`).

    Args:
        images: uint8, shape (N, H, W) or (N, H, W, 3); may be a memory map.
        rows: Rows to sample from: the training images.
        detector: Face detector.
        seed: Seed of the sample.
        progress: Shows progress.

    Returns:
        The framing; None if a face is detected in fewer than `FEWEST` images.
    """
    random = np.random.default_rng(seed)
    sampled = np.sort(random.permutation(rows)[:IMAGES])
    boxes: list[tuple[float, float]] = []
    for position, row in enumerate(
        progress(sampled, len(sampled), "measuring how faces are framed")
    ):
        if position == PATIENCE and not boxes:
            break
        image = Image.fromarray(np.asarray(images[row])).convert("RGB")
        face = _locate(image, detector)
        if face is not None:
            side, square = max(image.size), face.square
            boxes.append((square.side / side, square.y / side - 0.5))
    if len(boxes) < FEWEST:
        return None
    box, drop = np.median(boxes, axis=0).round(3).tolist()
    low, high = np.quantile([width for width, _ in boxes], (0.25, 0.75)).round(3).tolist()
    return Framing(box=box, drop=drop, images=len(sampled), detected=len(boxes), spread=(low, high))


def _locate(image: Image.Image, detector: FaceDetector) -> DetectedFace | None:
    """Returns the box of the face in a crop, in its pixels."""
    if isinstance(detector, MeasuringDetector):
        return detector.inside([image])[0]
    border = round(_SIDE * _BORDER)
    enlarged = ImageOps.expand(image.resize((_SIDE, _SIDE)), border, fill=BACKGROUND)
    faces = detector.detect(enlarged)
    if not faces:
        return None
    face = max(faces, key=lambda face: face.score * face.width * face.height)
    by = max(image.size) / _SIDE
    return DetectedFace(
        left=(face.left - border) * by,
        top=(face.top - border) * by,
        right=(face.right - border) * by,
        bottom=(face.bottom - border) * by,
        score=face.score,
    )
