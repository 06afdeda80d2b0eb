"""Finds the faces in a picture and cuts them out as a benchmark's images frame theirs.

Models only know faces in the framing that they learned from, so an uploaded picture goes through
`find_faces`, or, where the user says that it is a cropped face already, through `whole_picture`.
"""

import math
import threading
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from PIL import Image, ImageOps

from fer_core.data.imaging import BACKGROUND, NAMELESS, printable_name
from fer_core.errors import FerscopeError, ImageError
from fer_core.records import Framing

FER2013 = Framing(box=0.86, drop=0.067, images=300, detected=245, spread=(0.79, 0.92))
"""How dlib's box lies in FER2013's frame: the framing where a benchmark has none of its own.

Measured as `fer_core.data.framing` does, with 8 draws an image, of which 3 had to show a face; the
centre lies 0.003 to the right, quartiles of its drop are 0.03 and 0.10. Borders of repeated or
mirrored pixels gave boxes of 0.848 and 0.851, drops of 0.066 and 0.069. The box takes in the chin
and leaves out most of the forehead."""

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
class DetectedFace:
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
class CropSquare:
    """A square in the pixels of a picture; it may reach beyond the picture's edges.

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
        """Returns the square that frames a face as a benchmark's images do."""
        box = max(face.width, face.height)
        side = max(1, round(box * (1 + 2 * framing.margin)))
        left = round((face.left + face.right - side) / 2)
        top = round((face.top + face.bottom - side) / 2 - framing.rise * box)
        return cls(left, top, side)

    @classmethod
    def middle(cls, image: Image.Image) -> Self:
        """Returns the largest square in the middle of a picture."""
        side = min(image.size)
        return cls((image.width - side) // 2, (image.height - side) // 2, side)

    def moved(self, zoom: float = 1.0, right: float = 0.0, down: float = 0.0) -> "CropSquare":
        """Returns a frame about another middle or of another size.

        Args:
            zoom: Above 1 shows less of the picture.
            right: How far the middle moves, as a share of this frame's side.
            down: The same, downwards.
        """
        side = max(1, round(self.side / zoom))
        left = round(self.left + (self.side - side) / 2 + right * self.side)
        top = round(self.top + (self.side - side) / 2 + down * self.side)
        return CropSquare(left, top, side)

    def cut(self, image: Image.Image) -> Image.Image:
        """Cuts the square out.

        Where it reaches beyond the picture, the picture's edge pixels are repeated, so that a
        face stays in the middle. Mirrored pixels would show a second eye or mouth there.

        Args:
            image: Picture in mode L or RGB.

        Returns:
            A square in the picture's mode and resolution.
        """
        columns = np.arange(self.left, self.left + self.side).clip(0, image.width - 1)
        rows = np.arange(self.top, self.top + self.side).clip(0, image.height - 1)
        return Image.fromarray(np.asarray(image)[rows[:, None], columns])


@dataclass(frozen=True)
class FaceCrop:
    """A face cut out of a picture.

    Attributes:
        crop: Square, in the picture's mode and resolution.
        frame: The crop's place in the picture.
        face: The detector's box, in the picture's pixels; the frame itself, with a score of 1,
            where nothing was sought.
    """

    crop: Image.Image
    frame: CropSquare
    face: DetectedFace


class FaceDetector(Protocol):
    """Whatever finds faces."""

    def detect(self, image: Image.Image) -> tuple[DetectedFace, ...]:
        """Returns the faces of a picture, highest score first; none is an empty tuple."""
        ...


class DlibDetector:
    """dlib's frontal detector: HOG features, a linear classifier, weights inside the package.

    It wants a face that looks towards the camera, more or less upright, and 16 pixels wide, or a
    tenth of the picture's longer side if that is more. Threads may share one.

    Args:
        working_side: Longer side in pixels to which pictures are brought. A face must be 80 pixels
            wide there; time grows with its square.

    Raises:
        DetectorError: If dlib is not installed.
    """

    def __init__(self, working_side: int = _WORKING_SIDE) -> None:
        try:
            import dlib
        except ImportError as error:
            raise DetectorError(
                "Finding faces needs dlib, which is not installed or does not load "
                f"({error}). Install it with: pip install dlib-bin"
            ) from error
        self._detector = dlib.get_frontal_face_detector()
        self._working_side = working_side
        self._lock = threading.Lock()  # the detector keeps its feature pyramid between calls

    def detect(self, image: Image.Image) -> tuple[DetectedFace, ...]:
        """Returns the faces of a picture, highest score first; none is an empty tuple."""
        scale = _scale(image, self._working_side)
        # An extremely long picture would lose its short side altogether.
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        scaled = image.convert("RGB").resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
        border = round(_BORDER * max(size))
        pixels = np.array(ImageOps.expand(scaled, border, fill=BACKGROUND))
        with self._lock:
            boxes, scores, _ = self._detector.run(pixels, 0, 0.0)
        across, down = image.width / size[0], image.height / size[1]
        faces = [
            DetectedFace(
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


def every_face(
    image: Image.Image, detector: FaceDetector | None, framing: Framing | None = None
) -> tuple[FaceCrop, ...]:
    """Cuts out all faces of a picture, the largest first and doubtful ones last.

    Args:
        image: Upright picture in mode L or RGB.
        detector: What finds the faces; None takes the picture as one cropped face.
        framing: Of the images that the models learned from; FER2013's where it is not known.

    Returns:
        Crops in that framing, by score times area: the nearest person is mostly the one meant,
        and false alarms, which can be large, score low. None if there is no face.
    """
    if detector is None:
        return (whole_picture(image),)
    faces = sorted(detector.detect(image), key=lambda face: -face.score * face.width * face.height)
    frames = [CropSquare.around(face, framing or FER2013) for face in faces]
    return tuple(
        FaceCrop(frame.cut(image), frame, face) for frame, face in zip(frames, faces, strict=True)
    )


def find_faces(
    image: Image.Image,
    detector: FaceDetector,
    framing: Framing | None = None,
    name: str = NAMELESS,
) -> tuple[FaceCrop, ...]:
    """As `every_face`, for pictures that must show one.

    Args:
        image: Upright picture in mode L or RGB.
        detector: What finds the faces.
        framing: Of the images that the models learned from; FER2013's where it is not known.
        name: What to call the picture in the error; it may come from outside.

    Raises:
        ImageError: If there is no face.
    """
    found = every_face(image, detector, framing)
    if not found:
        raise ImageError(
            f"No face was found in {printable_name(name)}. Use a picture in which the face looks "
            f"towards the camera and is at least {smallest_face(image)} pixels wide, "
            "or tick 'the picture is already a cropped face'."
        )
    return found


def whole_picture(image: Image.Image) -> FaceCrop:
    """Takes a picture's central square, bit for bit: for pictures that are cropped already."""
    frame = CropSquare.middle(image)
    box = (frame.left, frame.top, frame.left + frame.side, frame.top + frame.side)
    return FaceCrop(frame.cut(image), frame, DetectedFace(*box, score=1.0))


def _scale(image: Image.Image, working_side: int = _WORKING_SIDE) -> float:
    """Returns the factor by which `DlibDetector` enlarges a picture; below 1 it shrinks it."""
    return min(_MOST_ENLARGED, working_side / max(image.size))
