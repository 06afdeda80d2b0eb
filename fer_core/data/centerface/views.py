"""Views: regions of an image at the size of the network's input."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fer_core.data.centerface.decode import Candidates
from fer_core.data.imaging import BACKGROUND

MULTIPLE = 32
"""Input sides are multiples of this, because the network halves its input five times."""


@dataclass(frozen=True)
class View:
    """A rectangle of an image, resized, with a grey border.

    Attributes:
        left, top, right, bottom: The rectangle, inside the image, in its pixels.
        size: Width and height after resizing, in pixels.
        border: Width of the grey border in pixels.
    """

    left: float
    top: float
    right: float
    bottom: float
    size: tuple[int, int]
    border: int = 0

    def __post_init__(self) -> None:
        if not (self.left < self.right and self.top < self.bottom and min(self.size) > 0):
            raise ValueError(f"an empty view: {self}")

    @property
    def canvas(self) -> tuple[int, int]:
        """Height and width of the network's input: multiples of 32."""
        width, height = self.size
        return _padded(height + 2 * self.border), _padded(width + 2 * self.border)

    @property
    def scale(self) -> tuple[float, float]:
        """Image pixels per view pixel, horizontally and vertically."""
        width, height = self.size
        return (self.right - self.left) / width, (self.bottom - self.top) / height

    def pixels(self, image: Image.Image) -> NDArray[np.uint8]:
        """Returns the view of an RGB image, shape (*canvas, 3)."""
        box = (self.left, self.top, self.right, self.bottom)
        tile = image.resize(self.size, Image.Resampling.BILINEAR, box, reducing_gap=1.1)
        canvas = np.full((*self.canvas, 3), BACKGROUND, dtype=np.uint8)
        rows = slice(self.border, self.border + self.size[1])
        canvas[rows, self.border : self.border + self.size[0]] = np.asarray(tile)
        return canvas

    def to_picture(self, candidates: Candidates) -> Candidates:
        """Converts boxes from the view's pixels to the image's."""
        across, down = self.scale
        shift = (self.left - self.border * across, self.top - self.border * down)
        return candidates.placed((across, down), shift)


def whole(image: Image.Image, side: int, max_enlargement: float, border: float = 0.0) -> View:
    """Returns a view of the whole image.

    Args:
        image: The image.
        side: Longer side of the image in the view, in pixels, without the border.
        max_enlargement: Maximum factor by which a small image is enlarged.
        border: Width of the grey border, as a share of the longer side.
    """
    scale = min(max_enlargement, side / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return View(0, 0, image.width, image.height, size, round(border * max(size)))


def tiles(image: Image.Image, scale: float, side: int, overlap: int) -> list[View]:
    """Returns overlapping views that cover an image.

    Args:
        image: The image.
        scale: View pixels per image pixel.
        side: Maximum height and width of a view.
        overlap: Minimum overlap of neighbours in view pixels: the largest face that is never cut.
    """
    columns = _cuts(image.width, round(side / scale), round(overlap / scale))
    rows = _cuts(image.height, round(side / scale), round(overlap / scale))
    return [
        View(left, top, right, bottom, (_scaled(right - left, scale), _scaled(bottom - top, scale)))
        for top, bottom in rows
        for left, right in columns
    ]


def _cuts(length: int, tile: int, overlap: int) -> list[tuple[int, int]]:
    """Returns start and end of equal intervals, evenly spaced over a length."""
    if length <= tile:
        return [(0, length)]
    count = -(-(length - overlap) // (tile - overlap))
    return [
        (start, start + tile)
        for start in np.linspace(0, length - tile, count).round().astype(int).tolist()
    ]


def _scaled(length: float, scale: float) -> int:
    return max(1, round(length * scale))


def _padded(length: int) -> int:
    return -(-length // MULTIPLE) * MULTIPLE
