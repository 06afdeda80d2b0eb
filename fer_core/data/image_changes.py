"""Changes of a finished picture, for drawn and for real pictures alike."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fer_core.data.corruptions import corrupt
from fer_core.data.framing_shifts import FramingChange, FramingShift, shift_framing

Pictures = NDArray[np.uint8]
"""uint8, shape (N, S, S) or (N, S, S, 3)."""

ImageChange = Callable[[Pictures, Sequence[int]], Pictures]
"""Changes pictures; the numbers seed what is random about each picture's change."""


def _mirrored(pictures: Pictures, keys: Sequence[int]) -> Pictures:
    return np.ascontiguousarray(pictures[:, :, ::-1])


def _corrupted(pictures: Pictures, keys: Sequence[int], *, name: str, severity: int) -> Pictures:
    return corrupt(pictures, name, severity, keys=keys)


def _shifted(pictures: Pictures, keys: Sequence[int], *, shift: FramingShift) -> Pictures:
    return shift_framing(pictures, shift, keys=keys)


IMAGE_CHANGES: Mapping[str, ImageChange] = {
    "mirror": _mirrored,
    "darker": partial(_corrupted, name="darker", severity=2),
    "brighter": partial(_corrupted, name="brighter", severity=2),
    "shadow": partial(_corrupted, name="shadow", severity=2),
    "blur": partial(_corrupted, name="blur", severity=3),
    "jpeg": partial(_corrupted, name="jpeg", severity=3),
    "tighter": partial(_shifted, shift=FramingShift(FramingChange.MARGIN, -0.1)),
    "wider": partial(_shifted, shift=FramingShift(FramingChange.MARGIN, 0.1)),
    "rotated": partial(_shifted, shift=FramingShift(FramingChange.ROTATION, 10.0)),
    "eyes_covered": partial(_corrupted, name="occluded_eyes", severity=4),
    "mouth_covered": partial(_corrupted, name="occluded_mouth", severity=4),
}
"""Changes by name; the attributes of `fer_core.synthetic.attributes` refer to them."""
