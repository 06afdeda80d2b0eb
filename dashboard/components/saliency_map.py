"""Saliency maps over a face, each with the badge of its evidence.

Every page shows its maps through this module; `tests/test_structure.py` fails if another module
of the dashboard draws one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from streamlit.delta_generator import DeltaGenerator

from fer_core.explain.evidence import MapEvidence, MapStatus
from fer_core.figures.overlay import (
    OPACITY,
    SCALES,
    ColourBar,
    heat_bar,
    heat_overlay,
    outlined,
    signed_bar,
    signed_overlay,
)

SIGNED = "Evidence for and against"
SIDE = 224
"""Side of a shown map in pixels."""

_ICONS = {
    MapStatus.BEATS: ":green[:material/verified:]",
    MapStatus.NO_BETTER: ":orange[:material/warning:]",
    MapStatus.NOT_MEASURED: ":gray[:material/help:]",
    MapStatus.BASELINE: ":gray[:material/block:]",
}


@dataclass(frozen=True)
class OverlayStyle:
    """Options of the overlays.

    Attributes:
        opacity: Opacity of the strongest place, 0 to 1.
        scale: One of `SCALES`, or `SIGNED`.
        box: Box to outline: left, top, right and bottom as shares of the image.
    """

    opacity: float = OPACITY
    scale: str = SCALES[0]
    box: tuple[float, float, float, float] | None = None

    def draw(self, face: Image.Image, saliency: NDArray[np.float32]) -> Image.Image:
        """Overlays a map on a face."""
        if self.scale == SIGNED:
            return signed_overlay(face, saliency, opacity=self.opacity)
        return heat_overlay(face, saliency, opacity=self.opacity, scale=self.scale)

    def bar(self) -> ColourBar:
        """Returns the colour bar of the overlays."""
        if self.scale == SIGNED:
            return signed_bar(self.opacity)
        return heat_bar(self.opacity, self.scale)


def show(
    container: DeltaGenerator,
    face: Image.Image,
    saliency: NDArray[np.float32],
    evidence: MapEvidence,
    caption: str | Sequence[str] = (),
    style: OverlayStyle | None = None,
) -> Image.Image:
    """Shows a map over a face, with its caption and its badge.

    Args:
        container: The column or container.
        face: Image of any mode and size.
        saliency: Signed map, shape (h, w).
        evidence: Evidence for such maps on the model.
        caption: Lines of Markdown above the badge.
        style: Options of the overlay.

    Returns:
        The overlay without the outline.
    """
    style = style or OverlayStyle()
    tile = style.draw(face, saliency)
    sized = tile.resize((SIDE, SIDE), Image.Resampling.BICUBIC) if tile.width < SIDE else tile
    lines = [caption] if isinstance(caption, str) else caption
    container.image(
        sized if style.box is None else outlined(sized, style.box),
        width="stretch",
        alt=f"Saliency map over a face. {'. '.join(lines)}",
    )
    container.caption("  \n".join([*lines, badge(evidence)]), help=evidence.detail)
    return tile


def badge(evidence: MapEvidence) -> str:
    """Returns a map's badge as Markdown."""
    return f"{_ICONS[evidence.status]} {evidence.label}"
