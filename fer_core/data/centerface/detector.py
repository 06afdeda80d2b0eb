"""Finds faces of all sizes: one look at the whole picture, and further looks where they help."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fer_core.data.centerface.decode import Candidates, best_of_each, overlaps
from fer_core.data.centerface.network import CenterFaceNetwork, shared_network
from fer_core.data.centerface.views import View, tiles, whole
from fer_core.data.faces import DetectedFace, FaceDetector, Landmarks


@dataclass(frozen=True)
class Looks:
    """How a picture is looked at; the defaults were chosen by measuring (docs/faces.md).

    Attributes:
        side: Longer side of the first look, in pixels.
        near_side: Longer side of a second look at the same, for faces that fill the picture.
        doubtful: Score from which a box is looked at again.
        sure: Score from which it need not be.
        accepted: Least score of the closer look at a doubtful box.
        small: Boxes below this size in the first look, in pixels, call for tiles.
        tile_side: Longer side of a tile, in pixels.
        tile_scale: Most pixels of a tile a pixel of the picture.
        most_tiles: Tiles of one picture; a larger picture is shown smaller in them.
    """

    side: int = 512
    near_side: int = 160
    doubtful: float = 0.3
    sure: float = 0.6
    accepted: float = 0.45
    small: float = 24.0
    tile_side: int = 640
    tile_scale: float = 1.0
    most_tiles: int = 12


_ENLARGED = 2.0
_NEAR_BORDER = 0.25
_LARGE = 160  # pixels of the first look, from which faces are better seen smaller
_TILE_LAP = 96
_CLOSE_SIDE = 128
_CLOSE_SHARE = 0.4

# Sizes and border at which faces are measured in crops. One size would carry the network's grid
# into the result: boxes scatter by 3% from size to size.
_INSIDE_SIDES = (80, 112)
_INSIDE_BORDER = 0.25


class CenterFaceDetector(FaceDetector):
    """CenterFace (Xu and others 2019, arXiv:1911.03599), run by ONNX Runtime; threads may share it.

    Args:
        looks: How pictures are looked at.
        network: The package's by default.

    Raises:
        DetectorError: If ONNX Runtime or the weights cannot be loaded.
    """

    def __init__(
        self, looks: Looks | None = None, network: CenterFaceNetwork | None = None
    ) -> None:
        self._looks = looks or Looks()
        self._network = network or shared_network()

    def detect(self, image: Image.Image) -> tuple[DetectedFace, ...]:
        """Returns the faces of a picture, highest score first; none is an empty tuple."""
        return self.detect_batch([image])[0]

    def detect_batch(self, images: Sequence[Image.Image]) -> list[tuple[DetectedFace, ...]]:
        """Returns the faces of each picture; views of one size go through the network together."""
        pictures = [image if image.mode == "RGB" else image.convert("RGB") for image in images]
        views = [whole(picture, self._looks.side, _ENLARGED) for picture in pictures]
        candidates = self._look(pictures, [[view] for view in views])
        for further in (self._near, self._tiles):
            more = [
                further(picture, view, seen)
                for picture, view, seen in zip(pictures, views, candidates, strict=True)
            ]
            candidates = self._merged(candidates, self._look(pictures, more))
        candidates = self._looked_closer(pictures, candidates)
        return [_faces(seen) for seen in candidates]

    def inside(self, crops: Sequence[Image.Image]) -> list[DetectedFace | None]:
        """Measures where the face lies in crops that show one, each looked at by itself.

        Returns:
            The mean box of looks at several sizes, in the crop's pixels; None where one of the
            looks shows no face.
        """
        pictures = [crop if crop.mode == "RGB" else crop.convert("RGB") for crop in crops]
        views = [
            whole(picture, side, side / max(picture.size), _INSIDE_BORDER)
            for picture in pictures
            for side in _INSIDE_SIDES
        ]
        each = len(_INSIDE_SIDES)
        pixels = [view.pixels(pictures[index // each]) for index, view in enumerate(views)]
        looks = self._network.look(pixels, self._looks.doubtful)
        boxes = [_largest(view.to_picture(seen)) for view, seen in zip(views, looks, strict=True)]
        return [_mean_box(boxes[start : start + each]) for start in range(0, len(boxes), each)]

    def _look(
        self, pictures: Sequence[Image.Image], views: Sequence[Sequence[View]]
    ) -> list[Candidates]:
        """Returns the boxes of each picture in some views of it, in the picture's pixels."""
        flat = [(index, view) for index, parts in enumerate(views) for view in parts]
        pixels = [view.pixels(pictures[index]) for index, view in flat]
        results = self._network.look(pixels, self._looks.doubtful)
        parts: list[list[Candidates]] = [[] for _ in pictures]
        for (index, view), result in zip(flat, results, strict=True):
            parts[index].append(view.to_picture(best_of_each(result)))
        return [best_of_each(Candidates.joined(part)) for part in parts]

    def _merged(self, some: list[Candidates], more: list[Candidates]) -> list[Candidates]:
        return [
            best_of_each(Candidates.joined(list(pair))) if len(pair[1]) else pair[0]
            for pair in zip(some, more, strict=True)
        ]

    def _near(self, picture: Image.Image, first: View, candidates: Candidates) -> list[View]:
        """Returns a smaller view if there may be a face that fills the picture."""
        scale = first.size[0] / picture.width
        sure = candidates.confidences >= self._looks.sure
        if sure.any() and float((candidates.sizes * scale).max()) < _LARGE:
            return []
        return [whole(picture, self._looks.near_side, _ENLARGED, _NEAR_BORDER)]

    def _tiles(self, picture: Image.Image, first: View, candidates: Candidates) -> list[View]:
        """Returns tiles where the first look showed small faces or none, if they show more."""
        looks = self._looks
        scale = first.size[0] / picture.width
        if len(candidates) and float((candidates.sizes * scale).min()) >= looks.small:
            return []
        finer = min(looks.tile_scale, (looks.most_tiles**0.5 * looks.tile_side) / max(picture.size))
        if finer <= 1.2 * scale:
            return []
        return tiles(picture, finer, looks.tile_side, _TILE_LAP)

    def _looked_closer(
        self, pictures: Sequence[Image.Image], candidates: list[Candidates]
    ) -> list[Candidates]:
        """Looks at doubtful boxes again, each in the middle of a view of its own."""
        sure, accepted = self._looks.sure, self._looks.accepted
        doubtful = [np.flatnonzero(seen.confidences < sure) for seen in candidates]
        views = [
            [_close(picture, box) for box in seen.boxes[rows]]
            for picture, seen, rows in zip(pictures, candidates, doubtful, strict=True)
        ]
        flat = [(index, view) for index, parts in enumerate(views) for view in parts]
        results = self._network.look(
            [view.pixels(pictures[index]) for index, view in flat], accepted
        )
        confirmed: list[Candidates] = []
        place = 0
        for seen, rows in zip(candidates, doubtful, strict=True):
            parts = [seen.take(seen.confidences >= sure)]
            for row in rows:
                again = flat[place][1].to_picture(results[place])
                parts.append(_same(seen.boxes[row], again))
                place += 1
            confirmed.append(best_of_each(Candidates.joined(parts)))
        return confirmed


