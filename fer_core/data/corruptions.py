"""Image corruptions for robustness tests, at severities 1 to 5.

Follows Hendrycks and Dietterich (2019), "Benchmarking neural network robustness to common
corruptions", adapted to face crops of about 48 pixels: without weather and glass blur, with
rotated and shifted crops and occluded eyes and mouths. Lengths are shares of the image side, so a
severity means the same at every size.
"""

import io
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

SEVERITIES = (1, 2, 3, 4, 5)

Picture = NDArray[np.float32]
"""Grey levels 0 to 255, shape (H, W, C)."""

Apply = Callable[[Picture, float, np.random.Generator], Picture]


@dataclass(frozen=True)
class Corruption:
    """A corruption with its five severities.

    Attributes:
        name: Key in tables and addresses.
        title: Display name.
        amounts: Argument of `apply` for severities 1 to 5.
        apply: Corrupts one image; values are clipped to 0 to 255 afterwards.
    """

    name: str
    title: str
    amounts: tuple[float, float, float, float, float]
    apply: Apply


def corrupt(
    images: NDArray[np.uint8],
    name: str,
    severity: int,
    *,
    seed: int = 0,
    keys: Sequence[int] | None = None,
) -> NDArray[np.uint8]:
    """Corrupts images reproducibly.

    The random numbers of an image (noise, direction, side) depend only on its key, the corruption
    and the seed: they are the same at every severity and in every batch.

    Args:
        images: uint8, shape (N, H, W) or (N, H, W, 3).
        name: A key of `CORRUPTIONS`.
        severity: 1 to 5.
        seed: Random seed.
        keys: One integer per image, such as its row in the dataset; by default its index.

    Returns:
        Corrupted copies, uint8, of the same shape.

    Raises:
        KeyError: If the corruption is unknown.
        ValueError: If the severity is not 1 to 5.
    """
    if severity not in SEVERITIES:
        raise ValueError(f"A corruption's severity is 1 to 5, not {severity}.")
    kind = CORRUPTIONS[name]
    amount = kind.amounts[severity - 1]
    image_keys = range(len(images)) if keys is None else keys
    code = zlib.crc32(name.encode())
    result = np.empty_like(images)
    for index, key in enumerate(image_keys):
        random = np.random.default_rng((seed, code, int(key)))
        picture = images[index].astype(np.float32)
        shaped = picture.reshape(*picture.shape[:2], -1)
        changed = kind.apply(shaped, amount, random).reshape(picture.shape)
        result[index] = np.clip(np.rint(changed), 0, 255).astype(np.uint8)
    return result


def _noise(picture: Picture, amount: float, random: np.random.Generator) -> Picture:
    return picture + random.normal(0, 1, picture.shape).astype(np.float32) * amount * 255


def _specks(picture: Picture, amount: float, random: np.random.Generator) -> Picture:
    """Dead and hot pixels (salt and pepper)."""
    draw = random.random(picture.shape[:2])[..., None]
    return np.where(draw < amount / 2, 0, np.where(draw > 1 - amount / 2, 255, picture))


def _blur(picture: Picture, amount: float, random: np.random.Generator) -> Picture:
    sigma = amount * picture.shape[0]
    blurred: Picture = ndimage.gaussian_filter(picture, (sigma, sigma, 0), mode="nearest")
    return blurred


def _motion(picture: Picture, amount: float, random: np.random.Generator) -> Picture:
    """Linear motion blur in a random direction."""
    length = amount * picture.shape[0]
    angle = random.uniform(0, np.pi)
    reach = int(np.ceil(length / 2)) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    for step in np.linspace(-length / 2, length / 2, 4 * reach + 1):
        y, x = reach + step * np.sin(angle), reach + step * np.cos(angle)
        top, left = int(np.floor(y)), int(np.floor(x))
        down, right = y - top, x - left  # bilinear weights of the four pixels
        weights = np.outer((1 - down, down), (1 - right, right))
        kernel[top : top + 2, left : left + 2] += weights
    kernel /= kernel.sum()
    blurred: Picture = ndimage.convolve(
        picture, kernel[..., None].astype(np.float32), mode="nearest"
    )
    return blurred


def _low_resolution(picture: Picture, amount: float, random: np.random.Generator) -> Picture:
    height, width = picture.shape[:2]
    small = (max(2, round(width * amount)), max(2, round(height * amount)))
    image = _to_pil(picture).resize(small, Image.Resampling.BOX)
    return _from_pil(image.resize((width, height), Image.Resampling.BILINEAR), picture)


def _jpeg(picture: Picture, amount: float, random: np.random.Generator) -> Picture:
    buffer = io.BytesIO()
    _to_pil(picture).save(buffer, "JPEG", quality=int(amount))
    with Image.open(buffer) as image:
        return _from_pil(image, picture)


