"""Colour images of 16 bits per channel, of which Pillow keeps the upper byte.

Cameras store 10, 12 or 14 bits in 16. The upper byte of such values is at most 63, so the image
would be nearly black. Its lower byte is decoded here from the same file, by asking Pillow for the
opposite byte order, and the values are scaled by their actual range as those of grey images are.
"""

import sys
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

WHITES = tuple(float(2**bits - 1) for bits in (8, 10, 12, 14, 16))
"""Usual values of white: all bits set."""

_LARGEST_DARK = 63
"""Largest upper byte that leaves a bit of 16 unused."""

_NATIVE = "L" if sys.byteorder == "little" else "B"
_OPPOSITE = {"L": "B", "B": "L", "N": "B" if _NATIVE == "L" else "L"}
_COLOUR_MODES = ("RGB", "RGBA")


def is_deep(image: Image.Image) -> bool:
    """Whether an image that is not yet loaded has 16 bits per channel and colour or alpha.

    Animated PNG files are excluded: their frames are composed from earlier ones.
    """
    animated = image.format == "PNG" and getattr(image, "is_animated", False)
    if image.mode not in _COLOUR_MODES or animated:
        return False
    return any(";16" in mode for mode in _raw_modes(image))


def scaled(image: Image.Image, reopen: Callable[[], Image.Image]) -> Image.Image:
    """Scales the values of a deep image by their actual range.

    Args:
        image: A loaded image for which `is_deep` was true.
        reopen: Opens the same file again, without loading it.

    Returns:
        The image in its mode; the unchanged image if it uses all 16 bits.
    """
    upper = np.asarray(image)
    if upper[..., :3].max() > _LARGEST_DARK:
        return image
    values = upper.astype(np.uint16)
    values *= 256
    values += _lower(reopen(), upper)
    result = np.empty_like(upper)
    result[..., :3] = _to_bytes(values[..., :3])
    if upper.shape[2] == 4:
        result[..., 3] = _to_bytes(values[..., 3])
    return Image.fromarray(result, image.mode)


def white_of(largest: float, usual: Sequence[float] = WHITES) -> float:
    """Returns the lowest usual value of white that `largest` does not exceed, else `largest`."""
    return next((white for white in usual if largest <= white), largest)


def _to_bytes(values: NDArray[np.uint16]) -> NDArray[np.uint8]:
    white = int(white_of(float(values.max())))
    table = (np.arange(white + 1) * (255 / white) + 0.5).astype(np.uint8)
    return table[values]


def _lower(image: Image.Image, upper: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns the lower bytes; the upper ones again where Pillow cannot unpack them."""
    tiles = [tile._replace(args=_swapped(tile.args)) for tile in getattr(image, "tile", [])]
    setattr(image, "tile", tiles)  # noqa: B010 (an attribute of opened files only)
    try:
        image.load()
    except ValueError:  # grey with alpha has one byte order only
        return upper
    return np.asarray(image)


def _raw_modes(image: Image.Image) -> list[str]:
    tiles = getattr(image, "tile", [])
    return [tile.args if isinstance(tile.args, str) else str(tile.args[0]) for tile in tiles]


def _swapped(args: str | tuple[object, ...]) -> str | tuple[object, ...]:
    if not isinstance(args, str):
        return (_swapped(str(args[0])), *args[1:])
    return args[:-1] + _OPPOSITE.get(args[-1], args[-1])
