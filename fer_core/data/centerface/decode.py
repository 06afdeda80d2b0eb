"""Decodes CenterFace's output maps to boxes and landmarks."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

STRIDE = 4
"""Input pixels per cell of the output maps."""

_SAME_FACE = 0.35


@dataclass(frozen=True)
class Candidates:
    """Candidate boxes.

    Attributes:
        boxes: Left, top, right, bottom in pixels, shape (N, 4).
        confidences: 0 to 1, shape (N,).
        landmarks: x and y of the left eye in the image, the right eye, the tip of the nose, and the
            two corners of the mouth, shape (N, 5, 2).
    """

    boxes: Array
    confidences: Array
    landmarks: Array

    def __len__(self) -> int:
        return len(self.confidences)

    @classmethod
    def none(cls) -> "Candidates":
        """Returns an empty set of boxes."""
        return cls(np.empty((0, 4), "f4"), np.empty(0, "f4"), np.empty((0, 5, 2), "f4"))

    @classmethod
    def joined(cls, parts: "list[Candidates]") -> "Candidates":
        """Returns the boxes of several passes over one image."""
        if not parts:
            return cls.none()
        return cls(
            np.concatenate([part.boxes for part in parts]),
            np.concatenate([part.confidences for part in parts]),
            np.concatenate([part.landmarks for part in parts]),
        )

    def take(self, rows: NDArray[np.generic]) -> "Candidates":
        """Returns some of the boxes, by index or mask."""
        return Candidates(self.boxes[rows], self.confidences[rows], self.landmarks[rows])

    def placed(self, scale: tuple[float, float], shift: tuple[float, float]) -> "Candidates":
        """Returns the boxes scaled by x and y and then moved by x and y."""
        by, to = np.array(scale, "f4"), np.array(shift, "f4")
        corners = self.boxes.reshape(-1, 2, 2) * by + to
        return Candidates(corners.reshape(-1, 4), self.confidences, self.landmarks * by + to)

    @property
    def sizes(self) -> Array:
        """Geometric means of width and height, shape (N,)."""
        sides = self.boxes[:, 2:] - self.boxes[:, :2]
        sizes: Array = np.sqrt(sides[:, 0] * sides[:, 1])
        return sizes


def decode(
    heatmap: Array, log_size: Array, offset: Array, landmarks: Array, threshold: float
) -> Candidates:
    """Returns the boxes whose score exceeds a threshold, before suppression of duplicates.

    Args:
        heatmap: Score by cell, shape (1, R, C).
        log_size: Logarithms of height and width in cells, shape (2, R, C).
        offset: Offset of the centre, down and right in cells, shape (2, R, C).
        landmarks: Alternating y and x of five points, relative to the top left corner, in heights
            and widths of the box, shape (10, R, C).
        threshold: 0 to 1.
    """
    rows, columns = np.nonzero(heatmap[0] > threshold)
    if not len(rows):
        return Candidates.none()
    height, width = np.exp(log_size[:, rows, columns].clip(-8, 8)) * STRIDE
    down, right = offset[:, rows, columns]
    left = (columns + right + 0.5) * STRIDE - width / 2
    top = (rows + down + 0.5) * STRIDE - height / 2
    points = landmarks[:, rows, columns].reshape(5, 2, -1)
    x = left + points[:, 1] * width
    y = top + points[:, 0] * height
    return Candidates(
        np.stack([left, top, left + width, top + height], axis=1).astype("f4"),
        heatmap[0, rows, columns],
        np.stack([x, y], axis=2).transpose(1, 0, 2).astype("f4"),
    )


def non_max_suppression(candidates: Candidates) -> Candidates:
    """Non-maximum suppression: keeps the best box of each face, highest score first.

    Boxes belong to the same face if their intersection over union is at least `_SAME_FACE`, or if
    four fifths of the smaller one are inside the other (a face cut by a tile's edge).
    """
    order = np.argsort(-candidates.confidences, kind="stable")
    best_rows: list[int] = []
    while len(order):
        best, order = order[0], order[1:]
        best_rows.append(int(best))
        shared, smaller = overlaps(candidates.boxes[best], candidates.boxes[order])
        order = order[(shared < _SAME_FACE) & (smaller < 0.8)]
    return candidates.take(np.array(best_rows, dtype=np.int64))


def overlaps(box: Array, others: Array) -> tuple[Array, Array]:
    """Returns the intersection of a box with others, as shares of the union and of the smaller."""
    low = np.maximum(box[:2], others[:, :2])
    high = np.minimum(box[2:], others[:, 2:])
    shared = np.prod((high - low).clip(0), axis=1)
    area = float(np.prod(box[2:] - box[:2]))
    areas = np.prod(others[:, 2:] - others[:, :2], axis=1)
    return shared / (area + areas - shared), shared / np.minimum(area, areas)
