"""What spoils a photograph: something in front of the face, light, the camera, the file.

All of it is in the frame of the stored image, so that it turns and moves with the face.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from fer_core.config import AugmentConfig

_BANDS = ((0.22, 0.48), (0.6, 0.9))
"""Where eyes and mouth lie in the images of a prepared set, as shares of the height."""

_QUALITY = (20.0, 80.0)
"""JPEG qualities that are drawn."""

_FIELD = 256
"""Side of the field that noise is cut from."""

# Annex K of the JPEG standard (ITU-T T.81): steps of the luminance's frequencies at quality 50.
_STEPS = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)


@dataclass(frozen=True)
class Degradation:
    """Random numbers of one batch; each tensor's first axis is the image, None stands for none.

    Attributes:
        boxes: Boxes that are covered, as shares of the side (x0, y0, x1, y1), and the grey that
            covers them, shape (N, 5); empty boxes cover nothing.
        light: How much brighter one side is than the middle, and to which side: (across, down),
            shape (N, 2). The other side is as much darker.
        gamma: Exponents, shape (N,).
        blur: Share of a picture that is its blurred copy, shape (N,).
        noise: Standard deviation, and the noise field's column and row to begin at, shape (N, 3).
        quality: JPEG qualities, shape (N,); 100 and more for none.
    """

    boxes: Tensor | None = None
    light: Tensor | None = None
    gamma: Tensor | None = None
    blur: Tensor | None = None
    noise: Tensor | None = None
    quality: Tensor | None = None

    @classmethod
    def draw(cls, count: int, config: AugmentConfig, generator: torch.Generator) -> "Degradation":
        """Draws the numbers for `count` images; nothing is drawn for what is switched off."""

        def between(low: float, high: float) -> Tensor:
            return low + torch.rand(count, generator=generator) * (high - low)

        def selected(share: float) -> Tensor:
            return torch.rand(count, generator=generator) < share

        boxes = light = gamma = blur = noise = quality = None
        if config.erase:
            boxes = _draw_boxes(selected(config.erase), generator)
        if config.light:
            angle, strength = between(0, 2 * math.pi), between(0, config.light)
            light = torch.stack([strength * torch.cos(angle), strength * torch.sin(angle)], dim=1)
        if config.gamma:
            gamma = torch.exp(between(-config.gamma, config.gamma))
        if config.blur:
            blur = selected(config.blur) * between(0.3, 1)
        if config.noise:
            deviation = selected(config.noise) * between(0.01, 0.08)
            corner = (between(0, _FIELD).floor(), between(0, _FIELD).floor())
            noise = torch.stack([deviation, *corner], dim=1)
        if config.jpeg:
            quality = torch.where(selected(config.jpeg), between(*_QUALITY), 100.0)
        return cls(boxes, light, gamma, blur, noise, quality)

    def share(self, rows: slice, device: torch.device) -> "Degradation":
        """Returns the numbers of some of the images, on a device."""
        values = (getattr(self, field.name) for field in fields(self))
        return Degradation(*(None if value is None else value[rows].to(device) for value in values))

    def apply(self, images: Tensor) -> Tensor:
        """Spoils images, float in 0 to 1, shape (N, C, h, w); gives the same range and shape."""
        if self.boxes is not None:
            images = _cover(images, self.boxes)
        if self.light is not None:
            images = _lighten(images, self.light)
        if self.gamma is not None:
            images = images.pow(self.gamma.view(-1, 1, 1, 1))
        if self.blur is not None:
            images = _some(images, self.blur > 0, _blur, self.blur)
        if self.noise is not None:
            images = _some(images, self.noise[:, 0] > 0, _disturb, self.noise)
        if self.quality is not None:
            images = _some(images, self.quality < 100, compress, self.quality)
        return images


NO_DEGRADATION = Degradation()


def _some(
    images: Tensor, selected: Tensor, change: Callable[[Tensor, Tensor], Tensor], numbers: Tensor
) -> Tensor:
    """Changes some of the images. A GPU changes all and keeps some: to count them takes longer."""
    if images.device.type != "cpu":
        return torch.where(selected.view(-1, 1, 1, 1), change(images, numbers), images)
    if not selected.any():
        return images
    changed = images.clone()
    changed[selected] = change(images[selected], numbers[selected])
    return changed


def _draw_boxes(selected: Tensor, generator: torch.Generator) -> Tensor:
    """Draws boxes over eyes or mouth, in an upright face; empty ones where none is chosen."""
    count = len(selected)
    lower, across, down, width, height, grey = torch.rand(6, count, generator=generator)
    bands = torch.tensor(_BANDS)[(lower < 0.5).long()]
    centre_y = bands[:, 0] + down * (bands[:, 1] - bands[:, 0])
    centre_x = 0.2 + 0.6 * across
    half_x = (0.1 + 0.2 * width) * selected
    half_y = (0.06 + 0.09 * height) * selected
    corners = [centre_x - half_x, centre_y - half_y, centre_x + half_x, centre_y + half_y]
    return torch.stack([*(corner.clamp(0, 1) for corner in corners), grey], dim=1)


def _cover(images: Tensor, boxes: Tensor) -> Tensor:
    inside = inside_boxes(boxes[:, :4], images.shape[2], images.shape[3])
    return torch.where(inside.unsqueeze(1), boxes[:, 4].view(-1, 1, 1, 1), images)


def inside_boxes(boxes: Tensor, height: int, width: int) -> Tensor:
    """Returns which pixels lie in boxes.

    Args:
        boxes: Shares of the side (x0, y0, x1, y1), shape (N, 4).
        height: Rows of the images.
        width: Their columns.

    Returns:
        bool, shape (N, height, width).
    """
    x0, y0, x1, y1 = (boxes * boxes.new_tensor([width, height] * 2)).round().unbind(1)
    rows = torch.arange(height, device=boxes.device).view(1, -1, 1)
    columns = torch.arange(width, device=boxes.device).view(1, 1, -1)
    inside = (rows >= y0.view(-1, 1, 1)) & (rows < y1.view(-1, 1, 1))
    return inside & (columns >= x0.view(-1, 1, 1)) & (columns < x1.view(-1, 1, 1))


def _lighten(images: Tensor, light: Tensor) -> Tensor:
    def centres(length: int) -> Tensor:
        return (2 * torch.arange(length, device=images.device) + 1) / length - 1

    across = light[:, 0].view(-1, 1, 1, 1) * centres(images.shape[3]).view(1, 1, 1, -1)
    down = light[:, 1].view(-1, 1, 1, 1) * centres(images.shape[2]).view(1, 1, -1, 1)
    return (images * (1 + across + down)).clamp_(0, 1)


def _blur(images: Tensor, share: Tensor) -> Tensor:
    """Mixes in a copy blurred with a binomial kernel of 5 x 5 pixels: its deviation is one."""
    row = images.new_tensor([1, 4, 6, 4, 1]) / 16
    planes = images.flatten(0, 1).unsqueeze(1)
    padded = F.pad(planes, (2, 2, 2, 2), mode="replicate")
    down = F.conv2d(padded, row.view(1, 1, 5, 1))
    blurred = F.conv2d(down, row.view(1, 1, 1, 5)).view_as(images)
    return torch.lerp(images, blurred, share.view(-1, 1, 1, 1))


@lru_cache(maxsize=4)
def _noise_field(device: torch.device) -> Tensor:
    """Returns normal noise, always the same: images differ in where they begin to cut from it."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(_FIELD, _FIELD, generator=generator).to(device)


