"""Finds the face in a picture and cuts it out as FER2013 frames its faces.

Models only know faces in the framing that they learned from, so an uploaded picture goes through
`find_face`, or, where the user says that it is a cropped face already, through `whole_picture`.
"""

import math
import threading
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from PIL import Image, ImageOps

from fer_core.data.imaging import BACKGROUND, NAMELESS, printable_name
from fer_core.errors import FerscopeError, ImageError

# How a dlib box lies in FER2013's 48x48 frame. 300 images, drawn at random from all 35,887, were
# enlarged 2.6 to 5.2 times and given a grey border of random width, 8 draws each, because dlib
# answers on a grid (8 pixels, steps of 1.2 in size) that fixed sizes would fall on alike. Medians
# over the 245 images found in 3 draws or more: the box is 0.863 as wide as the frame (quartiles
# 0.79 to 0.92), its centre 0.067 of the frame below the frame's (0.03 to 0.10), and 0.003 to the
# right. Borders of repeated or mirrored pixels gave 0.848 and 0.851, 0.066 and 0.069.
_BOX_SHARE = 0.86
_BOX_DROP = 0.067

MARGIN = (1 / _BOX_SHARE - 1) / 2
"""Added on each side of a box, in sides of the box: makes a dlib box as wide as FER2013's frame."""

RISE = _BOX_DROP / _BOX_SHARE
"""How far a crop's centre lies above its box's, in sides of the box; dlib's boxes take in the chin
and leave out most of the forehead."""

_WINDOW = 80  # smallest face that dlib's detector knows, in pixels
_WORKING_SIDE = 800  # longer side on which faces are sought: a face may fill a tenth of it
_MOST_ENLARGED = 5.0  # of small pictures; beyond it nothing is gained (48-pixel crops, see below)

# A border in which the detector's window finds room beside a face that touches the edge. Of 300
# FER2013 crops enlarged 5 times dlib finds 72.0% without it, 76.7% with repeated pixels and 78.7%
# with grey; twice the width gives 79.7% and costs another third in time.
_BORDER = 0.1


class DetectorError(FerscopeError):
    """A face detector cannot be had on this machine."""


@dataclass(frozen=True)
class Face:
    """A face's box in the pixels of its picture; it may reach beyond the picture's edges.

    Attributes:
        left: First column.
        top: First row.
        right: Column after the last.
        bottom: Row after the last.
        score: The detector's own measure of certainty, above 0; only the scores of one detector
            compare.
    """

    left: float
    top: float
    right: float
    bottom: float
    score: float

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


@dataclass(frozen=True)
class FaceCrop:
    """A face cut out of a picture.

    Attributes:
        crop: Square, in the picture's mode and resolution.
        face: The box that the crop was made from, in the picture's pixels.
        others: How many faces the picture holds beside this one.
    """

    crop: Image.Image
    face: Face
    others: int


class FaceDetector(Protocol):
    """Whatever finds faces."""

    def detect(self, image: Image.Image) -> tuple[Face, ...]:
        """Returns the faces of a picture, highest score first; none is an empty tuple."""
        ...


class DlibDetector:
    """dlib's frontal detector: HOG features, a linear classifier, weights inside the package.

    It wants a face that looks towards the camera, more or less upright, and 16 pixels wide, or a
    tenth of the picture's longer side if that is more. Threads may share one.

    Raises:
        DetectorError: If dlib is not installed.
    """

    def __init__(self) -> None:
        try:
            import dlib
        except ImportError as error:
            raise DetectorError(
                "Finding faces needs dlib, which is not installed or does not load "
                f"({error}). Install it with: pip install dlib-bin"
            ) from error
        self._detector = dlib.get_frontal_face_detector()
        self._lock = threading.Lock()  # the detector keeps its feature pyramid between calls

    def detect(self, image: Image.Image) -> tuple[Face, ...]:
        """Returns the faces of a picture, highest score first; none is an empty tuple."""
        scale = _scale(image)
        # An extremely long picture would lose its short side altogether.
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        scaled = image.convert("RGB").resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
        border = round(_BORDER * max(size))
        pixels = np.array(ImageOps.expand(scaled, border, fill=BACKGROUND))
        with self._lock:
            boxes, scores, _ = self._detector.run(pixels, 0, 0.0)
        across, down = image.width / size[0], image.height / size[1]
        faces = [
            Face(
                left=(box.left() - border) * across,
                top=(box.top() - border) * down,
                right=(box.right() + 1 - border) * across,  # dlib's right and bottom are inclusive
                bottom=(box.bottom() + 1 - border) * down,
                score=float(score),
            )
            for box, score in zip(boxes, scores, strict=True)
        ]
        return tuple(sorted(faces, key=lambda face: face.score, reverse=True))


