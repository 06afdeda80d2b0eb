"""Detects faces of all sizes: a pass over the whole image, and further passes where they help."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fer_core.data.centerface.decode import Candidates, non_max_suppression, overlaps
from fer_core.data.centerface.network import CenterFaceNetwork, shared_network
from fer_core.data.centerface.views import View, tiles, whole
from fer_core.data.faces import SMALLEST_READABLE, DetectedFace, FaceDetector, Landmarks


@dataclass(frozen=True)
class DetectionSettings:
    """Sizes and thresholds of the passes; the defaults were chosen by measuring (docs/faces.md).

    Attributes:
        side: Longer side of the image in the first pass, in pixels.
        coarse_side: Longer side in the coarse pass, for faces that fill the image.
        candidate_score: Minimum score of a candidate box.
        sure_score: Boxes with a lower score need confirmation.
        confirm_score: Minimum score of a box in the confirmation pass.
        small_face: Faces below this size in the first pass, in pixels, trigger the tile pass.
        tile_side: Longer side of a tile, in pixels.
        tile_scale: Maximum enlargement of the image in tiles.
        max_tiles: Number of tiles per image from which larger images are scaled down; a square
            may have a few more, because tiles overlap. 0 for no tile pass.
    """

    side: int = 512
    coarse_side: int = 160
    candidate_score: float = 0.3
    sure_score: float = 0.6
    confirm_score: float = 0.45
    small_face: float = 24.0
    tile_side: int = 640
    tile_scale: float = 1.0
    max_tiles: int = 12


_MAX_ENLARGEMENT = 2.0
_COARSE_BORDER = 0.25
_LARGE_FACE = 160  # pixels in the first pass; the coarse pass finds such faces better
_TILE_OVERLAP = 96
_FINER_STEP = 0.95
_SEEN = 10  # pixels of a face in the first pass from which it is usually found
_CONFIRM_SIDE = 128
_CONFIRM_SHARE = 0.4

# Images whose brightest parts are darker than this are brightened for the detector.
_DARK = 64
_USUAL = 180
_MAX_GAIN = 8.0

# Sizes and border at which faces are measured in crops. Boxes vary by 3% with the size, because of
# the network's grid; a mean over sizes is more exact.
_MEASURE_SIDES = (80, 112)
_MEASURE_BORDER = 0.25


class CenterFaceDetector(FaceDetector):
    """CenterFace (Xu et al. 2019, arXiv:1911.03599), run by ONNX Runtime; threads may share it.

    Args:
        settings: Sizes and thresholds of the passes.
        network: The network; by default the one of this process.

    Raises:
        DetectorError: If ONNX Runtime or the weights cannot be loaded.
    """

    def __init__(
        self, settings: DetectionSettings | None = None, network: CenterFaceNetwork | None = None
    ) -> None:
        self._settings = settings or DetectionSettings()
        self._network = network or shared_network()

    def detect(self, image: Image.Image) -> tuple[DetectedFace, ...]:
        """Returns the faces in an image, highest score first."""
        return self.detect_batch([image])[0]

    def detect_batch(self, images: Sequence[Image.Image]) -> list[tuple[DetectedFace, ...]]:
        """Returns the faces in each image; views of equal size share a forward pass."""
        pictures = [_exposed(image) for image in images]
        views = [whole(picture, self._settings.side, _MAX_ENLARGEMENT) for picture in pictures]
        candidates = self._run(pictures, [[view] for view in views])
        for further_views in (self._coarse, self._tiles):
            more = [
                further_views(picture, view, boxes)
                for picture, view, boxes in zip(pictures, views, candidates, strict=True)
            ]
            candidates = self._merged(candidates, self._run(pictures, more))
        candidates = self._confirm(pictures, candidates)
        return [_faces(boxes) for boxes in candidates]

    def inside(self, crops: Sequence[Image.Image]) -> list[DetectedFace | None]:
        """Measures the position of the face in crops that show one.

        Returns:
            The mean box over several sizes, in the crop's pixels; None if no face is detected at
            one of them.
        """
        pictures = [_exposed(crop) for crop in crops]
        views = [
            [whole(picture, side, side / max(picture.size), _MEASURE_BORDER)
             for side in _MEASURE_SIDES]
            for picture in pictures
        ]  # fmt: skip
        found = self._detect(pictures, views, self._settings.candidate_score)
        return [
            _mean_box([_largest(view.to_picture(boxes)) for view, boxes in part]) for part in found
        ]

    def _detect(
        self, pictures: Sequence[Image.Image], views: Sequence[Sequence[View]], least_score: float
    ) -> list[list[tuple[View, Candidates]]]:
        """Returns the views of each image with the boxes that are detected in them."""
        pixels = [
            view.pixels(picture)
            for picture, part in zip(pictures, views, strict=True)
            for view in part
        ]
        results = iter(self._network.detect(pixels, least_score))
        return [[(view, next(results)) for view in part] for part in views]

    def _run(
        self, pictures: Sequence[Image.Image], views: Sequence[Sequence[View]]
    ) -> list[Candidates]:
        """Returns the boxes that are detected in views of each image, in the image's pixels."""
        found = self._detect(pictures, views, self._settings.candidate_score)
        parts = [
            [view.to_picture(non_max_suppression(boxes)) for view, boxes in part] for part in found
        ]
        return [non_max_suppression(Candidates.joined(part)) for part in parts]

    def _merged(self, some: list[Candidates], more: list[Candidates]) -> list[Candidates]:
        return [
            non_max_suppression(Candidates.joined(list(pair))) if len(pair[1]) else pair[0]
            for pair in zip(some, more, strict=True)
        ]

    def _coarse(self, picture: Image.Image, first: View, candidates: Candidates) -> list[View]:
        """Returns a smaller view if a face may fill the image."""
        scale = first.size[0] / picture.width
        sure = candidates.confidences >= self._settings.sure_score
        if sure.any() and float((candidates.sizes * scale).max()) < _LARGE_FACE:
            return []
        return [whole(picture, self._settings.coarse_side, _MAX_ENLARGEMENT, _COARSE_BORDER)]

    def _tiles(self, picture: Image.Image, first: View, candidates: Candidates) -> list[View]:
        """Returns tiles if the first pass may have missed readable faces and tiles are sharper.

        It may have if it found small faces or none, or if a readable face is too small in it.
        """
        settings = self._settings
        scale = first.size[0] / picture.width
        large = len(candidates) and float((candidates.sizes * scale).min()) >= settings.small_face
        if large and scale * SMALLEST_READABLE >= _SEEN:
            return []
        finer = self._tile_scale(picture)
        if finer <= 1.2 * scale:
            return []
        return tiles(picture, finer, settings.tile_side, _TILE_OVERLAP)

    def _tile_scale(self, picture: Image.Image) -> float:
        """Returns the scale of tiles: for a square `max_tiles` without overlap, or `max_tiles`."""
        settings = self._settings
        covered = float(settings.max_tiles**0.5) * settings.tile_side
        least = min(settings.tile_scale, covered / max(picture.size))
        scale = settings.tile_scale
        while scale > least:  # a long picture needs fewer tiles than a square one
            if len(tiles(picture, scale, settings.tile_side, _TILE_OVERLAP)) <= settings.max_tiles:
                return scale
            scale *= _FINER_STEP
        return least

    def _confirm(
        self, pictures: Sequence[Image.Image], candidates: list[Candidates]
    ) -> list[Candidates]:
        """Detects again in a view around each uncertain box; keeps what is found again."""
        sure_score = self._settings.sure_score
        uncertain = [np.flatnonzero(boxes.confidences < sure_score) for boxes in candidates]
        views = [
            [_around(picture, box) for box in boxes.boxes[rows]]
            for picture, boxes, rows in zip(pictures, candidates, uncertain, strict=True)
        ]
        found = self._detect(pictures, views, self._settings.confirm_score)
        confirmed: list[Candidates] = []
        for boxes, rows, again in zip(candidates, uncertain, found, strict=True):
            parts = [boxes.take(boxes.confidences >= sure_score)]
            parts += [
                _matching(box, view.to_picture(result))
                for box, (view, result) in zip(boxes.boxes[rows], again, strict=True)
            ]
            confirmed.append(non_max_suppression(Candidates.joined(parts)))
        return confirmed


