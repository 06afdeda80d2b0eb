"""Copies of images with a shifted framing: a tighter, wider or rotated crop.

Face detectors and users crop differently from a benchmark. A margin of +10% adds a tenth of the
image's side on each of the four sides, so the crop is 1.2 times as wide; -10% cuts a tenth off
each side. Where the stored image has no more context, its edge pixels are repeated. (Training
augments with reflected borders, so a network has not learnt from this padding.)
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

PADDING = "edge"
"""Padding mode of `numpy.pad`."""


class FramingChange(StrEnum):
    """Kinds of difference from the framing of the stored images."""

    NONE = "none"
    MARGIN = "margin"
    ROTATION = "rotation"


@dataclass(frozen=True)
class FramingShift:
    """One change of framing.

    Attributes:
        change: Kind of the change.
        amount: Margin added on each side, as a share of the image's side; or degrees, to the left
            or right at random. 0 for no change.
    """

    change: FramingChange
    amount: float = 0.0

    @property
    def title(self) -> str:
        """Display name, such as `margin +10%`."""
        match self.change:
            case FramingChange.MARGIN:
                return f"margin {self.amount:+.0%}"
            case FramingChange.ROTATION:
                return f"rotated {self.amount:.0f}°"
            case _:
                return "unchanged"


FRAMING_SHIFTS: tuple[FramingShift, ...] = (
    FramingShift(FramingChange.NONE),
    FramingShift(FramingChange.MARGIN, -0.1),
    FramingShift(FramingChange.MARGIN, 0.1),
    FramingShift(FramingChange.MARGIN, 0.2),
    FramingShift(FramingChange.ROTATION, 10.0),
    FramingShift(FramingChange.ROTATION, 20.0),
)
"""The measured framing shifts; the first is the stored framing."""


def shift_framing(
    images: NDArray[np.uint8], shift: FramingShift, *, seed: int = 0, keys: Sequence[int]
) -> NDArray[np.uint8]:
    """Shifts the framing of images; depends only on their keys and the seed.

    Args:
        images: uint8, shape (N, S, S) or (N, S, S, 3).
        shift: The change.
        seed: Seed of the direction of rotations.
        keys: One number per image, such as its row in the dataset.

    Returns:
        Changed copies of the same shape.
    """
    if shift.change is FramingChange.NONE:
        return images
    result = np.empty_like(images)
    for index, (image, key) in enumerate(zip(images, keys, strict=True)):
        if shift.change is FramingChange.MARGIN:
            result[index] = _with_margin(image, shift.amount)
        else:
            result[index] = _rotated(image, shift.amount * _direction(seed, int(key)))
    return result


def _direction(seed: int, key: int) -> float:
    """Returns -1 or 1, the same for every angle."""
    random = np.random.default_rng((seed, zlib.crc32(b"framing"), key))
    return float(random.choice((-1.0, 1.0)))


def _with_margin(image: NDArray[np.uint8], margin: float) -> NDArray[np.uint8]:
    side = image.shape[0]
    padding = max(0, int(np.ceil(margin * side)))
    widths = [(padding, padding)] * 2 + [(0, 0)] * (image.ndim - 2)
    padded = Image.fromarray(np.pad(image, widths, mode="edge"))
    low = padding - margin * side
    high = padding + side + margin * side
    resized = padded.resize((side, side), Image.Resampling.BILINEAR, box=(low, low, high, high))
    return np.asarray(resized, dtype=np.uint8)


def _rotated(image: NDArray[np.uint8], degrees: float) -> NDArray[np.uint8]:
    turned = ndimage.rotate(
        image.astype(np.float32), degrees, reshape=False, order=1, mode="nearest"
    )
    return np.clip(np.rint(turned), 0, 255).astype(np.uint8)