def _disturb(images: Tensor, noise: Tensor) -> Tensor:
    """Adds normal noise, the same to all channels."""
    column, row = noise[:, 1].long().view(-1, 1), noise[:, 2].long().view(-1, 1)
    columns = (column + torch.arange(images.shape[3], device=images.device)) % _FIELD
    rows = (row + torch.arange(images.shape[2], device=images.device)) % _FIELD
    cut = _noise_field(images.device)[rows.unsqueeze(2), columns.unsqueeze(1)]
    return (images + (cut * noise[:, 0].view(-1, 1, 1)).unsqueeze(1)).clamp_(0, 1)


def compress(images: Tensor, quality: Tensor) -> Tensor:
    """Does to images what JPEG does to luminance; each channel is taken for one.

    Args:
        images: float in 0 to 1, shape (N, C, h, w).
        quality: 1 to 100, shape (N,).

    Returns:
        The same range and shape.
    """
    height, width = images.shape[2:]
    padding = (0, -width % 8, 0, -height % 8)
    padded = F.pad(images, padding, mode="replicate") * 255 - 128
    count, channels, rows, columns = padded.shape
    blocks = padded.view(count, channels, rows // 8, 8, columns // 8, 8).transpose(3, 4)
    cosines = _cosines().to(images)
    # whole numbers, as libjpeg scales its tables
    percent = torch.where(quality < 50, 5000 / quality.clamp(min=1), 200 - 2 * quality).floor()
    steps = ((images.new_tensor(_STEPS) * percent.view(-1, 1, 1) + 50) / 100).floor()
    steps = steps.clamp_(1, 255).view(-1, 1, 1, 1, 8, 8)
    quantised = ((cosines @ blocks @ cosines.T) / steps).round() * steps
    decoded = (cosines.T @ quantised @ cosines).transpose(3, 4).reshape(padded.shape)
    return ((decoded + 128) / 255).clamp_(0, 1)[..., :height, :width]


@lru_cache(maxsize=1)
def _cosines() -> Tensor:
    """Returns the matrix of the orthonormal discrete cosine transform, shape (8, 8)."""
    places = torch.arange(8, dtype=torch.float64)
    waves = torch.cos((2 * places + 1) * places.view(-1, 1) * math.pi / 16) / 2
    waves[0] /= math.sqrt(2)
    return waves
