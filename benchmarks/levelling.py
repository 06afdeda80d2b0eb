"""Accuracy on turned faces, as they are and with level eyes, and with framing jitter.

Validation images of the prepared FER+ are enlarged and turned by known angles. Levelling turns
them back by the angle between the detected eyes. Without the prepared images nothing is measured.
"""

import math
from collections.abc import Callable, Iterator
from statistics import median

import numpy as np
from PIL import Image

from benchmarks.result import Result
from fer_core.artifacts import ArtifactStore
from fer_core.data.centerface import CenterFaceDetector
from fer_core.data.faces import CropSquare, DetectedFace, jittered
from fer_core.data.prepared import PreparedDataset, prepared_folder
from fer_core.errors import FerscopeError
from fer_core.predictor import Predictor
from fer_core.project import artifacts_root, data_root

BENCHMARK, NETWORK = "ferplus", "efficientnet_lite0-cpu-s0"
IMAGES = 200
ANGLES = (0, 10, 20, 30)
_SIDE, _BORDER = 192, 96
_BATCH = 50

Versions = Callable[[Image.Image], list[Image.Image]]


def measure() -> Iterator[Result]:
    """Measures accuracy by angle, with and without levelling, and of five crops per face."""
    benchmark = ArtifactStore(artifacts_root()).benchmark(BENCHMARK)
    try:
        dataset = PreparedDataset.open(prepared_folder(data_root(), benchmark))
    except FerscopeError:
        yield Result("turned faces", f"not measured: {BENCHMARK} is not prepared")
        return
    rows = np.random.default_rng(0).permutation(dataset.rows("validation"))[:IMAGES]
    images = [Image.fromarray(np.asarray(dataset.images[row])).convert("RGB") for row in rows]
    predictor, truth = Predictor(benchmark), dataset.targets(rows)
    for angle in ANGLES:
        angles = [float(angle * (-1) ** place) for place in range(len(images))]
        turned = [
            turn(_enlarged(image), degrees) for image, degrees in zip(images, angles, strict=True)
        ]
        faces = _faces(turned)
        level = [
            image if face is None else turn(image, -roll(face))
            for image, face in zip(turned, faces, strict=True)
        ]
        plain = _accuracy(predictor, turned, truth, _as_framed)
        averaged = _accuracy(predictor, turned, truth, _five)
        yield Result(
            f"{IMAGES} validation faces turned by {angle} degrees: accuracy with level eyes",
            f"{_accuracy(predictor, level, truth, _as_framed):.1%}",
            f"as they are {plain:.1%}, mean over five crops {averaged:.1%}",
        )
        yield _errors(angles, faces)


def _faces(images: list[Image.Image]) -> list[DetectedFace | None]:
    detector = CenterFaceDetector()
    starts = range(0, len(images), _BATCH)
    return [face for start in starts for face in detector.inside(images[start : start + _BATCH])]


def _errors(angles: list[float], faces: list[DetectedFace | None]) -> Result:
    pairs = zip(angles, faces, strict=True)
    errors = [abs(roll(face) - degrees) for degrees, face in pairs if face is not None]
    return Result(
        f"angle between the eyes at {abs(angles[0]):.0f} degrees: median error",
        f"{median(errors):.1f} degrees" if errors else "no face",
        f"detected {len(errors)} of {len(faces)}",
    )


def roll(face: DetectedFace) -> float:
    """Returns the angle of the line through the eyes in degrees; positive: anticlockwise."""
    if face.landmarks is None:
        return 0.0
    (left, upper), (right, lower) = face.landmarks.left_eye, face.landmarks.right_eye
    return -math.degrees(math.atan2(lower - upper, right - left))


def turn(image: Image.Image, degrees: float) -> Image.Image:
    """Returns an image turned anticlockwise about its centre."""
    return image.rotate(degrees, Image.Resampling.BICUBIC)


def _enlarged(image: Image.Image) -> Image.Image:
    """Returns an enlarged image whose edge is repeated, so that no corner is empty when turned."""
    large = np.asarray(image.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC))
    return Image.fromarray(np.pad(large, ((_BORDER, _BORDER), (_BORDER, _BORDER), (0, 0)), "edge"))


def _as_framed(image: Image.Image) -> list[Image.Image]:
    return [CropSquare(_BORDER, _BORDER, _SIDE).cut(image)]


def _five(image: Image.Image) -> list[Image.Image]:
    return list(jittered(image, CropSquare(_BORDER, _BORDER, _SIDE)))


def _accuracy(
    predictor: Predictor, images: list[Image.Image], truth: np.ndarray, versions: Versions
) -> float:
    """Returns the accuracy of the mean over the versions of each image."""
    crops = [predictor.format.convert(crop) for image in images for crop in versions(image)]
    (prediction,) = predictor.predict(crops, [NETWORK])
    probabilities = prediction.probabilities.reshape(len(images), -1, len(prediction.labels))
    return float((probabilities.mean(axis=1).argmax(axis=1) == truth).mean())
