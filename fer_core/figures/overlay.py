"""Images of saliency maps over faces, patches and channels, and grids of them."""

import io
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from plotly.colors import sample_colorscale, unlabel_rgb

OPACITY = 0.62
SCALES = ("Inferno", "Viridis", "Turbo")
"""Colour scales of heatmaps, from low to high."""

FOR, AGAINST = (214, 84, 36), (44, 110, 186)
"""Colours of evidence for and against a class."""

_LABEL = 34
_MARGIN = 150
_LINE, _LETTER, _GAP = 15, 6, 10
_BAR = (320, 14)
_MID_GREY = Image.new("L", (1, _BAR[1]), 128)
_SEPARATELY = "Each map is scaled separately, so colours cannot be compared between maps."


@dataclass(frozen=True)
class ColourBar:
    """The colour bar of saliency maps.

    Attributes:
        colours: The colours over mid-grey, lowest value on the left.
        low: Label of the left end.
        high: Label of the right end.
        meaning: What the values are.
    """

    colours: Image.Image
    low: str
    high: str
    meaning: str


@lru_cache(maxsize=8)
def _heat(scale: str) -> NDArray[np.float32]:
    levels = list(np.linspace(0, 1, 256))
    return np.array(
        [unlabel_rgb(colour) for colour in sample_colorscale(scale, levels)], dtype=np.float32
    )


def heat_overlay(
    face: Image.Image,
    saliency: NDArray[np.float32],
    *,
    opacity: float = OPACITY,
    scale: str = SCALES[0],
) -> Image.Image:
    """Overlays the evidence for a class on a face as a heatmap.

    The map is clipped to its positive part and scaled; without evidence only the face is shown.
    For maps that are positive everywhere, such as attention, the smallest value is subtracted.

    Args:
        face: Image of any mode and size; shown in grey so that the heatmap stands out.
        saliency: Signed map, shape (h, w).
        opacity: Opacity where the map is strongest, 0 to 1.
        scale: One of `SCALES`.

    Returns:
        RGB, in the map's size or the face's, whichever is larger.
    """
    finite = np.nan_to_num(saliency)
    pedestal = max(0.0, float(finite.min())) if np.ptp(finite) > 0 else 0.0
    grey, smooth = _fitted(face, np.maximum(finite - pedestal, 0))
    level = np.clip(smooth, 0, 1)
    heat = _heat(scale)[(level * 255).astype(np.uint8)]
    return _blend(grey, heat, opacity * np.sqrt(level))


def signed_overlay(
    face: Image.Image, saliency: NDArray[np.float32], *, opacity: float = OPACITY
) -> Image.Image:
    """Overlays evidence for (`FOR`) and against (`AGAINST`) a class on a face.

    Args:
        face: Image of any mode and size; shown in grey.
        saliency: Signed map, shape (h, w).
        opacity: Opacity where the map is strongest, 0 to 1.

    Returns:
        RGB, in the map's size or the face's, whichever is larger.
    """
    grey, smooth = _fitted(face, np.nan_to_num(saliency))
    colours = np.where(smooth[..., None] > 0, np.array(FOR), np.array(AGAINST)).astype(np.float32)
    return _blend(grey, colours, opacity * np.sqrt(np.clip(np.abs(smooth), 0, 1)))


def heat_bar(opacity: float = OPACITY, scale: str = SCALES[0]) -> ColourBar:
    """Returns the colour bar of `heat_overlay`."""
    ramp = np.linspace(0, 1, _BAR[0], dtype=np.float32)[None]
    colours = heat_overlay(_MID_GREY, ramp, opacity=opacity, scale=scale)
    return ColourBar(
        colours,
        "0 (none)",
        "1 (strongest)",
        "Evidence for the class, or attention, divided by its 99.5th percentile in the map; a map "
        f"that is positive everywhere begins at its minimum. {_SEPARATELY}",
    )


def signed_bar(opacity: float = OPACITY) -> ColourBar:
    """Returns the colour bar of `signed_overlay`."""
    ramp = np.linspace(-1, 1, _BAR[0], dtype=np.float32)[None]
    return ColourBar(
        signed_overlay(_MID_GREY, ramp, opacity=opacity),
        "-1 (against the class)",
        "1 (for the class)",
        "Evidence divided by the 99.5th percentile of its magnitude in the map; 0 has no colour. "
        f"{_SEPARATELY}",
    )


