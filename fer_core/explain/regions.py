"""Shares of saliency by facial region. Imports no torch.

Drawn faces have exact region masks. For photographs, which a benchmark frames consistently, the
masks of drawn faces are aligned with the benchmark's framing and averaged.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_core.data.sources.base import SYNTHETIC
from fer_core.labels import Emotion
from fer_core.records import BenchmarkInfo
from fer_core.synthetic.face import REGIONS, render

REST = "rest"
PARTS = (*REGIONS, REST)
"""Regions of an image: brows, eyes, nose, mouth, and everything else."""

Masks = Mapping[str, NDArray[np.bool_]]


@dataclass(frozen=True)
class FaceLayout:
    """Position of eyes and mouth in a crop, as shares of its side.

    Attributes:
        eyes: Vertical position of the eyes' centre, from the top.
        mouth: Vertical position of the mouth's centre.
        spread: Horizontal distance of each eye's centre from the middle.
    """

    eyes: float
    mouth: float
    spread: float


FER2013 = FaceLayout(eyes=0.37, mouth=0.79, spread=0.18)
"""Layout of FER2013, measured on the mean face of its training images."""

DRAWN = FaceLayout(eyes=0.47, mouth=0.75, spread=0.13)
"""Layout of the synthetic source's drawn faces."""

BOXES = {FER2013: (1.011, 0.01), DRAWN: (0.795, 0.043)}
"""Box and drop of the detected face in both layouts, as in a benchmark's framing."""

_FACES = 42
_SIDE = 64
_LEVEL = 0.3


def only_drawn(info: BenchmarkInfo) -> bool:
    """Whether all images of a benchmark are drawn, so that exact region masks exist."""
    return all(source.name == SYNTHETIC for source in info.sources)


def framing_of(info: BenchmarkInfo) -> FaceLayout:
    """Returns the position of eyes and mouth in a benchmark's crops.

    It is derived from the measured position of the face detector's box.
    """
    reference = DRAWN if only_drawn(info) else FER2013
    if info.framing is None:
        return reference
    box, drop = BOXES[reference]
    scale = info.framing.box / box
    rise = 0.5 + info.framing.drop - scale * (0.5 + drop)
    return FaceLayout(
        scale * reference.eyes + rise, scale * reference.mouth + rise, scale * reference.spread
    )


def shares(saliency: NDArray[np.float32], masks: Masks) -> dict[str, float]:
    """Returns the share of positive saliency on each of `PARTS`; sums to 1.

    Args:
        saliency: Signed map, shape (h, w).
        masks: Bool masks by region, shape (h, w); where they overlap, the first of `PARTS` counts.

    Returns:
        Shares by region; NaN without positive saliency.
    """
    positive = np.maximum(saliency.astype(np.float64), 0)
    total = float(positive.sum())
    if not np.isfinite(total) or total <= 0:
        return dict.fromkeys(PARTS, float("nan"))
    return {part: float(positive[mask].sum() / total) for part, mask in partition(masks).items()}


def areas(masks: Masks) -> dict[str, float]:
    """Returns the area share of each of `PARTS`, which equals the shares of a uniform map."""
    return {part: float(mask.mean()) for part, mask in partition(masks).items()}


def partition(masks: Masks) -> dict[str, NDArray[np.bool_]]:
    """Returns disjoint masks for `PARTS` that cover the image."""
    unassigned = np.ones(next(iter(masks.values())).shape, dtype=bool)
    parts = {}
    for name in REGIONS:
        parts[name] = masks[name] & unassigned
        unassigned = unassigned & ~masks[name]
    return {**parts, REST: unassigned}


def canonical_regions(
    side: int = 96, framing: FaceLayout = FER2013, faces: int = _FACES
) -> dict[str, NDArray[np.bool_]]:
    """Returns average masks of brows, eyes, nose and mouth for a benchmark's framing.

    Drawn faces are aligned by their eyes and mouth. A pixel belongs to a region if the region's
    slightly blurred masks cover it in at least `_LEVEL` of the faces.

    Args:
        side: Height and width of the masks.
        framing: Position of eyes and mouth in the benchmark's crops.
        faces: Number of drawn faces. Equal arguments give equal masks.

    Returns:
        Disjoint bool masks by region, shape (side, side).
    """
    from scipy.ndimage import gaussian_filter  # slow to import, and only needed here

    emotions = list(Emotion)
    total = {name: np.zeros((side, side)) for name in REGIONS}
    used = 0
    for seed in range(faces):
        masks = render(seed, emotions[seed % len(emotions)], side=_SIDE, intensity=0.6).masks
        placed = _to_framing(masks, framing, side)
        if placed is not None:
            used += 1
            for name in REGIONS:
                total[name] += placed[name]
    likely = np.stack([gaussian_filter(total[name] / used, side / 48) for name in REGIONS])
    best, strength = likely.argmax(axis=0), likely.max(axis=0)
    return {
        name: (best == index) & (strength >= _LEVEL * likely[index].max())
        for index, name in enumerate(REGIONS)
    }


def _to_framing(
    masks: Masks, framing: FaceLayout, side: int
) -> dict[str, NDArray[np.float64]] | None:
    """Aligns masks with a layout by translation and scaling."""
    from scipy.ndimage import affine_transform

    size = len(masks["eyes"])
    eyes, mouth = np.argwhere(masks["eyes"]) / size, np.argwhere(masks["mouth"]) / size
    if len(eyes) < 6 or len(mouth) < 6:
        return None  # hidden by hair or a hand
    centre = eyes.mean(axis=0)
    spread = float(np.abs(eyes[:, 1] - centre[1]).mean())
    height = float(mouth[:, 0].mean() - centre[0])
    if spread < 0.05 or height < 0.1:
        return None
    down = height / (framing.mouth - framing.eyes)
    across = spread / framing.spread
    # output pixel -> input pixel: in = matrix * out + offset
    scale = size / side
    offset = size * np.array([centre[0] - down * framing.eyes, centre[1] - across * 0.5])
    return {
        name: affine_transform(
            masks[name].astype(np.float64),
            [down * scale, across * scale],
            offset=offset,
            output_shape=(side, side),
            order=1,
        )
        for name in REGIONS
    }
