"""Hints: a student's feature map follows a teacher's (Romero et al. 2015, arXiv:1412.6550).

A Vision Transformer that starts from random weights sees little in one class an image: for hundreds
of steps it answers with the classes' frequencies alone. What a CNN sees at each place of the same
image teaches it what to look for.
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
from fer_core.models.tokens import to_grid


@dataclass(frozen=True)
class HintTeacher:
    """A finished network whose feature map a student follows.

    Attributes:
        network: In evaluation mode, on the student's device.
        weight: Of its loss beside the student's own.
    """

    network: Network
    weight: float

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """Returns the map that the guide's CAMs read, each channel standardised over the batch.

        In the precision around it: in bfloat16 it takes a third of the time on a CPU.

        Args:
            images: As the student sees them, float in 0 to 1, shape (N, C, S, S); brought to the
                guide's own size.

        Returns:
            Shape (N, D, h, w).
        """
        preprocessing = self.network.preprocessing
        inputs = preprocessing.normalise(preprocessing.to_size(images))
        with reading(self.network.model, self.network.spec, stop=True) as seen:
            self.network.model(inputs.contiguous(memory_format=torch.channels_last))
        found = seen[0].float()
        mean, spread = _moments(found)
        return (found - mean) / (spread + 1e-5)

    def loss(self, own: Tensor, wanted: Tensor) -> Tensor:
        """Mean squared error between the student's map and the guide's, times the weight.

        The student's map is projected by a fixed orthonormal matrix. To learn one would change
        little, as the layers before it can turn their output themselves; and a fixed one has no
        state that checkpoints or several processes would have to share.

        Args:
            own: The student's map, shape (N, d, h, w).
            wanted: The guide's `features` of what the student saw, shape (N, D, h, w) of any h, w.
        """
        wanted = F.interpolate(wanted, own.shape[-2:], mode="bilinear", antialias=True)
        matrix = _orthonormal(wanted.shape[1], own.shape[1]).to(own.device)
        projected = torch.einsum("cd,ndhw->nchw", matrix, own.float())
        return self.weight * F.mse_loss(projected, wanted)


def _moments(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Returns each channel's mean and spread over the global batch, shapes (1, D, 1, 1)."""
    places = (0, 2, 3)
    means = torch.stack([maps.mean(places), maps.square().mean(places)])
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(means)  # shares are of equal size
        means /= torch.distributed.get_world_size()
    mean, square = means.view(2, 1, -1, 1, 1)
    return mean, (square - mean.square()).clamp_min(0).sqrt()


class _Read(Exception):  # noqa: N818 (no error: a pass has gone as far as it needs to)
    """The layer was read."""


@contextmanager
def reading(model: nn.Module, spec: ModelSpec, *, stop: bool = False) -> Iterator[list[Tensor]]:
    """Keeps what the layer that CAMs read gives in the passes inside, as maps (N, D, h, w).

    Args:
        model: The network that is passed.
        spec: Its architecture.
        stop: Compute nothing behind that layer; the block ends there.
    """
    seen: list[Tensor] = []

    def keep(_layer: nn.Module, _given: object, output: Tensor) -> None:
        seen.append(output if output.ndim == 4 else to_grid(output, spec.prefix_tokens))
        if stop:
            raise _Read

    handle = model.get_submodule(spec.cam_layer).register_forward_hook(keep)
    try:
        yield seen
    except _Read:
        pass
    finally:
        handle.remove()


@lru_cache(maxsize=8)
def _orthonormal(rows: int, columns: int) -> Tensor:
    """Returns the same matrix whenever it is asked for."""
    generator = torch.Generator().manual_seed(0)
    return nn.init.orthogonal_(torch.empty(rows, columns), generator=generator)
