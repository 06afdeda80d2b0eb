"""Arithmetic on pixel fields: edges, bumps, blur and noise.

A field is float32 of shape (H, W); a colour is three such planes, (3, H, W), in linear light.
Planes come first because numpy then broadcasts one coverage over three colours quickly.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

# numpy's stubs claim that a Python float times float32 is float64, which it is not, so the
# element type cannot be written down without a cast in every line; a test holds it to float32.
Field = NDArray[Any]
"""float32, (H, W)."""

Planes = NDArray[Any]
"""float32, (3, H, W): red, green and blue in linear light, 1 is paper white."""

Rgb = tuple[float, float, float]
"""One colour in linear light."""

_BLUR_DIRECTLY = 3.0


def linear(colour: Sequence[float]) -> Rgb:
    """Turns a display colour, three values of 0 to 255, into linear light of 0 to 1.

    A gamma of 2 stands in for sRGB's curve: its inverse is a square root, which is cheap.
    """
    red, green, blue = ((float(value) / 255.0) ** 2 for value in colour)
    return red, green, blue


def planes(colour: Rgb) -> Planes:
    """Returns one colour as planes of shape (3, 1, 1), to broadcast over a picture."""
    return np.asarray(colour, dtype=np.float32).reshape(3, 1, 1)


def step(low: float, high: float, x: Field) -> Field:
    """Rises smoothly from 0 at `low` to 1 at `high`; falls where `high` is below `low`."""
    t = np.clip((x - low) * (1.0 / (high - low)), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def bell(x: Field, width: float) -> Field:
    """Returns exp(-(x / width)^2)."""
    scaled = x * (1.0 / width)
    return np.exp(-scaled * scaled)


def bump(u: Field, v: Field, at: tuple[float, float], size: tuple[float, float]) -> Field:
    """Returns a round bump of height 1 at `at`, falling to 1/e at `size` along each axis."""
    a = (u - at[0]) * (1.0 / size[0])
    b = (v - at[1]) * (1.0 / size[1])
    return np.exp(-(a * a) - (b * b))


def cover(distance: Field, pixel: float) -> Field:
    """Turns a signed distance (negative inside) into coverage of 0 to 1 with a soft edge.

    Args:
        distance: In face units.
        pixel: Size of a pixel in face units; the edge is about one and a half pixels wide.
    """
    return np.clip(0.5 - distance * (0.66 / pixel), 0.0, 1.0)


def lay(picture: Planes, colour: Planes | Rgb, coverage: Field) -> None:
    """Lays a colour over a picture, in place."""
    top = planes(colour) if isinstance(colour, tuple) else colour
    picture += coverage * (top - picture)


def blur(field: Field, sigma: float) -> Field:
    """Gaussian blur with `sigma` in pixels; wide blurs are computed on a reduced copy."""
    if sigma < 0.15:
        return field
    if sigma <= _BLUR_DIRECTLY:
        return gaussian_filter(field, sigma, mode="nearest", truncate=2.5)
    factor = sigma / (_BLUR_DIRECTLY * 0.6)
    height, width = field.shape
    small = resize(field, max(4, round(height / factor)), max(4, round(width / factor)))
    return resize(gaussian_filter(small, sigma / factor, mode="nearest"), height, width)


def resize(field: Field, height: int, width: int) -> Field:
    """Resizes a field: smooth when it grows, averaged when it shrinks."""
    shrinks = height < field.shape[0]
    method = Image.Resampling.BILINEAR if shrinks else Image.Resampling.BICUBIC
    resized = Image.fromarray(np.ascontiguousarray(field)).resize((width, height), method)
    return np.asarray(resized, dtype=np.float32)


def mottle(rng: np.random.Generator, shape: tuple[int, int], cells: int) -> Field:
    """Smooth noise about 0 with standard deviation near 1 and `cells` patches across."""
    grid = rng.standard_normal((cells + 1, cells + 1)).astype(np.float32)
    return resize(grid, *shape)


def grain(table: Field, coordinate: Field, frequency: float) -> Field:
    """Noise that runs along lines of equal `coordinate`: the strands of hair.

    Args:
        table: Random values about 0, shape (256,).
        coordinate: Constant along a strand.
        frequency: Strands per unit of the coordinate.
    """
    place = coordinate * frequency
    below = np.floor(place)
    weight = place - below
    index = below.astype(np.int32)
    first = table[index & 255]
    noise: Field = first + weight * (table[(index + 1) & 255] - first)
    return noise
