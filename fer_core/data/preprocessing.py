"""Preprocessing of stored uint8 images into network input.

Training, evaluation, dashboard and service all use `Preprocessing`. Torch is imported when a
tensor is requested: the light installation predicts without torch.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fer_core.data.imaging import SampleFormat

if TYPE_CHECKING:
    from torch import Tensor

    from fer_core.data.transforms import Augmentation

_PIPELINE_VERSION = 1  # increase when the arithmetic below changes


@dataclass(frozen=True)
class Preprocessing:
    """Turns stored images into network input.

    Attributes:
        side: Side of the stored images in pixels.
        colour: Whether stored images are RGB; grey images are repeated over three channels.
        image_size: Side of the network input in pixels.
        mean: Mean per channel, for values in 0 to 1.
        std: Standard deviation per channel, for values in 0 to 1.
    """

    side: int
    colour: bool
    image_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @property
    def format(self) -> SampleFormat:
        """The format of the stored images."""
        return SampleFormat(self.side, self.colour)

    @property
    def hash(self) -> str:
        """Short hash of everything that determines the input tensor."""
        content = json.dumps({"version": _PIPELINE_VERSION, **asdict(self)}, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:12]

    def unit(self, images: "NDArray[np.uint8] | Tensor") -> "Tensor":
        """Scales stored values to 0 to 1.

        Args:
            images: uint8, shape (N, H, W) or (N, H, W, 3).

        Returns:
            float32 in 0 to 1, shape (N, C, H, W) with C = 1 for grey images.
        """
        import torch

        if isinstance(images, np.ndarray):
            images = torch.from_numpy(np.require(images, requirements="W"))
        batch = images.float().div_(255)
        return batch.unsqueeze(1) if batch.ndim == 3 else batch.permute(0, 3, 1, 2)

    def resize(self, images: "NDArray[np.uint8] | Tensor") -> "Tensor":
        """Resizes stored images to the input size.

        Args:
            images: uint8, shape (N, H, W) or (N, H, W, 3).

        Returns:
            float32 in 0 to 1, shape (N, C, image_size, image_size) with C = 1 for grey images.
        """
        return self.to_size(self.unit(images))

    def to_size(self, images: "Tensor") -> "Tensor":
        """Resizes float images in 0 to 1, shape (N, C, h, w), to the input size."""
        size = (self.image_size, self.image_size)
        if images.shape[-2:] == size:
            return images
        from torch.nn import functional as F

        return F.interpolate(images, size, mode="bilinear", antialias=True).clamp_(0, 1)

    def augmented(self, images: "Tensor", random: "Augmentation") -> "Tensor":
        """Augments stored images and resizes them to the input size.

        Upscaling and the affine transform share one bilinear sampling, which is faster and blurs
        less than two. Downscaling happens first, because only `resize` antialiases.

        Args:
            images: uint8, shape (N, H, W) or (N, H, W, 3).
            random: Augmentation parameters, one set per image.

        Returns:
            float32 in 0 to 1, shape (N, C, image_size, image_size).
        """
        shrinks = self.image_size < images.shape[1]
        return random.apply(self.resize(images) if shrinks else self.unit(images), self.image_size)

    def normalise(self, images: "Tensor") -> "Tensor":
        """Normalises images in 0 to 1 with mean and std; returns three channels."""
        import torch

        from fer_core.data.constants import constant

        mean = constant(self.mean, images).view(1, 3, 1, 1)
        std = constant(self.std, images).view(1, 3, 1, 1)
        return torch.addcmul(-mean / std, images, 1 / std)

    def __call__(self, images: "NDArray[np.uint8] | Tensor") -> "Tensor":
        """Returns network input, float32, shape (N, 3, image_size, image_size)."""
        return self.normalise(self.resize(images))

    def array(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Returns the network input of stored images as an array, by numpy alone.

        The arithmetic is that of a call; values differ by rounding.

        Args:
            images: uint8, shape (N, H, W) or (N, H, W, 3).

        Returns:
            float32, shape (N, 3, image_size, image_size).
        """
        batch = images.astype(np.float64) / 255
        batch = batch[:, None] if batch.ndim == 3 else batch.transpose(0, 3, 1, 2)
        if batch.shape[2:] != (self.image_size, self.image_size):
            rows = _resizing(batch.shape[2], self.image_size)
            columns = _resizing(batch.shape[3], self.image_size)
            batch = (rows @ batch @ columns.T).clip(0, 1)
        mean, std = (np.array(values).reshape(1, 3, 1, 1) for values in (self.mean, self.std))
        normalised: NDArray[np.float32] = ((batch - mean) / std).astype(np.float32)
        return normalised


@lru_cache(maxsize=32)
def _resizing(size: int, wanted: int) -> NDArray[np.float64]:
    """Returns the weights of each old pixel in each new one, shape (wanted, size).

    They are those of `torch.nn.functional.interpolate` with `mode="bilinear", antialias=True`: a
    triangle as wide as a pixel of the coarser of the two grids.
    """
    scale = size / wanted
    centres = scale * (np.arange(wanted) + 0.5)
    distances = np.abs(np.arange(size)[None] + 0.5 - centres[:, None]) / max(scale, 1.0)
    weights = np.maximum(0.0, 1.0 - distances)
    result: NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
    return result
