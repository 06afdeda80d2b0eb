"""Parts of pictures at the size at which the network looks at them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fer_core.data.centerface.decode import Candidates
from fer_core.data.imaging import BACKGROUND

MULTIPLE = 32
"""The network halves its input five times."""


@dataclass(frozen=True)
class View:
    """A rectangle of a picture, brought to a size, with a grey border.

    Attributes:
        left, top, right, bottom: The rectangle, inside the picture, in its pixels.
        size: Width and height to which it is brought, in pixels.
        border: Grey pixels on each side.
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
        """Pixels of the picture a pixel of the view, across and down."""
        width, height = self.size
        return (self.right - self.left) / width, (self.bottom - self.top) / height

    def pixels(self, image: Image.Image) -> NDArray[np.uint8]:
        """Returns the view of an RGB picture, shape (*canvas, 3)."""
        box = (self.left, self.top, self.right, self.bottom)
        tile = image.resize(self.size, Image.Resampling.BILINEAR, box, reducing_gap=1.1)
        canvas = np.full((*self.canvas, 3), BACKGROUND, dtype=np.uint8)
        rows = slice(self.border, self.border + self.size[1])
        canvas[rows, self.border : self.border + self.size[0]] = np.asarray(tile)
        return canvas

    def to_picture(self, candidates: Candidates) -> Candidates:
        """Moves boxes from the view's pixels to the picture's."""
        across, down = self.scale
        shift = (self.left - self.border * across, self.top - self.border * down)
        return candidates.placed((across, down), shift)


def whole(image: Image.Image, side: int, most_enlarged: float, border: float = 0.0) -> View:
    """Returns a view of all of a picture.

    Args:
        image: The picture.
        side: Its longer side in the view, in pixels, without the border.
        most_enlarged: A small picture is enlarged at most so much.
        border: Grey on each side, as a share of the longer side.
    """
    scale = min(most_enlarged, side / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return View(0, 0, image.width, image.height, size, round(border * max(size)))


def tiles(image: Image.Image, scale: float, side: int, lap: int) -> list[View]:
    """Returns views that cover a picture.

    Args:
        image: The picture.
        scale: Pixels of a view a pixel of the picture.
        side: Largest height and width of a view.
        lap: Least pixels that neighbours share: the largest face that none of them may cut.
    """
    columns = _cuts(image.width, round(side / scale), round(lap / scale))
    rows = _cuts(image.height, round(side / scale), round(lap / scale))
    return [
        View(left, top, right, bottom, (_scaled(right - left, scale), _scaled(bottom - top, scale)))
        for top, bottom in rows
        for left, right in columns
    ]


def _cuts(length: int, tile: int, lap: int) -> list[tuple[int, int]]:
    """Returns equal parts, evenly spaced over a length."""
    if length <= tile:
        return [(0, length)]
    count = -(-(length - lap) // (tile - lap))
    return [
        (start, start + tile)
        for start in np.linspace(0, length - tile, count).round().astype(int).tolist()
    ]


def _scaled(length: float, scale: float) -> int:
    return max(1, round(length * scale))


def _padded(length: int) -> int:
    return -(-length // MULTIPLE) * MULTIPLE