def smallest_face(image: Image.Image) -> int:
    """Returns how wide a face of this picture must be for `DlibDetector`, in its pixels."""
    return math.ceil(_WINDOW / _scale(image))


def crop_face(
    image: Image.Image, face: Face, margin: float = MARGIN, rise: float = RISE
) -> Image.Image:
    """Cuts out a square around a face.

    Where the square reaches beyond the picture, the picture's edge pixels are repeated, so that
    the face stays in the middle. Mirrored pixels would show a second eye or mouth there.

    Args:
        image: Picture in mode L or RGB.
        face: Box in its pixels; its longer side counts.
        margin: Added on each side, in sides of the box. The default suits dlib's boxes.
        rise: How far the crop's centre lies above the box's, in sides of the box.

    Returns:
        A square in the picture's mode and resolution.
    """
    box = max(face.width, face.height)
    side = max(1, round(box * (1 + 2 * margin)))
    left = round((face.left + face.right - side) / 2)
    top = round((face.top + face.bottom - side) / 2 - rise * box)
    columns = np.arange(left, left + side).clip(0, image.width - 1)
    rows = np.arange(top, top + side).clip(0, image.height - 1)
    return Image.fromarray(np.asarray(image)[rows[:, None], columns])


def find_face(image: Image.Image, detector: FaceDetector, name: str = NAMELESS) -> FaceCrop:
    """Finds the face that a picture is about and cuts it out.

    Of several faces that is the one with the largest score times area: the nearest person is
    mostly the one meant, and false alarms, which can be large, score low.

    Args:
        image: Upright picture in mode L or RGB.
        detector: What finds the faces.
        name: What to call the picture in the error; it may come from outside.

    Returns:
        The crop in FER2013's framing.

    Raises:
        ImageError: If there is no face.
    """
    faces = detector.detect(image)
    if not faces:
        raise ImageError(
            f"No face was found in {printable_name(name)}. Use a picture in which the face looks "
            f"towards the camera and is at least {smallest_face(image)} pixels wide, "
            "or tick 'the picture is already a cropped face'."
        )
    best = max(faces, key=lambda face: face.score * face.width * face.height)
    return FaceCrop(crop_face(image, best), best, others=len(faces) - 1)


def every_face(image: Image.Image, detector: FaceDetector | None) -> list[FaceCrop]:
    """Cuts out all faces of a picture, largest first.

    Args:
        image: Upright picture in mode L or RGB.
        detector: What finds the faces; None takes the whole picture as one.

    Returns:
        Crops in FER2013's framing; none if there is no face.
    """
    if detector is None:
        return [whole_picture(image)]
    faces = sorted(detector.detect(image), key=lambda face: -face.width * face.height)
    return [FaceCrop(crop_face(image, face), face, others=len(faces) - 1) for face in faces]


def whole_picture(image: Image.Image) -> FaceCrop:
    """Takes a picture's central square as the face: for pictures that are cropped faces already.

    Returns:
        The square, bit for bit, with a score of 1 as nothing was measured.
    """
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    box = (left, top, left + side, top + side)
    return FaceCrop(image.crop(box), Face(*box, score=1.0), others=0)


def _scale(image: Image.Image) -> float:
    """Returns the factor by which `DlibDetector` enlarges a picture; below 1 it shrinks it."""
    return min(_MOST_ENLARGED, _WORKING_SIDE / max(image.size))
