"""Maps against drawn faces, where it is known which parts make the expression.

A face's parts count as evidence for an emotion where the emotion moves them: the brows of a
frown, the mouth of a smile. Needs no torch.
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
"""Share of a set's pictures that must be what is drawn again; planted faults spoil a few."""

_CHANGE = 12.0
"""Grey values by which a pixel must differ from the same face at rest to count as changed."""


@dataclass(frozen=True)
class Evidence:
    """A drawn face and the place of what makes its expression.

    Attributes:
        image: uint8, (side, side, 3), RGB.
        emotion: What the face shows.
        mask: Bool, (side, side): where parts of the face differ from the same face at rest.
    """

    image: NDArray[np.uint8]
    emotion: Emotion
    mask: NDArray[np.bool_]


def draw_evidence(
    seed: int, emotion: Emotion, side: int = 96, framing: Framing | None = None
) -> Evidence | None:
    """Draws a face at full strength and finds what its expression changes.

    The same person in the same scene is drawn with the expression and without; brows, eyes, nose
    and mouth of both, where the pictures differ, are the evidence.

    Args:
        seed: Of person and scene.
        emotion: The expression.
        side: Height and width of the result.
        framing: Of the crops that a model learned from: it is shown faces as near as those. As
            drawn by default.

    Returns:
        None if nothing visible changes: a hand may cover the mouth that would smile.
    """
    box, own_drop = BOXES[DRAWN]
    part = min(1.0, box / framing.box) if framing else 1.0
    whole = round(side / part)
    face = render(seed, emotion, side=whole, intensity=1.0)
    rest = render(seed, emotion, side=whole, intensity=0.0)
    changed = np.abs(
        face.image.astype(np.float64).mean(axis=2) - rest.image.astype(np.float64).mean(axis=2)
    )
    parts = np.zeros((whole, whole), dtype=bool)
    for name in REGIONS:
        region = face.masks[name] | rest.masks[name]
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
    """Draws a synthetic set's faces again, and returns where the parts of each are.

    Args:
        dataset: A set made by `SyntheticSource` or `PlantedSource` with the seed 0.
        rows: Which of its images; none of the planted copies.

    Returns:
        By image: bool masks of the set's side by region; None if these are not those faces.
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
    """The pointing game (Zhang et al. 2018, arXiv:1608.00507): is the peak on the evidence?

    Args:
        saliency: Signed map, shape (h, w).
        mask: The evidence, shape (h, w).
        tolerance: Pixels by which the peak may miss.
    """
    if not np.isfinite(saliency).all() or saliency.max() <= 0:
        return False
    y, x = np.unravel_index(int(saliency.argmax()), saliency.shape)
    rows = slice(max(0, int(y) - tolerance), int(y) + tolerance + 1)
    columns = slice(max(0, int(x) - tolerance), int(x) + tolerance + 1)
    return bool(mask[rows, columns].any())


def mass_inside(saliency: NDArray[np.float32], mask: NDArray[np.bool_]) -> float:
    """Returns the share of positive saliency on the evidence; 0 if nothing is positive."""
    positive = np.maximum(np.nan_to_num(saliency).astype(np.float64), 0)
    total = float(positive.sum())
    return float(positive[mask].sum()) / total if total > 0 else 0.0
