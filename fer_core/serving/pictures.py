"""From uploads to faces, one picture in memory at a time."""

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
from fer_core.serving.errors import RefusedError
from fer_core.serving.uploads import Upload


@dataclass(frozen=True)
class Picture:
    """An upload and its faces.

    Attributes:
        name: Printable and shortened.
        size: Width and height in pixels; None where it could not be read.
        faces: Boxes, largest first.
        stored: The faces in the benchmark's format.
        too_small: Boxes of faces in which no expression can be read.
        problem: Why there is no face, if there is none.
        error: Its short name, if there is a problem.
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
    """Finds the faces of uploads and empties the list, so that their memory is free early.

    Args:
        uploads: At least one.
        detector: What finds faces; None takes each picture as a face.
        stored: The benchmark's format.
        framing: How the benchmark's images frame their faces.

    Raises:
        RefusedError: If there is one upload only, and no face in it.
    """
    pictures = list(_read(uploads, detector, stored, framing))
    if len(pictures) == 1 and pictures[0].problem is not None:
        raise RefusedError(422, str(pictures[0].error), pictures[0].problem)
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
            image = open_picture(bytes(upload.data), name)
        except ImageError as error:
            yield Picture(name, None, problem=str(error), error="not_a_picture")
            continue
        upload.data.clear()
        if detector is None:
            found = PictureFaces((whole_picture(image),))
        else:
            found = picture_faces(image, detector, framing)
        problem = None if found.crops else _no_face(name, found.too_small)
        yield Picture(
            name,
            image.size,
            tuple(crop.face for crop in found.crops),
            tuple(stored.convert(crop.crop) for crop in found.crops),
            found.too_small,
            problem,
            "no_face" if problem else None,
        )


def _no_face(name: str, too_small: Sequence[DetectedFace]) -> str:
    remedy = "Ask with cropped=true if the picture is a cropped face already."
    return f"{no_face(name, too_small)} {remedy}"
