"""Saliency maps over a face."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from plotly.colors import sample_colorscale, unlabel_rgb

OPACITY = 0.62
_LEVELS = np.linspace(0, 1, 256)
_HEAT = np.array(
    [unlabel_rgb(colour) for colour in sample_colorscale("Inferno", list(_LEVELS))],
    dtype=np.float32,
)


def heat_overlay(face: Image.Image, saliency: NDArray[np.float32]) -> Image.Image:
    """Lays what speaks for a class over a face, as heat.

    Only here is the map clipped to its positive part and scaled to its peak: where nothing
    speaks for the class, the bare face is shown.

    Args:
        face: Any mode and size; shown in grey so that the heat stands out.
        saliency: Signed map, shape (h, w).

    Returns:
        RGB, in the map's size or the face's, whichever is larger.
    """
    height, width = saliency.shape
    size = (max(face.width, width), max(face.height, height))
    grey = face.convert("L").resize(size, Image.Resampling.BICUBIC)
    positive = np.maximum(np.nan_to_num(saliency), 0).astype(np.float32)
    peak = float(positive.max())
    if peak <= 0:
        return grey.convert("RGB")
    smooth = Image.fromarray(positive / peak).resize(size, Image.Resampling.BICUBIC)
    level = np.clip(np.asarray(smooth), 0, 1)
    heat = _HEAT[(level * 255).astype(np.uint8)]
    weight = (OPACITY * np.sqrt(level))[..., None]
    base = np.asarray(grey, dtype=np.float32)[..., None]
    return Image.fromarray((base * (1 - weight) + heat * weight).round().astype(np.uint8))
