"""Boxes and bars drawn on pictures with faces."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from fer_core.data.faces import DetectedFace
from fer_core.figures.palette import class_colour

_GREY = "#8C8C8C"
_PANEL = (20, 20, 20)


@dataclass(frozen=True)
class BoxLabel:
    """Box, title and bars that are drawn at a face.

    Attributes:
        face: Box of the face.
        text: Title above the box; empty for none.
        predicted: The class whose colour the box has; grey if None.
        shares: Probabilities by class, drawn as bars below the box; empty for none.
    """

    face: DetectedFace
    text: str = ""
    predicted: str | None = None
    shares: Mapping[str, float] | None = None


def draw_boxes(
    picture: Image.Image, boxes: Sequence[BoxLabel], labels: Sequence[str]
) -> Image.Image:
    """Returns a copy of a picture with a box, a title and bars at each face.

    Args:
        picture: RGB.
        boxes: The faces.
        labels: All classes; they determine the colours.
    """
    drawn = picture.copy()
    draw = ImageDraw.Draw(drawn)
    size = max(12, round(min(picture.size) / 36))
    font = ImageFont.load_default(size)
    for box in boxes:
        face = box.face
        colour = class_colour(box.predicted, labels) if box.predicted else _GREY
        draw.rectangle(
            (face.left, face.top, face.right, face.bottom), outline=colour, width=max(2, size // 6)
        )
        if box.text:
            _text(draw, (face.left, max(0.0, face.top - size * 1.35)), box.text, font, colour)
        if box.shares:
            _bars(draw, box, labels, size)
    return drawn


def _text(
    draw: ImageDraw.ImageDraw,
    at: tuple[float, float],
    text: str,
    font: "ImageFont.FreeTypeFont | ImageFont.ImageFont",
    colour: str,
) -> None:
    left, top, right, bottom = draw.textbbox(at, text, font=font)
    draw.rectangle((left - 3, top - 2, right + 3, bottom + 2), fill=_PANEL)
    draw.text(at, text, font=font, fill=colour)


def _bars(draw: ImageDraw.ImageDraw, box: BoxLabel, labels: Sequence[str], size: int) -> None:
    font = ImageFont.load_default(max(10, round(size * 0.75)))
    left, top, row = box.face.left, box.face.bottom + 4, round(size * 0.95)
    width = max(110.0, box.face.width)
    shares = box.shares or {}
    draw.rectangle((left, top, left + width, top + row * len(shares) + 4), fill=_PANEL)
    for index, (label, share) in enumerate(shares.items()):
        y = top + 2 + index * row
        draw.rectangle(
            (left, y + 1, left + width * share, y + row - 2), fill=class_colour(label, labels)
        )
        draw.text((left + 3, y), f"{label} {share:.0%}", font=font, fill="white")
