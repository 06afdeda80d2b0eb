"""Ground truth for saliency maps: drawn faces whose expressive regions are known.

A facial region is evidence for an emotion if the expression changes it, such as the brows of a
frown or the mouth of a smile. Imports no torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_core.data.prepared import PreparedDataset
from fer_core.data.sources.synthetic import MIN_COUNT, SyntheticSource
from fer_core.explain.regions import BOXES, DRAWN
from fer_core.labels import Emotion
from fer_core.records import Framing
from fer_core.synthetic.face import REGIONS, render

_MOST = 0.9
"""Smallest share of images that must equal their redrawn face; planted faults change a few."""

_CHANGE = 12.0
"""Mean difference in grey levels from the neutral face above which a region counts as changed."""


@dataclass(frozen=True)
class Evidence:
    """A drawn face and the mask of the regions that show its expression.

    Attributes:
        image: uint8, (side, side, 3), RGB.
        emotion: Emotion that the face shows.
        mask: Bool, (side, side): regions that differ from the neutral face.
    """

    image: NDArray[np.uint8]
    emotion: Emotion
    mask: NDArray[np.bool_]


def draw_evidence(
    seed: int, emotion: Emotion, side: int = 96, framing: Framing | None = None
) -> Evidence | None:
    """Draws a face at full intensity and returns it with its evidence mask.

    The same person is drawn in the same scene with and without the expression. Brows, eyes, nose
    and mouth are evidence if the two images differ there.

    Args:
        seed: Seed of person and scene.
        emotion: Emotion to draw.
        side: Height and width of the image in pixels.
        framing: Framing of the model's training images, which the face is cropped to match; None
            keeps the drawn framing.

    Returns:
        None if no visible region changes, for example because a hand covers the mouth.
    """
    box, own_drop = BOXES[DRAWN]
    part = min(1.0, box / framing.box) if framing else 1.0
    whole = round(side / part)
    face = render(seed, emotion, side=whole, intensity=1.0)
    neutral = render(seed, emotion, side=whole, intensity=0.0)
    changed = np.abs(
        face.image.astype(np.float64).mean(axis=2) - neutral.image.astype(np.float64).mean(axis=2)
    )
    parts = np.zeros((whole, whole), dtype=bool)
    for name in REGIONS:
        region = face.masks[name] | neutral.masks[name]
        if region.any() and changed[region].mean() > _CHANGE:
            parts |= region
    drop = framing.drop if framing else own_drop
    top = round(whole * (0.5 + own_drop) - side * (0.5 + drop))
    top, left = min(max(top, 0), whole - side), (whole - side) // 2
    window = (slice(top, top + side), slice(left, left + side))
    image, mask = face.image[window], parts[window]
    return Evidence(image, emotion, mask) if mask.any() else None


def drawn_masks(
    dataset: PreparedDataset, rows: NDArray[np.int64]
) -> list[Mapping[str, NDArray[np.bool_]]] | None:
    """Redraws the faces of a synthetic data set and returns their region masks.

    Args:
        dataset: Data set from `SyntheticSource` or `PlantedSource` with seed 0.
        rows: Rows of the images; planted copies are not supported.

    Returns:
        Per image: bool masks by region at the data set's size; None if the images differ.
    """
    keys = [str(name).rpartition("/")[2] for name in dataset.samples["id"]]
    count, side = sum(key.isdigit() for key in keys), dataset.info.side
    if count < MIN_COUNT or not all(keys[row].isdigit() for row in rows):
        return None
    source = SyntheticSource(count, 0, side)
    faces = [source.face(int(keys[row])) for row in rows]
    same = [
        np.array_equal(dataset.format.convert(face.image), dataset.images[row])
        for face, row in zip(faces, rows, strict=True)
    ]
    return [face.masks for face in faces] if np.mean(same) > _MOST else None


def hit(saliency: NDArray[np.float32], mask: NDArray[np.bool_], tolerance: int = 0) -> bool:
    """Pointing game (Zhang et al. 2018, arXiv:1608.00507): whether the peak is on the evidence.

    Args:
        saliency: Signed map, shape (h, w).
        mask: Evidence mask, shape (h, w).
        tolerance: Allowed distance from the evidence in pixels.
    """
    if not np.isfinite(saliency).all() or saliency.max() <= 0:
        return False
    y, x = np.unravel_index(int(saliency.argmax()), saliency.shape)
    rows = slice(max(0, int(y) - tolerance), int(y) + tolerance + 1)
    columns = slice(max(0, int(x) - tolerance), int(x) + tolerance + 1)
    return bool(mask[rows, columns].any())


def mass_inside(saliency: NDArray[np.float32], mask: NDArray[np.bool_]) -> float:
    """Returns the share of positive saliency on the evidence; 0 without positive saliency."""
    positive = np.maximum(np.nan_to_num(saliency).astype(np.float64), 0)
    total = float(positive.sum())
    return float(positive[mask].sum()) / total if total > 0 else 0.0
