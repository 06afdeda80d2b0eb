"""Hints: a loss between a student's and a teacher's feature map.

After FitNets (Romero et al. 2015, arXiv:1412.6550).

A Vision Transformer with random weights learns slowly from class labels: for hundreds of steps it
predicts the class frequencies. A CNN's feature map gives it a target at every location.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fer_core.engine.networks import Network
from fer_core.models.registry import ModelSpec
from fer_core.models.tokens import to_map


@dataclass(frozen=True)
class HintTeacher:
    """A finished network whose feature map a student is trained to match.

    Attributes:
        network: A network in evaluation mode, on the student's device.
        weight: Weight of the hint loss.
    """

    network: Network
    weight: float

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """Returns the feature map of the CAM layer, each channel standardised over the batch.

        Runs in the surrounding autocast precision: bfloat16 takes a third of the time on a CPU.

        Args:
            images: The student's images, float in 0 to 1, shape (N, C, S, S); resized to the
                teacher's input size.

        Returns:
            Shape (N, D, h, w).
        """
        preprocessing = self.network.preprocessing
        inputs = preprocessing.normalise(preprocessing.to_size(images))
        with captured(self.network.model, self.network.spec, stop=True) as feature_maps:
            self.network.model(inputs.contiguous(memory_format=torch.channels_last))
        feature_map = feature_maps[0].float()
        mean, std = _moments(feature_map)
        return (feature_map - mean) / (std + 1e-5)

    def loss(self, student_map: Tensor, teacher_map: Tensor) -> Tensor:
        """Returns the weighted mean squared error between two feature maps.

        The student's map is projected by a fixed orthonormal matrix. A learned projection would
        gain little, because the student's layers can rotate their output themselves, and it would
        add state to checkpoints and processes.

        Args:
            student_map: Shape (N, d, h, w).
            teacher_map: `features` of the same images, shape (N, D, H, W) of any H, W.
        """
        size = student_map.shape[-2:]
        teacher_map = F.interpolate(teacher_map, size, mode="bilinear", antialias=True)
        matrix = _orthonormal(teacher_map.shape[1], student_map.shape[1], student_map.device)
        projected = torch.einsum("cd,ndhw->nchw", matrix, student_map.float())
        return self.weight * F.mse_loss(projected, teacher_map)


def _moments(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Returns each channel's mean and standard deviation over the global batch, (1, D, 1, 1)."""
    axes = (0, 2, 3)
    means = torch.stack([maps.mean(axes), maps.square().mean(axes)])
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(means)  # all processes have batches of equal size
        means /= torch.distributed.get_world_size()
    mean, square = means.view(2, 1, -1, 1, 1)
    return mean, (square - mean.square()).clamp_min(0).sqrt()


class _Captured(Exception):  # noqa: N818 (not an error: it ends a forward pass early)
    """The layer's output was captured."""


@contextmanager
def captured(model: nn.Module, spec: ModelSpec, *, stop: bool = False) -> Iterator[list[Tensor]]:
    """Captures the CAM layer's output in forward passes inside the block.

    Args:
        model: The network.
        spec: Architecture of the model.
        stop: End the forward pass, and the block, at that layer.

    Yields:
        A list to which each pass appends a feature map, shape (N, D, h, w).
    """
    feature_maps: list[Tensor] = []

    def capture(_layer: nn.Module, _inputs: object, output: Tensor) -> None:
        feature_maps.append(to_map(output, spec))
        if stop:
            raise _Captured

    handle = model.get_submodule(spec.cam_layer).register_forward_hook(capture)
    try:
        yield feature_maps
    except _Captured:
        pass
    finally:
        handle.remove()


@lru_cache(maxsize=8)
def _orthonormal(rows: int, columns: int, device: torch.device | None = None) -> Tensor:
    """Returns a fixed matrix with orthonormal rows or columns; the same one in every process."""
    generator = torch.Generator().manual_seed(0)
    return nn.init.orthogonal_(torch.empty(rows, columns), generator=generator).to(device)
