"""Maps against drawn faces, where it is known which parts make the expression.

A face's parts count as evidence for an emotion where the emotion moves them: the brows of a
frown, the mouth of a smile. Needs no torch.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_core.data.synthetic.face import REGIONS, SyntheticFace, render
from fer_core.labels import Emotion

_CHANGE = 12.0
"""Grey values by which a pixel must differ from the same face at rest to count as changed."""


@dataclass(frozen=True)
class Evidence:
    """A drawn face and the place of what makes its expression.

    Attributes:
        face: The face.
        mask: Bool, (side, side): where parts of the face differ from the same face at rest.
    """

    face: SyntheticFace
    mask: NDArray[np.bool_]


def draw_evidence(seed: int, emotion: Emotion, side: int = 96) -> Evidence | None:
    """Draws a face at full strength and finds what its expression changes.

    The same person in the same scene is drawn with the expression and without; brows, eyes, nose
    and mouth of both, where the pictures differ, are the evidence.

    Returns:
        None if nothing visible changes: a hand may cover the mouth that would smile.
    """
    face = render(seed, emotion, side=side, intensity=1.0)
    rest = render(seed, emotion, side=side, intensity=0.0)
    changed = np.abs(
        face.image.astype(np.float64).mean(axis=2) - rest.image.astype(np.float64).mean(axis=2)
    )
    parts = np.zeros((side, side), dtype=bool)
    for name in REGIONS:
        region = face.masks[name] | rest.masks[name]
        if region.any() and changed[region].mean() > _CHANGE:
            parts |= region
    return Evidence(face, parts) if parts.any() else None


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
