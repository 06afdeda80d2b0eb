"""Measures how faces lie in a benchmark's images, so that uploads are cropped the same way."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from fer_core.data.faces import FaceDetector
from fer_core.data.imaging import BACKGROUND
from fer_core.data.progress import Progress, silent
from fer_core.records import Framing

IMAGES = 150
"""Images that are looked at. Boxes scatter by a tenth of the frame: the median's error is 0.01."""

DRAWS = 2
"""Times that each is looked at, at sizes of its own."""

FEWEST = 30
"""Images in which a face must be found; below it nothing is said."""

PATIENCE = 40
"""Images without any face after which the search ends: these are no faces."""

WORKING_SIDE = 400
"""Enough for the sizes below, at which a face is 100 pixels wide, and four times as fast as the
size in which faces are sought in photographs."""

_SIDES = (125, 250)
_BORDERS = (0.1, 0.5)


def measure_framing(
    images: NDArray[np.uint8],
    rows: NDArray[np.int64],
    detector: FaceDetector,
    *,
    seed: int = 0,
    progress: Progress = silent,
) -> Framing | None:
    """Looks for the face in some images and notes where its box falls.

    Images are mostly cropped faces, in which a detector's window finds no room: each is enlarged
    and given a grey border. Size and border are drawn anew each time, because detectors answer on
    a grid of places and sizes that fixed ones would fall on alike.

    Args:
        images: uint8, shape (N, H, W) or (N, H, W, 3); may be a memory map.
        rows: Rows to draw from: the training images.
        detector: What finds faces.
        seed: Of the draws.
        progress: Shows progress.

    Returns:
        None where a face is found in fewer than `FEWEST` images.
    """
    random = np.random.default_rng(seed)
    chosen = np.sort(random.permutation(rows)[:IMAGES])
    found: list[NDArray[np.float64]] = []
    for place, row in enumerate(progress(chosen, len(chosen), "measuring how faces are framed")):
        if place == PATIENCE and not found:
            break
        image = Image.fromarray(np.asarray(images[row]))
        seen = [box for _ in range(DRAWS) if (box := _look(image, detector, random)) is not None]
        if seen:
            found.append(np.median(seen, axis=0))
    if len(found) < FEWEST:
        return None
    box, drop = np.median(found, axis=0).round(3).tolist()
    low, high = np.quantile([width for width, _ in found], (0.25, 0.75)).round(3).tolist()
    return Framing(box=box, drop=drop, images=len(chosen), detected=len(found), spread=(low, high))


def _look(
    image: Image.Image, detector: FaceDetector, random: np.random.Generator
) -> tuple[float, float] | None:
    """Returns a box's side and drop, as shares of the image's side; None without a face."""
    side = int(random.integers(_SIDES[0], _SIDES[1] + 1))
    border = round(side * random.uniform(*_BORDERS))
    resized = image.convert("RGB").resize((side, side), Image.Resampling.BICUBIC)
    faces = detector.detect(ImageOps.expand(resized, border, fill=BACKGROUND))
    if not faces:
        return None
    face = max(faces, key=lambda face: face.score * face.width * face.height)
    middle = (face.top + face.bottom) / 2 - border
    return max(face.width, face.height) / side, middle / side - 0.5
