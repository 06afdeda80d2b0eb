"""Detects faces and crops them in a benchmark's framing.

Models expect faces in the framing of their training images, so uploads go through
`picture_faces`, or through `whole_picture` if the user marks them as cropped faces.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fer_core.records import Framing

FER2013 = Framing(box=1.011, drop=0.01, images=300, detected=298, spread=(0.931, 1.084))
"""Framing of FER2013, for benchmarks without a measured framing. Measured by
`fer_core.data.framing`: images are slightly smaller than the face square and cut off most
foreheads."""

_JITTER_ZOOM = 0.06
_JITTER_SHIFT = 0.03

_CROP_SIDES = (32, 256)
_CROP_RATIO = 1.15
_CROP_CONTRAST = 8.0

SMALLEST_READABLE = 24
"""Minimum size in pixels of a face to predict; smaller faces show no expression."""

Point = tuple[float, float]

# Of 152 frontal faces in photographs, 60 pixels and larger: the mean of the distances between the
# eyes and from eyes to mouth, and how far the middle of these lies below the box's, in sides of the
# box (quartiles 0.34 to 0.37, 0.05 to 0.08).
_LANDMARK_SHARE = 0.354
_LANDMARK_DROP = 0.067
_LEAST_ACROSS = 0.95
_LEAST_SHARE = 0.6


@dataclass(frozen=True)
class FaceSquare:
    """Position of a face for cropping: centre and side of a square, in pixels."""

    x: float
    y: float
    side: float


@dataclass(frozen=True)
class Landmarks:
    """Facial landmarks, x and y in image pixels; left and right as seen in the image."""

    left_eye: Point
    right_eye: Point
    nose: Point
    left_mouth: Point
    right_mouth: Point

    def square(self, middle: float) -> "FaceSquare":
        """Returns the square that is as large as the box around a whole head, on average.

        Args:
            middle: Column of its centre; the landmarks of a face in profile are off centre.
        """
        eyes = _between(self.left_eye, self.right_eye)
        mouth = _between(self.left_mouth, self.right_mouth)
        down = math.dist(eyes, mouth)
        # In profile the distance between the eyes shrinks, that to the mouth does not.
        across = max(math.dist(self.left_eye, self.right_eye), _LEAST_ACROSS * down)
        side = (across + down) / 2 / _LANDMARK_SHARE
        return FaceSquare(middle, (eyes[1] + mouth[1]) / 2 - _LANDMARK_DROP * side, side)

    @classmethod
    def of(cls, points: NDArray[np.floating]) -> Self:
        """Returns landmarks from an array of shape (5, 2)."""
        return cls(*((float(x), float(y)) for x, y in points))


def _between(first: Point, second: Point) -> Point:
    return (first[0] + second[0]) / 2, (first[1] + second[1]) / 2


@dataclass(frozen=True)
class DetectedFace:
    """A detected face. Its box is in image pixels and may extend beyond the image.

    Attributes:
        left: First column.
        top: First row.
        right: Column after the last.
        bottom: Row after the last.
        score: Confidence of the detector, above 0; comparable only within one detector.
        landmarks: Landmarks; None if the detector has none.
    """

    left: float
    top: float
    right: float
    bottom: float
    score: float
    landmarks: Landmarks | None = None

    def __post_init__(self) -> None:
        if not (self.left < self.right and self.top < self.bottom):
            raise ValueError(f"an empty box is no face: {self}")

    @property
    def width(self) -> float:
        """Width in pixels."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """Height in pixels."""
        return self.bottom - self.top

    @property
    def size(self) -> float:
        """Geometric mean of width and height, in pixels."""
        return math.sqrt(self.width * self.height)

    @property
    def square(self) -> "FaceSquare":
        """The square by which the face is cropped.

        It follows the landmarks, if there are any: in a tight crop the box ends where the forehead
        is cut off, while eyes and mouth are unaffected.
        """
        middle = (self.left + self.right) / 2
        box = max(self.width, self.height)
        square = self.landmarks.square(middle) if self.landmarks else None
        if square is None or not _LEAST_SHARE <= square.side / box <= 1 / _LEAST_SHARE:
            return FaceSquare(middle, (self.top + self.bottom) / 2, box)
        return square

    @property
    def too_small(self) -> bool:
        """Whether it is too small to show an expression."""
        return self.size < SMALLEST_READABLE


@dataclass(frozen=True)
class CropSquare:
    """A square in image pixels; it may extend beyond the image.

    Attributes:
        left: First column.
        top: First row.
        side: Height and width, at least 1.
    """

    left: int
    top: int
    side: int

    @classmethod
    def around(cls, face: DetectedFace, framing: Framing) -> Self:
        """Returns the square that crops a face in a benchmark's framing."""
        square = face.square
        side = max(1, round(square.side * (1 + 2 * framing.margin)))
        left = round(square.x - side / 2)
        top = round(square.y - side / 2 - framing.rise * square.side)
        return cls(left, top, side)

    @classmethod
    def middle(cls, image: Image.Image) -> Self:
        """Returns the largest square at the centre of an image."""
        side = min(image.size)
        return cls((image.width - side) // 2, (image.height - side) // 2, side)

    def moved(self, zoom: float = 1.0, right: float = 0.0, down: float = 0.0) -> "CropSquare":
        """Returns a shifted and scaled square.

        Args:
            zoom: Values above 1 show less of the image.
            right: Shift of the centre, as a share of this square's side.
            down: Downward shift of the centre, as a share of this square's side.
        """
        side = max(1, round(self.side / zoom))
        left = round(self.left + (self.side - side) / 2 + right * self.side)
        top = round(self.top + (self.side - side) / 2 + down * self.side)
        return CropSquare(left, top, side)

    def cut(self, image: Image.Image) -> Image.Image:
        """Crops the square.

        Beyond the image its edge pixels are repeated, so the face stays centred. Mirrored pixels
        could show a second eye or mouth.

        Args:
            image: Picture in mode L or RGB.

        Returns:
            A square in the picture's mode and resolution.
        """
        right, bottom = self.left + self.side, self.top + self.side
        if min(self.left, self.top) >= 0 and right <= image.width and bottom <= image.height:
            return image.crop((self.left, self.top, right, bottom))  # ten times as fast
        columns = np.arange(self.left, self.left + self.side).clip(0, image.width - 1)
        rows = np.arange(self.top, self.top + self.side).clip(0, image.height - 1)
        return Image.fromarray(np.asarray(image)[rows[:, None], columns])


@dataclass(frozen=True)
class FaceCrop:
    """A cropped face.

    Attributes:
        crop: Square, in the image's mode and resolution.
        frame: Position of the crop in the image.
        face: The detector's box, in image pixels; without detection the frame itself, with a score
            of 1.
    """

    crop: Image.Image
    frame: CropSquare
    face: DetectedFace


class FaceDetector(Protocol):
    """A face detector."""

    def detect(self, image: Image.Image) -> tuple[DetectedFace, ...]:
        """Returns the faces in an image, highest score first."""
        ...


@runtime_checkable
class MeasuringDetector(FaceDetector, Protocol):
    """A detector that supports batches and measures the framing of crops."""

    def detect_batch(self, images: Sequence[Image.Image]) -> list[tuple[DetectedFace, ...]]:
        """Returns the faces in each image, as `detect` does."""
        ...

    def inside(self, crops: Sequence[Image.Image]) -> list[DetectedFace | None]:
        """Returns the box of the face in each crop, in its pixels; None if none is detected."""
        ...


def detect_all(
    images: Sequence[Image.Image], detector: FaceDetector
) -> list[tuple[DetectedFace, ...]]:
    """Returns the faces in each image, as a batch if the detector supports it."""
    if isinstance(detector, MeasuringDetector):
        return detector.detect_batch(images)
    return [detector.detect(image) for image in images]


@dataclass(frozen=True)
class PictureFaces:
    """The faces in an image.

    Attributes:
        crops: Faces to predict, highest score times area first.
        too_small: Faces below `SMALLEST_READABLE`.
    """

    crops: tuple[FaceCrop, ...]
    too_small: tuple[DetectedFace, ...] = ()


def picture_faces(
    image: Image.Image,
    detector: FaceDetector,
    framing: Framing | None = None,
    faces: Sequence[DetectedFace] | None = None,
) -> PictureFaces:
    """Detects and crops the faces in an image.

    Args:
        image: Upright picture in mode L or RGB.
        detector: Face detector.
        framing: Framing of the training images; FER2013's if it is unknown.
        faces: Detected faces, if they are known already.

    Returns:
        Crops in that framing, highest score times area first: the nearest person is usually meant,
        and false alarms, which can be large, have low scores.
    """
    if faces is None:
        faces = detector.detect(image)
    all_faces = ordered(faces)
    readable = [face for face in all_faces if not face.too_small]
    frames = _frames(image, readable, detector, framing or FER2013)
    return PictureFaces(
        tuple(
            FaceCrop(frame.cut(image), frame, face)
            for frame, face in zip(frames, readable, strict=True)
        ),
        tuple(face for face in all_faces if face.too_small),
    )


def ordered(faces: Sequence[DetectedFace]) -> list[DetectedFace]:
    """Returns faces by score times area, highest first."""
    return sorted(faces, key=lambda face: -face.score * face.width * face.height)


def _frames(
    image: Image.Image, faces: Sequence[DetectedFace], detector: FaceDetector, framing: Framing
) -> list[CropSquare]:
    """Returns the square of each face in the benchmark's framing.

    Box sizes of a detector vary with the size of the face. The first crop is therefore measured
    like the benchmark's images, and shifted and scaled to their framing.
    """
    frames = [CropSquare.around(face, framing) for face in faces]
    if not (isinstance(detector, MeasuringDetector) and frames):
        return frames
    measured = detector.inside([frame.cut(image) for frame in frames])
    return [
        frame if face is None else _corrected(frame, face, framing)
        for frame, face in zip(frames, measured, strict=True)
    ]


def _corrected(frame: CropSquare, face: DetectedFace, framing: Framing) -> CropSquare:
    """Returns the square for a face that was measured in `frame`.

    Corrections of more than a quarter are ignored, because another face may have been measured.
    """
    square = face.square
    side = square.side / framing.box
    centre = square.y - framing.drop * side
    moved = max(abs(square.x - frame.side / 2), abs(centre - frame.side / 2)) / frame.side
    if not (0.75 <= side / frame.side <= 1.33 and moved <= 0.25):
        return frame
    left, top = frame.left + square.x - side / 2, frame.top + centre - side / 2
    return CropSquare(round(left), round(top), max(1, round(side)))


def no_face(name: str, too_small: Sequence[DetectedFace]) -> str:
    """Returns the error message for an image without a face to predict.

    Args:
        name: Name of the image.
        too_small: Detected faces that are too small.
    """
    if too_small:
        largest = round(max(face.size for face in too_small))
        return (
            f"The largest of {len(too_small)} faces in {name} is {largest} pixels wide, too small "
            f"to be read. Use a picture in which a face has at least {SMALLEST_READABLE} pixels."
        )
    return f"No face was found in {name}. Use a picture in which a face can be seen."


def jittered(image: Image.Image, frame: CropSquare) -> tuple[Image.Image, ...]:
    """Returns five crops of a face: as framed, slightly nearer, farther, higher and lower.

    The mean prediction over the crops depends less on the detector's box.
    """
    frames = (
        frame,
        frame.moved(zoom=1 + _JITTER_ZOOM),
        frame.moved(zoom=1 / (1 + _JITTER_ZOOM)),
        frame.moved(down=-_JITTER_SHIFT),
        frame.moved(down=_JITTER_SHIFT),
    )
    return tuple(square.cut(image) for square in frames)


def looks_cropped(image: Image.Image) -> bool:
    """Whether an image may be a cropped face of a dataset: small, square, and not flat."""
    low, high = sorted(image.size)
    if not (_CROP_SIDES[0] <= low and high <= _CROP_SIDES[1] and high <= _CROP_RATIO * low):
        return False
    return float(np.asarray(image.convert("L")).std()) >= _CROP_CONTRAST


def whole_picture(image: Image.Image) -> FaceCrop:
    """Crops the central square without resampling; for images that are cropped faces."""
    frame = CropSquare.middle(image)
    box = (frame.left, frame.top, frame.left + frame.side, frame.top + frame.side)
    return FaceCrop(frame.cut(image), frame, DetectedFace(*box, score=1.0))
