"""Operations on pixel fields: edges, bumps, blur and noise.

A field is float32 of shape (H, W); a colour is three such planes, (3, H, W), in linear light.
Channels come first, so that numpy broadcasts one coverage field over three channels quickly.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# numpy's stubs wrongly type a Python float times float32 as float64, so the element type would need
# a cast in every line; a test checks that it is float32.
Field = NDArray[Any]
"""float32, (H, W)."""

Planes = NDArray[Any]
"""float32, (3, H, W): red, green and blue in linear light, 1 is white."""

Rgb = tuple[float, float, float]
"""One colour in linear light."""

_BLUR_DIRECTLY = 3.0


def linear(colour: Sequence[float]) -> Rgb:
    """Converts a display colour, three values of 0 to 255, to linear light of 0 to 1.

    A gamma of 2 approximates sRGB, because its inverse is a fast square root.
    """
    red, green, blue = ((float(value) / 255.0) ** 2 for value in colour)
    return red, green, blue


def planes(colour: Rgb) -> Planes:
    """Returns a colour as an array of shape (3, 1, 1), to broadcast over an image."""
    return np.asarray(colour, dtype=np.float32).reshape(3, 1, 1)


def step(low: float, high: float, x: Field) -> Field:
    """Smoothstep from 0 at `low` to 1 at `high`; decreasing if `high` is below `low`."""
    t = np.clip((x - low) * (1.0 / (high - low)), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def bell(x: Field, width: float) -> Field:
    """Returns exp(-(x / width)^2)."""
    scaled = x * (1.0 / width)
    return np.exp(-scaled * scaled)


def bump(u: Field, v: Field, at: tuple[float, float], size: tuple[float, float]) -> Field:
    """Returns a Gaussian bump of height 1 at `at` that falls to 1/e at `size` along each axis."""
    a = (u - at[0]) * (1.0 / size[0])
    b = (v - at[1]) * (1.0 / size[1])
    return np.exp(-(a * a) - (b * b))


def cover(distance: Field, pixel: float) -> Field:
    """Converts a signed distance (negative inside) to antialiased coverage of 0 to 1.

    Args:
        distance: Signed distance in face units.
        pixel: Size of a pixel in face units; the edge is about 1.5 pixels wide.
    """
    return np.clip(0.5 - distance * (0.66 / pixel), 0.0, 1.0)


def lay(picture: Planes, colour: Planes | Rgb, coverage: Field) -> None:
    """Alpha-blends a colour over an image, in place."""
    top = planes(colour) if isinstance(colour, tuple) else colour
    picture += coverage * (top - picture)


def blur(field: Field, sigma: float) -> Field:
    """Gaussian blur with `sigma` in pixels; wide blurs use a downscaled copy."""
    if sigma < 0.15:
        return field
    from scipy.ndimage import gaussian_filter  # slow to import, and pages draw no faces

    if sigma <= _BLUR_DIRECTLY:
        return gaussian_filter(field, sigma, mode="nearest", truncate=2.5)
    factor = sigma / (_BLUR_DIRECTLY * 0.6)
    height, width = field.shape
    small = resize(field, max(4, round(height / factor)), max(4, round(width / factor)))
    return resize(gaussian_filter(small, sigma / factor, mode="nearest"), height, width)


def resize(field: Field, height: int, width: int) -> Field:
    """Resizes a field by interpolation (upscaling) or averaging (downscaling)."""
    shrinks = height < field.shape[0]
    method = Image.Resampling.BILINEAR if shrinks else Image.Resampling.BICUBIC
    resized = Image.fromarray(np.ascontiguousarray(field)).resize((width, height), method)
    return np.asarray(resized, dtype=np.float32)


def mottle(rng: np.random.Generator, shape: tuple[int, int], cells: int) -> Field:
    """Returns smooth noise with mean 0, standard deviation of about 1 and `cells` cells across."""
    grid = rng.standard_normal((cells + 1, cells + 1)).astype(np.float32)
    return resize(grid, *shape)


def grain(table: Field, coordinate: Field, frequency: float) -> Field:
    """Returns noise that is constant along lines of equal `coordinate`, for strands of hair.

    Args:
        table: Random values with mean 0, shape (256,).
        coordinate: Constant along a strand.
        frequency: Strands per unit of the coordinate.
    """
    position = coordinate * frequency
    below = np.floor(position)
    weight = position - below
    index = below.astype(np.int32)
    first = table[index & 255]
    noise: Field = first + weight * (table[(index + 1) & 255] - first)
    return noise