def _exposed(image: Image.Image) -> Image.Image:
    """Returns an image in mode RGB; a very dark one is brightened."""
    picture = image if image.mode == "RGB" else image.convert("RGB")
    sample = np.asarray(picture.resize((64, 64), Image.Resampling.NEAREST)).max(axis=2)
    bright = float(np.quantile(sample, 0.99))
    if not 1 <= bright < _DARK:
        return picture
    gain = min(_MAX_GAIN, _USUAL / bright)
    return picture.point([min(255, round(value * gain)) for value in range(256)] * 3)


def _around(picture: Image.Image, box: NDArray[np.float32]) -> View:
    """Returns a view with the box at its centre and two fifths of its side."""
    middle = (box[:2] + box[2:]) / 2
    half = float(max(box[2:] - box[:2])) / _CONFIRM_SHARE / 2
    left, top = (max(0.0, float(edge) - half) for edge in middle)
    right = min(float(picture.width), float(middle[0]) + half)
    bottom = min(float(picture.height), float(middle[1]) + half)
    scale = _CONFIRM_SIDE / (2 * half)
    size = (max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale)))
    return View(
        left, top, right, bottom, (min(size[0], _CONFIRM_SIDE), min(size[1], _CONFIRM_SIDE))
    )


def _matching(box: NDArray[np.float32], candidates: Candidates) -> Candidates:
    """Returns the best candidate that overlaps `box`, if any."""
    shared, _ = overlaps(box, candidates.boxes)
    matches = candidates.take(shared >= 0.3)
    return matches.take(np.array([matches.confidences.argmax()])) if len(matches) else matches


def _largest(candidates: Candidates) -> Candidates:
    """Returns the box with the largest product of score and area."""
    return candidates.take(np.argsort(-candidates.confidences * candidates.sizes**2)[:1])


def _mean_box(boxes: Sequence[Candidates]) -> DetectedFace | None:
    """Returns the mean of one box per size; None if one is missing."""
    if not all(len(box) for box in boxes):
        return None
    mean = np.mean([box.boxes[0] for box in boxes], axis=0)
    points = np.mean([box.landmarks[0] for box in boxes], axis=0)
    score = float(np.mean([box.confidences[0] for box in boxes]))
    return _face(mean, score, points)


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
