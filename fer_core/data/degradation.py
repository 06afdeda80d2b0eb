"""Image degradations for augmentation: occlusion, lighting, blur, noise and JPEG.

They are applied to the stored image, before the geometric transforms.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from fer_core.config import AugmentConfig
from fer_core.data.constants import constant

_BANDS = ((0.22, 0.48), (0.6, 0.9))
"""Vertical ranges of eyes and mouth in prepared images, as shares of the height."""

_QUALITY = (20.0, 80.0)
"""Range of sampled JPEG qualities."""

_FIELD = 256
"""Side of the precomputed noise that images are given crops of."""

# Luminance quantisation table at quality 50: Annex K of the JPEG standard (ITU-T T.81).
_QUANTISATION = (
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
    """Degradation parameters of one batch; the first axis of each tensor is the image.

    A degradation that is None is not applied.

    Attributes:
        boxes: Occluded boxes (x0, y0, x1, y1) as shares of the side, and their grey value in 0 to
            1, shape (N, 5); empty boxes have no effect.
        light: Horizontal and vertical brightness gradient, shape (N, 2): the relative brightness
            at the edge is 1 plus the gradient, at the opposite edge 1 minus it.
        gamma: Gamma exponents, shape (N,).
        blur: Weight of the blurred copy, 0 to 1, shape (N,).
        noise: Standard deviation of the noise, and column and row of the crop of the precomputed
            noise, shape (N, 3).
        quality: JPEG qualities, shape (N,); 100 for no compression.
    """

    boxes: Tensor | None = None
    light: Tensor | None = None
    gamma: Tensor | None = None
    blur: Tensor | None = None
    noise: Tensor | None = None
    quality: Tensor | None = None

    @classmethod
    def draw(cls, count: int, config: AugmentConfig, generator: torch.Generator) -> "Degradation":
        """Samples parameters for `count` images; disabled degradations draw no random numbers."""

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

    def share(self, rows: slice | Tensor, device: torch.device) -> "Degradation":
        """Returns the parameters of the images in `rows`, on a device."""
        values = (getattr(self, field.name) for field in fields(self))
        return Degradation(*(None if value is None else value[rows].to(device) for value in values))

    def apply(self, images: Tensor) -> Tensor:
        """Degrades images, float in 0 to 1, shape (N, C, h, w); keeps range and shape."""
        if self.boxes is not None:
            images = _occlude(images, self.boxes)
        if self.light is not None:
            images = _apply_light_gradient(images, self.light)
        if self.gamma is not None:
            images = images.pow(self.gamma.view(-1, 1, 1, 1))
        if self.blur is not None:
            images = _apply_to_subset(images, self.blur > 0, _blur, self.blur)
        if self.noise is not None:
            images = _apply_to_subset(images, self.noise[:, 0] > 0, _add_noise, self.noise)
        if self.quality is not None:
            images = _apply_to_subset(images, self.quality < 100, compress, self.quality)
        return images


NO_DEGRADATION = Degradation()


def _apply_to_subset(
    images: Tensor, selected: Tensor, change: Callable[[Tensor, Tensor], Tensor], numbers: Tensor
) -> Tensor:
    """Applies a change to the selected images (on a GPU to all, as indexing would wait for it)."""
    if images.device.type != "cpu":
        return torch.where(selected.view(-1, 1, 1, 1), change(images, numbers), images)
    if not selected.any():
        return images
    changed = images.clone()
    changed[selected] = change(images[selected], numbers[selected])
    return changed


def _draw_boxes(selected: Tensor, generator: torch.Generator) -> Tensor:
    """Samples boxes over the eyes or the mouth; boxes of unselected images are empty."""
    count = len(selected)
    lower, across, down, width, height, grey = torch.rand(6, count, generator=generator)
    bands = torch.tensor(_BANDS)[(lower < 0.5).long()]
    centre_y = bands[:, 0] + down * (bands[:, 1] - bands[:, 0])
    centre_x = 0.2 + 0.6 * across
    half_x = (0.1 + 0.2 * width) * selected
    half_y = (0.06 + 0.09 * height) * selected
    corners = [centre_x - half_x, centre_y - half_y, centre_x + half_x, centre_y + half_y]
    return torch.stack([*(corner.clamp(0, 1) for corner in corners), grey], dim=1)


def _occlude(images: Tensor, boxes: Tensor) -> Tensor:
    """Fills each image's box with its grey value."""
    inside = inside_boxes(boxes[:, :4], images.shape[2], images.shape[3])
    return torch.where(inside.unsqueeze(1), boxes[:, 4].view(-1, 1, 1, 1), images)


