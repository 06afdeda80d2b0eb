"""Which parts of a face a map lies on. Needs no torch.

Of a drawn face the parts are known exactly. A photograph's are not, but benchmarks frame faces
alike: the drawn faces' masks, moved to the benchmark's framing and averaged, say where a part
usually is.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fer_core.data.sources.base import SYNTHETIC
from fer_core.labels import Emotion
from fer_core.records import BenchmarkInfo
from fer_core.synthetic.face import REGIONS, render

REST = "rest"
PARTS = (*REGIONS, REST)
"""Brows, eyes, nose, mouth, and everything else."""

Masks = Mapping[str, NDArray[np.bool_]]


@dataclass(frozen=True)
class FaceLayout:
    """Where eyes and mouth stand in a crop, as shares of its side.

    Attributes:
        eyes: Height of the eyes' middle, from the top.
        mouth: Height of the mouth's middle.
        spread: Distance of each eye's middle from the vertical centre line.
    """

    eyes: float
    mouth: float
    spread: float


FER2013 = FaceLayout(eyes=0.37, mouth=0.79, spread=0.18)
"""Read off the mean face of FER2013's training images."""

DRAWN = FaceLayout(eyes=0.47, mouth=0.75, spread=0.13)
"""Of the faces that `fer_core.data.synthetic` draws."""

BOXES = {FER2013: (0.857, 0.084), DRAWN: (0.656, 0.086)}
"""Where a face detector's box lies in the two: side and drop, as in a benchmark's framing."""

_FACES = 42
_SIDE = 64
_LEVEL = 0.3


def only_drawn(info: BenchmarkInfo) -> bool:
    """Whether all pictures of a benchmark are drawn, so that their parts can be known exactly."""
    return all(source.name == SYNTHETIC for source in info.sources)


def framing_of(info: BenchmarkInfo) -> FaceLayout:
    """Returns where eyes and mouth stand in a benchmark's crops.

    They keep their place in the face detector's box, whose place in the crops was measured.
    """
    known = DRAWN if only_drawn(info) else FER2013
    if info.framing is None:
        return known
    box, drop = BOXES[known]
    scale = info.framing.box / box
    rise = 0.5 + info.framing.drop - scale * (0.5 + drop)
    return FaceLayout(scale * known.eyes + rise, scale * known.mouth + rise, scale * known.spread)


def shares(saliency: NDArray[np.float32], masks: Masks) -> dict[str, float]:
    """Returns the share of positive saliency on each of `PARTS`; sums to 1.

    Args:
        saliency: Signed map, shape (h, w).
        masks: Bool, shape (h, w), by region; where regions overlap, the earlier of `PARTS` counts.

    Returns:
        NaN everywhere if nothing is positive.
    """
    positive = np.maximum(saliency.astype(np.float64), 0)
    total = float(positive.sum())
    if not np.isfinite(total) or total <= 0:
        return dict.fromkeys(PARTS, float("nan"))
    return {part: float(positive[mask].sum() / total) for part, mask in partition(masks).items()}


def areas(masks: Masks) -> dict[str, float]:
    """Returns the share of the picture that each of `PARTS` covers: what an even map would give."""
    return {part: float(mask.mean()) for part, mask in partition(masks).items()}


def partition(masks: Masks) -> dict[str, NDArray[np.bool_]]:
    """Returns disjoint masks for `PARTS` that cover the whole picture."""
    left = np.ones(next(iter(masks.values())).shape, dtype=bool)
    parts = {}
    for name in REGIONS:
        parts[name] = masks[name] & left
        left = left & ~masks[name]
    return {**parts, REST: left}


def canonical_regions(
    side: int = 96, framing: FaceLayout = FER2013, faces: int = _FACES
) -> dict[str, NDArray[np.bool_]]:
    """Returns where brows, eyes, nose and mouth usually are in a benchmark's crops.

    Each drawn face is moved so that its own eyes and mouth stand where the framing has them; a
    region is where at least `_LEVEL` of the faces, slightly blurred, have that part.

    Args:
        side: Height and width of the masks.
        framing: Of the benchmark's crops.
        faces: How many faces are drawn; equal arguments give equal masks.

    Returns:
        Disjoint bool masks by region, shape (side, side).
    """
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
    likely = np.stack([ndimage.gaussian_filter(total[name] / used, side / 48) for name in REGIONS])
    best, strength = likely.argmax(axis=0), likely.max(axis=0)
    return {
        name: (best == index) & (strength >= _LEVEL * likely[index].max())
        for index, name in enumerate(REGIONS)
    }


def _to_framing(
    masks: Masks, framing: FaceLayout, side: int
) -> dict[str, NDArray[np.float64]] | None:
    """Moves and stretches masks so that eyes and mouth stand where the framing has them."""
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
        name: ndimage.affine_transform(
            masks[name].astype(np.float64),
            [down * scale, across * scale],
            offset=offset,
            output_shape=(side, side),
            order=1,
        )
        for name in REGIONS
    }
