"""Batch augmentation, which runs in training between resizing and normalisation.

`Preprocessing` is imported from here where torch is used anyway.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from fer_core.config import AugmentConfig
from fer_core.data.constants import constant
from fer_core.data.degradation import NO_DEGRADATION, Degradation, inside_boxes
from fer_core.data.preprocessing import Preprocessing as Preprocessing
from fer_core.luma import LUMA


@dataclass(frozen=True)
class Augmentation:
    """Augmentation parameters of one batch; the first axis of each tensor is the image.

    Sampling and applying are separate, so each process can sample for the whole batch and apply
    its share. The result does not depend on the number of processes.

    Attributes:
        matrices: Inverse affine matrices in normalised coordinates, shape (N, 2, 3).
        brightness: Brightness factors, shape (N,).
        contrast: Contrast factors, shape (N,).
        saturation: Saturation factors, shape (N,).
        boxes: CutMix boxes (x0, y0, x1, y1) as shares of the side, shape (N, 4); empty boxes
            have no effect.
        perspective: Horizontal and vertical perspective, shape (N, 2); None for no perspective.
        degradation: Parameters of occlusion, lighting, blur, noise and JPEG.
    """

    matrices: Tensor
    brightness: Tensor
    contrast: Tensor
    saturation: Tensor
    boxes: Tensor
    perspective: Tensor | None = None
    degradation: Degradation = NO_DEGRADATION

    @classmethod
    def draw(cls, count: int, config: AugmentConfig, generator: torch.Generator) -> "Augmentation":
        """Samples parameters for `count` images, independently per image."""

        def uniform(reach: float, centre: float = 0.0) -> Tensor:
            return centre + (torch.rand(count, generator=generator) * 2 - 1) * reach

        angle = uniform(math.radians(config.rotation))
        size = uniform(config.scale, 1.0)
        shift = torch.stack([uniform(2 * config.shift), uniform(2 * config.shift)], dim=1)
        mirrored = torch.rand(count, generator=generator) < config.flip
        brightness, contrast = uniform(config.brightness, 1.0), uniform(config.contrast, 1.0)
        saturation = uniform(config.saturation, 1.0)
        boxes = _draw_boxes(count, config, generator)
        # Newer augmentations are sampled last and only if enabled, so that older recipes keep
        # the same random sequence.
        if config.zoom != (1.0, 1.0):
            low, high = map(math.log, config.zoom)
            size = size * torch.exp(uniform((high - low) / 2, (low + high) / 2))
        perspective = None
        if config.perspective:
            tilts = [uniform(config.perspective), uniform(config.perspective)]
            perspective = torch.stack(tilts, dim=1)
        degradation = Degradation.draw(count, config, generator)
        matrices = _matrices(angle, size, shift, mirrored)
        return cls(matrices, brightness, contrast, saturation, boxes, perspective, degradation)

    def share(self, rows: slice | Tensor, device: torch.device) -> "Augmentation":
        """Returns the parameters of the images in `rows`, on a device."""
        perspective = self.perspective
        return Augmentation(
            self.matrices[rows].to(device),
            self.brightness[rows].to(device),
            self.contrast[rows].to(device),
            self.saturation[rows].to(device),
            self.boxes[rows].to(device),
            None if perspective is None else perspective[rows].to(device),
            self.degradation.share(rows, device),
        )

    def apply(self, images: Tensor, size: int) -> Tensor:
        """Applies colour jitter, degradations and geometric transforms, and resizes the images.

        Args:
            images: float in 0 to 1, shape (N, C, h, w).
            size: Side of the result; bilinear upscaling if the parameters change nothing.

        Returns:
            float in 0 to 1, shape (N, C, size, size).
        """
        changed = self.degradation.apply(self._recolour(images))
        return F.grid_sample(
            changed, self._grid(size), padding_mode="reflection", align_corners=False
        )

    def _recolour(self, images: Tensor) -> Tensor:
        if images.shape[1] == 3:
            luma = constant(LUMA, images).view(1, 3, 1, 1)
            grey = (images * luma).sum(dim=1, keepdim=True)
            images = torch.lerp(grey, images, self.saturation.view(-1, 1, 1, 1))
        middle = images.mean(dim=(1, 2, 3), keepdim=True)
        contrast = self.contrast.view(-1, 1, 1, 1)
        offset = middle * (self.brightness.view(-1, 1, 1, 1) - contrast)
        return torch.addcmul(offset, images, contrast).clamp_(0, 1)

    def _grid(self, size: int) -> Tensor:
        """Returns the sampling grid, shape (N, size, size, 2).

        Equals `affine_grid` but takes a fifth of its time; optionally adds a perspective.
        """
        steps = torch.arange(size, device=self.matrices.device, dtype=self.matrices.dtype)
        centres = (2 * steps + 1) / size - 1
        across = self.matrices[:, :, 0, None] * centres  # (N, 2, size)
        down = self.matrices[:, :, 1, None] * centres + self.matrices[:, :, 2, None]
        grid = torch.empty(len(self.matrices), size, size, 2, device=centres.device)
        for axis in range(2):
            torch.add(across[:, axis, None, :], down[:, axis, :, None], out=grid[..., axis])
        if self.perspective is not None:
            tilt = self.perspective[:, :, None] * centres  # (N, 2, size)
            grid /= (1 + tilt[:, 0, None, :] + tilt[:, 1, :, None]).unsqueeze(-1)
        return grid

    @property
    def mixed(self) -> Tensor:
        """Whether each image gets a box of its neighbour, shape (N,)."""
        return self.boxes[:, 2] > self.boxes[:, 0]

    @property
    def mixes(self) -> bool:
        """Whether CutMix changes any image; on a GPU, reading it waits for the device."""
        return bool(self.mixed.any())

    def mix(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """CutMix (Yun et al. 2019, arXiv:1905.04899): pastes a box from each image's partner.

        Partners are the pairs (0, 1), (2, 3) and so on. Batches are shuffled, so pairs are random,
        and they stay together when a batch is split among processes.

        Args:
            images: float, shape (N, C, S, S).
            targets: Class distributions, shape (N, K).

        Returns:
            Mixed images, and targets weighted by the pasted area.
        """
        count, _, height, width = images.shape
        if count < 2:
            return images, targets
        partner = torch.arange(count, device=images.device) ^ 1
        partner = torch.where(partner < count, partner, partner - 2)
        inside = inside_boxes(self.boxes, height, width)
        mixed = torch.where(inside.unsqueeze(1), images[partner], images)
        pasted = inside.float().mean(dim=(1, 2)).view(-1, 1)
        return mixed, torch.lerp(targets, targets[partner], pasted)


def _matrices(angle: Tensor, size: Tensor, shift: Tensor, mirrored: Tensor) -> Tensor:
    """Returns inverse affine matrices, shape (N, 2, 3), from rotation, scale, shift and flip."""
    sign = torch.where(mirrored, -1.0, 1.0)
    cos, sin = torch.cos(angle) / size, torch.sin(angle) / size
    linear = torch.stack([sign * cos, -sin, sign * sin, cos], dim=1).view(-1, 2, 2)
    return torch.cat([linear, shift.unsqueeze(2)], dim=2)


def _draw_boxes(count: int, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Samples boxes with Beta(alpha, alpha) area shares; empty for images without CutMix."""
    selected = torch.rand(count, generator=generator) < config.cutmix
    # numpy's Beta takes an explicit seed; torch's does not.
    seed = int(torch.randint(2**31, (1,), generator=generator))
    kept = np.random.default_rng(seed).beta(config.cutmix_alpha, config.cutmix_alpha, count)
    half = torch.from_numpy(np.sqrt(1 - kept) / 2).float() * selected
    centre = torch.rand(count, 2, generator=generator)
    low = (centre - half.unsqueeze(1)).clamp(0, 1)
    high = (centre + half.unsqueeze(1)).clamp(0, 1)
    return torch.cat([low, high], dim=1)