def inside_boxes(boxes: Tensor, height: int, width: int) -> Tensor:
    """Returns masks of the pixels inside boxes.

    Args:
        boxes: Boxes (x0, y0, x1, y1) as shares of the side, shape (N, 4).
        height: Height of the images in pixels.
        width: Width of the images in pixels.

    Returns:
        bool, shape (N, height, width).
    """
    x0, y0, x1, y1 = (boxes * constant((width, height) * 2, boxes)).round().unbind(1)
    rows = torch.arange(height, device=boxes.device).view(1, -1, 1)
    columns = torch.arange(width, device=boxes.device).view(1, 1, -1)
    inside = (rows >= y0.view(-1, 1, 1)) & (rows < y1.view(-1, 1, 1))
    return inside & (columns >= x0.view(-1, 1, 1)) & (columns < x1.view(-1, 1, 1))


def _apply_light_gradient(images: Tensor, light: Tensor) -> Tensor:
    """Multiplies images by a linear brightness gradient."""

    def centres(length: int) -> Tensor:
        return (2 * torch.arange(length, device=images.device) + 1) / length - 1

    across = light[:, 0].view(-1, 1, 1, 1) * centres(images.shape[3]).view(1, 1, 1, -1)
    down = light[:, 1].view(-1, 1, 1, 1) * centres(images.shape[2]).view(1, 1, -1, 1)
    return (images * (1 + across + down)).clamp_(0, 1)


def _blur(images: Tensor, share: Tensor) -> Tensor:
    """Blends each image with a copy blurred by a 5 x 5 binomial kernel (sigma of 1 pixel)."""
    row = constant((1, 4, 6, 4, 1), images) / 16
    planes = images.flatten(0, 1).unsqueeze(1)
    padded = F.pad(planes, (2, 2, 2, 2), mode="replicate")
    down = F.conv2d(padded, row.view(1, 1, 5, 1))
    blurred = F.conv2d(down, row.view(1, 1, 1, 5)).view_as(images)
    return torch.lerp(images, blurred, share.view(-1, 1, 1, 1))


@lru_cache(maxsize=4)
def _noise_field(device: torch.device) -> Tensor:
    """Returns fixed Gaussian noise; each image gets a random crop of it, which is fast."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(_FIELD, _FIELD, generator=generator).to(device)


def _add_noise(images: Tensor, noise: Tensor) -> Tensor:
    """Adds Gaussian noise, equal in all channels."""
    column, row = noise[:, 1].long().view(-1, 1), noise[:, 2].long().view(-1, 1)
    columns = (column + torch.arange(images.shape[3], device=images.device)) % _FIELD
    rows = (row + torch.arange(images.shape[2], device=images.device)) % _FIELD
    crop = _noise_field(images.device)[rows.unsqueeze(2), columns.unsqueeze(1)]
    return (images + (crop * noise[:, 0].view(-1, 1, 1)).unsqueeze(1)).clamp_(0, 1)


def compress(images: Tensor, quality: Tensor) -> Tensor:
    """Applies JPEG's luminance compression to each channel separately.

    Args:
        images: float in 0 to 1, shape (N, C, h, w).
        quality: 1 to 100, shape (N,).

    Returns:
        float in 0 to 1, shape (N, C, h, w).
    """
    height, width = images.shape[2:]
    padding = (0, -width % 8, 0, -height % 8)
    padded = F.pad(images, padding, mode="replicate") * 255 - 128
    count, channels, rows, columns = padded.shape
    blocks = padded.view(count, channels, rows // 8, 8, columns // 8, 8).transpose(3, 4)
    dct = _dct_matrix(images.dtype, images.device)
    # libjpeg rounds its scaled tables down to integers.
    percent = torch.where(quality < 50, 5000 / quality.clamp(min=1), 200 - 2 * quality).floor()
    steps = ((constant(_QUANTISATION, images) * percent.view(-1, 1, 1) + 50) / 100).floor()
    steps = steps.clamp_(1, 255).view(-1, 1, 1, 1, 8, 8)
    quantised = ((dct @ blocks @ dct.T) / steps).round() * steps
    decoded = (dct.T @ quantised @ dct).transpose(3, 4).reshape(padded.shape)
    return ((decoded + 128) / 255).clamp_(0, 1)[..., :height, :width]


@lru_cache(maxsize=4)
def _dct_matrix(dtype: torch.dtype, device: torch.device) -> Tensor:
    """Returns the orthonormal DCT-II matrix, shape (8, 8)."""
    positions = torch.arange(8, dtype=torch.float64)
    waves = torch.cos((2 * positions + 1) * positions.view(-1, 1) * math.pi / 16) / 2
    waves[0] /= math.sqrt(2)
    return waves.to(device, dtype)