def _brighter(picture: Picture, amount: float, random: np.random.Generator) -> Picture:
    return picture + 255 * amount


def _darker(picture: Picture, amount: float, random: np.random.Generator) -> Picture:
    """Underexposure: scales the values down, so rounding loses detail in dark areas."""
    return picture * (1 - amount)


def _contrast(picture: Picture, amount: float, random: np.random.Generator) -> Picture:
    mean = picture.mean(dtype=np.float32)
    faded: Picture = mean + (picture - mean) * np.float32(1 - amount)
    return faded


def _rotation(picture: Picture, amount: float, random: np.random.Generator) -> Picture:
    angle = amount * random.choice((-1.0, 1.0))
    turned: Picture = ndimage.rotate(picture, angle, reshape=False, order=1, mode="nearest")
    return turned


def _shift(picture: Picture, amount: float, random: np.random.Generator) -> Picture:
    """Shifts the image in a random direction, as an inaccurate crop does."""
    angle = random.uniform(0, 2 * np.pi)
    length = amount * picture.shape[0]
    offset = (length * np.sin(angle), length * np.cos(angle), 0)
    moved: Picture = ndimage.shift(picture, offset, order=1, mode="nearest")
    return moved


def _occlusion(centre: float, height: float) -> Apply:
    """Returns a corruption that fills a horizontal band with the mean colour.

    The band's width and height grow with the severity.
    """

    def apply(picture: Picture, amount: float, random: np.random.Generator) -> Picture:
        rows, columns = picture.shape[:2]
        half = height * (0.5 + amount / 2) / 2
        top, bottom = round((centre - half) * rows), round((centre + half) * rows)
        side = round(amount * columns / 2)
        left, right = columns // 2 - side, columns // 2 + side
        occluded = picture.copy()
        occluded[max(0, top) : bottom, max(0, left) : right] = picture.mean(axis=(0, 1))
        return occluded

    return apply


def _shadow(picture: Picture, amount: float, random: np.random.Generator) -> Picture:
    """Darkens one side of the image, with a soft edge near the centre."""
    rows, columns = picture.shape[:2]
    angle = random.uniform(0, 2 * np.pi)
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    distance = x * np.cos(angle) + y * np.sin(angle) - random.uniform(-0.3, 0.3)
    light = 1 - amount / (1 + np.exp(-8 * distance))
    shaded: Picture = picture * light[..., None].astype(np.float32)
    return shaded


def _to_pil(picture: Picture) -> Image.Image:
    stored = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    return Image.fromarray(stored[..., 0] if stored.shape[-1] == 1 else stored)


def _from_pil(image: Image.Image, reference: Picture) -> Picture:
    return np.asarray(image, dtype=np.float32).reshape(reference.shape)


# Heights of eyes and mouth in FER2013's crops and the face detector's, as shares of the side.
_EYES, _MOUTH = 0.37, 0.76

CORRUPTIONS: Mapping[str, Corruption] = {
    kind.name: kind
    for kind in (
        Corruption("noise", "Sensor noise", (0.04, 0.08, 0.12, 0.18, 0.26), _noise),
        Corruption("specks", "Dead and hot pixels", (0.01, 0.03, 0.06, 0.1, 0.17), _specks),
        Corruption("blur", "Out of focus", (0.012, 0.02, 0.03, 0.045, 0.065), _blur),
        Corruption("motion_blur", "Motion blur", (0.05, 0.09, 0.13, 0.18, 0.25), _motion),
        Corruption(
            "low_resolution", "Low resolution", (0.7, 0.5, 0.38, 0.28, 0.2), _low_resolution
        ),
        Corruption("jpeg", "JPEG compression", (50, 30, 18, 11, 6), _jpeg),
        Corruption("brighter", "Overexposed", (0.1, 0.2, 0.3, 0.4, 0.55), _brighter),
        Corruption("darker", "Underexposed", (0.3, 0.5, 0.65, 0.78, 0.88), _darker),
        Corruption("low_contrast", "Low contrast", (0.3, 0.5, 0.65, 0.78, 0.88), _contrast),
        Corruption("rotation", "Tilted head", (8, 15, 23, 32, 45), _rotation),
        Corruption("shift", "Crop off centre", (0.04, 0.08, 0.12, 0.17, 0.24), _shift),
        Corruption(
            "occluded_eyes", "Eyes covered", (0.25, 0.45, 0.65, 0.85, 1), _occlusion(_EYES, 0.24)
        ),
        Corruption(
            "occluded_mouth", "Mouth covered", (0.2, 0.35, 0.5, 0.7, 1), _occlusion(_MOUTH, 0.3)
        ),
        Corruption("shadow", "Half in shadow", (0.3, 0.5, 0.65, 0.8, 0.92), _shadow),
    )
}