def _close(picture: Image.Image, box: NDArray[np.float32]) -> View:
    """Returns a view with a box in its middle, which the face fills to two fifths."""
    middle = (box[:2] + box[2:]) / 2
    half = float(max(box[2:] - box[:2])) / _CLOSE_SHARE / 2
    left, top = (max(0.0, float(edge) - half) for edge in middle)
    right = min(float(picture.width), float(middle[0]) + half)
    bottom = min(float(picture.height), float(middle[1]) + half)
    scale = _CLOSE_SIDE / (2 * half)
    size = (max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale)))
    return View(left, top, right, bottom, (min(size[0], _CLOSE_SIDE), min(size[1], _CLOSE_SIDE)))


def _same(box: NDArray[np.float32], candidates: Candidates) -> Candidates:
    """Returns the best box that shows what `box` shows; none if there is none."""
    shared, _ = overlaps(box, candidates.boxes)
    same = candidates.take(shared >= 0.3)
    return same.take(np.array([same.confidences.argmax()])) if len(same) else same


def _largest(candidates: Candidates) -> Candidates:
    """Returns the box with the largest product of score and area."""
    return candidates.take(np.argsort(-candidates.confidences * candidates.sizes**2)[:1])


def _mean_box(looks: Sequence[Candidates]) -> DetectedFace | None:
    if not all(len(look) for look in looks):
        return None
    box = np.mean([look.boxes[0] for look in looks], axis=0)
    points = np.mean([look.landmarks[0] for look in looks], axis=0)
    score = float(np.mean([look.confidences[0] for look in looks]))
    return _face(box, score, points)


def _faces(candidates: Candidates) -> tuple[DetectedFace, ...]:
    return tuple(
        _face(box, float(confidence), points)
        for box, confidence, points in zip(
            candidates.boxes, candidates.confidences, candidates.landmarks, strict=True
        )
        if box[0] < box[2] and box[1] < box[3]
    )


def _face(
    box: NDArray[np.floating], confidence: float, points: NDArray[np.floating]
) -> DetectedFace:
    left, top, right, bottom = (float(edge) for edge in box)
    return DetectedFace(left, top, right, bottom, confidence, Landmarks.of(points))
