"""Random changes of the kinds and sizes that augmentation makes.

The descriptor is fitted on them; tests and `python -m benchmarks --only leaks` measure with them.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from fer_core.luma import LUMA

Picture = NDArray[np.uint8]
Change = Callable[[Picture, np.random.Generator], Picture]

MAX_DEGREES = 15.0
SMALLEST_CROP = 0.85
SCALES = (0.8, 1.25)
JPEG_QUALITY = 30
Fill = Literal["nearest", "constant", "mirror"]
_FILLS: Sequence[Fill] = ("nearest", "constant", "mirror")


def mirror(picture: Picture, random: np.random.Generator) -> Picture:
    """Returns the mirrored picture."""
    return np.ascontiguousarray(picture[:, ::-1])


def rotate(picture: Picture, random: np.random.Generator) -> Picture:
    """Rotates by 5 to 15 degrees either way; corners are repeated, black or mirrored."""
    degrees = random.uniform(5, MAX_DEGREES) * random.choice([-1, 1])
    return similarity(picture, degrees=degrees, fill=_fill(random))


def crop(picture: Picture, random: np.random.Generator) -> Picture:
    """Cuts out a window of 85 to 95% of the side, anywhere, and enlarges it."""
    share = random.uniform(SMALLEST_CROP, 0.95)
    free = (1 - share) / 2 / share
    return similarity(
        picture, scale=1 / share, shift=(random.uniform(-free, free), random.uniform(-free, free))
    )


def rescale(picture: Picture, random: np.random.Generator) -> Picture:
    """Scales by 0.8 to 1.25 and shifts by up to 6% of the side."""
    scale = float(np.exp(random.uniform(*np.log(SCALES))))
    shift = (random.uniform(-0.06, 0.06), random.uniform(-0.06, 0.06))
    return similarity(picture, scale=scale, shift=shift, fill=_fill(random))


def brighten(picture: Picture, random: np.random.Generator) -> Picture:
    """Changes gain and offset, with clipping, or gamma."""
    values = picture.astype(np.float32)
    if random.random() < 0.5:
        gain = random.choice([random.uniform(1.2, 1.5), random.uniform(0.6, 0.8)])
        values = values * gain + random.uniform(-20, 20)
    else:
        gamma = random.choice([random.uniform(0.5, 0.8), random.uniform(1.25, 2.0)])
        values = 255 * (values / 255) ** gamma
    return _rounded(values)


def blur(picture: Picture, random: np.random.Generator) -> Picture:
    """Blurs by a Gaussian of 1.2 to 2.5% of the side."""
    sigma = random.uniform(0.0125, 0.025) * picture.shape[0]
    spread = (sigma, sigma, 0)[: picture.ndim]
    return _rounded(ndimage.gaussian_filter(picture.astype(np.float32), spread))


def add_noise(picture: Picture, random: np.random.Generator) -> Picture:
    """Adds Gaussian noise with a standard deviation of 4 to 12 grey levels."""
    return _rounded(picture + random.normal(0, random.uniform(4, 12), picture.shape))


def compress(picture: Picture, random: np.random.Generator) -> Picture:
    """Stores the picture as JPEG of quality 30."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return np.asarray(Image.open(buffer))


def to_grey(picture: Picture, random: np.random.Generator) -> Picture:
    """Returns a grey picture of the same shape, by luma or by the mean of the channels."""
    if picture.ndim == 2:
        return picture
    weights = np.array(LUMA if random.random() < 0.5 else [1 / 3] * 3)
    return _rounded(np.repeat((picture @ weights)[..., None], 3, axis=2))


CHANGES: Mapping[str, Change] = {
    "mirrored": mirror,
    "rotated": rotate,
    "cropped": crop,
    "brightness": brighten,
    "blurred": blur,
    "noise": add_noise,
    "JPEG": compress,
    "grey": to_grey,
}
"""The changes that must be found, alone and any two at once."""

_GEOMETRY: Sequence[Change] = (rotate, crop, rescale)
_PHOTOMETRY: Sequence[Change] = (brighten, blur, add_noise, compress)


def augment(picture: Picture, random: np.random.Generator) -> Picture:
    """Applies one or two geometric changes and, more often than not, a photometric one."""
    steps = list(random.choice(len(_GEOMETRY), 1 + int(random.random() < 0.5)))
    changed = picture
    for step in steps:
        changed = _GEOMETRY[int(step)](changed, random)
    if random.random() < 0.6:
        changed = _PHOTOMETRY[int(random.integers(len(_PHOTOMETRY)))](changed, random)
    return changed


def similarity(
    picture: Picture,
    *,
    degrees: float = 0.0,
    scale: float = 1.0,
    shift: tuple[float, float] = (0.0, 0.0),
    fill: Fill = "nearest",
) -> Picture:
    """Rotates, scales and shifts a picture about its centre.

    Args:
        picture: uint8, shape (H, W) or (H, W, 3).
        degrees: Rotation, clockwise as seen.
        scale: Factor of the scale; above 1 enlarges the content.
        shift: Shift of the content to the right and down, as shares of the side.
        fill: Mode of `scipy.ndimage.affine_transform` outside the picture.

    Returns:
        uint8, of the same shape.
    """
    height, width = picture.shape[:2]
    angle = np.deg2rad(degrees)
    cosine, sine = np.cos(angle) / scale, np.sin(angle) / scale
    matrix = np.array([[cosine, -sine], [sine, cosine]])  # rows and columns of (y, x)
    centre = np.array([(height - 1) / 2, (width - 1) / 2])
    offset = centre - matrix @ (centre + np.array([shift[1] * height, shift[0] * width]))
    if picture.ndim == 3:
        matrix = np.block([[matrix, np.zeros((2, 1))], [np.zeros((1, 2)), np.ones((1, 1))]])
        offset = np.append(offset, 0.0)
    moved = ndimage.affine_transform(picture.astype(np.float32), matrix, offset, order=1, mode=fill)
    return _rounded(moved)


def _fill(random: np.random.Generator) -> Fill:
    return _FILLS[int(random.integers(len(_FILLS)))]


def _rounded(values: NDArray[np.floating]) -> Picture:
    rounded: Picture = values.clip(0, 255).round().astype(np.uint8)
    return rounded