def outlined(picture: Image.Image, box: tuple[float, float, float, float]) -> Image.Image:
    """Draws the outline of a box on an image.

    Args:
        picture: Image of any mode.
        box: Left, top, right and bottom, as shares of the image's width and height.
    """
    framed = picture.convert("RGB")
    left, right = box[0] * framed.width, box[2] * framed.width
    top, bottom = box[1] * framed.height, box[3] * framed.height
    width = max(2, framed.width // 90)
    ImageDraw.Draw(framed).rectangle([left, top, right - 1, bottom - 1], outline=FOR, width=width)
    return framed


def patch_sheet(cut: NDArray[np.uint8], side: int = 336, gap: int = 3) -> Image.Image:
    """Shows patches with gaps between them, as a ViT receives them.

    Args:
        cut: Patches, uint8, shape (rows, columns, p, p) or (rows, columns, p, p, 3).
        side: Approximate height and width of the result in pixels.
        gap: Gap between patches in pixels.
    """
    count = len(cut)
    size = max(4, side // count - gap)
    canvas = Image.new("RGB", (count * (size + gap) - gap,) * 2, (128, 128, 128))
    for row, line in enumerate(cut):
        for column, patch in enumerate(line):
            tile = Image.fromarray(patch).convert("RGB").resize((size, size), Image.Resampling.BOX)
            canvas.paste(tile, (column * (size + gap), row * (size + gap)))
    return canvas


def channel_tile(values: NDArray[np.float32], side: int = 112) -> Image.Image:
    """Returns a channel as a grey image, min-max scaled and upsampled by nearest neighbour."""
    low, high = float(values.min()), float(values.max())
    scaled = (values - low) / (high - low) if high > low else np.zeros_like(values)
    tile = Image.fromarray((scaled * 255).round().astype(np.uint8))
    return tile.resize((side, side), Image.Resampling.NEAREST)


PARTS = {"brows": "#D55E00", "eyes": "#009E73", "nose": "#0072B2", "mouth": "#E69F00"}
"""Colours of facial regions, from the palette of Okabe and Ito (2008)."""


def region_picture(masks: Mapping[str, NDArray[np.bool_]], side: int = 192) -> Image.Image:
    """Returns the region masks as a coloured RGBA image with transparent background."""
    height, width = next(iter(masks.values())).shape
    pixels = np.zeros((height, width, 4), np.uint8)
    pixels[..., :3], pixels[..., 3] = 128, 40
    for name, mask in masks.items():
        colour = PARTS.get(name, "#888888").lstrip("#")
        pixels[mask] = [*bytes.fromhex(colour), 255]
    return Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC)


def overlay_sheet(
    tiles: Sequence[Sequence[Image.Image | None]],
    rows: Sequence[str],
    columns: Sequence[str],
    notes: Sequence[Sequence[str]] = (),
    side: int = 224,
    bar: ColourBar | None = None,
) -> bytes:
    """Returns a labelled grid of images as PNG.

    Args:
        tiles: One list per row; None leaves a cell empty.
        rows: Row labels.
        columns: Column labels.
        notes: One list of captions per row, below the tiles; empty for none.
        side: Height and width of a tile in pixels.
        bar: Colour bar, which is drawn below the grid.
    """
    wrapped = [[_wrapped(note, side // _LETTER) for note in line] for line in notes]
    heads = [_wrapped(name, side // _LETTER) for name in columns]
    lines = max((note.count("\n") + 1 for line in wrapped for note in line if note), default=0)
    height = side + _LINE * lines + (_GAP if lines else 0)
    above = _LABEL + _LINE * max((head.count("\n") for head in heads), default=0)
    above = above if any(heads) else 0
    margin = _MARGIN if any(rows) else 0
    size = (margin + side * len(columns), above + height * len(rows))
    canvas = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(canvas)
    for column, head in enumerate(heads):
        draw.text((margin + column * side + 6, 11), head, fill="black")
    for row, (name, line) in enumerate(zip(rows, tiles, strict=True)):
        top = above + row * height
        draw.text((8, top + side // 2), name[:24], fill="black")
        for column, tile in enumerate(line):
            left = margin + column * side
            if tile is not None:
                sized = tile.convert("RGB").resize((side, side), Image.Resampling.BICUBIC)
                canvas.paste(sized, (left, top))
            if wrapped and wrapped[row][column]:
                draw.text((left + 6, top + side + 3), wrapped[row][column], fill="black")
    buffer = io.BytesIO()
    (_with_bar(canvas, bar) if bar else canvas).save(buffer, "PNG")
    return buffer.getvalue()


def _with_bar(sheet: Image.Image, bar: ColourBar) -> Image.Image:
    """Returns a sheet with a colour bar, its labels and its meaning below it."""
    width = min(_BAR[0], sheet.width - 2 * _GAP)
    meaning = _wrapped(bar.meaning, (sheet.width - 2 * _GAP) // _LETTER)
    top = sheet.height + _GAP
    below = top + _BAR[1] + 3
    height = below + _LINE * (meaning.count("\n") + 2) + _GAP
    canvas = Image.new("RGB", (sheet.width, height), "white")
    canvas.paste(sheet, (0, 0))
    canvas.paste(bar.colours.resize((width, _BAR[1])), (_GAP, top))
    draw = ImageDraw.Draw(canvas)
    draw.text((_GAP, below), bar.low, fill="black")
    draw.text((_GAP + width, below), bar.high, fill="black", anchor="ra")
    draw.text((_GAP, below + _LINE), meaning, fill="black")
    return canvas


def _wrapped(text: str, width: int) -> str:
    """Wraps lines at a number of characters."""
    return "\n".join(textwrap.fill(line, width) for line in text.splitlines())


def _fitted(
    face: Image.Image, values: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Returns the grey face and the map, scaled to a magnitude of about 1, at a common size.

    The scale is the 99.5th percentile of the magnitude, so that a single outlier in a fine map
    does not darken the rest.
    """
    height, width = values.shape
    size = (max(face.width, width), max(face.height, height))
    grey = face.convert("L").resize(size, Image.Resampling.BICUBIC)
    magnitude = np.abs(values)
    peak = float(np.percentile(magnitude, 99.5)) or float(magnitude.max())
    scaled = (values / peak if peak > 0 else np.zeros_like(values)).astype(np.float32)
    smooth = Image.fromarray(scaled).resize(size, Image.Resampling.BICUBIC)
    return np.asarray(grey, dtype=np.float32), np.asarray(smooth)


def _blend(
    grey: NDArray[np.float32],
    colours: NDArray[np.float32],
    weight: NDArray[np.floating[Any]],
) -> Image.Image:
    base, share = grey[..., None], weight[..., None]
    return Image.fromarray((base * (1 - share) + colours * share).round().astype(np.uint8))
