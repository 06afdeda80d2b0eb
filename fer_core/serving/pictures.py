"""Detection of faces in uploads, decoding one image at a time."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_core.data.faces import (
    DetectedFace,
    FaceDetector,
    PictureFaces,
    no_face,
    picture_faces,
    whole_picture,
)
from fer_core.data.imaging import SampleFormat, open_picture, printable_name
from fer_core.errors import ImageError
from fer_core.records import Framing
from fer_core.serving.errors import RefusedError, request_id
from fer_core.serving.uploads import Upload

log = logging.getLogger(__name__)

_FAILED = "failed_picture"
"""Error code of an image on which the service failed, so that it is not the client's error."""


@dataclass(frozen=True)
class Picture:
    """An upload and its faces.

    Attributes:
        name: File name, printable and shortened.
        size: Width and height in pixels; None if the image could not be read.
        faces: Face boxes, largest first.
        stored: The faces in the benchmark's format.
        too_small: Boxes of faces that are too small for expression recognition.
        problem: Reason if there is no face.
        error: Error code of the problem.
    """

    name: str
    size: tuple[int, int] | None
    faces: tuple[DetectedFace, ...] = ()
    stored: tuple[NDArray[np.uint8], ...] = ()
    too_small: tuple[DetectedFace, ...] = ()
    problem: str | None = None
    error: str | None = None


def read_pictures(
    uploads: list[Upload],
    detector: FaceDetector | None,
    stored: SampleFormat,
    framing: Framing | None,
) -> list[Picture]:
    """Detects the faces in uploads and empties the list to free memory early.

    Args:
        uploads: At least one upload.
        detector: Face detector; None treats each image as a cropped face.
        stored: Stored format of the benchmark.
        framing: Position of faces in the benchmark's images.

    Raises:
        RefusedError: If the only upload has no face or cannot be processed.
    """
    pictures = list(_read(uploads, detector, stored, framing))
    if len(pictures) == 1 and pictures[0].problem is not None:
        status = 500 if pictures[0].error == _FAILED else 422
        raise RefusedError(status, str(pictures[0].error), pictures[0].problem)
    return pictures


def _read(
    uploads: list[Upload],
    detector: FaceDetector | None,
    stored: SampleFormat,
    framing: Framing | None,
) -> Iterator[Picture]:
    while uploads:
        upload = uploads.pop(0)
        name = printable_name(upload.name or "")
        try:
            yield _picture(upload, name, detector, stored, framing)
        except ImageError as error:
            yield Picture(name, None, problem=str(error), error="not_a_picture")
        except Exception:
            log.exception("an image of request %s cannot be processed", request_id.get())
            problem = (
                f"{name} could not be processed: the service failed on it. Send it again, or save "
                "it as a new JPEG file. The server's log has the cause."
            )
            yield Picture(name, None, problem=problem, error=_FAILED)


def _picture(
    upload: Upload,
    name: str,
    detector: FaceDetector | None,
    stored: SampleFormat,
    framing: Framing | None,
) -> Picture:
    image = open_picture(bytes(upload.data), name)
    upload.data.clear()
    if detector is None:
        detected = PictureFaces((whole_picture(image),))
    else:
        detected = picture_faces(image, detector, framing)
    problem = None if detected.crops else _no_face(name, detected.too_small)
    return Picture(
        name,
        image.size,
        tuple(crop.face for crop in detected.crops),
        tuple(stored.convert(crop.crop) for crop in detected.crops),
        detected.too_small,
        problem,
        "no_face" if problem else None,
    )


def _no_face(name: str, too_small: Sequence[DetectedFace]) -> str:
    remedy = "Set cropped=true if the image is a cropped face."
    return f"{no_face(name, too_small)} {remedy}"
